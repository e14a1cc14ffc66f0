"""Bad input: exit code 2, one error on stderr that names file, field and mend; no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dse.files import shipped_folder
from tests.cli.conftest import Ran, Run

CHIP = """
schema_version: 1
name: mine
template: conv_core
description: a test
node: 16nm
f_hz: 600e6
array: {rows: 16, cols: 16}
buffer: {bytes: 131072}
sources:
  array: {status: assumed, source: test}
  buffer: {status: assumed, source: test}
  f_hz: {status: assumed, source: test}
"""


def refused(done: Ran, *words: str) -> None:
    """The command was refused in one line that holds all ``words``."""
    assert done.code == 2, done.err
    told = [line for line in done.err.splitlines() if line.strip()]
    lines = [line for line in told if not line.startswith("compiling the mapper")]
    assert len(lines) == 1, done.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.err
    for word in words:
        assert word in lines[0], lines[0]
    assert done.out == ""


def simulate(run: Run, model: str, *rest: str) -> Ran:
    return run("simulate", model, "--chip", "edge_vision", *rest)


def test_missing_file(run: Run) -> None:
    refused(simulate(run, "nowhere.onnx"), "nowhere.onnx")


def test_not_an_onnx_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("this is no network, it is a sentence\n" * 20)
    refused(simulate(run, "text.onnx"), "text.onnx")


def test_empty_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    refused(simulate(run, "empty.onnx"), "empty.onnx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_file(run: Run, tmp_path: Path, share: float) -> None:
    whole = (shipped_folder("models") / "resnet8.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: int(len(whole) * share)])
    refused(simulate(run, "cut.onnx"), "cut.onnx")


def test_unknown_names_come_with_a_suggestion(run: Run) -> None:
    refused(simulate(run, "mobilenetv22"), "mobilenetv2")
    refused(run("simulate", "resnet8", "--chip", "edge_visionn"), "edge_vision")
    refused(run("show", "nothing_like_this"))


@pytest.mark.parametrize("node", ["6.5nm", "1nm", "seven", "-7nm"])
def test_unknown_node(run: Run, node: str) -> None:
    refused(simulate(run, "resnet8", f"--node={node}"), "7")


@pytest.mark.parametrize("precision", ["w3a1", "int1", "w8a8-magic", ""])
def test_unknown_precision(run: Run, precision: str) -> None:
    done = simulate(run, "resnet8", f"--precision={precision}")
    if precision:
        refused(done, "precision")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("array:", "arrray:", ("arrray", "array")),
        ("rows: 16", "rowz: 16", ("rowz",)),
        ("rows: 16", "rows: -16", ("array.rows",)),
        ("rows: 16", "rows: many", ("array.rows",)),
        ("rows: 16", "rows: yes", ("array.rows", "'yes'")),
        ("rows: 16", "rows: true", ("array.rows", "no number")),
        ("bytes: 131072", "bytes: 0", ("buffer.bytes",)),
        ("bytes: 131072", "bytes: -5", ("buffer.bytes",)),
        ("node: 16nm", "node: 6.5nm", ("node",)),
        ("f_hz: 600e6", "f_hz: 90e9", ("f_hz",)),
        ("f_hz: 600e6", "f_hz: 1e300", ("f_hz: 1e+300 Hz is out of range", "1e+11 Hz")),
        ("template: conv_core", "template: conv_corr", ("conv_core",)),
        ("name: mine", "name: [mine", ()),
    ],
)
def test_faults_in_a_chip_file(
    run: Run, tmp_path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    assert old in CHIP
    (tmp_path / "mine.yaml").write_text(CHIP.replace(old, new, 1))
    refused(run("simulate", "resnet8", "--chip", "mine.yaml"), "mine.yaml", *words)


def test_a_good_chip_file_works(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(CHIP)
    assert run("simulate", "resnet8", "--chip", "mine.yaml", "--json").code == 0


def test_binary_chip_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(bytes(range(256)))
    refused(run("simulate", "resnet8", "--chip", "bad.yaml"), "bad.yaml")
    refused(run("show", "bad.yaml"), "bad.yaml", "UTF-8")


@pytest.mark.parametrize(
    "setting",
    [
        "nonsense",
        "chip.array.rowss=4",
        "chip.array.rows=-4",
        "chip.buffer.bytes=0",
        "chip.f_hz=1e12",
        "planet.mass=3",
        "app.sort.rate_hz=3",
        "chip=3",
        "chip.array.rows=true",
        "chip.template=gap9",
    ],
)
def test_faults_in_settings(run: Run, setting: str) -> None:
    refused(simulate(run, "resnet8", "--set", setting))


@pytest.mark.parametrize(
    "binding", ["batch", "batch=0", "batch=x", "=3", "batch=²", "batch=" + "9" * 5000]
)
def test_faults_in_bindings(run: Run, binding: str) -> None:
    refused(simulate(run, "resnet8", "--bind", binding))


APP = """
schema_version: 1
name: mine
streams:
  - {id: a, model: resnet8, rate_hz: 10, deadline_s: 0.1}
  - {id: b, model: resnet8, after: a}
