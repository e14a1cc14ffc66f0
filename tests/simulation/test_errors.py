"""Loads that mean nothing are refused with the field and the mend."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import pytest

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.mapping import Program
from dse.simulation import Periodic, Poisson, Policy, Task, Trace, Triggered, simulate

from .conftest import fixed, make_chip, make_layer, make_program

PROGRAM = fixed("p", 1e-3)
ONCE = Trace((0.0,))


@pytest.mark.parametrize(
    ("tasks", "field"),
    [
        ([Task("a", PROGRAM, Periodic(-1.0))], "tasks.a.release.rate_hz"),
        ([Task("a", PROGRAM, Periodic(0.0))], "tasks.a.release.rate_hz"),
        ([Task("a", PROGRAM, Poisson(math.nan))], "tasks.a.release.rate_hz"),
        ([Task("a", PROGRAM, Periodic(1.0, jitter_s=-1.0))], "tasks.a.release.jitter_s"),
        ([Task("a", PROGRAM, Trace((2.0, 1.0)))], "tasks.a.release.times_s"),
        ([Task("a", PROGRAM, ONCE), Task("a", PROGRAM, ONCE)], "tasks.a"),
        ([Task("a", PROGRAM, Triggered("b"))], "tasks.a.release.after"),
        ([Task("a", PROGRAM, Triggered("a"))], "tasks.a.release.after"),
        (
            [Task("a", PROGRAM, Triggered("b")), Task("b", PROGRAM, Triggered("a"))],
            "tasks.a.release.after",
        ),
        (
            [Task("r", PROGRAM, ONCE), Task("a", PROGRAM, Triggered("r", 1.5))],
            "tasks.a.release.probability",
        ),
        ([Task("a", PROGRAM, ONCE, deadline_s=0.0)], "tasks.a.deadline_s"),
        ([Task("a", PROGRAM, ONCE, cores=(0, 2))], "tasks.a.cores"),
        ([Task("a", PROGRAM, ONCE, cores=())], "tasks.a.cores"),
        ([Task("a", fixed("w", 1.0, cores=2), ONCE, cores=(0,))], "tasks.a.cores"),
        ([Task("a", PROGRAM, Periodic(1e9))], "tasks.a.release"),
        ([Task("a", make_program("empty", []), ONCE)], "tasks.a.program"),
    ],
)
def test_faulty_tasks_are_named(tasks: list[Task], field: str) -> None:
    with pytest.raises(InputError) as caught:
        simulate(make_chip(cores=2), tasks, Policy())
    assert caught.value.field == field
    assert caught.value.mend


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (Policy(horizon_s=math.inf), "policy.horizon_s"),
        (Policy(window_s=0.0), "policy.window_s"),
        (Policy(seed=-1), "policy.seed"),
        (Policy(scheduler="lifo"), "policy.scheduler"),  # type: ignore[arg-type]
    ],
)
def test_faulty_policies_are_named(policy: Policy, field: str) -> None:
    with pytest.raises(InputError) as caught:
        simulate(make_chip(), [Task("a", PROGRAM, ONCE)], policy)
    assert caught.value.field == field


def test_a_ring_of_triggers_is_spelled_out() -> None:
    ring = [Task(a, PROGRAM, Triggered(b)) for a, b in (("x", "y"), ("y", "z"), ("z", "x"))]
    with pytest.raises(InputError, match="x -> y -> z -> x"):
        simulate(make_chip(), ring, Policy())


def program_over_nvm() -> Program:
    layer = make_layer("conv", fill_other=10.0)
    layer = dataclasses.replace(layer, fill_other=(0.0, 0.0, 10.0))
    return make_program("p", [layer])


def test_a_program_of_another_chip_is_refused(chip: Chip) -> None:
    with pytest.raises(InputError, match="nvm"):
        simulate(chip, [Task("a", program_over_nvm(), ONCE)], Policy(horizon_s=1.0))


def test_a_missing_price_shows_before_the_play() -> None:
    prices = {name: value for name, value in make_chip().prices.items() if name != "noc.bit"}
    chip = dataclasses.replace(make_chip(), prices=prices)
    layer = make_layer("a", fill_other=5.0)
    tasks = [Task(name, make_program("p", [layer]), ONCE) for name in "ab"]
    with pytest.raises(InputError, match=r"noc\.bit") as caught:
        simulate(chip, tasks, Policy())
    assert caught.value.field == "chip.prices"


def test_no_tasks_is_an_idle_chip(chip: Chip) -> None:
    result = simulate(chip, [], Policy(horizon_s=0.01))
    assert result.jobs == ()
    assert result.energy_j["static.always_on"] == pytest.approx(3e-5)


def test_import_is_light() -> None:
    code = (
        "import sys, dse.simulation as s; s.Task; "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'simpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
