"""Every command of the contract, end to end, from an empty folder outside the repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

import dse
from dse.cli.parse import bindings, settings
from dse.errors import InputError
from dse.version import mapper_version, model_version, search_version
from tests.cli.conftest import Run
from tests.house.test_floors import HEAVY

METRICS = [
    "latency_s",
    "energy_j",
    "average_power_w",
    "peak_power_w",
    "throughput_per_s",
    "macs",
    "utilization",
    "dram_bytes",
    "area_mm2",
    "die_cost_usd",
    "unit_cost_usd",
    "carbon_kg",
    "quality",
]
LAYER = [
    "name",
    "op",
    "macs",
    "cycles",
    "latency_s",
    "energy_j",
    "utilization",
    "bottleneck",
    "energy_breakdown_j",
]
TASK = [
    "deadline_s",
    "latency_p50_s",
    "latency_p90_s",
    "latency_p99_s",
    "latency_p999_s",
    "latency_max_s",
    "missed_fraction",
]


def test_version(run: Run) -> None:
    done = run("--version")
    digest = model_version().removeprefix(f"{dse.__version__}+")
    assert (done.code, done.out) == (0, f"dse {dse.__version__} (model {digest})\n")
    found = run("--version", "--json").json
    assert found["version"] == dse.__version__
    assert (found["model"], found["search"]) == (model_version(), search_version())
    assert found["mapper"] == mapper_version()
    for wrong in (("--json",), ("--json", "models")):
        done = run(*wrong)
        assert (done.code, done.out) == (2, "")
        assert "--json" in done.err


def test_version_is_light_and_a_module_is_the_command() -> None:
    code = (
        "import sys, runpy; sys.argv = ['dse', '--version', '--json']\n"
        "try: runpy.run_module('dse', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        # (Newer releases of Typer load pydantic themselves.)
        f"print(*(m for m in {set(HEAVY) - {'pydantic'}} if m in sys.modules), file=sys.stderr)"
    )
    root = Path(dse.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert json.loads(done.stdout)["model"] == model_version()
    assert done.stderr.split() == []


@pytest.mark.parametrize("kind", ["models", "chips", "nodes", "apps", "templates"])
def test_lists(run: Run, kind: str) -> None:
    done = run(kind, "--json")
    assert done.code == 0
    rows = done.json[kind]
    assert rows
    assert all(row["name"] for row in rows)
    assert run(kind).code == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mobilenetv2", "model"),
        ("edge_vision", "chip"),
        ("5nm", "node"),
        ("factory_inspection", "app"),
        ("conv_core", "template"),
    ],
)
def test_show(run: Run, name: str, kind: str) -> None:
    assert run("show", name, "--json").json["kind"] == kind
    assert run("show", name).code == 0


@pytest.mark.parametrize("fidelity", ["roofline", "analytic", "simulate"])
def test_simulated_model_carries_the_contract(run: Run, fidelity: str) -> None:
    done = run("simulate", "mobilenetv2", "--chip", "edge_vision", "--fidelity", fidelity, "--json")
    assert done.code == 0
    record = done.json
    assert set(METRICS) <= set(record)
    assert set(record["by_scope"]) == {"npu", "die", "die_dram", "module"}
    assert record["schema_version"] == 1
    assert all(set(LAYER) <= set(row) for row in record["layers"])


@pytest.mark.parametrize("fidelity", ["analytic", "simulate"])
@pytest.mark.parametrize("chip", ["edge_vision", "nvdla_2048", "gap9"])
def test_layers_add_up(run: Run, chip: str, fidelity: str) -> None:
    record = run("simulate", "resnet8", "--chip", chip, "--fidelity", fidelity, "--json").json
    names = [row["name"] for row in record["layers"]]
    assert {"static", "idle"} <= set(names)
    for key in ("energy_j", "latency_s"):
        total = sum(row[key] for row in record["layers"])
        assert total == pytest.approx(record[key], rel=1e-6)
    scopes = [record["by_scope"][s]["energy_j"] for s in ("npu", "die", "die_dram", "module")]
    assert scopes == sorted(scopes)
    assert scopes[-1] == pytest.approx(record["energy_j"])


def test_a_finer_node_takes_less_energy(run: Run) -> None:
    def energy(node: str) -> float:
        done = run("simulate", "resnet50", "--chip", "edge_vision", "--node", node, "--json")
        return float(done.json["energy_j"])

    assert energy("28nm") > energy("16nm") > energy("7nm") > energy("2nm")


def test_simulated_app_carries_tasks(run: Run) -> None:
    record = run("simulate", "factory_inspection", "--chip", "edge_vision", "--json").json
    assert set(METRICS) <= set(record)
    assert len(record["tasks"]) == 7
    assert all(set(TASK) <= set(row) for row in record["tasks"])
    assert record["feasible"] is False
    assert any("cores would be" in reason or "late" in reason for reason in record["reasons"])


def test_an_infeasible_design_is_a_result(run: Run) -> None:
    done = run("simulate", "vgg19", "--chip", "gap9", "--json")
    assert done.code == 0
    assert done.json["feasible"] is False
    assert done.json["reasons"]


def test_map_and_explain_a_layer(run: Run) -> None:
    record = run("map", "mobilenetv2", "--chip", "edge_vision", "--json").json
    layer = record["layers"][0]["name"]
    done = run("map", "mobilenetv2", "--chip", "edge_vision", "--explain", layer)
    assert done.code == 0
    assert layer in done.out
    wrong = run("map", "mobilenetv2", "--chip", "edge_vision", "--explain", "no_such_layer")
    assert wrong.code == 2


def test_overrides_and_bindings(run: Run) -> None:
    base = ("simulate", "resnet8", "--chip", "edge_vision", "--json")
    small = run(*base, "--set", "chip.array.rows=16", "--set", "chip.node=28nm").json
    assert small["node"] == "28nm"
    assert small["latency_s"] > run(*base).json["latency_s"]
    double = run(*base, "--bind", "batch=2").json
    assert double["macs"] == 2 * run(*base).json["macs"]


def test_trace_is_a_chrome_trace(run: Run, tmp_path: Path) -> None:
    done = run("simulate", "resnet8", "--chip", "edge_vision", "--trace", "t.json", "--json")
    assert done.code == 0
    assert done.err == "trace written to t.json\n"
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} >= {"X", "C"}


def test_explain_says_what_binds_and_the_step_holds(run: Run) -> None:
    answer = run("explain", "resnet8", "--chip", "edge_vision", "--json").json
    assert answer["bottleneck"]
    step = next(s for s in answer["steps"] if s["path"] == "chip.f_hz" and s["feasible"])
    promised = step["metrics"]["latency_s"][1]
    record = run(
        "simulate", "resnet8", "--chip", "edge_vision", "--json",
        "--set", f"chip.f_hz={step['after']}",
    ).json  # fmt: skip
    assert record["latency_s"] == pytest.approx(promised, rel=1e-9)


def test_profile_compares_cpu_and_chip(run: Run) -> None:
    answer = run("profile", "resnet8", "--runs", "1", "--json").json
    assert answer["cpu"]["latency_s"] > 0
    assert answer["chip"]["latency_s"] > 0


@pytest.mark.parametrize("section", ["technology", "area"])
def test_validate_sections(run: Run, section: str) -> None:
    found = run("validate", "--section", section, "--json").json["sections"]
    assert [part["name"] for part in found] == [section]
    keys = {"item", "quantity", "published", "ours", "ratio", "role", "kind"}
    assert all(keys <= set(row) for row in found[0]["rows"])
    assert {
        "geometric_mean_ratio",
        "median_absolute_error",
        "worst",
        "null_model_median_absolute_error",
    } <= set(found[0]["summary"])


EXPERIMENT = """
schema_version: 1
name: tiny
app: wearable_kws
chip: gap9
parameters:
  chip.node: {ladder: [28nm, 16nm, 7nm]}
  chip.f_hz: {ladder: [1.0e+8, 2.0e+8]}
  model.keyword.precision: {choices: [w8a8, w4a8]}
