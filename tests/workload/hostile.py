"""Files that would take all memory or never end, and how they are refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dse.errors import InputError
from dse.workload.load import lower_bytes

node = helper.make_node


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def value(name: str, shape: list[int] | None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def refusal(data: bytes | onnx.ModelProto) -> InputError:
    """The one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        lower_bytes(data if isinstance(data, bytes) else data.SerializeToString(), "net.onnx")
    line = str(caught.value)
    assert line.startswith("net.onnx: ")
    assert line.isprintable()
    assert caught.value.mend
    assert len(line) < 1000
    return caught.value


def macs(model: onnx.ModelProto) -> int:
    return lower_bytes(model.SerializeToString(), "net.onnx").macs


def chain(op: str, count: int, **attributes: Any) -> list[onnx.NodeProto]:
    """``count`` nodes, each reading the one before it; the last writes ``y``."""
    names = ["x", *(f"t{i}" for i in range(1, count)), "y"]
    return [
        node(op, [a], [b], name=f"n{i}", **attributes) for i, (a, b) in enumerate(pairwise(names))
    ]


def doubled(op: str, count: int, name: str, **attributes: Any) -> list[onnx.NodeProto]:
    """``count`` nodes, each reading twice what the one before it writes; the last writes ``k``."""
    names = [name, *(f"d{i}" for i in range(1, count)), "k"]
    return [
        node(op, [a, a], [b], name=f"n{i}", **attributes)
        for i, (a, b) in enumerate(pairwise(names))
    ]


def field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer."""
    length, out = len(content), b""
    while length > 127:
        length, out = length >> 7, out + bytes([length & 127 | 128])
    head = number << 3 | 2
    tag = bytes([head]) if head < 128 else bytes([head & 127 | 128, head >> 7])
    return tag + out + bytes([length]) + content


def raw_model(content: bytes) -> bytes:
    return b"\x08\x0a" + field(7, content)


RELU = field(1, field(1, b"x") + field(2, b"y") + field(4, b"Relu"))


#: A node that takes ``k`` for the shape of its result, and a 1 to fill tensors with.
RESHAPED = node("Reshape", ["x", "k"], ["y"], name="last")
ONE = numpy_helper.from_array(ints(1))
