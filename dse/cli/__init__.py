"""The ``dse`` command. Parses, calls, prints; no logic of its own."""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Any


def main() -> None:
    """Entry point: runs a command; a :class:`~dse.errors.DseError` is one line and an exit code."""
    from dse.cli.commands import app
    from dse.cli.options import as_flag
    from dse.errors import DseError, OlderFileWarning

    def remark(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        """A remark on a file is one line, like an error; other warnings as Python shows them."""
        if issubclass(category, OlderFileWarning):
            print(f"note: {message}", file=sys.stderr)
        else:
            shown(message, category, *where, **more)

    shown, warnings.showwarning = warnings.showwarning, remark
    try:
        app()
    except DseError as error:
        as_flag(error)
        print(f"error: {error.describe()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()
            sys.exit(0)
        sys.exit(_system_fault(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(1)
    finally:
        warnings.showwarning = shown


def _system_fault(error: OSError) -> int:
    """One line for what the system refused: a full disk, a file that may not be read."""
    from dse.errors import DseError, InputError, RunError, shortened

    ours = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENOMEM)
    name = shortened(str(error.filename)) if error.filename else None
    why = f"the system refused it ({error.strerror or error})"
    fault: DseError = (
        RunError(why, file=name, mend="free the disk or the machine and run it again")
        if ours
        else InputError(why, file=name, mend="check the path and who may read and write it")
    )
    print(f"error: {fault.describe()}", file=sys.stderr)
    return fault.exit_code
