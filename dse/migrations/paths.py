"""``dse migrate PATH``: files and folders written in the form of today, the old ones kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.files import SCHEMA_VERSION, json_text, regular, write_text
from dse.migrations.content import Migrated, migrated
from dse.migrations.registry import KINDS, kind_of
from dse.migrations.rewrite import rewritten
from dse.printing import Printed
from dse.schema import read_yaml

_YAML = (".yaml", ".yml")
_SUFFIXES = (*_YAML, ".json", ".jsonl")
#: Stands in the name of what is written beside the old file or folder.
_BESIDE = "migrated"


@dataclass(frozen=True)
class FileMigration:
    """What became of one file.

    Attributes:
        file: its path.
        kind: what it is.
        was, now: versions; of a log the oldest of its lines.
        changes: what changed in it, a line each; none if it was of today's form.
        written: the file in the new form; None if nothing was to do.
        backup: the old file, where the new one took its place.
    """

    file: str
    kind: str
    was: int
    now: int
    changes: tuple[str, ...]
    written: str | None = None
    backup: str | None = None


@dataclass(frozen=True, repr=False)
class MigrationReport(Printed):
    """What :func:`migrate_path` found and did.

    Attributes:
        path: what was asked for.
        files: every file that carries a version.
        out: the new file or folder; None if nothing was written, or in place.
        ignored: files of a folder that are of no kind that carries a version.
    """

    path: str
    files: tuple[FileMigration, ...]
    out: str | None
    ignored: tuple[str, ...]

    @property
    def changed(self) -> tuple[FileMigration, ...]:
        """The files that were of an older form."""
        return tuple(one for one in self.files if one.changes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def table(self) -> list[dict[str, Any]]:
        """One row per file."""
        return [asdict(one) for one in self.files]

    def _title(self) -> str:
        return f"{len(self.changed)} of {len(self.files)} files in {self.path} migrated"


@dataclass(frozen=True)
class _Plan:
    """A file with its kind, and its text in the new form (None: it is in it)."""

    path: Path
    kind: str
    was: int
    why: tuple[str, ...]
    text: str | None


def migrate_path(
    path: str | Path, out: str | Path | None = None, *, in_place: bool = False
) -> MigrationReport:
    """Write a file, or the files of a folder, in the form that this release writes.

    Nothing is written if everything is in it already, and nothing before all of it was read.

    Args:
        path: a chip, app, platform, experiment, pin file, front (``pareto.json``) or quality
            report; a study's folder; or a folder of such files. What a file is, its content says.
        out: the new file or folder, which must not be there yet; by default beside the old one:
            ``chip.migrated.yaml``, ``study.migrated``. Of a folder every file is copied.
        in_place: write over the files, and keep each old one beside it as ``NAME.bak``.

    Raises:
        InputError: no such file, of no known kind, or of a version that this release does not
            know; a place that is taken or cannot be written.
    """
    source = Path(path)
    if out is not None and in_place:
        why = "in place and into another place at once"
        raise InputError(why, field="--in-place", mend="give one of --out and --in-place")
    if source.is_dir():
        every = sorted(one for one in source.rglob("*") if one.is_file())
        found = {one: _plan(one, strict=False) for one in every}
    else:
        every = [source]
        found = {source: _plan(source, strict=True)}
    plans = [plan for plan in found.values() if plan is not None]
    ignored = tuple(str(one) for one, plan in found.items() if plan is None)
    if not plans:
        raise InputError("no file in it carries a version", file=source, mend="check the path")
    changed = [plan for plan in plans if plan.text is not None]
    try:
        if not changed:
            written: dict[Path, tuple[Path, Path | None]] = {}
        elif in_place:
            written = {plan.path: (plan.path, _replaced(plan)) for plan in changed}
            out = None
        else:
            out = _goal(source, out)
            written = {one: (goal, None) for one, goal in _copied(source, out, every, changed)}
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror or error})",
            file=error.filename or out or source,
            mend="make it writable, or give another --out",
        ) from None
    files = tuple(_told(plan, written.get(plan.path)) for plan in plans)
    return MigrationReport(str(path), files, str(out) if written and out else None, ignored)


def _told(plan: _Plan, written: tuple[Path, Path | None] | None) -> FileMigration:
    goal, backup = written or (None, None)
    return FileMigration(
        str(plan.path),
        plan.kind,
        plan.was,
        KINDS[plan.kind].current,
        plan.why,
        None if goal is None else str(goal),
        None if backup is None else str(backup),
    )


def _plan(path: Path, *, strict: bool) -> _Plan | None:
    """What is to do for a file; None (or an error, if ``strict``) if it is of no known kind."""
    if not strict and path.suffix not in _SUFFIXES:
        return None
    try:
        text, content, lines = _content(path)
    except InputError:
        if strict:
            raise
        return None
    kind = kind_of(content[0]) if content else None
    if kind is None:
        if not strict:
            return None
        named = ", ".join(name for name, one in KINDS.items() if one.marks)
        why = "nothing tells what the file is"
        raise InputError(why, file=path, mend=f"give a file of one of these kinds: {named}")
    if path.suffix == ".jsonl":
        return _log_plan(path, text, kind, content)
    found = migrated(kind, content[0], file=path, lines=lines)
    return _Plan(path, kind, found.was, found.why, _text(path, text, found) if found.why else None)


def _content(path: Path) -> tuple[str, list[dict[str, Any]], dict[str, int]]:
    """Text of a file, its mapping and (of YAML) the lines of its fields; of a log (``.jsonl``) the
    mappings of all whole lines.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    if path.suffix in _YAML or path.suffix not in _SUFFIXES:
        data, lines = read_yaml(path)
        return _read(path), [data], lines
    text = _read(path)
    parts = text.split("\n")[:-1] if path.suffix == ".jsonl" else [text]
    rows: list[dict[str, Any]] = []
    for number, part in enumerate(parts, 1):
        try:
            row = json.loads(part)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            line = f"line {number}" if path.suffix == ".jsonl" else None
            raise InputError("no JSON object", file=path, field=line, mend="restore the file")
        rows.append(row)
    return text, rows, {}


