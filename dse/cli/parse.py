"""Turning command-line text into values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.errors import InputError

if TYPE_CHECKING:
    from dse.evaluation.design import Value

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


def bindings(pairs: Sequence[str]) -> dict[str, int]:
    """``["batch=1,seq=256"]`` as a mapping of symbols to sizes.

    Raises:
        InputError: not ``symbol=positive integer``.
    """
    out: dict[str, int] = {}
    for pair in pairs:
        for item in pair.split(","):
            name, equals, text = item.partition("=")
            if not equals or not _is_size(text.strip()):
                raise InputError(
                    f"cannot read {item!r}",
                    field="--bind",
                    mend="write symbol=size, such as batch=1",
                )
            out[name.strip()] = int(text)
    return out


def _is_size(text: str) -> bool:
    """Whether ``text`` is a whole number from 1, of no more digits than any size has."""
    return text.isascii() and text.isdigit() and len(text) <= 15 and int(text) >= 1


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
    return "@" in name and not Path(name).exists()


def is_app(name: str) -> bool:
    """Whether ``name`` means an app (a shipped one or a YAML file) rather than a model."""
    from dse.files import shipped_folder

    if has_settings(name):
        return False
    if Path(name).suffix in (".yaml", ".yml"):
        return True
    return (shipped_folder("experiments") / "apps" / f"{name}.yaml").is_file()
