"""Runtime classes: what starting costs, what it scales with, who wins, and how sure it is."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest
from ruamel.yaml import YAML

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.hardware.library import list_chips, load_spec
from dse.hardware.operators import operator_lists
from dse.hardware.resolve import load_chip
from dse.hardware.runtimes import COSTS, runtime_classes
from dse.technology import load_technology

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "runtime_costs"
OF_CLASS = {"overhead.launch_cycles": None, "overhead.invoke_s": None}


def of(name: str, *, without: tuple[str, ...] = (), **more: object) -> Chip:
    values = {"overhead.runtime": name, "overhead.runtime_without": without, **OF_CLASS, **more}
    return load_chip("edge_vision", overrides=values)


def launch_s(chip: Chip) -> float:
    return chip.overheads.launch_cycles / chip.f_hz


def test_a_class_is_the_median_of_its_chips() -> None:
    chips = runtime_classes()["firmware"].layer.estimates
    assert of("firmware").overheads.launch_cycles == pytest.approx(median(chips.values()))
    others = [figure for chip, figure in chips.items() if chip != "sl1680"]
    assert of("firmware", without=("sl1680",)).overheads.launch_cycles == median(others)


def test_what_scales_with_which_clock() -> None:
    """Firmware counts cycles of the accelerator, a call takes time, an interpreter its host."""
    points: list[dict[str, Any]] = [{"f_hz": f} for f in (6e8, 3e8)]
    fast, slow = points
    firmware = [of("firmware", **point) for point in (fast, slow)]
    assert launch_s(firmware[1]) == pytest.approx(2.0 * launch_s(firmware[0]))
    assert firmware[0].overheads.invoke_s == firmware[1].overheads.invoke_s > 0.0
    framework = [of("host_framework", **point) for point in (fast, slow)]
    assert launch_s(framework[0]) == pytest.approx(launch_s(framework[1]))
    hosts: list[dict[str, Any]] = [{**fast, "host.f_hz": host_hz} for host_hz in (4e8, 1e8)]
    clocks = [of("mcu_interpreter", **host) for host in hosts]
    assert launch_s(clocks[1]) == pytest.approx(4.0 * launch_s(clocks[0]))


def test_numbers_of_the_file_win() -> None:
    chip = load_chip(
        "edge_vision",
        overrides={"overhead.runtime": "firmware", "overhead.launch_cycles": 123.0},
    )
    assert chip.overheads.launch_cycles == 123.0
    assert chip.overheads.invoke_s == of("firmware").overheads.invoke_s


def test_a_draw_moves_the_class_and_all_its_chips_alike() -> None:
    drawn = load_technology((3, 5))
    shares = set()
    for name in ("edge_vision", "mobile_robot_npu"):
        slow = {"f_hz": 1e8}  # a clock that every draw reaches
        nominal = load_chip(name, overrides=slow)
        moved = load_chip(name, overrides=slow, technology=drawn)
        assert load_spec(name).overhead.runtime == "command_stream"
        share = moved.overheads.launch_cycles / nominal.overheads.launch_cycles
        shares.add(round(share, 9))
    assert len(shares) == 1
    assert shares != {1.0}
    stated = [load_chip("eyeriss", technology=tech) for tech in (drawn, load_technology())]
    assert stated[0].overheads.launch_cycles == stated[1].overheads.launch_cycles


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"overhead.runtime": "comand_stream"}, "did you mean command_stream"),
        ({"overhead.runtime": None, "overhead.runtime_without": ("x",)}, "there is no runtime"),
        ({"overhead.runtime": None, **OF_CLASS}, "nothing says what it is"),
        ({"overhead.runtime": "firmware", "overhead.runtime_without": ("x",)}, "nothing of 'x'"),
        (
            {
                "overhead.runtime": "dsp_layer",
                "overhead.runtime_without": ("tda4vm", "am68a", "am69a"),
            },
            "nothing is left",
        ),
        ({"overhead.operators": "rknm"}, "did you mean rknn"),
    ],
)
def test_what_makes_no_sense_is_told(values: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_chip("edge_vision", overrides=values)


def test_identity_knows_the_class_but_not_the_fields_that_are_not_set() -> None:
    assert of("firmware").digest != of("command_stream").digest
    assert of("firmware").digest != of("firmware", without=("sl1680",)).digest
    stated = load_chip("edge_vision", overrides={"overhead.operators": "qnn"})
    assert stated.digest != load_chip("edge_vision").digest


def test_every_shipped_chip_with_a_software_list_names_what_it_is() -> None:
    lists = {load_spec(entry.name).overhead.operators for entry in list_chips()} - {None}
    assert lists == set(operator_lists())


def test_the_figures_come_from_the_chips_of_the_experiment() -> None:
    """Same classes, same chips; a chip speaks for one class; all that is compared leaves itself
    out."""
    read = YAML(typ="safe").load((FOLDER / "classes.yaml").read_text("utf-8"))["classes"]
    rows = YAML(typ="safe").load((FOLDER / "rows.yaml").read_text("utf-8"))["rows"]
    classes = runtime_classes()
    assert list(read) == list(classes)
    for name, entry in read.items():
        made = classes[name]
        assert set(made.layer.estimates) == set(entry["chips"])
        assert set(made.call.estimates) <= set(entry["chips"])
        assert set(entry["chips"]) <= set(rows)
        assert made.prefetches == entry["prefetches"]
        assert made.layer.unit == entry["unit"]
        for chip, told in entry["chips"].items():
            if "file" in told and "set" not in told:
                overhead = load_spec(told["file"]).overhead
                assert overhead.runtime in (name, None)
                assert overhead.runtime is None or chip in overhead.runtime_without
    every = [chip for entry in read.values() for chip in entry["chips"]]
    assert len(set(every)) == len(every)
    assert all(getattr(made, cost).source for made in classes.values() for cost in COSTS)
