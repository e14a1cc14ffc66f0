"""The ``dse`` command. Parses, calls, prints; no logic of its own."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point: runs a command; a :class:`~dse.errors.DseError` is one line and an exit code."""
    from dse.cli.commands import app
    from dse.errors import DseError

    try:
        app()
    except DseError as error:
        print(f"error: {error.describe()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
