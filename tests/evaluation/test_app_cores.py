"""What an app's file says of arrivals, pipelines and cores, from the file to the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dse.apps import load_app
from dse.apps.scenario import App
from dse.errors import ImpossibleChipError, InputError
from dse.evaluation import Evaluation, Resolved, evaluate_app, resolve_design, stream_workloads
from dse.evaluation.design import Design
from dse.evaluation.loads import stream_load
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip

TEXT = """
schema_version: 1
name: traced
streams:
  - {id: see, model: resnet8, arrivals: {trace: sub/times.csv}, deadline_s: 0.01}
  - {id: next, model: dscnn_kws, after: see, probability: 0.5}
horizon_s: 0.5
"""
TIMES = "time_s,what\n0.0,a\n# a pause\n0.1,b\n0.1,c\n0.3,d\n0.7,e\n"


@pytest.fixture(scope="module")
def quad() -> Chip:
    return load_chip("edge_vision", overrides={"cores": 4})


def written(folder: Path, text: str = TEXT, times: str | None = TIMES) -> Path:
    (folder / "sub").mkdir(exist_ok=True)
    if times is not None:
        (folder / "sub" / "times.csv").write_text(times)
    (folder / "app.yaml").write_text(text)
    return folder / "app.yaml"


def played(asked: App, chip: Chip, fidelity: Any = "simulate", **how: Any) -> Evaluation:
    return evaluate_app(asked, stream_workloads(asked, chip), chip, fidelity, **how)[0]


def rows(record: Evaluation) -> dict[str, Any]:
    return {row.task: row for row in record.tasks}


# Arrivals


def test_jobs_arrive_as_the_trace_says(tmp_path: Path, quad: Chip) -> None:
    asked = load_app(written(tmp_path))
    record, timeline = evaluate_app(asked, stream_workloads(asked, quad), quad)
    assert timeline is not None
    see = [job.release_s for job in timeline.jobs if job.task == "see"]
    assert see == [0.0, 0.1, 0.1, 0.3]
    assert rows(record)["see"].rate_hz == pytest.approx(4 / 0.5)
    assert rows(record)["next"].rate_hz == pytest.approx(0.5 * 4 / 0.5)
    low = played(asked, quad, "analytic")
    assert rows(low)["see"].rate_hz == pytest.approx(8.0)


def test_the_trace_is_part_of_the_identity_and_read_again(tmp_path: Path) -> None:
    path = written(tmp_path)

    def found() -> Resolved:
        return resolve_design(Design(str(path), "edge_vision"))

    first = found()
    assert found().identity == first.identity
    (tmp_path / "sub" / "times.csv").write_text(TIMES.replace("0.3,", "0.31,"))
    assert found().identity != first.identity


def test_times_in_the_file_do_the_same(tmp_path: Path, quad: Chip) -> None:
    trace = load_app(written(tmp_path))
    text = TEXT.replace("trace: sub/times.csv", "times_s: [0.0, 0.1, 0.1, 0.3, 0.7]")
    inline = load_app(written(tmp_path, text))
    one, other = (played(asked, quad) for asked in (trace, inline))
    assert one.to_dict() | {"identity": ""} == other.to_dict() | {"identity": ""}


@pytest.mark.parametrize(
    ("text", "times", "words"),
    [
        (TEXT, None, ("app.yaml", "streams.see.arrivals.trace", "sub/times.csv", "relative")),
        (TEXT, TIMES.replace("0.3,", "0.05,"), ("times.csv", "time_s", "line 6", "sort")),
        (TEXT, "when\n0.1\n", ("times.csv", "time_s")),
        (TEXT, "time_s\nsoon\n", ("times.csv", "line 2", "soon")),
        (TEXT, "time_s\n-1\n", ("times.csv", "line 2")),
        (TEXT, "time_s\n", ("times.csv", "no times")),
        (TEXT, "time_s\n0.6\n", ("app.yaml", "streams.see.arrivals", "0.6 s", "horizon_s")),
        (TEXT.replace("sub/times.csv", "sub/times.csv, times_s: [1]"), TIMES, ("app.yaml", "both")),
        (TEXT.replace("arrivals:", "rate_hz: 3, arrivals:"), TIMES, ("streams.0", "exactly one")),
        (TEXT.replace("trace:", "traces:"), TIMES, ("app.yaml", "traces", "times_s, trace")),
    ],
)
def test_faults_in_arrivals(
    tmp_path: Path, text: str, times: str | None, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as fault:
        load_app(written(tmp_path, text, times))
    for word in words:
        assert word in fault.value.describe(), fault.value.describe()


# Pipelines


def pipeline(**changes: Any) -> App:
    stream = {"id": "see", "model": "mobilenetv2@res=96", "rate_hz": 100, "deadline_s": 0.05}
    follower = {"id": "next", "model": "resnet8", "after": "see", "deadline_s": 0.01}
    streams = [{**stream, **changes}, follower]
    return App.model_validate({"name": "x", "streams": streams, "horizon_s": 0.5})


def test_a_pipeline_serves_a_rate_that_one_core_cannot(quad: Chip) -> None:
    alone = rows(played(pipeline(), quad))["see"].isolated_latency_s
    rate = 1.4 / alone
    one = pipeline(rate_hz=rate, cores=[0], deadline_s=3 * alone)
    three = pipeline(rate_hz=rate, cores=[0, 1, 2], pipeline=3, deadline_s=3 * alone)
    crowded, record = played(one, quad), played(three, quad)
    assert crowded.feasible is False
    row = rows(record)["see"]
    assert record.feasible, record.reasons
    assert row.cores == (0, 1, 2)
    assert row.model == rows(crowded)["see"].model
    assert row.missed_fraction == 0.0
    # One frame passes all three parts; a job is counted once, whole.
    assert row.latency_p50_s >= row.isolated_latency_s * (1.0 - 1e-9)
    assert row.released == pytest.approx(0.5 * rate, abs=1)
    assert row.released - row.completed <= 3
    assert rows(record)["next"].released == row.completed
    assert (record.throughput_per_s or 0.0) == pytest.approx(2 * row.completed / 0.5, rel=0.05)
    bound = played(three, quad, "roofline")
    assert rows(bound)["see"].isolated_latency_s <= row.isolated_latency_s


def test_deadlines_of_a_pipeline_count_from_its_own_release(quad: Chip) -> None:
    """Triggered by another stream, it has its whole deadline, however old the chain is."""
    first = {"id": "see", "model": "resnet8", "rate_hz": 20}
    second = {
        "id": "deep",
        "model": "mobilenetv2@res=96",
        "after": "see",
        "pipeline": 2,
        "cores": [1, 2],
    }
    asked = App.model_validate({"name": "x", "streams": [first, second], "horizon_s": 0.5})
    took = rows(played(asked, quad))["deep"].latency_max_s
    for share, late in ((1.001, False), (0.999, True)):
        streams = [first, {**second, "deadline_s": took * share}]
        due = App.model_validate({"name": "x", "streams": streams, "horizon_s": 0.5})
        row = rows(played(due, quad))["deep"]
        assert (row.missed_fraction > 0.0) is late


def test_weights_of_a_pipeline_stay_only_where_no_other_stream_comes(quad: Chip) -> None:
    """In the buffers of its cores, or in the L2; else they are fetched for every frame."""
    small = load_chip("edge_vision", overrides={"cores": 4, "l2.bytes": 0, "buffer.bytes": 1 << 22})

    def fetched(chip: Chip, **follower: Any) -> float:
        asked = pipeline(model="resnet8", cores=[0, 1], pipeline=2)
        streams = [asked.streams[0]]
        if follower:
            streams.append(asked.streams[1].model_copy(update=follower))
        app = asked.model_copy(update={"streams": tuple(streams)})
        load = stream_load(
            app, app.streams[0], stream_workloads(app, chip), chip, chip, "edp", "analytic"
        )
        return load.bytes_over("dram")

    for chip, apart in ((small, True), (quad, False)):
        alone = fetched(chip)
        assert fetched(chip, cores=(0,)) > alone
        assert fetched(chip, cores="all") > alone
        assert (fetched(chip, cores=(2, 3)) == alone) is apart


def test_work_is_conserved_in_a_pipeline(quad: Chip) -> None:
    """Dynamic energy of the parts is that of the jobs that passed them."""
    asked = pipeline(cores=[0, 1], pipeline=2, rate_hz=20)
    record, timeline = evaluate_app(asked, stream_workloads(asked, quad), quad)
    assert timeline is not None
    names = {job.task for job in timeline.jobs}
    assert names == {"see", "see/2", "next"}
    static = sum(timeline.static_j.values())
    expected = sum(
        row.energy_per_inference_j * row.completed for row in record.tasks if row.completed
    )
    assert sum(timeline.energy_j.values()) - static == pytest.approx(expected, rel=1e-6)


def test_pipelines_that_cannot_be(quad: Chip) -> None:
    with pytest.raises(ImpossibleChipError, match="pipeline over 5 cores") as fault:
        played(pipeline(pipeline=5), quad)
    assert fault.value.field == "app.see.pipeline"
    wide = load_chip("edge_vision", overrides={"cores": 64})
    with pytest.raises(InputError, match="layers cannot be dealt out over 60 cores"):
        played(pipeline(model="resnet8", pipeline=60), wide)
    asked = pipeline(pipeline=2)
    found = resolve_design(Design("dc_split", "counter_cloud"))
    streams = (*found.app.streams, asked.streams[0])
    mixed = found.app.model_copy(update={"streams": streams})
    with pytest.raises(InputError, match="pipeline over cores"):
        evaluate_app(mixed, found.workloads, found.chip)
    pinned = found.app.model_copy(update={"partition": True})
    with pytest.raises(InputError, match="pinned by their load"):
        evaluate_app(pinned, found.workloads, found.chip)


# Partitions


def test_a_partition_pins_each_stream(quad: Chip) -> None:
    streams = [
        {"id": f"s{k}", "model": "resnet8", "rate_hz": 50.0 * (k + 1), "cores": [0, 1]}
        for k in range(4)
    ]
    plain = App.model_validate({"name": "x", "streams": streams, "horizon_s": 0.2})
    pinned = plain.model_copy(update={"partition": True})
    cores: dict[bool, dict[str, set[int]]] = {}
    for asked in (plain, pinned):
        _, timeline = evaluate_app(asked, stream_workloads(asked, quad), quad, trace=True)
        assert timeline is not None
        used: dict[str, set[int]] = {}
        for interval in timeline.intervals:
            used.setdefault(interval.task, set()).add(interval.core)
        cores[asked.partition] = used
    assert cores[True] == {"s3": {0}, "s2": {1}, "s1": {1}, "s0": {0}}
    assert cores[False] != cores[True]
