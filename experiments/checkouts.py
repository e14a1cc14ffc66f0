"""Commits laid out side by side, each in a folder of its own with its own compiled kernels."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: What of a commit is needed to run it.
PARTS = ("dse", "models", "hwconfigs", "experiments")
#: Settings of the environment that would make runs unlike each other.
DROPPED = re.compile(r"DSE_|PYTHON|NUMBA_")
#: One thread for libraries: others' spinning counts as CPU time.
FIXED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


class CannotLayOut(Exception):
    """The revision or folder is not one of this project."""


@dataclass(frozen=True)
class Checkout:
    """A commit as files. ``label`` is how it is called, ``folder`` holds its ``dse``."""

    label: str
    folder: Path
    kernels: Path

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """The environment in which a process runs this commit and no other."""
        kept = {name: value for name, value in base.items() if not DROPPED.match(name)}
        own = {"PYTHONPATH": str(self.folder), "NUMBA_CACHE_DIR": str(self.kernels)}
        return kept | FIXED | own


@contextlib.contextmanager
def laid_out(
    sides: Sequence[str], repository: Path, cache: Path | None = None
) -> Iterator[tuple[Checkout, ...]]:
    """Commits as folders, removed in the end, however it ends.

    Args:
        sides: git revisions of ``repository``, or folders of checkouts, of which the files are
            taken as they are now, committed or not.
        repository: the top folder of the clone in which revisions are looked up.
        cache: folder in which revisions and their kernels stay for the next time; None: nothing
            stays.

    Raises:
        CannotLayOut: no such revision or folder.
    """
    with tempfile.TemporaryDirectory(prefix="dse-compare-", ignore_cleanup_errors=True) as made:
        homes = (Path(made) / str(number) for number in range(len(sides)))
        yield tuple(
            _lay_out(what, repository, home, cache) for what, home in zip(sides, homes, strict=True)
        )


def commit_of(what: str, repository: Path) -> str | None:
    """The whole name of the commit that a revision means; None for a folder of a checkout.

    Raises:
        CannotLayOut: it is neither.
    """
    if (Path(what) / "dse" / "__init__.py").is_file():
        return None
    commit = _git(
        repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{what}^{{commit}}"
    )
    if commit is None:
        raise CannotLayOut(f"{what!r} is neither a git revision here nor the folder of a checkout")
    return commit.decode().strip()


def _lay_out(what: str, repository: Path, home: Path, cache: Path | None) -> Checkout:
    home.mkdir()
    name = commit_of(what, repository)
    if name is None:
        source = Path(what).resolve()
        _copy(source, home / "tree")
        return Checkout(f"{what} ({_state(source)})", home / "tree", home / "kernels")
    place = home if cache is None else cache.resolve() / name
    if not (place / "tree").is_dir():
        _extract(name, repository, home / "tree")
        if not (home / "tree" / "dse" / "__init__.py").is_file():
            raise CannotLayOut(f"{what!r} holds no package dse")
        if place != home:
            place.mkdir(parents=True, exist_ok=True)
            shutil.move(home / "tree", place / "tree")
    label = what if name.startswith(what) else f"{what} ({name[:8]})"
    return Checkout(label, place / "tree", place / "kernels")


def _extract(commit: str, repository: Path, folder: Path) -> None:
    """The files of a commit, as old as the commit."""
    ask = ["git", "-C", str(repository), "archive", "--format=tar", commit]
    with subprocess.Popen(ask, stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            archive.extractall(folder, filter="data")
        if process.wait():
            raise CannotLayOut(f"git cannot archive {commit}")


def _copy(source: Path, folder: Path) -> None:
    """The files of a checkout as they are: what git knows or does not ignore, else all."""
    listed = _git(
        source, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PARTS
    )
    names = [os.fsdecode(name) for name in (listed or b"").split(b"\0") if name]
    if "dse/__init__.py" not in names:
        for part in PARTS:
            if (source / part).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source / part, folder / part, ignore=ignored)
        return
    for name in names:
        if (source / name).is_file():  # not one deleted since
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, folder / name)


def _state(source: Path) -> str:
    """Which commit a checkout is at, and how many of its files differ from it."""
    head = _git(source, "rev-parse", "--short=8", "HEAD")
    top = _git(source, "rev-parse", "--show-toplevel")
    if head is None or top is None or Path(os.fsdecode(top).strip()) != source:
        return "a folder"
    changed = len((_git(source, "status", "--porcelain", "--", *PARTS) or b"").splitlines())
    return head.decode().strip() + (f" and {changed} changed files" if changed else "")


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git says; None if it refuses or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
