"""Finding what ships with the package, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dse.errors import InputError, shortened
from dse.registry import cached

#: Version of what commands print with ``--json`` and of what is written for others to read. Files
#: that the tool reads back count their own versions by kind (:mod:`dse.migrations`).
SCHEMA_VERSION = 1
#: The top-level folders that travel inside the wheel.
SHIPPED_FOLDERS = ("models", "hwconfigs", "experiments")


@cached(1)
def shipped_root() -> Path:
    """The folder that holds ``models/``, ``hwconfigs/`` and ``experiments/``; looked for once."""
    package = Path(__file__).resolve().parent
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent


@cached(8)
def shipped_folder(name: str) -> Path:
    """The shipped folder ``name`` (one of :data:`SHIPPED_FOLDERS`)."""
    folder = shipped_root() / name
    if name not in SHIPPED_FOLDERS or not folder.is_dir():
        raise InputError(
            f"the shipped folder {name!r} is missing",
            file=folder,
            mend="install the package again",
        )
    return folder


def shipped_names(folder: str, suffix: str) -> dict[str, Path]:
    """Names (file stems) of the shipped files of one folder and suffix, sorted by name."""
    return {p.stem: p for p in sorted(shipped_folder(folder).glob(f"*{suffix}"))}


def regular(path: str | Path) -> Path:
    """``path``, unless something else than a file lies there, which might be read without end.

    A path where nothing lies passes: whoever reads it says so.

    Raises:
        InputError: a folder, a device, a pipe or a socket.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return Path(path)
    if stat.S_ISREG(mode):
        return Path(path)
    kinds = {
        "a folder": stat.S_ISDIR,
        "a pipe": stat.S_ISFIFO,
        "a socket": stat.S_ISSOCK,
        "a device": lambda mode: True,
    }
    kind = next(name for name, test in kinds.items() if test(mode))
    mend = "give a file in it" if kind == "a folder" else "write its content to a file, give that"
    raise InputError(f"it is {kind}, not a file", file=path, mend=mend)


def is_file(path: str | Path) -> bool:
    """Whether there is such a file; a name that no file can have (too long, say) is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def find_file(
    path_or_name: str, folder: str, suffix: str, what: str, *, also: Sequence[str] = ()
) -> Path:
    """The file meant by a path, or by the name of something shipped.

    Args:
        path_or_name: a path to an existing file, or a shipped name without its suffix.
        folder: shipped folder, possibly with a subfolder (``experiments/apps``).
        suffix: of shipped files, such as ``.yaml``.
        what: how errors call it (``chip``, ``model``, ``app``).
        also: further names that the user may have meant.

    Raises:
        InputError: if there is neither such a file nor such a shipped name.
    """
    direct = Path(path_or_name)
    if is_file(direct):
        return direct
    if len(direct.parts) > 1:
        regular(direct)
    top, _, rest = folder.partition("/")
    known = shipped_folder(top) / rest
    named = known / f"{path_or_name}{suffix}"
    if len(direct.parts) == 1 and is_file(named):
        return named
    shipped = {p.name.removesuffix(suffix): p for p in sorted(known.glob(f"*{suffix}"))}
    if direct.suffix in (".onnx", ".yaml", ".yml") or len(direct.parts) > 1:
        name = shortened(path_or_name)
        raise InputError("there is no such file", file=name, mend="check the path")
    raise InputError(
        f"unknown {what} {shortened(path_or_name)!r}",
        mend=f"give a file or one of: {', '.join(shipped) or '(none shipped)'}"
        + nearest(path_or_name, [*shipped, *also]),
    )


#: What tells that a file was written again: its time (ns) and size (bytes).
Stamp = tuple[int, int]


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file as it is now."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def nearest(word: str, known: list[str]) -> str:
    """`` (did you mean X?)`` when a known word is close, else nothing."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: complete or not at all."""
    temporary = path.with_suffix(path.suffix + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def json_text(content: Any) -> str:
    """JSON as files of this package have it."""
    return json.dumps(content, indent=1, allow_nan=False)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one step: complete or not at all."""
    write_text(path, json_text(content))
