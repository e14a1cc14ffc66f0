"""Element types of operands: which of those that a schema forbids are harmless."""

from __future__ import annotations

import re

import onnx
from onnx import shape_inference

from dse.errors import InputError
from dse.workload.graph import Node
from dse.workload.guard import infer

#: What onnx says of an operand whose element type its operator does not take.
_WRONG_TYPE = re.compile(
    r"node name: (?P<node>.*?)\): (?P<what>.*?"
    r"(?P<how>inconsistent|unsupported) type:? tensor\((?P<type>\w+)\).*)"
)
#: Element types in which networks calculate; and those that a forbidden one may be as well.
_CALCULATED = re.compile(r"b?float(16|32)?|double|float\d+e\d+m\d+(fn)?(uz)?|u?int(2|4|8|16)")
_COUNTED = re.compile(r"u?int(32|64)|bool")


def typed(
    model: onnx.ModelProto, nodes: tuple[Node, ...], file: str, *, check: bool
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """``model`` with the shapes and types that onnx infers.

    A type that an operator's schema forbids, though one can calculate in it (an integer Conv,
    bfloat16 before its opset), is a remark; types are then no longer checked.

    Raises:
        InputError: an operand of a wrong type: text, or two that do not go together; or onnx
            needs more memory or time than the limits allow.
        InferenceError, RuntimeError, ValueError: onnx found another fault.
    """
    try:
        return infer(model, file, check=check), ()
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        wrong = _WRONG_TYPE.search(" ".join(str(error).split()))
        node = wrong and next((n for n in nodes if n.name == wrong["node"]), None)
        if not check or wrong is None or node is None:
            raise
        kind, what = wrong["type"], wrong["what"][:150]
        allowed = _CALCULATED.fullmatch(kind) or (
            wrong["how"] == "unsupported" and _COUNTED.fullmatch(kind)
        )
        if not allowed:
            raise InputError(
                f"an operand is of the wrong type ({what})",
                file=file,
                field=f"node {node.name!r} ({node.op})",
                mend="the graph is invalid: export it again",
            ) from None
    found = infer(model, file, check=False)
    return found, (f"node {node.name!r} ({node.op}) takes no {kind} by its definition",)
