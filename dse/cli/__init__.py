"""The ``dse`` command. Parses, calls, prints; no logic of its own."""

from __future__ import annotations

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
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    finally:
        warnings.showwarning = shown
