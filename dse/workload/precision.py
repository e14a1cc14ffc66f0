"""Number formats, and the precision of a model by tensor class.

A precision is written as a word, ``w4a8`` or ``w4a8-kv4-acc24-ends8-qat``, or by settings,
``w=4,a=8,kv=4,acc=24,first_last=8,method=qat``. Both forms mean the same everywhere: behind ``@``
in the name of a model, in ``--precision``, in an app and in an experiment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from dse.errors import InputError
from dse.files import nearest

#: Bits of every number format that can be asked for.
FORMAT_BITS = {
    **{f"int{bits}": bits for bits in range(2, 17)},
    "int32": 32,
    "fp4": 4,
    "fp8": 8,
    "fp16": 16,
    "bf16": 16,
    "fp32": 32,
}
#: Bits of those and of the ones that only a file brings: one bit (a sign), floats of odd widths.
STORED_BITS = {
    "int1": 1,
    **{f"fp{bits}": bits for bits in range(2, 16)},
    **FORMAT_BITS,
}
#: Settings that make up a precision: whole, by tensor class, of the ends of a network, and how.
KEYS = ("precision", "w", "a", "kv", "acc", "first_last", "method")
#: Those of them that leave weights and activations as they are.
REFINING = ("kv", "acc", "first_last")
#: Widths of partial sums, bit.
ACCUMULATORS = (8, 64)

Method = Literal["ptq", "qat", "float"]
_WORD = "int8, w4a8, w8a16, w4afp16, int4, int16, fp16, bf16, fp8, fp4 or fp32"


def bits_of(number_format: str) -> int:
    """Bits of one value of ``number_format``; InputError if it is unknown."""
    try:
        return STORED_BITS[number_format]
    except KeyError:
        raise InputError(
            f"unknown number format {number_format!r}",
            field="precision",
            mend="use int2 to int16, int32, fp4, fp8, fp16, bf16 or fp32",
        ) from None


@dataclass(frozen=True, slots=True)
class Precision:
    """Formats by tensor class, and how they were reached.

    Attributes:
        weights, activations: formats of stored operands and of what layers write.
        acc: bits of partial sums if chosen, else :attr:`accumulator_bits` follows the operands.
        kv: format of the KV cache if chosen, else that of activations.
        ends: format of weights and inputs of the first and the last layers with weights (or tables)
            and of the results, if chosen: the usual exception of networks at 4 bit and below.
        method: ``ptq`` (post-training quantization), ``qat`` (quantization-aware training) or
            ``float``.
    """

    weights: str = "int8"
    activations: str = "int8"
    acc: int | None = None
    kv: str | None = None
    method: Method = "ptq"
    ends: str | None = None

    @property
    def kv_format(self) -> str:
        return self.kv or self.activations

    @property
    def accumulator_bits(self) -> int:
        """Bits of partial sums: 32 up to 8-bit operands and in floating point, else 48."""
        return self.acc or accumulator_bits(self.weights, self.activations)

    @property
    def name(self) -> str:
        """Canonical name, read back by :func:`parse_precision` (but for formats of files alone)."""
        parts = [base_name(self.weights, self.activations)]
        parts += [f"kv{_short(self.kv)}"] if self.kv else []
        parts += [f"acc{self.acc}"] if self.acc else []
        parts += [f"ends{_short(self.ends)}"] if self.ends else []
        parts += ["qat"] if self.method == "qat" else []
        return "-".join(parts)


def base_name(weights: str, activations: str) -> str:
    """The pair of formats as a word: ``w4a8``, ``w4afp16``, ``fp16``."""
    if weights == activations and not weights.startswith("int"):
        return weights
    return f"w{_short(weights)}a{_short(activations)}"


def accumulator_bits(weights: str, activations: str) -> int:
    """Bits that sums of products of these formats take if nothing else is said."""
    whole = weights.startswith("int") and activations.startswith("int")
    return 48 if whole and max(bits_of(weights), bits_of(activations)) > 8 else 32


def _short(number_format: str) -> str:
    return number_format.removeprefix("int")


_PAIR = re.compile(r"w(?P<w>\d+|fp4|fp8|fp16|bf16|fp32)a(?P<a>\d+|fp4|fp8|fp16|bf16|fp32)")
_OPTION = re.compile(r"(?P<key>kv|acc|ends)(?P<value>\w+)")


def parse_precision(text: str) -> Precision:
    """The precision called ``text``, in either form.

    Raises:
        InputError: unknown name, format, width or method; the error lists the forms.
    """
    if "=" in text:
        return _by_settings(text)
    base, *options = text.strip().lower().split("-")
    if base in FORMAT_BITS:
        weights = activations = base
    elif match := _PAIR.fullmatch(base):
        weights, activations = (_long(match[key]) for key in "wa")
    else:
        weights = activations = ""
    settings: dict[str, str] = {}
    for option in options:
        if option in ("ptq", "qat"):
            settings["method"] = option
        elif match := _OPTION.fullmatch(option):
            settings[{"ends": "first_last"}.get(match["key"], match["key"])] = match["value"]
        else:
            weights = ""
    if weights not in FORMAT_BITS or activations not in FORMAT_BITS:
        raise InputError(
            f"unknown precision {text!r}",
            field="precision",
            mend=f"use {_WORD}, with -kv4, -acc24, -ends8 or -qat behind it where wanted, or "
            "settings such as w=4,a=8,kv=4",
        )
    method: Method = "ptq" if weights.startswith("int") else "float"
    plain = Precision(weights, activations, method=method)
    return refined(_trained(plain, settings.get("method", "")), settings)


def _by_settings(text: str) -> Precision:
    settings: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (item.strip() for item in part.partition("="))
        if not equals or not value or key not in KEYS or key in settings:
            raise InputError(
                f"cannot read {part.strip()!r}",
                field="precision",
                mend=f"write settings such as w=4,a=8,kv=4 of: {', '.join(KEYS)}"
                + nearest(key, list(KEYS)),
            )
        settings[key] = value
    return refined(written(settings) or Precision(), settings)


def written(settings: Mapping[str, str]) -> Precision | None:
    """What ``precision``, ``w``, ``a`` and ``method`` say, or None if none of them is there.

    ``w`` and ``a`` replace those of ``precision``. Without one, weights are at 8 bit, and
    activations in the format of the weights, but not below 8 bit.

    Raises:
        InputError: unknown format or method.
    """
    if not any(key in settings for key in ("precision", "w", "a", "method")):
        return None
    base = parse_precision(settings["precision"]) if "precision" in settings else None
    weights = _format(settings["w"], "w") if "w" in settings else base and base.weights
    weights = weights or "int8"
    if "a" in settings:
        activations = _format(settings["a"], "a")
    elif base is not None:
        activations = base.activations
    else:
        narrow = weights.startswith("int") and bits_of(weights) <= 8
        activations = "int8" if narrow else weights
    method: Method = "ptq" if weights.startswith("int") else "float"
    if base is not None and base.method == "qat" and method == "ptq":
        method = "qat"
    found = replace(base or Precision(), weights=weights, activations=activations, method=method)
    return _trained(found, settings.get("method", ""))


def _trained(precision: Precision, method: str) -> Precision:
    if method not in ("", "ptq", "qat"):
        raise InputError(f"unknown method {method!r}", field="method", mend="use ptq or qat")
    if method and precision.method == "float":
        raise InputError(
            f"{precision.weights} weights are not quantized, so there is no {method}",
            field="method",
            mend="leave the method out, or give integer weights",
        )
    if method == "qat":
        return replace(precision, method="qat")
    return replace(precision, method="ptq") if method else precision


def refined(precision: Precision, settings: Mapping[str, str]) -> Precision:
    """``precision`` with what ``kv``, ``acc`` and ``first_last`` say of what it leaves open.

    Raises:
        InputError: unknown format, or a width of partial sums that is none.
    """
    kv, acc, ends = precision.kv, precision.acc, precision.ends
    if "kv" in settings and kv is None:
        kv = _format(settings["kv"], "kv")
    if "first_last" in settings and ends is None:
        ends = _format(settings["first_last"], "first_last")
    if "acc" in settings and acc is None:
        text = settings["acc"]
        acc = int(text) if text.isdigit() else 0
        low, high = ACCUMULATORS
        if not low <= acc <= high:
            raise InputError(
                f"acc={text} is no width of partial sums",
                field="acc",
                mend=f"give bits from {low} to {high}, such as 32",
            )
    return replace(precision, kv=kv, acc=acc, ends=ends)


def _long(text: str) -> str:
    return f"int{text}" if text.isdigit() else text


def _format(text: str, key: str) -> str:
    name = _long(text)
    if name not in FORMAT_BITS:
        raise InputError(
            f"{key}={text} is no number format",
            field=key,
            mend="use bits from 2 to 16 for integers, or fp4, fp8, fp16, bf16, fp32",
        )
    return name
