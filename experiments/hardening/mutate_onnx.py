"""Damaged networks by the thousand: each is read right, or refused in one line, within limits.

Run ``python experiments/hardening/mutate_onnx.py [--count 10000] [--seed 1] [--keep FOLDER]``.
Small shipped networks and graphs made by hand (loops, branches, functions, shapes computed from
shapes) are changed in their bytes or in their fields, and read in a process apart (every 20th is
simulated as well) that may take 10 s of processor time and 1 GB more than it has. The
counts of what came of them are printed; the exit code is 1 if anything was neither read nor
refused. Works where there is ``fork`` (Linux, macOS; macOS does not limit memory).
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from harness import arguments, end, judged, report
from onnx import TensorProto, helper, numpy_helper

from dse import load_chip, simulate
from dse.errors import DseError, InputError
from dse.workload import Workload, list_models
from dse.workload.load import lower_bytes

#: The small networks that are mutated, and the chip that simulates them.
SHIPPED = ("resnet8", "dscnn_kws", "ad_autoencoder", "hand_graph", "mobilenetv1_w0.25")
CHIP = "wearable_npu"
#: What may come of a file.
GOOD = ("read", "refused", "simulated")
NUMBERS = (-(1 << 63), -5, -1, 0, 1, 2, 3, 7, 64, 4097, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1)
OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "Gather", "Reshape", "Expand", "Tile"),
    *("Resize", "Slice", "Split", "Unsqueeze", "Squeeze", "Range", "OneHot", "ConstantOfShape"),
    *("If", "Loop", "Scan", "LSTM", "Einsum", "Shape", "Where", "Cast", "Transpose", "TopK"),
    *("MaxPool", "DepthToSpace", "ReduceSum", "Attention", "NonZero", "GatherND", "Flatten", "Pad"),
)


def main() -> None:
    parser = arguments(__doc__, 10_000)
    parser.add_argument("--simulate-every", type=int, default=20, help="0: none")
    parser.add_argument("--keep", type=Path, help="folder for files that were neither")
    chosen = parser.parse_args()
    if chosen.simulate_every:  # the kernels are compiled once, in front of all children
        _simulated(lower_bytes(seed_files()[0], "net.onnx").at("w8a8"))

    def keep(index: int, case: Case) -> None:
        if chosen.keep:
            chosen.keep.mkdir(parents=True, exist_ok=True)
            (chosen.keep / f"{chosen.seed}_{index}.onnx").write_bytes(case.data)

    some = cases(chosen.count, chosen.seed, chosen.simulate_every)
    end(report(judged(some, read, GOOD), GOOD, keep), GOOD)


class Case(NamedTuple):
    """A damaged network, and whether it is simulated besides being read."""

    data: bytes
    simulated: bool


def cases(count: int, seed: int, simulate_every: int) -> Iterator[tuple[int, Case]]:
    """Mutated files with their numbers; each depends on its number and the seed alone."""
    seeds = seed_files()
    for index in range(count):
        rng = random.Random(f"{seed}:{index}")
        data = rng.choice(seeds)
        change = mutated_bytes if rng.random() < 0.3 else mutated_fields
        played = bool(simulate_every) and index % simulate_every == 0
        yield index, Case(change(data, rng), played)


def seed_files() -> list[bytes]:
    """What is mutated."""
    files = [info.file.read_bytes() for info in list_models() if info.name in SHIPPED]
    return files + [model.SerializeToString() for model in handmade()]


def read(case: Case) -> tuple[str, str]:
    """Reads (and simulates); what is no error of ours is raised."""
    warnings.simplefilter("ignore")
    try:
        model = lower_bytes(case.data, "net.onnx")
        workload = model.at("w8a8")
        if not case.simulated:
            return "read", f"{workload.macs} MACs"
        _simulated(workload)
    except InputError as error:
        line = str(error)
        well = line.isprintable() and error.mend and len(line) < 10_000
        return ("refused" if well else "unclear"), line
    except DseError as error:
        return "simulated", f"refused by the mapper: {error}"
    return "simulated", "ok"


def _simulated(workload: Workload) -> None:
    simulate(workload, load_chip(CHIP))


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """``data`` with a few bytes changed, dropped, put in or copied."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place, kind = rng.randrange(len(out)), rng.random()
        if kind < 0.6:
            flipped = out[place] ^ 1 << rng.randrange(8)
            out[place] = rng.choice((0, 255, rng.randrange(256), flipped))
        elif kind < 0.7:
            del out[place : place + rng.randrange(1, 9)]
        elif kind < 0.8:
            out[place:place] = rng.randbytes(rng.randrange(1, 5))
        else:
            source = rng.randrange(len(out))
            out[place : place + 8] = out[source : source + 8]
        out = out or bytearray(b"x")
    return bytes(out)


def mutated_fields(data: bytes, rng: random.Random) -> bytes:
    """A valid protocol buffer with other sizes, attributes, operators, names and edges."""
    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        graph: Any = rng.choice(list(_graphs(model)))
        if graph.node:
            rng.choice(_CHANGES)(graph, rng.choice(graph.node), rng)
    changed: bytes = model.SerializeToString()
    return changed


def _graphs(model: onnx.ModelProto) -> Iterator[Any]:
    waiting: list[Any] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]


def _names(graph: Any) -> list[str]:
    stored = [t.name for t in graph.initializer] if isinstance(graph, onnx.GraphProto) else []
    return ["", *stored, *(name for node in graph.node for name in (*node.input, *node.output))]


