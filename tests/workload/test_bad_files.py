"""Whatever is wrong with a file: exit code 2 and one line, never a traceback."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.cli import main
from dse.errors import InputError
from dse.workload import list_models, load_model
from dse.workload.load import lower_bytes
from dse.workload.stored import outside
from dse.workload.wire import without_weights

from .fused_cases import CASES, model_of, qdq
from .graphs import graph, script, weight
from .test_control import branching, loop, scan

RELU = helper.make_node("Relu", ["x"], ["y"], name="n")


def saved(model: onnx.ModelProto | bytes, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def product(**changes: object) -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="n")
    model = graph([node], {"x": (2, 4)}, ["y"], {"w": weight(4, 3)})
    tensor = model.graph.initializer[0]
    if "place" in changes:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=str(changes["place"]))
    if "dims" in changes:
        tensor.dims[:] = changes["dims"]
    if "kind" in changes:
        tensor.data_type = int(str(changes["kind"]))
    return model


def convolution(*shape: int) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="n")
    return graph([node], {"x": shape}, ["y"], {"w": weight(2, 3, 3, 3)})


def mixed() -> onnx.ModelProto:
    node = helper.make_node("Add", ["x", "w"], ["y"], name="n")
    return graph([node], {"x": (2, 3)}, ["y"], {"w": np.ones(3, np.int64)})


def strings() -> onnx.ModelProto:
    model = graph([RELU], {"x": (2, 3)}, ["y"])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    return model


def unknown_shape() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Reshape", ["x", "to"], ["r"], name="n"),
        helper.make_node("Relu", ["r"], ["y"], name="after"),
    ]
    model = graph(nodes, {"x": (2, 3)}, ["y"])
    model.graph.input.append(helper.make_tensor_value_info("to", TensorProto.INT64, (2,)))
    return model


def no_shape() -> onnx.ModelProto:
    model = graph([RELU], {"x": (2, 3)}, ["y"])
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def nodeless() -> onnx.ModelProto:
    return graph([], {"x": (2, 3)}, ["x"])


def missing_attribute() -> onnx.ModelProto:
    node = helper.make_node("LRN", ["x"], ["y"], name="n")
    model = graph([node], {"x": (1, 3, 4, 4)}, ["y"])
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 4, 4))
    )
    return model


#: What is wrong, and a word of the line; a node is named as ``n`` where there is one to blame.
FILES: list[tuple[str, Callable[[], onnx.ModelProto | bytes], str, bool]] = [
    ("empty", lambda: b"", "not an ONNX file", False),
    ("text", lambda: b"hello, this is no network\n" * 9, "not an ONNX file", False),
    ("garbage", lambda: os.urandom(100 << 20), "ONNX file", False),
    ("zeros", lambda: bytes(100 << 20), "not an ONNX file", False),
    ("truncated", lambda: scan(3).SerializeToString()[:-40], "cut short", False),
    ("without nodes", nodeless, "no nodes", False),
    (
        "a cycle",
        lambda: graph([helper.make_node("Add", ["x", "y"], ["y"], name="n")], {"x": (2,)}, ["y"]),
        "cycle",
        True,
    ),
    (
        "written twice",
        lambda: graph(
            [
                helper.make_node("Abs", ["x"], ["y"]),
                helper.make_node("Neg", ["x"], ["y"], name="n"),
            ],
            {"x": (2,)},
            ["y"],
        ),
        "written twice",
        True,
    ),
    (
        "an unknown operator",
        lambda: graph([helper.make_node("Frob", ["x"], ["y"], name="n")], {"x": (2,)}, ["y"]),
        "operator Frob is not known",
        True,
    ),
    ("a shape of data", unknown_shape, "cannot be inferred", True),
    ("an input without shape", no_shape, "cannot be inferred", True),
    ("an unbound symbol", lambda: convolution(1, 3, -1, 8), "not bound", True),
    ("spatial sizes of zero", lambda: convolution(1, 3, 0, 0), "not bound", True),
    ("a negative size", lambda: product(dims=[4, -3]), "4x-3", True),
    ("sizes that do not fit", lambda: product(dims=[5, 3]), "n", True),
    ("channels that do not fit", lambda: convolution(1, 4, 8, 8), "channels", True),
    ("an operand of the wrong type", mixed, "wrong type", True),
    ("text where numbers belong", strings, "wrong type", True),
    ("weights of the wrong type", lambda: product(kind=TensorProto.INT64), "wrong type", True),
    ("a missing attribute", missing_attribute, "not a valid LRN", True),
    ("data elsewhere", lambda: product(place="/etc/passwd"), "outside the file's folder", True),
    ("data above", lambda: product(place="a/../../w.bin"), "outside the file's folder", True),
    ("data nowhere", lambda: product(place=""), "outside the file's folder", True),
    ("a loop without end", lambda: loop(None), "walk.trips", False),
]


@pytest.mark.parametrize(
    ("make", "words", "blamed"), [f[1:] for f in FILES], ids=[f[0] for f in FILES]
)
def test_one_line_and_exit_code_two(
    make: Callable[[], onnx.ModelProto | bytes], words: str, blamed: bool, tmp_path: Path
) -> None:
    path = saved(make(), tmp_path)
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert caught.value.exit_code == 2
    line = str(caught.value)
    assert line.isprintable()
    assert words in line
    assert caught.value.file == str(path)
    assert caught.value.mend
    if blamed:
        assert caught.value.field is not None
        assert caught.value.field.startswith("node 'n' (")


@pytest.mark.parametrize("what", ["garbage", "folder", "unknown operator"])
def test_the_command_line_leaves_with_two(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if what == "folder":
        path = tmp_path / "net.onnx"
        path.mkdir()
    else:
        nodes = [helper.make_node("Frob", ["x"], ["y"], name="n")]
        bad = b"garbage" if what == "garbage" else graph(nodes, {"x": (2,)}, ["y"])
        path = saved(bad, tmp_path)
    monkeypatch.setattr("sys.argv", ["dse", "show", str(path)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    if what == "unknown operator":
        assert "Frob" in shown
        assert "'n'" in shown


@pytest.mark.parametrize(
    ("place", "leaves"),
    [
        ("w.bin", False),
        ("weights/w.bin", False),
        ("a/../w.bin", False),
        ("../w.bin", True),
        ("a/../../w.bin", True),
        ("..\\w.bin", True),
        ("/w.bin", True),
        ("C:\\w.bin", True),
        ("\\\\host\\w.bin", True),
    ],
)
def test_paths_that_leave_the_folder(place: str, leaves: bool) -> None:
    assert outside(place) is leaves


def test_data_beside_the_file_are_not_needed(tmp_path: Path) -> None:
    assert load_model(saved(product(place="absent.bin"), tmp_path)).macs == 2 * 4 * 3


def test_names_that_break_lines_are_shown_in_one() -> None:
    node = helper.make_node("Fr\nob", ["x"], ["y"], name="a\tb")
    with pytest.raises(InputError) as caught:
        lower_bytes(graph([node], {"x": (2,)}, ["y"]).SerializeToString(), "net.onnx")
    assert str(caught.value).isprintable()


def test_weights_are_cut_out_before_parsing() -> None:
    """Only the data of large stored tensors go; all else is as it was."""
    names = [f"w{n}" for n in range(3)]
    nodes = [helper.make_node("Sum", ["x", *names, "small"], ["y"])]
    stored = {name: weight(512, 1024) for name in names}
    data = graph(
        nodes, {"x": (512, 1024)}, ["y"], {**stored, "small": weight(1024)}
    ).SerializeToString()
    slim = without_weights(data)
    assert len(slim) < 10_000
    whole, left = (onnx.ModelProto.FromString(part) for part in (data, slim))
    for tensor in whole.graph.initializer:
        if tensor.name != "small":
            tensor.ClearField("raw_data")
    assert left == whole
    assert lower_bytes(data, "net.onnx").parameters == 3 * 512 * 1024 + 1024
    assert without_weights(data[:-9]) == data[:-9]


def _outcome(data: bytes) -> InputError | None:
    """The refusal of a file, or None if it is lowered; anything else is a crash."""
    try:
        lower_bytes(data, "net.onnx").at("w4a8")
    except InputError as error:
        return error
    return None


def test_damaged_files_never_crash() -> None:
    """Two thousand mutations of small valid files: a model or an error of ours, one line."""
    rng = random.Random(20240607)
    mutated = script("mutate_onnx").mutated_bytes
    small = next(i.file for i in list_models() if i.name == "resnet8").read_bytes()
    seeds: list[Any] = [small, scan(3), loop(3), branching(None), qdq(8, TensorProto.UINT8)]
    seeds += [model_of(*case[:6]) for case in CASES]
    files = [s if isinstance(s, bytes) else s.SerializeToString() for s in seeds]
    lowered = refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2000):
            refusal = _outcome(mutated(rng.choice(files), rng))
            lowered += refusal is None
            refused += refusal is not None
            assert refusal is None or (str(refusal).isprintable() and refusal.mend)
    assert lowered > 100
    assert refused > 100


def test_damaged_fields_never_crash() -> None:
    """Valid protocol buffers with nonsense in them: sizes, types, names, attributes."""
    rng = random.Random(7)
    outcomes = {"lowered": 0, "refused": 0}
    for _ in range(1000):
        seed = rng.choice([scan(3), loop(3), branching(None), qdq(8, TensorProto.UINT8)])
        if rng.random() < 0.7:
            seed = model_of(*rng.choice(CASES)[:6])
        for _ in range(rng.randrange(1, 4)):
            _spoil(seed, rng)
        refusal = _outcome(seed.SerializeToString())
        outcomes["lowered" if refusal is None else "refused"] += 1
        assert refusal is None or str(refusal).isprintable()
    assert min(outcomes.values()) > 50


def _spoil(model: onnx.ModelProto, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    what = rng.randrange(8)
    if what == 0 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice((-5, 0, 1 << 40))
        attribute.ints[:] = [rng.choice((-1, 0, 3, 1 << 33)) for _ in attribute.ints]
    elif what == 1 and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif what == 2 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(("", "x", "y"))
    elif what == 3 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif what == 4 and model.graph.initializer:
        tensor = rng.choice(model.graph.initializer)
        tensor.dims[:] = [rng.choice((-1, 0, 1, 7, 1 << 40)) for _ in range(rng.randrange(5))]
    elif what == 5 and model.graph.input:
        kind = rng.choice(model.graph.input).type.tensor_type
        kind.elem_type = rng.randrange(25)
        for dim in kind.shape.dim:
            dim.dim_value = rng.choice((0, 1, 5, 1 << 40))
    elif what == 6:
        node.op_type = rng.choice(("Conv", "Gemm", "Attention", "LSTM", "Concat", "Resize", "Pad"))
        node.domain = rng.choice(("", "com.microsoft"))
    else:
        tensor = numpy_helper.from_array(np.array(rng.choice((-1, 0, 1 << 40))), "x")
        model.graph.initializer.append(tensor)


def test_a_node_that_neither_reads_nor_writes(tmp_path: Path) -> None:
    """It is dead, as every node is whose results nobody reads."""
    model = product()
    empty = helper.make_attribute("body", helper.make_graph([], "", [], []))
    model.graph.node.add().attribute.append(empty)
    assert load_model(saved(model, tmp_path)).macs == 2 * 4 * 3
