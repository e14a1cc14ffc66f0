"""A name binds the axis, the input or the tensor that has it, wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.workload import Model, load_model
from dse.workload.axes import computed, parts
from dse.workload.load import lower_bytes
from dse.workload.read import read_graph

from .graphs import graph, load, weight

INT, BOOL = TensorProto.INT64, TensorProto.BOOL


def given(model: onnx.ModelProto, name: str, kind: int, shape: Sequence[int | str]) -> None:
    """Adds an input of another type than float."""
    model.graph.input.append(helper.make_tensor_value_info(name, kind, list(shape)))


def lowered(model: onnx.ModelProto, **bindings: Any) -> Model:
    return lower_bytes(model.SerializeToString(), "net.onnx", tuple(bindings.items()))


def refusal(model: onnx.ModelProto, **bindings: Any) -> str:
    with pytest.raises(InputError) as caught:
        lowered(model, **bindings)
    assert caught.value.mend
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same_shapes(
    model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], bindings: Mapping[str, Any]
) -> None:
    """ONNX Runtime gives results of the shapes that we find with these bindings."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    theirs = session.run(None, dict(feeds))
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    ours = read_graph(copy, "net.onnx", dict(bindings))[0]
    names = [value.name for value in model.graph.output]
    assert [ours.shapes[name] for name in names] == [result.shape for result in theirs]


