"""Requests of several stages (LLM, policies), and chains seen from end to end."""

from __future__ import annotations

import pytest

from dse.errors import InputError
from dse.mapping import Program
from dse.simulation import (
    Periodic,
    Policy,
    Stage,
    Task,
    Trace,
    Triggered,
    simulate,
    task_stats,
)

from .conftest import fixed, make_chip, make_layer, make_program


def step_program(context: float) -> Program:
    """A decode step whose cost is linear in the context, as attention over a KV cache is."""
    layers = [
        make_layer("weights", steps=8, cycles=100.0, dram=2000.0, fill_weight=100.0),
        make_layer("attention", steps=4, cycles=50.0 + context, dram=10.0),
    ]
    return make_program(f"decode@{context:g}", layers)


def test_a_request_is_its_stages_in_order() -> None:
    chip = make_chip(static=())
    prefill, token = fixed("prefill", 3e-3), fixed("token", 2e-4)
    stages = (Stage(prefill, name="prefill"), Stage(token, 20, "decode"))
    task = Task("chat", prefill, Trace((0.0, 5e-3)), deadline_s=0.1, stages=stages)
    timeline = simulate(chip, [task], Policy("fifo", "none", horizon_s=0.1), trace=True)
    (stats,) = task_stats(timeline, [task])
    assert stats.latency_p50_s == pytest.approx(7e-3)
    assert stats.ttft_p50_s == pytest.approx(3e-3)
    # The second request waits 2 ms for the first to end: none is more urgent, so none gives way.
    assert stats.ttft_max_s == pytest.approx(5e-3)
    assert [stats.tpot_p50_s, stats.tpot_max_s] == pytest.approx([2e-4, 2e-4])
    assert {interval.layer for interval in timeline.intervals} == {
        "prefill: prefill",
        "decode: token",
    }
    assert timeline.energy_j["mac"] == pytest.approx(2 * 7e-3 * 1e9 * 256 * 1e-12)
    assert timeline.hotspots["chat"].layer == "decode: token"
    plain = Task("plain", prefill, Trace((0.0,)))
    (stats,) = task_stats(simulate(chip, [plain], Policy(horizon_s=0.1)), [plain])
    assert stats.ttft_p50_s is None
    assert stats.tpot_p50_s is None
    assert stats.chain_latency_p50_s is None


def test_a_request_gives_way_between_runs_even_without_preemption() -> None:
    prefill, token = fixed("prefill", 3e-3), fixed("token", 2e-4)
    stages = (Stage(prefill), Stage(token, 20))
    tasks = [
        Task("chat", prefill, Trace((0.0,)), priority=2, stages=stages),
        Task("camera", fixed("frame", 1e-4), Trace((1e-3, 3.15e-3)), priority=1),
    ]
    timeline = simulate(make_chip(static=()), tasks, Policy("fixed", "none", horizon_s=0.1))
    starts = [job.start_s for job in timeline.jobs if job.task == "camera"]
    assert starts == [pytest.approx(3e-3), pytest.approx(3.3e-3)]
    chat = timeline.jobs[0]
    assert chat.first_stage_s == pytest.approx(3e-3)
    assert chat.finish_s == pytest.approx(7.2e-3)
    assert timeline.link_bytes["dram"] == 0.0  # nothing is fetched again between runs


def test_requests_on_two_cores_are_all_played() -> None:
    chip = make_chip(cores=2, static=())
    program = step_program(100.0)
    stages = (Stage(program), Stage(program, 9))
    tasks = [Task(f"t{k}", program, Trace((0.0,)), cores=(k,), stages=stages) for k in range(2)]
    timeline = simulate(chip, tasks, Policy(horizon_s=0.1))
    each = 8 * 2000.0 + 100.0 + 40.0
    assert timeline.link_bytes["dram"] == pytest.approx(20 * each)
    alone = simulate(chip, tasks[:1], Policy(horizon_s=0.1)).jobs[0].finish_s
    assert alone is not None
    assert 1.5 * alone < (timeline.jobs[0].finish_s or 0.0) <= 2.0 * alone


def test_a_chain_is_timed_from_its_root() -> None:
    """Keyword, then speech recognition, then a language model, then speech."""
    token = fixed("token", 1e-3)
    chat = (Stage(fixed("prompt", 2e-2)), Stage(token, 10))
    tasks = [
        Task("keyword", fixed("kws", 1e-3), Periodic(50.0)),
        Task("speech", fixed("asr", 3e-3), Triggered("keyword", 0.2)),
        Task("chat", chat[0].program, Triggered("speech"), stages=chat),
        Task(
            "voice",
            fixed("tts", 2e-3),
            Triggered("chat"),
            deadline_s=4e-2,
            deadline_from="root",
        ),
    ]
    timeline = simulate(make_chip(static=()), tasks, Policy("fixed", "none", horizon_s=2.0))
    stats = {one.name: one for one in task_stats(timeline, tasks)}
    assert stats["voice"].completed > 5
    best = 1e-3 + 3e-3 + 2e-2 + 1e-2 + 2e-3
    assert stats["voice"].chain_latency_p50_s is not None
    assert stats["voice"].chain_latency_p50_s >= best * (1 - 1e-9)
    assert stats["voice"].chain_latency_p50_s == pytest.approx(best, abs=3e-3)
    assert stats["keyword"].chain_latency_p50_s is None
    voice = [job for job in timeline.jobs if job.task == "voice"]
    keyword = {job.release_s for job in timeline.jobs if job.task == "keyword"}
    assert all(job.root_release_s in keyword for job in voice)
    for job in voice:
        assert job.finish_s is not None
        assert job.missed == (job.finish_s > job.root_release_s + 4e-2 * (1 + 1e-9))


def test_an_end_to_end_deadline_counts_from_the_root() -> None:
    def run(first_s: float) -> bool:
        tasks = [
            Task("first", fixed("a", first_s), Trace((0.0,))),
            Task("second", fixed("b", 1e-3), Triggered("first"), 5e-3, deadline_from="root"),
        ]
        return simulate(make_chip(static=()), tasks, Policy(horizon_s=0.1)).jobs[1].missed

    assert not run(3.9e-3)
    assert run(4.1e-3)


def test_faulty_stages_are_refused() -> None:
    program = fixed("p", 1e-3)
    with pytest.raises(InputError, match="first stage"):
        Task("t", program, Trace((0.0,)), stages=(Stage(fixed("q", 1e-3)),))
    for stages, text in (
        ((Stage(program, 0),), "runs 0 times"),
        ((Stage(program), Stage(fixed("q", 1e-3, cores=2))), "split over 2 cores"),
    ):
        task = Task("t", program, Trace((0.0,)), stages=stages)
        with pytest.raises(InputError, match=text):
            simulate(make_chip(cores=2), [task], Policy())
