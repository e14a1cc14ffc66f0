"""Files of an older release in the form of this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dse.migrations import MigrationReport


def migrate(
    path: str | Path, out: str | Path | None = None, *, in_place: bool = False
) -> MigrationReport:
    """Write a file or folder of an older release in the form of today; see ``docs/files.md``.

    Args:
        path: a chip, app, platform, experiment, pin file, ``pareto.json`` or quality report; a
            study's folder; or a folder of such files.
        out: the new file or folder; by default beside the old one.
        in_place: write over the files, and keep each old one as ``NAME.bak``.

    Raises:
        InputError: nothing that carries a version, one that this release does not know, or a
            place that is taken.
    """
    from dse.migrations import migrate_path

    return migrate_path(path, out, in_place=in_place)
