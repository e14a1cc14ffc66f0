"""Errors a user can act on.

Every error of the package derives from :class:`DseError`. An :class:`InputError` is the user's
to mend (the command line leaves with exit code 2); a :class:`RunError` means that a valid request
could not be carried out (exit code 1). A design that does not meet its requirements is *not* an
error: it is a result with ``feasible = False``.
"""

from __future__ import annotations

import re
from pathlib import Path

#: What of a file is told in an error: longer words, and longer texts, are cut.
WORD, TEXT = 120, 3000
_LONG_WORD = re.compile(rf"\S{{{WORD + 1},}}")


class DseError(Exception):
    """Base of all errors: one message, and where it applies what and where to mend.

    Args:
        message: what is wrong, in one sentence, without a full stop.
        file: the file that holds the fault, if there is one.
        field: the path of the faulty field inside the file or request (``array.rows``).
        mend: what the user can do about it.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        field: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.message = message
        self.file = str(file) if file is not None else None
        self.field = field
        self.mend = mend
        super().__init__(self.describe())

    def describe(self) -> str:
        """One line: ``file: field: message; mend``."""
        parts = (self.file, cut(self.field or ""), cut(self.message))
        head = ": ".join(part for part in parts if part)
        line = f"{head}; {cut(self.mend)}" if self.mend else head
        # names come from files: what would break the line is shown as a replacement character
        return line if line.isprintable() else "".join(c if c.isprintable() else "�" for c in line)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep all parts when the error crosses a process boundary."""
        return _rebuild, (type(self), self.message, self.file, self.field, self.mend)


def shortened(name: str, most: int = 80) -> str:
    """A name as errors show it: of a very long one the beginning."""
    return name if len(name) <= most else f"{name[:most]}... ({len(name):,} characters)"


def cut(text: str) -> str:
    """A text that may hold what a file says: of very long words and texts the beginning."""
    return shortened(_LONG_WORD.sub(lambda found: shortened(found[0], WORD), text), TEXT)


class InputError(DseError):
    """The request or one of its files is wrong; exit code 2."""

    exit_code = 2


class OlderFileWarning(UserWarning):
    """A remark, no fault: a file was written by an older release and is read in its new form."""


class ImpossibleChipError(InputError):
    """A chip that cannot be built: a clock its node does not reach, a die over the reticle.

    Asked for directly it is bad input; inside a search it is a result (infeasible, with the
    reason).
    """


class RunError(DseError):
    """A valid request could not be carried out; exit code 1."""


class UnmappableError(DseError):
    """A layer that no unit of the chip can run, or that does not fit its memories.

    Evaluation turns it into an infeasible result; calling the mapper directly raises it.

    ``layer`` is the name of the layer; None if it is about the whole network.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        file: str | Path | None = None,
        field: str | None = None,
        mend: str | None = None,
        layer: str | None = None,
    ) -> None:
        self.layer = layer
        super().__init__(message, file=file, field=field, mend=mend)

    def __reduce__(self) -> tuple[object, ...]:
        parts = (self.message, self.file, self.field, self.mend, self.layer)
        return _unmappable, parts


def _rebuild(
    kind: type[DseError], message: str, file: str | None, field: str | None, mend: str | None
) -> DseError:
    return kind(message, file=file, field=field, mend=mend)


def _unmappable(
    message: str, file: str | None, field: str | None, mend: str | None, layer: str | None
) -> UnmappableError:
    return UnmappableError(message, file=file, field=field, mend=mend, layer=layer)
