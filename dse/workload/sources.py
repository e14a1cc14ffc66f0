"""The files that names of models speak of: on the disk, or as they were when they were read."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dse.errors import InputError
from dse.files import is_file, regular
from dse.registry import Remembered

#: Networks at a precision that are remembered with the files that they are made of.
MADE = 512


class ModelFiles(Protocol):
    """Which files there are, and what they hold; paths as names write them."""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        ...

    def read(self, path: str) -> bytes:
        """Its content.

        Raises:
            OSError, InputError: it cannot be read.
        """
        ...


class _Disk:
    def has(self, path: str) -> bool:
        return is_file(path)

    def read(self, path: str) -> bytes:
        return regular(path).read_bytes()


#: Every file, as it is when it is asked for.
ON_DISK: ModelFiles = _Disk()


def _made() -> Remembered:
    return Remembered("workload.sources.made", MADE)


@dataclass(frozen=True)
class ReadFiles:
    """Files read before: no others are there, and what they held then they hold for good.

    ``content`` by path; in place of a file that could not be read, the error. ``made`` remembers
    what was made of the files; it stays behind when they are sent to another process.
    """

    content: Mapping[str, bytes | OSError | InputError] = field(repr=False)
    made: Remembered = field(default_factory=_made, compare=False, repr=False)
    _digests: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return ReadFiles, (self.content,)

    def has(self, path: str) -> bool:
        return path in self.content

    def read(self, path: str) -> bytes:
        if path not in self.content:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        found = self.content[path]
        if not isinstance(found, bytes):
            raise found
        return found

    def digest(self, path: str) -> str:
        """SHA-256 of what a file holds; empty where it could not be read."""
        if path not in self._digests:
            found = self.content.get(path)
            whole = hashlib.sha256(found).hexdigest() if isinstance(found, bytes) else ""
            self._digests[path] = whole
        return self._digests[path]
