"""Reading files that carry a version: their content in the form of today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.files import regular
from dse.migrations.content import migrate, migrated, remarked
from dse.schema import read_yaml


def read_versioned(kind: str, path: str | Path) -> tuple[dict[str, Any], dict[str, int]]:
    """As :func:`dse.schema.read_yaml`, for a file of a kind, whatever version it is of.

    Raises:
        InputError: as there, or a version that this release does not know.
    """
    data, lines = read_yaml(path)
    found = remarked(migrated(kind, data, file=path, lines=lines), path)
    return found.data, found.lines


def read_json(kind: str, path: str | Path, *, mend: str = "restore the file") -> dict[str, Any]:
    """The content of a JSON file of a kind, in the form of today.

    Raises:
        InputError: it cannot be read, is no JSON object, or of a version that is not known.
    """
    try:
        loaded = json.loads(regular(path).read_text(encoding="utf-8"))
    except OSError as error:
        why = f"the file cannot be read ({error.strerror or error})"
        raise InputError(why, file=path, mend=mend) from None
    except ValueError:
        raise InputError("the file is damaged", file=path, mend=mend) from None
    if not isinstance(loaded, dict):
        raise InputError("the file is damaged", file=path, mend=mend)
    return migrate(kind, loaded, file=path)
