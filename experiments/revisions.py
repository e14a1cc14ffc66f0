"""Commits laid out in folders of their own, for scripts that compare two of them."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class RevisionError(Exception):
    """A revision that is neither a commit nor a checkout."""


@dataclass(frozen=True)
class Revision:
    """One side of a comparison: ``sha`` of a commit, or None of a folder as it stands."""

    given: str
    sha: str | None
    folder: Path | None

    @property
    def label(self) -> str:
        """A name that may be part of a file's."""
        return self.sha[:12] if self.sha else f"checkout-{self.folder.name if self.folder else ''}"


def revision(given: str) -> Revision:
    """A commit of this repository, or the folder of a checkout (``.`` with uncommitted changes).

    Raises:
        RevisionError: it is neither.
    """
    folder = Path(given)
    if (folder / "dse" / "__init__.py").is_file():
        return Revision(given, None, folder.resolve())
    done = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{given}^{{commit}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RevisionError(f"{given}: neither a commit of {ROOT.name} nor a folder with dse/")
    return Revision(given, done.stdout.strip(), None)


@contextlib.contextmanager
def laid_out(found: Revision) -> Iterator[Path]:
    """A folder that holds the revision's files; that of a commit is removed afterwards."""
    if found.folder is not None:
        yield found.folder
        return
    archive = subprocess.run(
        ["git", "archive", "--format=tar", str(found.sha)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    with tempfile.TemporaryDirectory(prefix="dse-revision-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)
