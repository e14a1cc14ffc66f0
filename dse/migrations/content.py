"""Bringing content into the form of today, in memory: the one way in for what is read."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.errors import InputError, OlderFileWarning
from dse.migrations.places import at, dotted, moves, places, put
from dse.migrations.registry import FIELD, KINDS, Kind, Step

File = str | Path | None


@dataclass(frozen=True)
class Taken:
    """One step that content took, with what it was before and after."""

    step: Step
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True)
class Migrated:
    """Content in the form of today.

    Attributes:
        data: the content; the very object that was given if there was nothing to do.
        lines: of its fields in the user's file, also of those that have another path now.
        was, now: version of the whole.
        taken: steps of the whole, in order.
        why: what changed, in it and in its parts, a line each.
    """

    data: dict[str, Any]
    lines: dict[str, int]
    was: int
    now: int
    taken: tuple[Taken, ...] = ()
    why: tuple[str, ...] = ()


def migrate(kind: str, data: dict[str, Any], *, file: File = None) -> dict[str, Any]:
    """``data`` in the form of today; if it was of an older one, the user gets a remark.

    Raises:
        InputError: a version that this release does not know, or that is none; content that a
            step can make nothing of.
    """
    return remarked(migrated(kind, data, file=file), file).data


def migrated(
    kind: str,
    data: dict[str, Any],
    *,
    file: File = None,
    lines: Mapping[str, int] | None = None,
    prefix: str = "",
) -> Migrated:
    """As :func:`migrate`, with all that is to be known of it, and without a remark.

    Args:
        kind: name of a kind of the registry.
        data: the content; never changed.
        file: for errors.
        lines: of its fields, from :func:`dse.schema.read_yaml`.
        prefix: path before the content's own fields in errors.
    """
    known = KINDS[kind]
    version = _version(known, data, file, lines or {}, prefix)
    where = dict(lines or {})
    taken: list[Taken] = []
    for number in range(version, known.current):
        step, before = known.steps[number - 1], data
        try:
            made = step.change(copy.deepcopy(before))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise InputError(
                f"{known.what} of version {number} that cannot be read as one; the change since: "
                f"{step.why}",
                file=file,
                field=prefix.rstrip(".: ") or None,
                mend="correct these fields as that version had them",
            ) from None
        data = _labelled(made, number + 1)
        where = _followed(where, before, step)
        taken.append(Taken(step, before, data))
    why = [f"{kind} {n}: {one.step.why}" for n, one in enumerate(taken, version + 1)]
    data = _with_parts(known, data, file, prefix, why)
    return Migrated(data, where, version, known.current, tuple(taken), tuple(dict.fromkeys(why)))


def remarked(found: Migrated, file: File) -> Migrated:
    """``found``, after a remark to the user if it was of an older form."""
    if found.why:
        name = "" if file is None else f"{file}: "
        mend = "" if file is None else f"; `dse migrate {file}` writes it"
        warnings.warn(
            f"{name}read in an older form and migrated ({'; '.join(found.why)}){mend}",
            OlderFileWarning,
            stacklevel=3,
        )
    return found


def _with_parts(
    kind: Kind, data: dict[str, Any], file: File, prefix: str, why: list[str]
) -> dict[str, Any]:
    """``data`` with its parts of other kinds in their form of today; the same if they are."""
    out = data
    for path, other in kind.parts.items():
        for place in places(data, path):
            inner = at(data, place)
            if not isinstance(inner, dict):
                continue  # whoever reads the whole says what is wrong with it
            found = migrated(other, inner, file=file, prefix=f"{prefix}{dotted(place)}.")
            if found.why:
                out = copy.deepcopy(data) if out is data else out
                put(out, place, found.data)
                why.extend(found.why)
    return out


def _labelled(data: dict[str, Any], version: int) -> dict[str, Any]:
    """``data`` with its version: where it stood, else first."""
    if FIELD in data:
        return {**data, FIELD: version}
    return {FIELD: version, **data}


def _followed(lines: dict[str, int], before: dict[str, Any], step: Step) -> dict[str, int]:
    """Lines by the paths after a step."""
    out = dict(lines)
    for old, new in moves(before, step.moved):
        source, goal = dotted(old), dotted(new)
        for field in [f for f in lines if f == source or f.startswith(f"{source}.")]:
            out.pop(field, None)
            out[goal + field[len(source) :]] = lines[field]
    return out


def _version(
    kind: Kind, data: Mapping[str, Any], file: File, lines: Mapping[str, int], prefix: str
) -> int:
    """The version that content says, or that its silence means.

    Raises:
        InputError: it is none, or newer than this release.
    """
    line = lines.get(FIELD)
    field = f"line {line}: {prefix}{FIELD}" if line else f"{prefix}{FIELD}"
    range_ = f"1 to {kind.current}" if kind.current > 1 else "1"
    if FIELD not in data:
        if kind.required:
            why = f"{kind.what} without its version"
            raise InputError(why, file=file, field=field, mend="restore the file")
        return 1
    version = data[FIELD]
    if type(version) is not int or version < 1:
        given = repr(version) if isinstance(version, (str, int, float, bool)) else "no number"
        raise InputError(
            f"not a version ({given}): versions of {kind.what} are whole numbers from 1",
            file=file,
            field=field,
            mend=f"write {range_}",
        )
    if version > kind.current:
        raise InputError(
            f"{kind.what} of version {version}; this release knows {range_}",
            file=file,
            field=field,
            mend="use a newer release of dse",
        )
    return version