def recurrent(op: str, state: bool, directions: int = 1, hidden: int = 64) -> onnx.ModelProto:
    """As exporters of torch write it: x [seq,batch,64], h0 and c0 [directions,batch,hidden]."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    stored = {
        "w": weight(directions, gates * hidden, 64),
        "r": weight(directions, gates * hidden, hidden),
    }
    inputs: dict[str, Sequence[int | str]] = {"x": ("seq", "batch", 64)}
    reads = ["x", "w", "r"]
    if state:
        states = ["h0", "c0"] if op == "LSTM" else ["h0"]
        inputs |= dict.fromkeys(states, (directions, "batch", hidden))
        reads += ["", "", *states]
    way = "bidirectional" if directions == 2 else "forward"
    node = helper.make_node(op, reads, ["y"], hidden_size=hidden, direction=way)
    return graph([node], inputs, ["y"], stored, opset=17)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("directions", [1, 2])
def test_the_batch_of_a_recurrent_network(op: str, state: bool, directions: int) -> None:
    model = recurrent(op, state, directions)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    want = directions * 10 * 4 * gates * 64 * (64 + 64)
    assert lowered(model, batch=4, seq=10).macs == want
    states = {n.name: np.zeros((directions, 4, 64), np.float32) for n in model.graph.input[1:]}
    feeds = {"x": np.zeros((10, 4, 64), np.float32), **states}
    same_shapes(model, feeds, {"batch": 4, "seq": 10})


def test_the_batch_is_found_by_the_operator_where_no_name_says_it() -> None:
    model = recurrent("GRU", True)
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = "T" if dim.dim_param == "seq" else "N"
    assert lowered(model, batch=4, T=10).macs == lowered(model, N=4, T=10).macs
    remarks = lowered(model, batch=4).remarks
    assert remarks == ("T=1 by default (axis 0 of x): --bind T=VALUE sets it",)


def test_a_symbol_in_the_middle() -> None:
    """The state of a streaming network: [layers, batch, hidden] beside [batch, samples]."""
    nodes = [
        helper.make_node("Gather", ["state", "first"], ["h"], axis=0),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "h"], ["y"]),
    ]
    stored = {"w": weight(8, 16), "first": np.array(0)}
    inputs: dict[str, Sequence[int | str]] = {
        "x": ("batch_size", 8),
        "state": (2, "batch_size", 16),
    }
    model = graph(nodes, inputs, ["y"], stored)
    feeds = {"x": np.zeros((3, 8), np.float32), "state": np.zeros((2, 3, 16), np.float32)}
    for name in ("batch", "batch_size", "x.0", "state.1"):
        assert lowered(model, **{name: 3}).macs == 3 * 8 * 16
        same_shapes(model, feeds, {name: 3})


def image_and_scale(batch: int | str) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Mul", ["c", "s"], ["y"]),
    ]
    inputs: dict[str, Sequence[int | str]] = {"x": (batch, 3, 8, 8), "s": (4, 1, 1)}
    return graph(nodes, inputs, ["y"], {"w": weight(4, 3, 1, 1)}, opset=17)


def test_an_input_without_batch_beside_the_image() -> None:
    for name in ("batch", "N"):
        model = image_and_scale(name)
        assert lowered(model, batch=2).macs == 2 * 768
        assert lowered(model, batch=1).macs == 768
    assert lowered(image_and_scale(1), batch=1).macs == 768
    assert "leading axes 1, 4" in refusal(image_and_scale(1), batch=2)


def test_a_scalar_beside_a_fixed_image() -> None:
    model = image_and_scale(1)
    del model.graph.input[1].type.tensor_type.shape.dim[:]
    assert lowered(model, batch=5).macs == 5 * 768


def decoder() -> onnx.ModelProto:
    """A cache, a new token and a mask whose length is written as a sum."""
    nodes = [
        helper.make_node("Concat", ["past_key", "new"], ["keys"], axis=2),
        helper.make_node("Transpose", ["keys"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "turned"], ["scores"]),
        helper.make_node("Add", ["scores", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["y"], axis=-1),
    ]
    inputs: dict[str, Sequence[int | str]] = {
        "q": ("batch_size", 2, 1, 8),
        "new": ("batch_size", 2, 1, 8),
        "past_key": ("batch_size", 2, "past_sequence_length", 8),
        "mask": ("batch_size", 1, 1, "past_sequence_length + 1"),
    }
    return graph(nodes, inputs, ["y"])


def test_a_size_written_as_a_sum_follows() -> None:
    feeds = {
        "q": np.zeros((3, 2, 1, 8), np.float32),
        "new": np.zeros((3, 2, 1, 8), np.float32),
        "past_key": np.zeros((3, 2, 6, 8), np.float32),
        "mask": np.zeros((3, 1, 1, 7), np.float32),
    }
    bindings = {"batch": 3, "past_sequence_length": 6}
    model = lowered(decoder(), **bindings)
    assert model.macs == 3 * 2 * 7 * 8
    assert model.remarks == ()
    same_shapes(decoder(), feeds, bindings)
    assert "past_sequence_length" in refusal(decoder(), batch=3)


def test_an_empty_past_is_no_work() -> None:
    model = lowered(decoder(), batch=3, past_sequence_length=0)
    assert model.macs == 3 * 2 * 1 * 8
    feeds = {
        "q": np.zeros((3, 2, 1, 8), np.float32),
        "new": np.zeros((3, 2, 1, 8), np.float32),
        "past_key": np.zeros((3, 2, 0, 8), np.float32),
        "mask": np.zeros((3, 1, 1, 1), np.float32),
    }
    same_shapes(decoder(), feeds, {"batch": 3, "past_sequence_length": 0})


@pytest.mark.parametrize(
    ("text", "names", "size"),
    [
        ("past + 1", ("past",), 8),
        ("2*past", ("past",), 14),
        ("floor(past/2) + seq", ("past", "seq"), 8),
        ("(past + seq)//2", ("past", "seq"), 6),
        ("Max(1, past - 10)", ("past",), 1),
        ("batch-size", (), None),
        ("time/2", (), None),
        ("past + 1 + open('x')", (), None),
        ("past ** 99", (), None),
        ("seq - past", ("seq", "past"), None),
    ],
)
def test_formulas(text: str, names: tuple[str, ...], size: int | None) -> None:
    assert set(parts(text)) == set(names)
    assert computed(text, {"past": 7, "seq": 5}) == size


def chain(op: str) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """What follows a vector ``r`` of unknown length: a product with 8 columns."""
    nodes = [
        helper.make_node("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["f", "one"], ["u"]),
        helper.make_node("MatMul", ["u", "w"], ["y"], name=op),
    ]
    return nodes, {"one": np.array([1]), "w": weight(1, 8)}


def test_a_length_that_depends_on_the_data() -> None:
    after, stored = chain("p")
    nodes = [
        helper.make_node("ReduceSum", ["d"], ["n"], keepdims=0),
        helper.make_node("Cast", ["n"], ["end"], to=INT),
        helper.make_node("Range", ["zero", "end", "step"], ["r"], name="counts"),
        *after,
    ]
    stored |= {"zero": np.array(0), "step": np.array(1)}
    model = graph(nodes, {"d": (1, 5)}, ["y"], stored, opset=13)
    assert "--bind r.0=N" in refusal(model)
    for bindings in ({"r.0": 12}, {"end": 12}, {"n": 12}):
        found = lowered(model, **bindings)
        assert found.macs == 12 * 8, "the work is done when the network runs"
        same_shapes(model, {"d": np.full((1, 5), 2.4, np.float32)}, bindings)
    assert "no symbolic size, input or tensor is called 'q.0'" in refusal(model, **{"q.0": 12})
    assert "does not fit" in refusal(model, **{"r.0": 12, "end": 4})


def test_the_end_of_a_range_is_an_input() -> None:
    after, stored = chain("p")
    nodes = [
        helper.make_node("Range", ["zero", "n", "step"], ["r"]),
        helper.make_node("Mul", ["r", "x"], ["scaled"]),
        *after,
    ]
    after[0].input[0] = "scaled"
    stored |= {"zero": np.array(0), "step": np.array(1)}
    model = graph(nodes, {}, ["y"], stored, opset=13)
    given(model, "n", INT, ())
    given(model, "x", INT, (1,))
    assert "--bind n=VALUE" in refusal(model)
    assert lowered(model, n=9).macs == 9 * 8
    feeds = {"n": np.array(9), "x": np.array([2])}
    same_shapes(model, feeds, {"n": 9})


def test_the_symbol_behind_a_topk_is_named() -> None:
    node = helper.make_node("TopK", ["x", "k"], ["v", "i"], name="best")
    model = graph([node], {"x": ("N",)}, ["v"], {"k": np.array([300])}, opset=13)
    assert "--bind N=VALUE" in refusal(model)
    same_shapes(model, {"x": np.zeros(500, np.float32)}, {"N": 500})
    given(model, "k", INT, (1,))
    del model.graph.initializer[:]
    line = refusal(model, N=500)
    assert "--bind k=VALUE" in line
    assert "x.0" not in line
    same_shapes(model, {"x": np.zeros(500, np.float32), "k": np.array([7])}, {"N": 500, "k": 7})


def test_a_shape_is_an_input() -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["r"])
    nodes = [node, helper.make_node("MatMul", ["r", "w"], ["y"])]
    model = graph(nodes, {"x": (2, 12)}, ["y"], {"w": weight(4, 5)}, opset=17)
    given(model, "shape", INT, (3,))
    assert "--bind shape=VALUE,VALUE,VALUE" in refusal(model)
    assert lowered(model, shape=(2, 3, 4)).macs == 2 * 3 * 4 * 5
    feeds = {"x": np.zeros((2, 12), np.float32), "shape": np.array([2, -1, 4])}
    same_shapes(model, feeds, {"shape": (2, -1, 4)})
    assert "3 elements, and 2 are given" in refusal(model, shape=(2, 12))
    assert "is no value" in refusal(model, shape=(2, 3, 4.5))


def test_what_detectors_find() -> None:
    after, stored = chain("p")
    nodes = [
        helper.make_node("NonZero", ["d"], ["z"], name="found"),
        helper.make_node("Gather", ["z", "row"], ["r"], axis=0),
        *after,
    ]
    model = graph(nodes, {"d": (4, 6)}, ["y"], stored | {"row": np.array(0)}, opset=17)
    most = lowered(model)
    assert most.macs == 24 * 8
    assert any("--bind z.1=N" in remark for remark in most.remarks)
    few = lowered(model, **{"z.1": 5})
    assert few.macs == 5 * 8
    assert few.remarks == ()
    assert "does not fit" in refusal(model, **{"z.1": 25})


def test_boxes_that_are_kept() -> None:
    nodes = [
        helper.make_node("NonMaxSuppression", ["b", "s", "limit"], ["kept"], name="nms"),
        helper.make_node("Cast", ["kept"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    stored = {"limit": np.array([100]), "w": weight(3, 7)}
    model = graph(nodes, {"b": (1, 50, 4), "s": (1, 2, 50)}, ["y"], stored, opset=17)
    assert lowered(model).macs == 2 * 50 * 3 * 7
    assert lowered(model, **{"kept.0": 10}).macs == 10 * 3 * 7


def test_a_size_written_as_zero_is_a_dynamic_batch() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    model = graph([node], {"x": (0, 3, 8, 8)}, ["y"], {"w": weight(2, 3, 1, 1)})
    free = lowered(model)
    assert free.macs == 64 * 6
    assert "x.0=1 by default" in free.remarks[0]
    assert "--bind x.0=VALUE" in free.remarks[0]
    for name in ("batch", "x.0"):
        assert lowered(model, **{name: 4}).macs == 4 * 64 * 6
    model = graph([node], {"x": (1, 3, 0, 0)}, ["y"], {"w": weight(2, 3, 1, 1)})
    assert "x.2, x.3" in refusal(model)
    assert lowered(model, res=8).macs == 64 * 6


def test_res_sets_the_symbols_of_an_image_everywhere() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Mul", ["c", "mask"], ["y"]),
    ]
    inputs = {"x": (1, 3, "height", "width"), "mask": ("height", "width")}
    model = graph(nodes, inputs, ["y"], {"w": weight(2, 3, 1, 1)})
    found = lowered(model, res=(4, 6))
    assert found.macs == 24 * 6
    assert found.tensors["mask"].shape == (4, 6)


def axes_called_as_settings(folder: Path) -> Path:
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    model = graph([node], {"x": ("w", "a", 4)}, ["y"], {"weights": weight(4, 3)})
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_an_axis_called_as_a_setting_is_no_precision(tmp_path: Path) -> None:
    path = axes_called_as_settings(tmp_path)
    by_argument = load_model(path, unknown_ops="error", w=5, a=7)
    by_name = load_model(f"{path}@bind.w=5,bind.a=7")
    assert by_argument.macs == by_name.macs == 5 * 7 * 12
    assert by_argument.name == by_name.name == "net@bind.w=5,bind.a=7"
    assert by_argument.digest == by_name.digest
    both = load_model(f"{path}@w=4,a=8,bind.w=5,bind.a=7")
    assert both.macs == 5 * 7 * 12
    assert both.precision().weights == "int4"
    assert both.at().name == "net@bind.w=5,bind.a=7,w=4,a=8"
    assert by_argument.at("w4a8").name == both.at().name
    precise = load_model(f"{path}@w=4,a=8")
    assert precise.macs == 12
    assert precise.digest != both.digest
    again = load_model(str(path.with_name(both.at().name.replace("net@", "net.onnx@"))))
    assert again.at().digest == both.at().digest


def test_a_symbol_and_an_input_of_one_name() -> None:
    after, stored = chain("p")
    nodes = [
        helper.make_node("Range", ["zero", "len", "step"], ["r0"]),
        helper.make_node("Mul", ["r0", "x"], ["r"]),
        *after,
    ]
    stored |= {"zero": np.array(0), "step": np.array(1)}
    model = graph(nodes, {}, ["y"], stored, opset=13)
    given(model, "len", INT, ())
    given(model, "x", INT, ("len",))
    assert lowered(model, **{"len": 6, "len.value": 6}).macs == 6 * 8


@pytest.mark.parametrize(
    ("bindings", "words"),
    [
        ({"seq": -1}, "seq=-1 is no size"),
        ({"seq": 2.5}, "seq=2.5 is no size"),
        ({"seq": (1, 2)}, "seq=1,2 is no size"),
        ({"batch": 0}, "below 1"),
        ({"w": 3}, "'w' is stored"),
        ({"x": 3}, "bind its sizes"),
        ({"sequence": 3}, "bind one of: batch, res, batch_size, seq, x"),
        ({"y.0": 9}, "does not fit 'y'"),
    ],
)
def test_bad_bindings(bindings: dict[str, Any], words: str) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = graph([node], {"x": ("batch_size", "seq", 64)}, ["y"], {"w": weight(64, 3)})
    assert words in refusal(model, **bindings)


def test_python_takes_numbers_and_tuples(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = graph([node], {"x": ("n", 4)}, ["y"], {"w": weight(4, 3)})
    assert load(model, tmp_path, n=2).macs == 24
    for bad in ("3", (), None):
        with pytest.raises(InputError, match="not a number"):
            load_model(tmp_path / "net.onnx", unknown_ops="error", n=bad)  # type: ignore[arg-type]


def test_python_takes_truth_values(tmp_path: Path) -> None:
    """As the command line does: ``use_cache=true`` is the number 1."""
    branches = {
        name: helper.make_graph(
            [helper.make_node("MatMul", ["x", name], [f"y_{name}"])],
            name,
            [],
            [helper.make_tensor_value_info(f"y_{name}", TensorProto.FLOAT, None)],
        )
        for name in ("narrow", "wide")
    }
    node = helper.make_node(
        "If", ["c"], ["y"], then_branch=branches["narrow"], else_branch=branches["wide"]
    )
    stored = {"narrow": weight(4, 3), "wide": weight(4, 9)}
    model = graph([node], {"x": (2, 4)}, ["y"], stored)
    given(model, "c", BOOL, ())
    assert load(model, tmp_path, c=True).macs == 2 * 4 * 3
    assert load(model, tmp_path, c=False).macs == 2 * 4 * 9
    told = load(model, tmp_path, c=True)
    assert told.digest == load_model(f"{tmp_path / 'net.onnx'}@c=true").digest


def test_a_batch_that_is_bound_by_its_symbol_as_well() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = graph([node], {"x": ("n", 64)}, ["y"], {"w": weight(64, 3)})
    assert "batch=4 sets nothing: its axis is bound by n=2" in refusal(model, batch=4, n=2)
    assert lowered(model, batch=4, n=4).macs == 4 * 64 * 3


def test_a_symbol_of_the_results_names_their_length() -> None:
    """Detectors name the number of boxes on the output alone."""
    nodes = [
        helper.make_node("Compress", ["x", "keep"], ["y"], axis=0, name="keeps"),
    ]
    model = graph(nodes, {"x": (9, 4)}, ["y"], opset=17)
    given(model, "keep", BOOL, (9,))
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["kept", 4])
    )
    (layer,) = lowered(model, kept=3).layers
    assert layer.o_elements == 3 * 4


def test_stored_defaults_of_inputs_can_be_bound() -> None:
    """Old files list stored tensors as inputs."""
    node = helper.make_node("TopK", ["x", "k"], ["v", "i"])
    model = graph([node], {"x": (50,)}, ["v"], opset=13)
    given(model, "k", INT, (1,))
    model.graph.initializer.append(numpy_helper.from_array(np.array([10]), "k"))
    assert lowered(model, k=20).layers[0].o_elements in (20, 40)
