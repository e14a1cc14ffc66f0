"""Which code computed a number: the package's version, and digests of its code and data.

A digest names what it leaves out, never what it takes in: a module that nobody thought of counts.
What stands above a floor cannot decide what the floor computes, so that only those packages are
left out (``tests/house/test_versions.py`` compares with the imports). The shipped folders are left
out since every identity holds the content of the chip, model and app that was read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from dse.registry import cached

__version__ = "0.1.0"

#: What shows results and asks for them: above everything that decides one.
ABOVE_SEARCH = frozenset(
    {"explanation", "validation", "reports", "api", "cli", "__main__.py", "shipped"}
)
#: What chooses designs, besides; it does not change what one gives.
ABOVE_EVALUATION = ABOVE_SEARCH | {"search"}
#: What plays and judges mappings, besides; it does not change the mapping of a layer.
ABOVE_MAPPING = ABOVE_EVALUATION | {"evaluation", "apps", "simulation"}


@cached(1)
def model_version() -> str:
    """Package version and a digest of the code and data that decide what a design gives.

    Part of every design's identity: results of different code are never taken for one another.
    """
    return f"{__version__}+{package_digest(ABOVE_EVALUATION)}"


@cached(1)
def search_version() -> str:
    """The same with the code that proposes designs: what a study that goes on depends on."""
    return f"{__version__}+{package_digest(ABOVE_SEARCH)}"


@cached(1)
def mapper_version() -> str:
    """Digest of the code and data that decide the mapping of a layer."""
    return package_digest(ABOVE_MAPPING)


def package_digest(without: frozenset[str], root: Path | None = None) -> str:
    """Digest of the package's files, but for those entries at its top: 16 hexadecimal digits."""
    root = root or Path(__file__).resolve().parent
    found = hashlib.sha256()
    for name in package_files(without, root):
        content = (root / name).read_bytes()
        # Lengths keep what belongs to the name, and to this file, from meaning another.
        found.update(b"%d %d " % (len(name.encode()), len(content)) + name.encode())
        found.update(content)
    return found.hexdigest()[:16]


def package_files(without: frozenset[str], root: Path) -> list[str]:
    """Files below ``root`` by their path from it, in one order everywhere.

    Left out are the entries at its top in ``without``, and at any depth what running the package
    or an editor leaves behind.
    """
    return sorted(_walk(str(root), "", without))


def _walk(folder: str, prefix: str, without: frozenset[str]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name in without or name == "__pycache__" or name[0] == "." or name[-1] == "~":
                continue
            if entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{name}/", frozenset())
            elif not name.endswith(".pyc"):
                yield prefix + name
