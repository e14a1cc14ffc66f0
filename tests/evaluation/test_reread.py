"""A user's network that is written again under its name is read again."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from dse.evaluation import Design, evaluate_app, resolve_design
from dse.evaluation.inputs import load_cached

APP = """
schema_version: 1
name: mine
streams:
  - {id: a, model: NET, rate_hz: 10, deadline_s: 0.1}
  - {id: b, model: dscnn_kws, rate_hz: 10, deadline_s: 0.1}
"""


def write(path: Path, channels: int) -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    sizes = {"x": [1, 8], "w": [8, channels], "y": [1, channels]}
    info = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in sizes.items()}
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, channels], [0.0] * 8 * channels)
    graph = helper.make_graph(nodes, "g", [info["x"]], [info["y"]], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def test_a_network_written_again(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    write(path, 4)
    first = load_cached(str(path))
    assert first.at().macs == 32
    assert load_cached(str(path)) is first
    write(path, 64)
    assert load_cached(str(path)).at().macs == 512


def test_precisions_written_again(tmp_path: Path) -> None:
    mix = tmp_path / "mix.yaml"
    name = f"resnet8@per_layer={mix}"
    formats = []
    for text in ("'*': w8a8\n", "'*': w4a8-qat\n"):
        mix.write_text(text)
        formats.append({layer.w_format for layer in load_cached(name).at().layers if layer.nest})
    assert formats == [{"int8"}, {"int4"}]


def test_notes_say_of_which_stream(tmp_path: Path) -> None:
    write(tmp_path / "net.onnx", 4)
    (tmp_path / "app.yaml").write_text(APP.replace("NET", str(tmp_path / "net.onnx")))
    found = resolve_design(Design(str(tmp_path / "app.yaml"), "edge_vision"))
    record, _ = evaluate_app(found.app, found.workloads, found.chip, "analytic")
    told = [note.split(": ")[0] for note in record.notes]
    assert {"a", "b"} <= set(told), record.notes
