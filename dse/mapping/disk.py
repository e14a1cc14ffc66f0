"""Mappings kept on disk between runs: opt-in, bounded, safe for many processes at once.

``DSE_MAPPING_CACHE=1`` in the environment keeps them in the user's cache folder, a path in that
folder; :func:`use_disk_cache` does the same from Python. A mapping is filed under everything it
depends on (the layer's shape, the chip's slice, homes, objective, room) and the version of the
mapper, a checksum of its source, so that a changed mapper finds nothing old. Files appear whole or
not at all (written aside, then renamed); a file that cannot be read counts as not there. When there
are too many, the oldest are deleted.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import pickle
import tempfile
import threading
from pathlib import Path
from typing import Any

from dse.mapping.schedule import LayerSchedule

#: Environment variable: a folder, ``1`` for the user's cache folder, empty or ``0`` for none.
VARIABLE = "DSE_MAPPING_CACHE"
#: Most files kept, about 4 KiB each, and how many writes of a process lie between counts.
LIMIT = 65536
EVERY = 512
#: Files beside the mapper's own that its mappings depend on.
READ = (
    "hardware/chip.py",
    "hardware/core.py",
    "hardware/data/blocks.json",
    "workload/layer.py",
    "workload/precision.py",
)
#: The classes that a file may hold.
_ALLOWED = {
    ("dse.mapping.schedule", "LayerSchedule"), ("dse.mapping.schedule", "Phase"),
    ("builtins", "tuple"),
}  # fmt: skip


class _Reader(pickle.Unpickler):
    """Reads schedules and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a mapping cache")
        return super().find_class(module, name)


@functools.lru_cache(maxsize=1)
def mapper_version() -> str:
    """Checksum of the source of the mapper and of what it reads of layers and chips."""
    found, package = hashlib.sha256(), Path(__file__).parent.parent
    paths = sorted(Path(__file__).parent.glob("*.py"))
    paths += [package / part for part in READ]
    for path in paths:
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]


class DiskCache:
    """Schedules by key in files of a folder."""

    def __init__(self, folder: str | Path, limit: int = LIMIT) -> None:
        self.folder = Path(folder) / mapper_version()
        self.limit = limit
        self.hits = self.misses = 0
        self._writes = 0
        self._lock = threading.Lock()

    def _path(self, key: object) -> Path:
        name = hashlib.sha256(repr(key).encode()).hexdigest()
        return self.folder / name[:2] / name[2:]

    def get(self, key: object) -> LayerSchedule | None:
        """The schedule of ``key``, if it is there and whole."""
        try:
            found = _Reader(io.BytesIO(self._path(key).read_bytes())).load()
        except (OSError, pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError):
            found = None
        with self._lock:
            if isinstance(found, LayerSchedule):
                self.hits += 1
                return found
            self.misses += 1
        return None

    def put(self, key: object, value: LayerSchedule) -> None:
        """File a schedule; a folder that cannot be written is left alone."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            with os.fdopen(handle, "wb") as file:
                pickle.dump(value, file, protocol=5)
            os.replace(aside, path)
        except OSError:
            return
        with self._lock:
            self._writes += 1
            count = self._writes % EVERY == 1
        if count:
            self.trim()

    def trim(self) -> None:
        """Delete the oldest files beyond the limit, and the folders of other versions."""
        files = []
        with contextlib.suppress(OSError):
            for other in self.folder.parent.iterdir():
                if other.is_dir() and other != self.folder and _is_version(other.name):
                    _remove(other)
        for path in self.folder.glob("*/*"):
            with contextlib.suppress(OSError):
                files.append((path.stat().st_mtime, path))
        files.sort()
        for _, path in files[: max(0, len(files) - self.limit)]:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_version(name: str) -> bool:
    return len(name) == 16 and all(c in "0123456789abcdef" for c in name)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


_state: dict[str, DiskCache | None] = {}
_state_lock = threading.Lock()


def use_disk_cache(folder: str | Path | None, limit: int = LIMIT) -> None:
    """Keep mappings in ``folder`` from now on in this process; None keeps none."""
    with _state_lock:
        _state["cache"] = DiskCache(folder, limit) if folder is not None else None


def disk_cache() -> DiskCache | None:
    """The cache in use, opened at first sight of the environment variable."""
    with _state_lock:
        if "cache" not in _state:
            where = os.environ.get(VARIABLE, "").strip()
            if where in ("", "0", "off"):
                _state["cache"] = None
            else:
                home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
                folder = Path(home) / "dse" / "mappings" if where == "1" else Path(where)
                _state["cache"] = DiskCache(folder)
        return _state["cache"]
