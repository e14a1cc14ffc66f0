"""Turning command-line text into values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.errors import InputError
from dse.files import is_file

if TYPE_CHECKING:
    from dse.evaluation.design import Value
    from dse.workload.layer import Binding

#: Each draw evaluates the design again: beyond this the quantiles no longer move.
MOST_DRAWS = 10_000


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
    from dse.workload.load import parse_binding

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
            found = parse_binding(text if equals else item)
            if found is None or not name:
                raise InputError(
                    f"cannot read {item!r}"[:200],
                    field="--bind",
                    mend="write name=number, such as batch=1, sr=16000 or shape=1,3,224,224",
                )
            texts[name] = text if equals else f"{texts[name]},{item}"
    return {name: _number(text) for name, text in texts.items()}


def _number(text: str) -> Binding:
    from dse.workload.load import parse_binding

    found = parse_binding(text)
    assert found is not None  # each part of it was read before
    return found


def draws(count: int | None) -> None:
    """Check a number of draws of the technology facts; None is none.

    Raises:
        InputError: fewer than two, or more than anybody waits for.
    """
    if count is not None and not 2 <= count <= MOST_DRAWS:
        raise InputError(
            f"{count:,} draws",
            field="--uncertainty",
            mend=f"give 2 to {MOST_DRAWS:,}; 32 is usual",
        )


def has_settings(name: str) -> bool:
    """Whether ``name`` is a model's with settings behind ``@`` (which may name files too)."""
    return "@" in name and not is_file(name)


def is_app(name: str) -> bool:
    """Whether ``name`` means an app (a shipped one or a YAML file) rather than a model."""
    from dse.files import shipped_folder

    if has_settings(name):
        return False
    if Path(name).suffix in (".yaml", ".yml"):
        return True
    return is_file(shipped_folder("experiments") / "apps" / f"{name}.yaml")