objectives: [{metric: average_power_w}, {metric: unit_cost_usd}]
population: 4
batch: 4
trials: 8
"""


@pytest.fixture
def experiment(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    return path


def test_sweep_explore_and_report(run: Run, experiment: Path, tmp_path: Path) -> None:
    swept = run("sweep", str(experiment), "--out", "swept", "--workers", "1", "--json")
    assert swept.code == 0
    assert swept.json["designs"] == 12
    again = run("sweep", str(experiment), "--out", "swept", "--workers", "1", "--json")
    assert again.json["pareto"] == swept.json["pareto"]
    explored = run("explore", str(experiment), "--out", "found", "--workers", "1", "--json")
    assert explored.json["designs"] == 8
    done = run("report", "swept", "--out", "page", "--workers", "1", "--json")
    assert done.code == 0
    for name in ("report.html", "pareto.csv", "pareto.json", "designs.csv"):
        assert (tmp_path / "page" / name).stat().st_size > 0


def test_report_from_a_storage(run: Run, experiment: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    ran = run(
        "explore", str(experiment), "--out", "x", "--workers", "1", "--storage", url, "--json"
    )
    done = run("report", url, "--out", "page", "--no-feedback", "--json")
    assert done.json["designs"] == ran.json["designs"]
    front: list[Any] = json.loads((tmp_path / "page" / "pareto.json").read_text())["pareto"]
    assert {json.dumps(m["parameters"]) for m in front} == {
        json.dumps(m["values"]) for m in ran.json["pareto"]
    }


def test_uncertainty_lines_and_node_plot(run: Run, experiment: Path, tmp_path: Path) -> None:
    base = ("simulate", "resnet8", "--chip", "edge_vision", "--json")
    found = run(*base, "--uncertainty", "6").json["uncertainty"]
    assert found["bands"]["energy_j"]["low"] < found["bands"]["energy_j"]["high"]
    rapidus = run("nodes", "--line", "rapidus", "--plot", "n.html", "--json").json
    assert [row["name"] for row in rapidus["nodes"]] == ["2nm"]
    assert {"jasm1", "jasm2", "rapidus", "tsmc", "samsung"} <= {x["name"] for x in rapidus["lines"]}
    assert (tmp_path / "n.html").stat().st_size > 1000
    experiment.write_text(EXPERIMENT.replace("{ladder: [28nm, 16nm, 7nm]}", "{line: jasm1}"))
    swept = run("sweep", str(experiment), "--out", "line", "--workers", "1", "--json").json
    nodes = {outcome["values"]["chip.node"] for outcome in swept["pareto"]}
    assert nodes <= {"28nm", "22nm", "16nm", "12nm"}


def test_unit_cost_by_node_moves_with_volume(run: Run) -> None:
    rows = run("nodes", "--volumes", "1e5,1e6,1e7", "--json").json["unit_cost"]
    cheapest = {row["volume"]: row["node"] for row in rows if row["cheapest"]}
    assert cheapest[1e5] == "28nm"
    assert cheapest[1e7] in ("16nm", "12nm")
    for row in rows:
        parts = [v for k, v in row.items() if k.endswith(("_usd", "_per_unit"))]
        assert sum(parts) - row["unit_cost_usd"] == pytest.approx(row["unit_cost_usd"])


def test_show_node_has_its_own_facts_with_sources(run: Run) -> None:
    facts = run("show", "5nm", "--json").json["facts"]
    assert all(fact["source"] and fact["status"] for fact in facts)
    assert not any(fact["path"].endswith(".28") for fact in facts)


def test_show_binds_sizes(run: Run) -> None:
    short, long = (
        run("show", "llama3.2_1b_decode", "--bind", f"past={n}", "--json").json for n in (16, 64)
    )
    assert short["macs"] < long["macs"]
    fault = run("show", "resnet8", "--bind", "past=16")
    assert fault.code == 2
    assert "past" in fault.err


@pytest.mark.parametrize(
    ("text", "meant"),
    [("none", "none"), ("None", "None"), ("null", None), ("~", None), ("True", True), ("3", 3)],
)
def test_a_setting_is_read_as_yaml_reads_it(text: str, meant: object) -> None:
    """``none`` is a value of settings such as ``array.depthwise``."""
    assert settings([f"chip.array.depthwise={text}"]) == {"chip.array.depthwise": meant}


def test_depthwise_layers_may_be_given_no_unit_of_their_own(run: Run) -> None:
    asked = ("map", "mobilenetv2", "--chip", "edge_vision", "--json", "--set")
    made = run(*asked, "chip.array.depthwise=none")
    assert made.code == 0, made.err
    refused = run(*asked, "chip.array.depthwise=null")
    assert refused.code == 2


def _recurrent(folder: Path) -> str:
    """A network whose length and batch are open."""
    weights = [
        helper.make_tensor(name, onnx.TensorProto.FLOAT, (1, 32, 8), [0.0] * 256)
        for name in ("w", "r")
    ]
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=8)
    values = [
        helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["seq", "batch", 8]),
        helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph([node], "g", values[:1], values[1:], weights)
    imports = [helper.make_opsetid("", 17)]
    path = folder / "lstm.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    )
    return str(path)


def test_a_size_that_took_its_default_is_said(run: Run, tmp_path: Path) -> None:
    model = _recurrent(tmp_path)
    note = "seq=1 by default (axis 0 of x): --bind seq=VALUE sets it"
    for command in ("simulate", "map", "explain"):
        assert f"note: {note}" in run(command, model, "--chip", "edge_vision").out
        open_ = run(command, model, "--chip", "edge_vision", "--json").json
        assert note in open_["notes"]
        bound = run(command, model, "--chip", "edge_vision", "--bind", "batch=2,seq=5", "--json")
        assert not [line for line in bound.json["notes"] if "by default" in line]
    assert run("simulate", model, "--chip", "edge_vision", "--bind", "seq=5,batch=2").code == 0
    show = run("show", model, "--bind", "seq=5", "--json").json
    assert show["macs"] == 5 * 2 * 32 * 8
    (remark,) = show["remarks"]
    assert remark.startswith("batch=1 by default")


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        (["batch=1,seq=256"], {"batch": 1, "seq": 256}),
        (["shape=1,3,224,224,sr=8000"], {"shape": (1, 3, 224, 224), "sr": 8000}),
        (["shape=1x3x8", "past + 1=5"], {"shape": (1, 3, 8), "past + 1": 5}),
        (["on=true", "t=-0.5", "k=-1"], {"on": 1, "t": -0.5, "k": -1}),
    ],
)
def test_what_bind_takes(pairs: list[str], found: dict[str, object]) -> None:
    assert bindings(pairs) == found


@pytest.mark.parametrize("pair", ["3", "x=", "=3", "a=1,b", "a=1,a=2", "a=1,,2", "a=nan"])
def test_what_bind_does_not_take(pair: str) -> None:
    with pytest.raises(InputError, match="--bind"):
        bindings([pair])
