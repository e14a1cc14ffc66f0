"""``dse migrate``."""

from __future__ import annotations

import dse
from dse.cli.output import print_json


def migrate(path: str, out: str | None, in_place: bool, as_json: bool) -> None:
    """Migrate, and say what was done to which file."""
    report = dse.migrate(path, out, in_place=in_place)
    if as_json:
        print_json(report.to_dict())
        return
    for one in report.changed:
        print(f"{one.file}: {one.kind}, version {one.was} to {one.now}")
        for line in one.changes:
            print(f"  {line}")
        kept = f" (the old one: {one.backup})" if one.backup else ""
        print(f"  written: {one.written}{kept}")
    if report.changed:
        print(f"{len(report.changed)} of {len(report.files)} files migrated")
    else:
        print(f"nothing to do: {_told(len(report.files))} in the form of this release")


def _told(count: int) -> str:
    return "the file is" if count == 1 else f"all {count} files are"
