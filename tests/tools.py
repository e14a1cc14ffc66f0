"""Programs that tests of the full tier need: one that is missing fails them, none is skipped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest


def program(names: Sequence[str], package: str, folders: str = "") -> str:
    """The path of the first of these programs that is installed.

    Args:
        names: names of one program.
        package: Debian's package that has it.
        folders: a pattern below ``/`` of more folders to look in, newest name last.
    """
    found = [path for name in names if (path := shutil.which(name))]
    if not found and folders:
        found = [
            str(folder / name)
            for folder in sorted(Path("/").glob(folders), reverse=True)
            for name in names
            if (folder / name).is_file()
        ]
    if not found:
        pytest.fail(f"no {' or '.join(names)}: apt-get install {package}", pytrace=False)
    return found[0]
