"""Playing on chips whose cores are of several kinds."""

from __future__ import annotations

from typing import Any

import pytest

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.hardware.library import load_spec
from dse.hardware.resolve import load_chip, resolve
from dse.hardware.spec import ChipSpec
from dse.mapping import Program, map_network, program_latency_s
from dse.simulation import (
    Periodic,
    Poisson,
    Policy,
    Task,
    partition,
    pipeline_parts,
    simulate,
    simulate_alone,
)
from dse.workload.load import load_model

DUO = "wearable_duo_npu"
MODES: dict[str, Any] = {
    "power.dvfs.points": (0.5, 0.7),
    "power.dvfs.governor": "deadline_aware",
    "power.thermal.resistance_k_per_w": 20.0,
    "power.thermal.capacitance_j_per_k": 0.01,
    "power.sleep_states": ("clock_gated", "retention"),
    "power.gating": True,
    "noc.topology": "ring",
    "noc.bytes_per_cycle": 32.0,
}


@pytest.fixture(scope="module")
def duo() -> Chip:
    return load_chip(DUO)


def mapped(chip: Chip, model: str, kind: int) -> Program:
    return map_network(load_model(model).at(None), chip.kinds[kind].chip)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("model", ["dscnn_kws", "mobilenetv1_vww", "resnet8"])
def test_a_model_alone_takes_what_the_schedule_says(duo: Chip, model: str, kind: int) -> None:
    """Contract: 2 % between the levels; it is rounding."""
    program = mapped(duo, model, kind)
    timeline = simulate_alone(duo, program, kind=duo.kinds[kind].name)
    expected = program_latency_s(program, duo.kinds[kind].chip)
    assert timeline.horizon_s == pytest.approx(expected, rel=1e-9)
    (core,) = duo.kinds[kind].cores
    assert timeline.busy_s[f"core{core}"] == pytest.approx(expected, rel=1e-9)
    assert timeline.busy_s[f"core{1 - core}"] == 0.0
    prices = duo.kinds[kind].chip.prices
    dynamic = sum(prices[a] * n for s in program.schedules for a, n in s.counts.items())
    static = sum(timeline.static_j.values())
    assert sum(timeline.energy_j.values()) - static == pytest.approx(dynamic, rel=1e-9)


@pytest.mark.parametrize("values", [{}, MODES])
def test_a_kind_that_changes_nothing_is_one_more_core(values: dict[str, Any]) -> None:
    """Two kinds that are equal play as one kind with two cores, in every mode."""
    spec = load_spec("edge_vision").with_values(values)
    two = resolve(spec.with_values({"cores": 2}))
    same = resolve(ChipSpec.model_validate({**spec.model_dump(), "kinds": {"twin": {"cores": 1}}}))
    assert same.area_mm2 == pytest.approx(two.area_mm2, rel=1e-12)
    model = load_model("resnet8").at(None)
    program = map_network(model, two)
    assert map_network(model, same.kinds[1].chip) == program

    def tasks(cores: tuple[tuple[int, ...], ...]) -> list[Task]:
        return [
            Task("a", program, Periodic(900.0, jitter_s=1e-4), 2e-3, cores=cores[0]),
            Task("b", program, Poisson(500.0), 3e-3, cores=cores[1]),
            Task("c", program, Periodic(300.0), 1e-3, cores=cores[1]),
        ]

    policy = Policy("edf", "layer", horizon_s=0.2)
    one, other = (simulate(chip, tasks(((0,), (1,))), policy) for chip in (two, same))
    assert [job.finish_s for job in other.jobs] == [
        None if job.finish_s is None else pytest.approx(job.finish_s, rel=1e-9) for job in one.jobs
    ]
    for scope, joules in one.scope_energy_j.items():
        assert other.scope_energy_j[scope] == pytest.approx(joules, rel=1e-9)
    leak = other.static_j["logic_leakage"] + other.static_j["logic_leakage.twin"]
    assert leak == pytest.approx(one.static_j["logic_leakage"], rel=1e-9)
    assert len(other.clock_hz) == len(one.clock_hz)


def test_cores_of_two_kinds_do_not_run_one_program(duo: Chip) -> None:
    task = Task("t", mapped(duo, "resnet8", 0), Periodic(1.0), cores=(0, 1))
    with pytest.raises(InputError, match="several kinds") as fault:
        simulate(duo, [task], Policy())
    assert "vision, listen" in fault.value.describe()


