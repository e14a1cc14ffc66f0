"""Turning command-line text into values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.errors import InputError

if TYPE_CHECKING:
    from dse.evaluation.design import Value


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
            if not equals or not text.strip().isdigit() or int(text) < 1:
                raise InputError(
                    f"cannot read {item!r}",
                    field="--bind",
                    mend="write symbol=size, such as batch=1",
                )
            out[name.strip()] = int(text)
    return out


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
