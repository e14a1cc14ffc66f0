"""Leaving weights out of a file before it is parsed.

An ONNX file is a protocol buffer: fields of a tag (number and wire type) and a value
(protobuf.dev/programming-guides/encoding). Walking over the fields costs nothing, so the data of
large stored tensors are dropped without ever being copied.
"""

from __future__ import annotations

#: Field numbers of onnx.proto: ModelProto.graph, GraphProto.initializer, and in TensorProto
#: float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data.
_GRAPH, _INITIALIZER = 7, 5
_DATA = frozenset({4, 5, 6, 7, 9, 10, 11})
#: Wire types: variable-length integer, 8 bytes, length and bytes, 4 bytes.
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
#: Files up to this size, and stored tensors up to this size, are left as they are (bytes).
SMALL_FILE, SMALL_TENSOR = 1 << 20, 1 << 16
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
