"""A batch runs whole or in parts: an inference of a larger one takes no more time or energy."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dse
from dse.errors import UnmappableError
from dse.mapping import map_network
from dse.mapping.ir.schedule import program_latency_s
from dse.mapping.network.program import program_energy_j
from dse.workload.parts import batch_of, in_parts


@pytest.mark.parametrize("name", ["resnet8", "mobilenetv2", "deit_tiny", "bert_tiny", "yolox_n"])
@pytest.mark.parametrize("parts", [2, 4])
def test_a_part_of_a_batch_is_the_network_at_the_smaller_batch(name: str, parts: int) -> None:
    whole = dse.load_model(name, batch=8).at("w8a8")
    assert batch_of(whole) == 8
    part = in_parts(whole, parts)
    want = dse.load_model(name, batch=8 // parts).at("w8a8")
    assert part is not None
    assert part.macs == want.macs
    for found, layer in zip(part.layers, want.layers, strict=True):
        assert found == dataclasses.replace(layer, note=found.note)
    for tensor in part.tensors.values():
        assert tensor.elements == want.tensors[tensor.name].elements


def test_a_batch_that_a_layer_does_not_share_out_stays_whole() -> None:
    whole = dse.load_model("resnet8", batch=8).at("w8a8")
    assert in_parts(whole, 3) is None
    assert in_parts(whole, 1) is whole


@settings(max_examples=8)
@given(
    name=st.sampled_from(["resnet8", "dscnn_kws", "ad_autoencoder"]),
    size=st.sampled_from([8, 16]),
    room=st.sampled_from([32, 128]),
    cores=st.sampled_from([1, 4]),
    objective=st.sampled_from(["edp", "latency", "energy"]),
)
def test_an_inference_of_a_larger_batch_costs_no_more(
    name: str, size: int, room: int, cores: int, objective: str
) -> None:
    chip = dse.load_chip(
        "wearable_npu", array__rows=size, array__cols=size, buffer__bytes=room * 1024, cores=cores
    )
    found = []
    for batch in (1, 2, 4, 8, 16):
        network = dse.load_model(name, batch=batch).at("w8a8")
        program = map_network(network, chip, objective, cores=cores)
        time, energy = program_latency_s(program, chip), program_energy_j(program, chip)
        found.append((time / batch, energy / batch))
    for one, more in itertools.pairwise(found):
        assert more[0] <= one[0] * (1.0 + 1e-6)
        assert more[1] <= one[1] * (1.0 + 1e-6)


def test_parts_are_played_as_they_are_summed_and_rows_add_up() -> None:
    chip = dse.load_chip("edge_vision")
    played, summed = (
        dse.simulate(dse.load_model("resnet50", batch=4), chip, fidelity)
        for fidelity in ("simulate", "analytic")
    )
    assert any("parts" in note for note in summed.notes)
    assert played.latency_s == pytest.approx(summed.latency_s, rel=1e-9)
    assert played.energy_j == pytest.approx(summed.energy_j, rel=1e-3)
    for record in (played, summed):
        assert record.latency_s is not None
        assert sum(row.latency_s for row in record.layers) == pytest.approx(record.latency_s)
        assert sum(row.energy_j for row in record.layers) == pytest.approx(record.energy_j)
        assert sum(row.macs for row in record.layers) == record.macs
        assert all(row.utilization <= 1.0 + 1e-9 for row in record.layers)


def test_a_batch_beyond_a_chip_without_dram_runs_in_parts() -> None:
    chip = dse.load_chip("mcu_mram_npu")
    whole = dse.load_model("resnet8", batch=16).at("w8a8")
    try:
        one = map_network(dse.load_model("resnet8").at("w8a8"), chip)
    except UnmappableError:
        pytest.skip("the chip cannot run the network at all")
    assert program_latency_s(map_network(whole, chip), chip) <= 16 * program_latency_s(one, chip)


def test_tokens_of_a_batch_read_their_weights_once_on_many_cores() -> None:
    """Cut into parts they would read them for each: what one core takes at least is no bound
    of 64."""
    chip = dse.load_chip("datacenter_accel")
    network = dse.load_model("qwen2_0.5b_decode@past=64", batch=32).at("w8a8")
    program = map_network(network, chip, "edp", cores=chip.cores)
    assert program.parts == 1
