"""Where the compiler puts tensors: pools of internal memory, external RAM, flash."""

from __future__ import annotations

from itertools import combinations

import pytest

import dse
from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping import plan_memory
from dse.mapping.memory.tensors import tensors_of
from dse.workload import Workload

KIB = 1024.0
#: KiB of internal RAM, external RAM and flash that the STM32 model zoo lists (ST Edge AI 3.0.0).
LISTED = {
    "mobilenetv1@width=0.25": (392.0, 0.0, 469.45),
    "mobilenetv1@width=0.5": (588.0, 0.0, 1318.3),
    "mobilenetv1@width=0.75": (1323.0, 0.0, 2612.79),
    "mobilenetv2@width=0.35,res=128": (240.0, 0.0, 1656.28),
    "mobilenetv2@width=0.35": (931.0, 0.0, 1685.0),
    "mobilenetv2": (2058.0, 0.0, 3813.97),
    "ssdlite_mobilenet@res=300": (2484.27, 0.0, 3592.83),
}
#: The same of the rows from which it was read that no tensor lies across two pools.
SHOWN = {
    "mobilenetv2@width=1.4": (2361.0, 0.0, 6746.7),
    "ssdlite_mobilenetv2@res=300": (2408.59, 2109.38, 5121.38),
}


@pytest.fixture(scope="module")
def chip() -> Chip:
    return load_chip("stm32n6")


def network(name: str, chip: Chip) -> Workload:
    return dse.load_model(name).at(default=chip.native_precision)


@pytest.mark.parametrize("name", [*LISTED, *SHOWN])
def test_bytes_are_those_that_the_compiler_lists(name: str, chip: Chip) -> None:
    inside, outside, flash = (LISTED | SHOWN)[name]
    plan = plan_memory(network(name, chip), chip)
    assert plan.outside_bytes / KIB == pytest.approx(outside, abs=0.01)
    assert plan.outside_weight_bytes == 0.0
    # The compiler also lists padding, copies, biases and scales.
    assert inside / 1.55 <= plan.top_bytes / KIB <= inside * 1.001
    assert flash / 1.16 <= plan.resident_bytes["nvm"] / KIB <= flash


@pytest.mark.parametrize("name", ["fastdepth@res=320", "ssdlite_mobilenetv2@res=300"])
def test_no_tensor_lies_over_another_or_across_two_pools(name: str, chip: Chip) -> None:
    work = network(name, chip)
    plan = plan_memory(work, chip)
    lives = tensors_of(work).lives
    first = chip.placement.pools[0]
    spans = {
        name: (start, start + lives[name].bytes)
        for name, start in plan.offsets.items()
        if lives[name].bytes
    }
    assert spans
    for begin, end in spans.values():
        assert end <= first or begin >= first
        assert end <= chip.links["l2"].capacity_bytes
    for one, two in combinations(spans, 2):
        if lives[one].last < lives[two].first or lives[two].last < lives[one].first:
            continue
        assert spans[one][1] <= spans[two][0] or spans[two][1] <= spans[one][0]


def test_a_network_that_fits_takes_as_long_as_without_external_ram(chip: Chip) -> None:
    work = network("mobilenetv2@width=0.35,res=128", chip)
    flash_only = load_chip(
        "stm32n6",
        overrides={
            "dram.kind": "nor",
            "dram.channels": 1,
            "dram.capacity_bytes": 134217728,
            "dram.burst_bytes": 512,
            "nvm": {"kind": "none", "bytes": 0},
        },
    )
    both = [dse.simulate(work, one, "analytic") for one in (chip, flash_only)]
    # (The energies differ, so the mapper may weigh a layer otherwise.)
    assert both[0].latency_s == pytest.approx(both[1].latency_s, rel=1e-3)
    assert both[0].dram_bytes == pytest.approx(both[1].dram_bytes, rel=1e-3)


def test_what_leaves_the_chip_costs_time_and_is_told(chip: Chip) -> None:
    record = dse.simulate("fastdepth@res=256", chip, "analytic")
    assert record.feasible
    assert record.memory["dram"]["parts"]["activations"] == 256 * 256 * 32
    assert record.memory["nvm"]["parts"]["weights"] > 3.9e6
    assert "dram" in record.to_dict()["memory"]
    bound = dse.simulate("fastdepth@res=256", chip, "roofline")
    assert bound.latency_s is not None
    assert record.latency_s is not None
    assert bound.latency_s <= record.latency_s
    inside = load_chip("stm32n6", overrides={"l2.bytes": 8388608, "placement.pools": [8388608]})
    faster = dse.simulate("fastdepth@res=256", inside, "analytic")
    assert faster.latency_s is not None
    assert faster.latency_s < record.latency_s
    assert "dram" not in faster.memory


def test_a_smaller_store_cuts_the_pools_off() -> None:
    small = load_chip("stm32n6", overrides={"l2.bytes": 1048576})
    plan = plan_memory(network("mobilenetv2", small), small)
    assert plan.top_bytes <= 1048576
    assert plan.outside_bytes > 0.0


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"placement.activations": "somewhere"}, "placement.activations"),
        ({"placement.pools": [-1]}, "placement.pools"),
        ({"nvm.bytes_per_cycle": 4}, "nvm"),
        ({"nvm.channels": 0}, "nvm"),
        ({"nvm.kind": "punched_cards"}, "nvm.kind"),
    ],
)
def test_bad_input_is_named(values: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        load_chip("stm32n6", overrides=values)
    assert field in str(caught.value.field)