def test_the_same_input_gives_the_same_bits() -> None:
    chip = load_chip(DUO, overrides=MODES)
    tasks = [
        Task(f"t{k}", mapped(chip, "resnet8", k), Poisson(80.0 * (2 - k)), 0.01, cores=(k,))
        for k in (0, 1)
    ]
    policy = Policy("edf", "segment", horizon_s=0.3, seed=3)
    assert simulate(chip, tasks, policy, trace=True) == simulate(chip, tasks, policy, trace=True)


def test_a_pipeline_is_mapped_for_one_kind(duo: Chip) -> None:
    from dse.mapping import map_pipeline as in_space

    model = load_model("resnet8").at(None)
    for deal_out in (lambda: pipeline_parts(model, duo, 2), lambda: in_space(model, duo)):
        with pytest.raises(InputError, match="several kinds of cores"):
            deal_out()
    assert len(pipeline_parts(model, duo.kinds[1].chip, 2)) == 2


def test_both_kinds_share_the_links(duo: Chip) -> None:
    """A core that runs beside another kind's is never faster than alone, and bytes add up."""
    programs = [mapped(duo, "mobilenetv1_vww", kind) for kind in (0, 1)]
    policy = Policy("fifo", "none", horizon_s=0.1)
    both = [Task(f"t{k}", p, Periodic(50.0), cores=(k,)) for k, p in enumerate(programs)]
    together = simulate(duo, both, policy)
    for task in both:
        alone = simulate(duo, [task], policy)
        slowest = max(j.finish_s - j.release_s for j in alone.jobs if j.finish_s is not None)
        for job in together.jobs:
            if job.task == task.name and job.finish_s is not None:
                assert job.finish_s - job.release_s >= slowest * (1.0 - 1e-9)
    moved = sum(
        together.completed[f"t{k}"] * seg.count * seg.link_bytes[2]
        for k, program in enumerate(programs)
        for seg in program.segments
    )
    assert together.link_bytes["nvm"] == pytest.approx(moved, rel=1e-9)


def test_partitioning_counts_the_time_on_each_kind() -> None:
    chip = load_chip(DUO, overrides={"kinds.listen.cores": 2})
    slow = mapped(chip, "dscnn_kws", 1)
    tasks = [Task(f"t{k}", slow, Periodic(10.0 * (k + 1)), cores=(1, 2)) for k in range(3)]
    assert [task.cores for task in partition(tasks, chip)] == [(2,), (2,), (1,)]


@pytest.mark.parametrize("governor", ["fixed", "race_to_idle"])
def test_the_energy_of_each_kind_adds_up(governor: str) -> None:
    values = {"power.dvfs.points": "0.5", "power.dvfs.governor": governor}
    chip = load_chip(DUO, overrides=values)
    tasks = [
        Task(f"t{k}", mapped(chip, "dscnn_kws", k), Periodic(40.0 + k), cores=(k,)) for k in (0, 1)
    ]
    timeline = simulate(chip, tasks, Policy(horizon_s=0.3))
    assert set(timeline.kind_energy_j) == {"vision", "listen"}
    shared = {part.component for part in chip.static if not part.kind} | {"dvfs"}
    rest = sum(joules for name, joules in timeline.static_j.items() if name in shared)
    whole = sum(timeline.kind_energy_j.values()) + rest
    assert whole == pytest.approx(timeline.scope_energy_j["die_dram"], rel=1e-9)
    alone = simulate(chip, tasks[1:], Policy(horizon_s=0.3))
    gated = sum(part.gated_w for part in chip.static if part.kind == "vision")
    assert alone.kind_energy_j["vision"] < 2.0 * 0.3 * gated < timeline.kind_energy_j["vision"]
    assert alone.kind_energy_j["listen"] == pytest.approx(timeline.kind_energy_j["listen"], rel=0.1)


def test_the_kind_that_waits_is_gated(duo: Chip) -> None:
    """Static energy of the big core over a second in which only the small one works."""
    task = Task("t", mapped(duo, "dscnn_kws", 1), Periodic(50.0), cores=(1,))
    timeline = simulate(duo, [task], Policy(horizon_s=1.0))
    for part in duo.static:
        if part.kind == "vision":
            joules = timeline.static_j[part.component]
            assert joules == pytest.approx(part.gated_w, rel=0.01, abs=1e-6)
            assert part.gated_w < 0.6 * part.idle_w or part.component == "buffer_leakage"
