"""Which model computed a number: the package's version, and a digest of its code and data."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

__version__ = "0.1.0"

#: Packages whose code or data decides what an evaluation gives.
DECISIVE = (
    "technology",
    "workload",
    "quality",
    "hardware",
    "mapping",
    "simulation",
    "apps",
    "evaluation",
)
_SUFFIXES = (".py", ".json", ".yaml", ".csv")


@functools.lru_cache(maxsize=1)
def model_version() -> str:
    """Package version and a digest of the code and data that decide a result.

    Part of every design's identity: results of different code are never taken for one another.
    """
    root = Path(__file__).resolve().parent
    found = hashlib.sha256()
    for package in DECISIVE:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in _SUFFIXES and "__pycache__" not in path.parts:
                found.update(path.relative_to(root).as_posix().encode())
                found.update(path.read_bytes())
    return f"{__version__}+{found.hexdigest()[:16]}"