def _read(path: Path) -> str:
    try:
        return regular(path).read_text(encoding="utf-8")
    except OSError as error:
        why = f"the file cannot be read ({error.strerror or error})"
        raise InputError(why, file=path, mend="check the path") from None
    except UnicodeDecodeError:
        raise InputError("the file is not text in UTF-8", file=path, mend="save it so") from None
    except ValueError:  # a name with a null character
        raise InputError("there is no such file", file=path, mend="check the path") from None


def _log_plan(path: Path, text: str, kind: str, rows: list[dict[str, Any]]) -> _Plan:
    """Every line by itself; what a kill left of the last one stays as it is."""
    found = [
        migrated(kind, row, file=path, prefix=f"line {number}: ")
        for number, row in enumerate(rows, 1)
    ]
    why = tuple(dict.fromkeys(line for one in found for line in one.why))
    was = min(one.was for one in found)
    if not why:
        return _Plan(path, kind, was, why, None)
    old = text.split("\n")
    new = [json.dumps(one.data) if one.why else line for one, line in zip(found, old, strict=False)]
    return _Plan(path, kind, was, why, "\n".join([*new, old[-1]]))


def _text(path: Path, text: str, found: Migrated) -> str:
    if path.suffix == ".json":
        return json_text(found.data)
    return rewritten(text, found.taken, found.data)


def _goal(source: Path, out: str | Path | None) -> Path:
    """Where the new file or folder goes.

    Raises:
        InputError: something is there.
    """
    if out is not None and not str(out).strip():
        raise InputError("no place", field="--out", mend="name a file or folder that is not there")
    whole = source.resolve()
    beside = whole.with_name(
        f"{whole.name}.{_BESIDE}" if source.is_dir() else f"{whole.stem}.{_BESIDE}{whole.suffix}"
    )
    goal = Path(out) if out is not None else source.parent / beside.name
    if source.is_dir() and out is None and source.name in ("", ".", ".."):
        goal = beside
    if goal.exists():
        raise InputError(
            "something is there already; nothing is written over",
            file=goal,
            field="--out",
            mend="give another --out, or write --in-place, which keeps the old files",
        )
    return goal


def _copied(
    source: Path, goal: Path, every: Iterable[Path], changed: Iterable[_Plan]
) -> list[tuple[Path, Path]]:
    """Write the new file, or the folder with all its files; of the changed ones, from and to."""
    texts = {plan.path: plan.text for plan in changed}
    out: list[tuple[Path, Path]] = []
    for one in every:
        to = goal if one == source else goal / one.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        text = texts.get(one)
        if text is None:
            shutil.copyfile(one, to)
            continue
        write_text(to, text)
        out.append((one, to))
    return out


def _replaced(plan: _Plan) -> Path:
    """Write over a file; the old one's new path."""
    number, backup = 1, plan.path.with_name(f"{plan.path.name}.bak")
    while backup.exists():
        number += 1
        backup = plan.path.with_name(f"{plan.path.name}.bak{number}")
    shutil.copyfile(plan.path, backup)
    write_text(plan.path, plan.text or "")
    return backup