"""


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("after: a", "after: c", "'c'"),
        ("after: a", "after: b", "b -> b"),
        ("rate_hz: 10, deadline_s: 0.1", "after: b", "a -> b -> a"),
        ("rate_hz: 10", "rate_hz: 10, cores: [7]", "core 7"),
        ("rate_hz: 10", "rate_hz: 10, cores: tiny", "'tiny'"),
        ("rate_hz: 10", "rate_hz: 10, pipeline: 3", "pipeline over 3 cores"),
        ("rate_hz: 10", "arrivals: {trace: no.csv}", "no.csv"),
        ("rate_hz: 10", "rate_hz: 10, arrivals: {times_s: [0.1]}", "exactly one"),
        ("rate_hz: 10", "rate_hz: -10", "rate_hz"),
        ("rate_hz: 10", "rate_hz: true", "no number"),
        ("rate_hz: 10", "rate_hz: 10, precisions: [w8a8, w0]", "precisions: unknown precision"),
        ("rate_hz: 10", "rate_hz: 10, precision: w9", "precision: unknown precision"),
        ("rate_hz: 10", "rate_hz: 10, resolutions: [0]", "resolutions.0"),
        ("rate_hz: 10, ", "", "rate_hz"),
        ("id: b", "id: a", "twice"),
        ("deadline_s", "deadlin_s", "deadline_s"),
        ("model: resnet8", "model: resnet88", "resnet8"),
    ],
)
def test_faults_in_an_app(run: Run, tmp_path: Path, old: str, new: str, word: str) -> None:
    (tmp_path / "mine.yaml").write_text(APP.replace(old, new, 1))
    refused(run("simulate", "mine.yaml", "--chip", "edge_vision"), word)


@pytest.mark.parametrize(
    ("old", "new", "chip", "words"),
    [
        ("deadline_s: 0.1", "deadline_s: 1e-6", "edge_vision", ("short by", "deadline 0.001 ms")),
        ("rate_hz: 10", "rate_hz: 50000", "edge_vision", ("% busy", "late")),
        ("rate_hz: 10", "rate_hz: 900000", "edge_vision", ("% busy", "too many to be played")),
        ("model: resnet8, rate", "model: resnet50, rate", "mcu_mram_npu", ("bytes", "the l2 has")),
    ],
)
def test_what_cannot_work_is_a_result(
    run: Run, tmp_path: Path, old: str, new: str, chip: str, words: tuple[str, ...]
) -> None:
    """Not an error, and no endless run: infeasible, with the reason and by how much."""
    (tmp_path / "mine.yaml").write_text(APP.replace(old, new, 1) + "horizon_s: 0.3\n")
    done = run("simulate", "mine.yaml", "--chip", chip, "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["feasible"] is False
    told = " ".join(record["reasons"])
    assert all(word in told for word in words), told


def test_what_does_not_come_in_time_is_not_decided(run: Run, tmp_path: Path) -> None:
    """Not good, not bad: nothing of it was seen, and how long it would take is said."""
    text = APP.replace("rate_hz: 10", "rate_hz: 10, jitter_s: 90", 1)
    (tmp_path / "mine.yaml").write_text(text + "horizon_s: 0.3\n")
    record = json.loads(run("simulate", "mine.yaml", "--chip", "edge_vision", "--json").out)
    assert (record["feasible"], record["verdict"]) == (None, "not decided")
    told = " ".join(record["reasons"])
    assert "no job of it is released" in told
    assert "horizon_s of" in told


def test_more_jobs_than_a_play_may_hold(run: Run, tmp_path: Path) -> None:
    """Of a load that the chip could serve: shorten the horizon."""
    (tmp_path / "mine.yaml").write_text(
        APP.replace("rate_hz: 10", "rate_hz: 100") + "horizon_s: 3600\n"
    )
    refused(run("simulate", "mine.yaml", "--chip", "edge_vision"), "200,000", "horizon_s")


def test_numbers_that_make_no_sense(run: Run) -> None:
    refused(simulate(run, "resnet8", "--volume", "0"), "--volume")
    refused(simulate(run, "resnet8", "--volume", "1e300"), "--volume")
    refused(simulate(run, "resnet8", "--seed", "-1"), "--seed")
    refused(simulate(run, "resnet8", "--uncertainty", "100000000"), "--uncertainty", "10,000")
    refused(run("report", "x", "--out", "y", "--uncertainty", "100000000"), "--uncertainty")
    refused(simulate(run, "resnet8", "--power-plot", "p.png"), "p.png", "--power-plot")
    refused(run("nodes", "--volumes", ""), "--volumes")
    refused(run("nodes", "--line", "rapidos"), "did you mean rapidus?")
    for command in (["explore", "factory_module"], ["sweep", "factory_module"], ["report", "x"]):
        refused(run(*command, "--out", ""), "--out")
    refused(simulate(run, "resnet8", "--trace", "t.json", "--fidelity", "analytic"), "--trace")
    refused(run("explore", "factory_module", "--out", "x", "--workers", "0"), "--workers")
    refused(run("explore", "factory_module", "--out", "x", "--trials", "0"), "--trials")
    refused(run("validate", "--section", "astrology"), "technology")


@pytest.mark.parametrize("option", [("--volume", "1e5"), ("--unknown-ops", "host"), ("--legal",)])
def test_options_that_an_app_has_no_use_for(run: Run, option: tuple[str, ...]) -> None:
    """Refused, not passed over in silence."""
    refused(run("simulate", "wearable_kws", "--chip", "gap9", *option), option[0])


def test_a_pin_that_cannot_hold_names_its_file(run: Run, tmp_path: Path) -> None:
    for pin, words in (
        ("{layer: 'layer1.*', spatial: {K: 0}}", ("spatial.K", "use 1 to 64")),
        ("{layer: 'layer1.*', tiles: {K: 64, C: 64, OY: 56, OX: 56}}", ("tiles", "too few")),
        ("{layer: 'layer1.*', dataflow: os}", ("dataflow", "runs ws")),
        ("", ("no pin",)),
    ):
        (tmp_path / "mine.yaml").write_text(f"schema_version: 1\npins: [{pin}]\n")
        done = run("map", "resnet18", "--chip", "edge_vision", "--pin", "mine.yaml")
        refused(done, "mine.yaml", *words)


def test_a_layer_that_is_not_pinned_is_not_the_pin_files_fault(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("schema_version: 1\npins: [{layer: 'layer4.*'}]\n")
    chip = ("--chip", "edge_vision", "--set", "chip.buffer.bytes=300")
    done = run("map", "resnet18", *chip, "--pin", "mine.yaml")
    assert done.code == 1, done.err
    assert "mine.yaml" not in done.err


def test_folders_that_are_no_studies(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(run("report", "empty", "--out", "page"), "empty")
    (tmp_path / "file").write_text("x")
    refused(run("explore", "factory_module", "--out", "file"), "file")
    refused(run("report", "sqlite:///nowhere/study.db", "--out", "page"))


def test_names_of_another_kind(run: Run) -> None:
    """A platform where a chip is wanted, an app where a model is; slips of either are seen."""
    refused(run("map", "resnet8", "--chip", "counter_cloud"), "platform", "dse show counter_cloud")
    refused(run("map", "wearable_kws", "--chip", "gap9"), "is an app", "dse show wearable_kws")
    refused(run("simulate", "dc_split", "--chip", "counter_clod"), "did you mean counter_cloud?")
    refused(run("simulate", "wearable_kw", "--chip", "gap9"), "did you mean wearable_kws?")
    for slip in ("edge_visoin", "conv_cor", "counter_clod", "factory_inspecton", "resnet5"):
        refused(run("show", slip), "did you mean")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[1, 2]", "[1, 1]", ("line 6", "1 is named twice")),
        ("[1, 2]", "[]", ("line 6",)),
        ("name: mine", "name: mine\nconstraints: [{metric: area_mm2}]", ("give max or min",)),
        ("name: mine", "name: mine\nfixed: {chip.cores: 1}", ("both fixed and a parameter",)),
    ],
)
def test_faults_in_an_experiment(
    run: Run, tmp_path: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    text = (
        "schema_version: 1\nname: mine\napp: wearable_kws\nchip: gap9\n"
        "parameters:\n  chip.cores: {ladder: [1, 2]}\nobjectives: [{metric: energy_j}]\n"
    )
    (tmp_path / "mine.yaml").write_text(text.replace(old, new, 1))
    refused(run("explore", "mine.yaml", "--out", "x"), "mine.yaml", *words)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("{line: jasm7}", ("chip.node.line: unknown line 'jasm7'", "jasm1")),
        ("{laddr: [28nm]}", ("chip.node.laddr", "did you mean ladder?")),
        ("{low: 1.0, high: 2.0, step: 3}", ("chip.node.step", "did you mean steps?")),
        ("{choces: [28nm]}", ("chip.node.choces", "did you mean choices?")),
    ],
)
def test_slips_in_a_parameter(run: Run, tmp_path: Path, wrong: str, words: tuple[str, ...]) -> None:
    """Whichever form of a parameter was meant, the error is about that form."""
    (tmp_path / "mine.yaml").write_text(
        "schema_version: 1\nname: mine\napp: wearable_kws\nchip: gap9\n"
        f"parameters:\n  chip.node: {wrong}\nobjectives: [{{metric: energy_j}}]\n"
    )
    refused(run("explore", "mine.yaml", "--out", "x"), "mine.yaml: line 6", *words)


def test_usage_errors_leave_with_two(run: Run) -> None:
    assert run("simulate").code == 2
    assert run("no_such_command").code == 2
    assert run("simulate", "resnet8").code == 2
