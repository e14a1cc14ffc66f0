"""Turning command-line text into values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dse.errors import InputError

if TYPE_CHECKING:
    from dse.api.options import Binding, Value


def settings(pairs: Sequence[str]) -> dict[str, Value]:
    """``["chip.array.rows=32"]`` as a mapping.

    Raises:
        InputError: a pair without ``=``.
    """
    out: dict[str, Value] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals or not path or not text:
            raise InputError(f"cannot read {pair!r}", field="--set", mend="write path=value")
        out[path.strip()] = value(text.strip())
    return out


def value(text: str) -> Value:
    """Number, truth value, null or text, as in YAML: ``none`` is a word that settings have."""
    lowered = text.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("null", "~"):
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def bindings(pairs: Sequence[str]) -> dict[str, Binding]:
    """``["batch=1,seq=256", "shape=1,3,224,224"]`` as a mapping of names to numbers.

    A number without a name belongs to the name in front of it.

    Raises:
        InputError: not ``name=number``, or a name twice.
    """
    if not pairs:
        return {}
    from dse.api.options import read_binding

    texts: dict[str, str] = {}
    for pair in pairs:
        name = ""
        for item in pair.split(","):
            before, equals, text = item.rpartition("=")
            if equals:
                name = before.strip()
                if name in texts:
                    raise InputError(f"{name!r} is bound twice", field="--bind", mend="keep one")
                if name in ("path_or_name", "unknown_ops"):  # they are parameters of load_model
                    mend = "bind it by its place, such as x.0=4"
                    raise InputError(f"{name!r} cannot be bound", field="--bind", mend=mend)
            found = read_binding(text if equals else item)
            if found is None or not name:
                raise InputError(
                    f"cannot read {item!r}"[:200],
                    field="--bind",
                    mend="write name=number, such as batch=1, sr=16000 or shape=1,3,224,224",
                )
            texts[name] = text if equals else f"{texts[name]},{item}"
    return {name: _number(text) for name, text in texts.items()}


def _number(text: str) -> Binding:
    from dse.api.options import read_binding

    found = read_binding(text)
    assert found is not None  # each part of it was read before
    return found