def _attribute(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    for attribute in node.attribute:
        if rng.random() < 0.5:
            attribute.i = rng.choice(NUMBERS)
            attribute.ints[:] = [rng.choice(NUMBERS) for _ in attribute.ints]


def _attributes(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    if node.attribute and rng.random() < 0.5:
        del node.attribute[rng.randrange(len(node.attribute))]
    else:
        name = rng.choice(("axis", "axes", "equation", "group", "to", "perm", "kernel_shape"))
        value = rng.choice((rng.choice(NUMBERS), [rng.choice(NUMBERS)] * 3, "......ii,...->i"))
        node.attribute.append(helper.make_attribute(name, value))


def _edge(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    names = node.output if node.output and rng.random() < 0.2 else node.input
    if names:
        names[rng.randrange(len(names))] = rng.choice(_names(graph))


def _operands(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    if node.input and rng.random() < 0.5:
        del node.input[rng.randrange(len(node.input))]
    else:
        node.input.append(rng.choice(_names(graph)))


def _operator(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    node.op_type = rng.choice(OPERATORS)
    node.domain = rng.choice(("", "", "com.microsoft", "f"))


def _stored(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    tensors = list(graph.initializer) if isinstance(graph, onnx.GraphProto) else []
    tensors += [a.t for n in graph.node for a in n.attribute if a.HasField("t")]
    if not tensors:
        return
    tensor = rng.choice(tensors)
    if rng.random() < 0.5:
        tensor.dims[:] = [rng.choice(NUMBERS) for _ in range(rng.randrange(5))]
    elif rng.random() < 0.5:
        tensor.data_type = rng.randrange(25)
    else:
        numbers = [rng.choice(NUMBERS) for _ in range(rng.randrange(1, 5))]
        tensor.CopyFrom(numpy_helper.from_array(np.array(numbers, np.int64), tensor.name))


def _declared(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    if not isinstance(graph, onnx.GraphProto):
        return
    values = [*graph.input, *graph.output, *graph.value_info]
    if values:
        kind = rng.choice(values).type.tensor_type
        if rng.random() < 0.3:
            kind.elem_type = rng.randrange(25)
        for dim in kind.shape.dim:
            if rng.random() < 0.5:
                dim.dim_value = rng.choice(NUMBERS)


def _copies(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    """A node many times over, each reading what the one before it writes, twice."""
    if not node.input or not node.output:
        return
    last = node.output[0]
    for index in range(rng.choice((2, 40, 400))):
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        copy.input[0] = last
        if len(copy.input) > 1 and rng.random() < 0.7:
            copy.input[1] = last
        last = f"{node.output[0]}_{index}"
        copy.output[0], copy.name = last, ""
        del copy.output[1:]
        graph.node.append(copy)
    if isinstance(graph, onnx.GraphProto) and graph.output:
        graph.output[0].name = last
        graph.output[0].ClearField("type")


def _order(graph: Any, node: onnx.NodeProto, rng: random.Random) -> None:
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in graph.node]
    rng.shuffle(nodes)
    del graph.node[:]
    graph.node.extend(nodes)


_CHANGES = (
    *(_attribute, _attributes, _edge, _operands, _operator, _stored, _declared, _copies),
    _order,
)


def _value(name: str, shape: list[int] | None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes: list[onnx.NodeProto], stored: dict[str, Any], *functions: Any) -> onnx.ModelProto:
    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "net", [_value("x", [4, 4])], [_value("y", None)], kept)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=10)


def handmade() -> list[onnx.ModelProto]:
    """Small graphs of what is most easily blown up."""
    node = helper.make_node
    carried = [_value("i", [], TensorProto.INT64), _value("c", [], TensorProto.BOOL)]
    body = helper.make_graph(
        [node("MatMul", ["v", "w"], ["u"]), node("Identity", ["c"], ["d"])],
        "body",
        [*carried, _value("v", [4, 4])],
        [_value("d", [], TensorProto.BOOL), _value("u", [4, 4])],
    )
    branches = {
        name: helper.make_graph([node(op, ["x"], ["o"])], name, [], [_value("o", [4, 4])])
        for name, op in (("then_branch", "Relu"), ("else_branch", "Abs"))
    }
    shapes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["g"]),
        node("Unsqueeze", ["g", "first"], ["n"]),
        node("Concat", ["n", "rest"], ["t"], axis=0),
        node("ConstantOfShape", ["t"], ["f"]),
        node("Reshape", ["x", "t"], ["r"]),
        node("Add", ["r", "f"], ["y"]),
    ]
    inner = helper.make_function(
        "f", "Inner", ["a"], ["b"], [node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    calls = [node("Inner", ["a"], ["m"], domain="f"), node("Inner", ["m"], ["b"], domain="f")]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    outer = helper.make_function("f", "Outer", ["a"], ["b"], calls, imports)
    number, weights = np.int64, np.ones((4, 4), np.float32)
    return [
        _model(
            [node("Loop", ["m", "t", "x"], ["y"], name="walk", body=body)],
            {"m": number(3), "t": np.array(True), "w": weights},
        ),
        _model([node("If", ["k"], ["y"], **branches)], {"k": np.array(True)}),
        _model(shapes, {"zero": number(0), "first": np.array([0]), "rest": np.array([-1])}),
        _model([node("Outer", ["x"], ["y"], domain="f")], {}, inner, outer),
        _model([node("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik")], {"w": weights}),
        _model([node("Tile", ["x", "k"], ["y"])], {"k": np.array([2, 3])}),
        _model([node("Pad", ["x", "k"], ["y"])], {"k": np.array([0, 1, 1, 0])}),
    ]


if __name__ == "__main__":
    main()
