"""Mappings kept on disk between runs: opt-in, bounded, safe for many processes at once.

``DSE_MAPPING_CACHE=1`` in the environment keeps them in the user's cache folder, a path in that
folder; :func:`use_disk_cache` does the same from Python. A mapping is filed under everything it
depends on (the views of layer and chip, homes, objective, room) and the version of the
mapper, a checksum of its source, so that a changed mapper finds nothing old. Files appear whole or
not at all (written aside, then renamed).

An entry is a mark, the mapper's version, a SHA-256 over these, key and content, and the content:
the schedule as JSON, checked field by field when it is read. Whatever is not exactly that counts as
not there: an entry cut short, changed by a bit, of another key or another layout, a folder in its
place. When there are too many, the oldest are deleted, and files aside that a kill left behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dse.mapping.ir.schedule import LayerSchedule
from dse.registry import cached
from dse.version import mapper_version

#: Environment variable: a folder, ``1`` for the user's cache folder, empty or ``0`` for none.
VARIABLE = "DSE_MAPPING_CACHE"
#: Most files kept, about 2 KiB each, and how many writes of a process lie between counts.
LIMIT = 65536
EVERY = 512
#: What every entry begins with; the digit is the layout's.
MARK = b"dse mapping 1\n"
#: Bytes before the content: mark, version, checksum.
HEAD = len(MARK) + 16 + 32
#: Larger files are no entries (a schedule takes a few KiB), bytes.
LARGEST = 1 << 20
#: What folders of a version and files aside are called, and when one counts as left behind, s.
FOLDER = "mappings-"
ASIDE = ".new-"
LEFT_BEHIND_S = 3600.0


@cached(1)
def _form() -> Any:
    """How a schedule is read: pydantic's, from the fields' types."""
    from pydantic import TypeAdapter

    return TypeAdapter(LayerSchedule)


def key_digest(key: object) -> bytes:
    """SHA-256 of a key: tuples and records of numbers, text and None, which write themselves."""
    return hashlib.sha256(repr(key).encode()).digest()


def pack(key: bytes, value: LayerSchedule) -> bytes:
    """The entry that holds ``value`` under the digest of a key."""
    from pydantic_core import to_json

    content = to_json({**vars(value), "loop_nest": tuple(value.loop_nest)})
    return _head(key, content) + content


def unpack(key: bytes, entry: bytes) -> LayerSchedule | None:
    """The schedule of an entry; None unless it is whole, of this version and of that key."""
    content = entry[HEAD:]
    if entry[:HEAD] != _head(key, content):
        return None
    try:
        found: LayerSchedule = _form().validate_json(content, strict=True)
    except ValueError:
        return None
    vars(found)["loop_nest"] = tuple(found.loop_nest)
    return found


def _head(key: bytes, content: bytes) -> bytes:
    """What an entry begins with; mark, version and key's digest are each of one length."""
    named = MARK + mapper_version().encode()
    return named + hashlib.sha256(named + key + content).digest()


class DiskCache:
    """Schedules by key in files of a folder."""

    def __init__(self, folder: str | Path, limit: int = LIMIT) -> None:
        self.folder = Path(folder) / f"{FOLDER}{mapper_version()}"
        self.limit = limit
        self.hits = self.misses = 0
        self._writes = 0
        self._lock = threading.Lock()

    def path(self, key: bytes) -> Path:
        """Where the entry of a key's digest stands."""
        name = key.hex()
        return self.folder / name[:2] / name[2:]

    def get(self, key: object) -> LayerSchedule | None:
        """The schedule of ``key``, if it is there and whole."""
        digest = key_digest(key)
        entry = _read(self.path(digest))
        found = unpack(digest, entry) if entry is not None else None
        with self._lock:
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
        return found

    def put(self, key: object, value: LayerSchedule) -> None:
        """File a schedule; a folder that cannot be written is left alone."""
        digest = key_digest(key)
        path, aside = self.path(digest), ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(dir=path.parent, prefix=ASIDE)
            with os.fdopen(handle, "wb") as file:
                file.write(pack(digest, value))
            os.replace(aside, path)
        except OSError:
            if aside:
                with contextlib.suppress(OSError):
                    os.unlink(aside)
            return
        with self._lock:
            self._writes += 1
            count = self._writes % EVERY == 1
        if count:
            self.trim()

    def trim(self) -> None:
        """Delete the oldest entries beyond the limit, what is none, and other versions' folders."""
        for entry in _entries(self.folder.parent):
            other = entry.name.startswith(FOLDER) and entry.name != self.folder.name
            if other and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
        old, found = time.time() - LEFT_BEHIND_S, []
        for shelf in _entries(self.folder):
            for entry in _entries(shelf.path):
                with contextlib.suppress(OSError):
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(info.st_mode):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    elif not entry.name.startswith(ASIDE):
                        found.append((info.st_mtime, entry.path))
                    elif info.st_mtime < old:
                        os.unlink(entry.path)
        found.sort()
        for _, path in found[: max(0, len(found) - self.limit)]:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _read(path: Path) -> bytes | None:
    """The bytes of a file; None if there is none that could be an entry."""
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode) or info.st_size > LARGEST:
            return None
        with open(path, "rb") as file:
            return file.read(LARGEST)
    except OSError:
        return None


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """What stands in a folder; nothing if it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        yield from found


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
            folder: Path | None = None
            if where not in ("", "0", "off"):
                folder = _users_folder() if where == "1" else Path(where)
            _state["cache"] = DiskCache(folder) if folder is not None else None
        return _state["cache"]


def _users_folder() -> Path | None:
    """Where the user's caches are; None for a user without a home."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return base / "dse" / "mappings"
