"""What public files showed: data beside the file, results that nobody names, mends that work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError

from .graphs import graph, load, script, weight

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="no fork there")


def outside(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """The tensor with its data in a file of their own."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="data.bin")
    return tensor


def refused(model: onnx.ModelProto, folder: Path) -> InputError:
    with pytest.raises(InputError) as found:
        load(model, folder)
    return found.value


def test_absent_data_of_a_short_tensor_do_no_harm(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["y"]),
    ]
    model = graph(nodes, {"x": (2, 4)}, ["y"], {"w": weight(4, 3), "b": weight(3)})
    for tensor in model.graph.initializer:
        outside(tensor)
    assert load(model, tmp_path).macs == 24


def test_absent_data_of_a_constant_do_no_harm(tmp_path: Path) -> None:
    value = outside(numpy_helper.from_array(weight(4, 3), "value"))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=value),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    assert load(graph(nodes, {"x": (2, 4)}, ["y"]), tmp_path).macs == 24


@pytest.mark.parametrize("constant", [False, True])
def test_no_other_file_is_opened(
    constant: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that happens to have the right name where the command runs says nothing."""
    (tmp_path / "data.bin").write_bytes(np.array([4, 1], np.int64).tobytes())
    monkeypatch.chdir(tmp_path)
    target = outside(numpy_helper.from_array(np.array([4, 1], np.int64), "t"))
    nodes = [helper.make_node("Reshape", ["x", "t"], ["y"], name="r")]
    if constant:
        nodes.insert(0, helper.make_node("Constant", [], ["t"], value=target))
    model = graph(nodes, {"x": (2, 2)}, ["y"])
    if not constant:
        model.graph.initializer.append(target)
    assert "node 'r' (Reshape)" in str(refused(model, tmp_path))


def test_an_operator_that_writes_nothing_is_dead(tmp_path: Path) -> None:
    fused = helper.make_node("Attention", ["x"], [], domain="com.microsoft", num_heads=1)
    relu = helper.make_node("Relu", ["x"], ["y"])
    model = load(graph([fused, relu], {"x": (1, 2, 4)}, ["y"]), tmp_path)
    assert [layer.name for layer in model.layers] == ["y"]


def test_a_size_beyond_all_integers_is_refused(tmp_path: Path) -> None:
    far = np.array([-(1 << 63), 1], np.int64)
    model = graph([helper.make_node("Tile", ["x", "t"], ["y"])], {"x": (4, 4)}, ["y"], {"t": far})
    assert "too large" in str(refused(model, tmp_path))


def test_the_scores_that_an_attention_also_writes_have_a_shape(tmp_path: Path) -> None:
    """The fourth result of MultiHeadAttention, whose shape no file needs to state."""
    node = helper.make_node(
        "MultiHeadAttention",
        ["q", "k", "v"],
        ["y", "", "", "s"],
        domain="com.microsoft",
        num_heads=2,
    )
    shapes = {"q": (1, 3, 8), "k": (1, 5, 8), "v": (1, 5, 8)}
    model = load(graph([node], shapes, ["y", "s"]), tmp_path)
    assert model.tensors["s"].shape == (1, 2, 3, 5)
    assert model.macs == 2 * 3 * 5 * 8


# the options that a mend prints lead to a file that is read


def test_unbound_spatial_sizes_are_printed_as_options(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    model = graph([node], {"x": (1, 3, "high", 0)}, ["y"], {"w": weight(2, 3, 3, 3)})
    model.graph.input[0].type.tensor_type.shape.dim[3].Clear()
    mend = refused(model, tmp_path).mend
    assert mend == "bind them: --bind high=VALUE --bind x.3=VALUE, or res=SIZE for images"
    sizes: dict[str, Any] = {"high": 5, "x.3": 4}
    assert load(model, tmp_path, **sizes).macs == 2 * 27 * 3 * 2


def test_a_product_of_default_sizes_names_them(tmp_path: Path) -> None:
    gemm = helper.make_node("FusedGemm", ["x", "w"], ["y"], domain="com.microsoft")
    model = graph([gemm], {"x": ("rows", "columns")}, ["y"], {"w": weight(6, 3)})
    mend = refused(model, tmp_path).mend or ""
    assert "--bind rows=VALUE (now the default) --bind columns=VALUE (now the default)" in mend
    assert load(model, tmp_path, rows=2, columns=6).macs == 36


def test_a_reshape_of_default_sizes_names_them(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["x", "t"], ["y"])
    model = graph([node], {"x": ("rows", 4)}, ["y"], {"t": np.array([2, 1, 4])})
    assert refused(model, tmp_path).mend == (
        "bind sizes that fit: --bind rows=VALUE (now the default)"
    )
    assert load(model, tmp_path, rows=2).fates == {"y": "view"}


def test_a_reshape_of_fixed_sizes_does_not(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["x", "t"], ["y"])
    model = graph([node], {"x": (1, 4)}, ["y"], {"t": np.array([2, 1, 4])})
    assert "--bind" not in str(refused(model, tmp_path))


def test_types_that_do_not_go_together_are_not_mended_by_sizes(tmp_path: Path) -> None:
    model = graph([helper.make_node("Add", ["x", "z"], ["y"])], {"x": (4, 5), "z": ("n", 5)}, ["y"])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    error = refused(model, tmp_path)
    assert "type" in error.message
    assert "--bind" not in (error.mend or "")


# the scripts that read folders of files


@needs_fork
def test_a_folder_is_read_and_its_refusals_are_followed(tmp_path: Path) -> None:
    tool = script("read_files")
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    kept = {"w": weight(2, 3, 3, 3)}
    files = {
        "a": graph([node], {"x": (1, 3, 8, 8)}, ["y"], kept),
        "b": graph([node], {"x": (1, 3, "high", "wide")}, ["y"], kept),
        "c": graph([helper.make_node("Mystery", ["x"], ["y"])], {"x": (1, 3)}, ["y"]),
        "d": graph([node], {"x": (1, 4, 8, 8)}, ["y"], kept),
    }
    (tmp_path / "inner").mkdir()
    for name, model in files.items():
        (tmp_path / "inner" / f"{name}.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "link.onnx").symlink_to(tmp_path / "inner" / "a.onnx")
    paths = list(tool.onnx_files([tmp_path]))
    assert [path.stem for path in paths] == ["a", "b", "c", "d"]
    a, b, c, d = (tool.result(path, follow=True) for path in paths)
    assert (a.kind, a.macs, a.followed) == ("read", 6 * 6 * 2 * 27, "")
    assert (b.kind, b.followed, b.options) == (
        "refused",
        "mended",
        ("--bind high=4", "--bind wide=4"),
    )
    assert (c.followed, c.options) == ("mended", ("--unknown-ops host",))
    assert (d.kind, d.followed) == ("refused", "cannot be followed")
    shown = tool.table([a, b, c, d])
    assert "4 files: refused 3, read 1" in shown
    assert "refusals: mended 2, cannot be followed 1" in shown


@needs_fork
def test_what_ends_badly_is_told() -> None:
    tool = script("limited")
    assert tool.in_child(lambda: 3) == ("done", 3)
    kind, detail = tool.in_child(lambda: [][1])
    assert kind == "traceback"
    assert "IndexError" in detail
    assert tool.in_child(lambda: sys.exit(0))[0] == "traceback"
    assert tool.in_child(lambda: bytearray(1 << 34))[0] == "memory" or sys.platform == "darwin"


@pytest.mark.parametrize(
    ("mend", "options"),
    [
        ("bind it: --bind L.trips=N (N from 1), or @L.trips=N behind the name", "--bind L.trips=2"),
        ("give its true size: --bind X.1=N", "--bind X.1=2"),
        ("bind what decides it (--bind n=VALUE,VALUE), or export it", "--bind n=2,2"),
        ("bind sizes: --bind a b=VALUE (now the default)", "--bind a b=2"),
        ("give its sizes if you know them (--bind y.0=N,y.1=N for each axis)", "--bind y.0=2"),
        ("use --unknown-ops host to run it on the host core", "--unknown-ops host"),
        ("the graph is invalid: export it again", None),
    ],
)
def test_printed_options_are_understood(mend: str, options: str | None) -> None:
    tool = script("mends")
    found = [step.options() for step in tool.steps(tool.Step(), mend, Path("net.onnx"))]
    assert ((options,) in found) if options else not found


def test_reasons_have_no_names_and_numbers() -> None:
    tool = script("read_files")
    one = tool.reason("Gemm: shapes (1, 2) and (3, 4) do not multiply")
    assert one == tool.reason("Gemm: shapes (5, 6, 7) and (8,) do not multiply")
    assert "do not multiply" in one
