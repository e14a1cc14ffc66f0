"""Number formats and the precision of a model, by tensor class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dse.errors import InputError

#: Bits of every number format the package knows.
FORMAT_BITS = {
    "int2": 2,
    "int4": 4,
    "int8": 8,
    "int16": 16,
    "int32": 32,
    "fp8": 8,
    "fp16": 16,
    "bf16": 16,
    "fp32": 32,
}

Method = Literal["ptq", "qat", "float"]


def bits_of(number_format: str) -> int:
    """Bits of one value of ``number_format``; InputError if it is unknown."""
    try:
        return FORMAT_BITS[number_format]
    except KeyError:
        raise InputError(
            f"unknown number format {number_format!r}",
            field="precision",
            mend=f"use one of: {', '.join(FORMAT_BITS)}",
        ) from None


@dataclass(frozen=True, slots=True)
class Precision:
    """Formats of weights, activations, partial sums and KV cache, and how they were reached.

    ``method`` is ``ptq`` (post-training quantization), ``qat`` (quantization-aware training) or
    ``float``. Written ``w8a8``, ``w4a8``, ``w8a16``, ``int8`` (= w8a8), ``int4``, ``int16``,
    ``fp16``, ``bf16``, ``fp8``, ``fp32``, with ``-qat`` behind it where it applies.
    """

    weights: str = "int8"
    activations: str = "int8"
    accumulator_bits: int = 32
    kv: str | None = None
    method: Method = "ptq"

    @property
    def kv_format(self) -> str:
        return self.kv or self.activations

    @property
    def name(self) -> str:
        """Canonical name, read back by :func:`parse_precision`."""
        if self.weights == self.activations and not self.weights.startswith("int"):
            base = self.weights
        else:
            base = f"w{_short(self.weights)}a{_short(self.activations)}"
        return f"{base}-qat" if self.method == "qat" else base


def _short(number_format: str) -> str:
    return number_format.removeprefix("int")


def _long(text: str) -> str:
    return f"int{text}" if text.isdigit() else text


_PAIR = re.compile(r"w(?P<w>\d+|fp8|fp16|bf16)a(?P<a>\d+|fp8|fp16|bf16)")


def parse_precision(text: str) -> Precision:
    """The precision called ``text``.

    Raises:
        InputError: unknown name; the error lists the forms.
    """
    base, _, method = text.strip().lower().partition("-")
    if base in FORMAT_BITS:
        weights = activations = base
    elif match := _PAIR.fullmatch(base):
        weights, activations = _long(match["w"]), _long(match["a"])
    else:
        weights = activations = ""
    known = weights in FORMAT_BITS and activations in FORMAT_BITS
    if not known or method not in ("", "ptq", "qat"):
        raise InputError(
            f"unknown precision {text!r}",
            field="precision",
            mend="use int8, w4a8, w8a16, int4, int16, fp16, bf16, fp8 or fp32, "
            "with -qat behind it for quantization-aware training",
        )
    integer = weights.startswith("int")
    how: Method = "qat" if method == "qat" else ("ptq" if integer else "float")
    wide = max(bits_of(weights), bits_of(activations))
    return Precision(weights, activations, 32 if wide <= 8 else 48 if integer else 32, None, how)
