"""Networks on a chip: memory plan, program, layer table and roofline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dse.errors import InputError, UnmappableError
from dse.hardware.chip import Chip
from dse.mapping.ir.schedule import LINKS, layer_latencies_s, program_latency_s
from dse.mapping.layer.text import explain
from dse.mapping.memory.plan import plan_memory
from dse.mapping.memory.tensors import lifetimes
from dse.mapping.network.bounds import (
    external_bytes,
    roofline,
    roofline_energy_j,
    roofline_latency_s,
)
from dse.mapping.network.program import layer_rows, map_network, program_energy_j
from dse.workload.layer import Layer, Tensor, Workload
from dse.workload.precision import Precision

from .conftest import make_chip, make_layer


def network(channels: int = 16, size: int = 12, blocks: int = 3) -> Workload:
    """A stem, then residual blocks of two convolutions and an addition, then a classifier."""
    layers: list[Layer] = []
    tensors: dict[str, Tensor] = {}

    def tensor(name: str, elements: int, role: Any = "activation") -> str:
        tensors[name] = Tensor(name, (elements,), role)
        return name

    def conv(name: str, source: str, c: int, out: int, k: int, side: str | None = None) -> str:
        plain = make_layer(name, K=k, C=c, OY=out, OX=out, FY=3, FX=3)
        made = tensor(f"{name}.o", plain.o_elements)
        weight = tensor(f"{name}.w", plain.w_elements, "weight")
        bias = tensor(f"{name}.b", k, "bias")
        layers.append(
            replace(
                plain,
                inputs=(source, weight, bias, *([side] if side else [])),
                outputs=(made,),
                b_elements=k,
                i_elements=tensors[source].elements,
                side_elements=plain.o_elements if side else 0,
                vector_ops=(("relu", plain.o_elements),),
            )
        )
        return made

    at = conv("stem", tensor("image", 3 * size * size, "input"), 3, size, channels)
    for number in range(blocks):
        inner = conv(f"b{number}.1", at, channels, size, channels)
        at = conv(f"b{number}.2", inner, channels, size, channels, side=at)
    pooled = tensor("pool.o", channels)
    reduced = (("reduce", channels * size * size),)
    layers.append(
        Layer("pool", "Pool", "vector", ("pool",), (at,), (pooled,), None,
              i_elements=channels * size * size, o_elements=channels, vector_ops=reduced)
    )  # fmt: skip
    head = make_layer("head", "Gemm", K=10, C=channels)
    tensor("head.w", head.w_elements, "weight")
    tensor("scores", 10, "output")
    layers.append(replace(head, inputs=(pooled, "head.w"), outputs=("scores",)))
    parameters = sum(layer.w_elements for layer in layers)
    return Workload(
        "toy", "toy", tuple(layers), tensors, ("image",), ("scores",),
        parameters, Precision(), {}, "digest",
    )  # fmt: skip


CHIPS = {
    "dram": make_chip(8, 8, buffer_bytes=16 * 1024),
    "single buffered": make_chip(8, 8, buffer_bytes=16 * 1024, double=False),
    "big buffer": make_chip(8, 8, buffer_bytes=256 * 1024),
    "l2": make_chip(8, 8, buffer_bytes=8 * 1024, l2=4e9, l2_bytes=64 * 1024),
    "mcu": make_chip(8, 8, buffer_bytes=32 * 1024, dram=0.0, l2=0.0, nvm=5e8, nvm_bytes=64 * 1024),
    "mcu with l2": make_chip(8, 8, buffer_bytes=8 * 1024, dram=0.0, l2=4e9, l2_bytes=64 * 1024),
    "cores": make_chip(8, 8, buffer_bytes=16 * 1024, cores=4),
}


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS.keys())
@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_program_adds_up_and_stays_above_the_roofline(chip: Chip, objective: Any) -> None:
    net = network()
    program = map_network(net, chip, objective, cores=chip.cores)
    latency = program_latency_s(program, chip)
    assert sum(layer_latencies_s(program, chip)) + program.invoke_s == pytest.approx(latency)
    assert roofline_latency_s(net, chip, chip.cores) <= latency
    assert roofline_energy_j(net, chip, chip.cores) <= program_energy_j(program, chip)
    assert sum(s.macs for s in program.schedules) == net.macs
    read, written = external_bytes(net, chip, chip.cores)
    assert sum(s.counts.get("dram.read_bit", 0) for s in program.schedules) / 8 >= read
    assert sum(s.counts.get("dram.write_bit", 0) for s in program.schedules) / 8 >= written
    total = [0.0] * len(LINKS)
    for segment in program.segments:
        for link, amount in enumerate(segment.link_bytes):
            total[link] += segment.count * amount
    for link, actions in enumerate(("dram.read_bit dram.write_bit", "l2.read_bit l2.write_bit")):
        bits = sum(s.counts.get(a, 0.0) for s in program.schedules for a in actions.split())
        assert total[link] * 8 == pytest.approx(bits)
    rows = layer_rows(program, chip)
    assert [row.name for row in rows] == [layer.name for layer in net.layers]
    for row in rows:
        assert row.energy_j == pytest.approx(sum(row.energy_breakdown_j.values()))
        assert 0.0 <= row.utilization <= 1.0
        assert row.bottleneck != "none"
    assert rows[0].dims["K"] == 16
    assert "for " in explain(program.schedules[1]) or "buffer tile" in explain(program.schedules[1])


def test_activations_stay_where_there_is_room() -> None:
    net = network()
    small = map_network(net, CHIPS["dram"])
    large = map_network(net, CHIPS["big buffer"])
    moved = {
        name: sum(s.counts.get("dram.read_bit", 0.0) for s in program.schedules) / 8
        for name, program in (("small", small), ("large", large))
    }
    assert moved["large"] < moved["small"]
    # With room for everything only the image (its border rows padded) and no weight comes in.
    assert moved["large"] <= 3 * 12 * 12 + 1
    assert sum(large.resident_bytes.values()) == pytest.approx(
        sum(layer.w_bytes + layer.b_bytes for layer in net.layers)
    )


def test_a_residual_lives_until_it_is_added() -> None:
    lives = lifetimes(network())
    assert (lives["stem.o"].first, lives["stem.o"].last) == (0, 2)
    assert lives["stem.o"].readers == 2
    assert "stem.w" not in lives
    assert "stem.b" not in lives


def test_a_table_is_stored_and_not_alive() -> None:
    """An embedding reads rows of a table that lies where weights lie."""
    rows = Layer(
        "embed", "Gather", "movement", ("embed",), ("ids", "table"), ("rows",), None,
        i_elements=64, o_elements=64,
    )  # fmt: skip
    tensors = {
        "ids": Tensor("ids", (4,), "input"),
        "table": Tensor("table", (1000, 16), "table"),
        "rows": Tensor("rows", (4, 16), "output"),
    }
    net = replace(
        network(), layers=(rows,), tensors=tensors, inputs=("ids",), outputs=("rows",), parameters=0
    )
    chip = make_chip(buffer_bytes=4096, dram=0.0, nvm=1e9, nvm_bytes=20000)
    plan = plan_memory(net, chip)
    assert plan.homes[0].I == "nvm"
    assert plan.peak_bytes == 4 + 64
    program = map_network(net, chip)
    assert program.schedules[0].counts["nvm.read_bit"] == 64 * 8
    with pytest.raises(UnmappableError, match="16000"):
        map_network(net, make_chip(buffer_bytes=4096, dram=0.0, nvm=1e9, nvm_bytes=2000))


@pytest.mark.parametrize("room", [3000, 9000, 40000])
def test_plan_never_overfills(room: int) -> None:
    net = network()
    chip = make_chip(8, 8, buffer_bytes=room)
    for share in (0.0, 0.25, 0.5, 0.75):
        plan = plan_memory(net, chip, share)
        taken = plan.peak_bytes + plan.resident_bytes.get("buffer", 0.0)
        assert taken <= share * room
        assert all(left == room - taken for left in plan.room_bytes)


def test_chip_without_dram_says_what_does_not_fit() -> None:
    net = network()
    little = make_chip(8, 8, buffer_bytes=6000, dram=0.0, nvm=1e9, nvm_bytes=1e5)
    with pytest.raises(UnmappableError, match=r"layer b0\.2: 6912 bytes.*buffer has 6000"):
        map_network(net, little)
    forgetful = make_chip(8, 8, buffer_bytes=60000, dram=0.0, nvm=1e9, nvm_bytes=2500)
    alone = map_network(net, forgetful)
    assert set(alone.resident_bytes) == {"buffer"}  # the faster home, while there is room
    beside_others = map_network(net, forgetful, shared=True)
    assert 0 < beside_others.resident_bytes["nvm"] <= 2500
    assert beside_others.resident_bytes["buffer"] < alone.resident_bytes["buffer"]
    hopeless = make_chip(8, 8, buffer_bytes=9000, dram=0.0, nvm=1e9, nvm_bytes=2500)
    with pytest.raises(UnmappableError, match=r"its weights need .* are left on the chip"):
        map_network(net, hopeless)
    with pytest.raises(InputError, match="no layers"):
        map_network(replace(net, layers=()), little)


def test_deterministic() -> None:
    net, chip = network(), CHIPS["dram"]
    assert map_network(net, chip) == map_network(net, chip)


def test_more_dram_bandwidth_or_buffer_never_hurts_the_roofline() -> None:
    net = network()
    slow, fast = make_chip(8, 8, dram=1e7, buffer_bytes=4096), make_chip(8, 8, dram=2e7)
    assert roofline(net, fast).latency_s <= roofline(net, slow).latency_s
    assert roofline(net, slow).link_s == pytest.approx(sum(external_bytes(net, slow)) / 1e7)
