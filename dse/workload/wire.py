"""Leaving weights out of a file before it is parsed.

An ONNX file is a protocol buffer: fields of a tag (number and wire type) and a value
(protobuf.dev/programming-guides/encoding). Walking over the fields costs nothing, so the data of
large stored tensors are dropped without ever being copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dse.workload.limits import LIMITS

#: Field numbers of onnx.proto: ModelProto.graph, GraphProto.initializer, and in TensorProto
#: float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data.
_GRAPH, _INITIALIZER = 7, 5
_DATA = frozenset({4, 5, 6, 7, 9, 10, 11})
#: Wire types: variable-length integer, 8 bytes, length and bytes, 4 bytes.
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
#: Files up to this size, and stored tensors up to this size, are left as they are (bytes).
SMALL_FILE, SMALL_TENSOR = 1 << 20, 1 << 16
#: Only files of which more than this is left without weights are measured (bytes).
SMALL_REST = 4 << 20
#: Messages inside each other that the parser takes.
NESTED = 100
#: Bytes of memory of a message and of a text, besides what is in it.
_MESSAGE, _TEXT = 256, 32
#: Types of fields (FieldDescriptor.TYPE_INT64, UINT64, INT32, UINT32, ENUM) whose numbers take up
#: to eight bytes of memory for one of the file.
_VARINTS = (3, 4, 5, 13, 14)
#: A message with more fields than this is left to the parser.
MOST_FIELDS = 200_000


def without_weights(data: bytes) -> bytes:
    """``data`` without the contents of its large stored tensors.

    What is no protocol buffer comes back unchanged, for the parser to refuse.
    """
    if len(data) <= SMALL_FILE:
        return data
    try:
        return b"".join(_kept(memoryview(data), (_GRAPH, _INITIALIZER)))
    except (IndexError, ValueError):
        return data


def _kept(message: memoryview, path: tuple[int, ...]) -> list[memoryview | bytes]:
    """The fields of a message, with large tensors at the end of ``path`` cut down."""
    pieces: list[memoryview | bytes] = []
    place = 0
    while place < len(message):
        start = place
        tag, place = _varint(message, place)
        if tag < 8 or len(pieces) > MOST_FIELDS:
            raise ValueError("no message of ours")
        place, inner = _value(message, place, tag & 7)
        number = tag >> 3
        if not path:
            if number not in _DATA:
                pieces.append(message[start:place])
        elif number == path[0] and inner is not None and len(inner) > SMALL_TENSOR:
            body = _kept(inner, path[1:])
            pieces.append(_number(tag) + _number(sum(map(len, body))))
            pieces.extend(body)
        else:
            pieces.append(message[start:place])
    return pieces


def _value(message: memoryview, place: int, wire: int) -> tuple[int, memoryview | None]:
    """Where the value at ``place`` ends, and its bytes if it has a length."""
    if wire == _VARINT:
        return _varint(message, place)[1], None
    if wire == _BYTES:
        length, place = _varint(message, place)
        end, inner = place + length, message[place : place + length]
    elif wire in (_EIGHT, _FOUR):
        end, inner = place + (8 if wire == _EIGHT else 4), None
    else:
        raise ValueError("no such wire type")
    if end > len(message):
        raise ValueError("cut short")
    return end, inner


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("too long a number")


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def measured(data: bytes, descriptor: Any) -> tuple[int, int]:
    """Bytes of memory that a message takes once it is parsed, and how deep messages lie in it.

    Stops as soon as one of them, or the number of fields, is beyond what is read; then the bytes
    are more than ``LIMITS.parsed``. What is no protocol buffer is left to the parser.

    Args:
        data: a message.
        descriptor: its type, as ``onnx.ModelProto.DESCRIPTOR``.
    """
    size = fields = deepest = 0
    kinds: dict[str, Mapping[int, Any]] = {}
    waiting = [(memoryview(data), descriptor, 1)]
    while waiting:
        message, kind, depth = waiting.pop()
        deepest = max(deepest, depth)
        inner_kinds = kinds.get(kind.full_name)
        if inner_kinds is None:
            inner_kinds = kinds[kind.full_name] = _contents(kind)
        place = 0
        while place < len(message):
            fields += 1
            if size > LIMITS.parsed or fields > LIMITS.fields or depth > NESTED:
                return LIMITS.parsed + 1, deepest
            try:
                tag = message[place]
                place += 1
                if tag > 127:
                    tag, place = _varint(message, place - 1)
                place, inner = _value(message, place, tag & 7)
            except (IndexError, ValueError):
                break
            if tag < 8 and fields == 1:
                return 0, 0  # the parser stops here, too
            if inner is None:
                continue
            found = inner_kinds.get(tag >> 3, 1)
            if isinstance(found, int):
                size += len(inner) * found + _TEXT
            else:
                size += _MESSAGE
                if inner:
                    waiting.append((inner, found, depth + 1))
    return size, deepest


def _contents(kind: Any) -> Mapping[int, Any]:
    """By field number: the type of the messages in it, or bytes of memory for one of the file."""
    packed = dict.fromkeys(_VARINTS, 8)
    return {field.number: field.message_type or packed.get(field.type, 1) for field in kind.fields}
