"""Every ONNX file below some folders: is it read, or refused for what reason, within limits?

Run ``python experiments/hardening/read_files.py FOLDER... [--limit N] [--jobs 2] [--json OUT]
[--follow] [--code DIR]``. Each file is read and lowered in a process of its own, which may take
10 s of processor time and 1 GB more than it has at its start. ``--follow`` does what each refusal
says (its ``--bind`` options with plausible values, ``--unknown-ops host``), up to three times in a
row, and counts how often that leads to a file that is read. ``--code`` reads with the package of
another checkout. The exit code is 1 if a file was neither read nor refused in one line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from limited import in_child
from mends import ROUNDS, TRIES, Step, steps

ROOT = Path(__file__).resolve().parents[2]
#: What may come of a file.
GOOD = ("read", "refused")
#: Files shown for each reason.
SHOWN = 3


@dataclass(frozen=True)
class Result:
    """What came of a file.

    ``kind`` is ``read``, ``refused``, ``unclear`` (a refusal that is no line with a mend),
    ``traceback``, ``crash``, ``time`` or ``memory``; ``line`` the error as printed.
    """

    file: str
    kind: str
    reason: str = ""
    line: str = ""
    mend: str = ""
    macs: int = 0
    layers: int = 0
    #: ``mended``, ``not mended``, or ``cannot be followed`` (no option is printed); with --follow.
    followed: str = ""
    #: The options that were given, and the refusal that was left.
    options: tuple[str, ...] = ()
    left: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, help="at most so many files")
    parser.add_argument("--jobs", type=int, default=2, help="files at once")
    parser.add_argument("--json", type=Path, help="where all results go")
    parser.add_argument("--follow", action="store_true", help="do what the refusals say")
    parser.add_argument("--code", type=Path, default=ROOT, help="checkout to read with")
    chosen = parser.parse_args()
    sys.path.insert(0, str(chosen.code.resolve()))
    found = results(list(islice(onnx_files(chosen.folders), chosen.limit)), chosen)
    print(table(found))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(result) for result in found], indent=1))
    sys.exit(any(result.kind not in GOOD for result in found))


def onnx_files(folders: Sequence[Path]) -> Iterator[Path]:
    """Files called ``*.onnx`` below folders, in order; links are not followed."""
    for folder in folders:
        for root, inner, names in os.walk(folder):
            inner.sort()
            for name in sorted(names):
                path = Path(root, name)
                if name.endswith(".onnx") and path.is_file() and not path.is_symlink():
                    yield path


def results(files: Sequence[Path], chosen: argparse.Namespace) -> list[Result]:
    """What comes of each file."""
    import dse.workload.load  # noqa: F401  once, in front of all children

    with get_context("fork").Pool(chosen.jobs) as pool:
        return list(pool.imap(partial(result, follow=chosen.follow), files, chunksize=4))


def result(path: Path, follow: bool) -> Result:
    """What comes of a file; with ``follow``, of what its refusal says too."""
    first = attempt(path, Step())
    if first.kind != "refused" or not follow:
        return first
    return followed(path, first)


def followed(path: Path, first: Result) -> Result:
    """What doing as the refusals say leads to, breadth first, up to ``ROUNDS`` times in a row."""
    waiting = [(Step(), first)]
    tried = left = None
    tries = 0
    for _ in range(ROUNDS):
        following = []
        for done, refusal in waiting:
            for step in islice(steps(done, refusal.mend, path), TRIES - tries):
                tries += 1
                tried, left = step, attempt(path, step)
                if left.kind == "read":
                    return replace(first, followed="mended", options=step.options())
                if left.kind != "refused":
                    return replace(first, kind=left.kind, line=left.line, options=step.options())
                following.append((step, left))
        seen: dict[str, tuple[Step, Result]] = {}
        for step, refusal in following:
            seen.setdefault(refusal.line, (step, refusal))
        waiting = list(seen.values())[:6]
    if tried is None or left is None:
        return replace(first, followed="cannot be followed")
    return replace(first, followed="not mended", options=tried.options(), left=left.line)


def attempt(path: Path, step: Step) -> Result:
    """What comes of a file with the options of ``step``, in a limited process of its own."""
    kind, answer = in_child(partial(_read, path, step))
    if kind == "done":
        found: Result = answer
        return found
    return Result(str(path), kind, reason(str(answer)), str(answer))


def _read(path: Path, step: Step) -> Result:
    from dse.errors import InputError
    from dse.workload.load import lower_bytes

    warnings.simplefilter("ignore")
    file = str(path)
    try:
        bound = tuple(sorted(step.bound().items()))
        model = lower_bytes(path.read_bytes(), file, bound, step.unknown_ops)
        workload = model.at("w8a8")
    except InputError as error:
        line = str(error)
        well = line.isprintable() and error.mend and len(line) < 10_000
        kind = "refused" if well else "unclear"
        operator = re.search(r"\(([\w.]+)\)$", error.field or "")
        why = f"{operator[1]}: {error.message}" if operator else error.message
        return Result(file, kind, reason(why), line, error.mend or "")
    return Result(file, "read", macs=int(workload.macs), layers=len(workload.layers))


def reason(message: str) -> str:
    """A message without names and numbers, so that equal refusals are counted together."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)", "_", message)
    text = re.sub(r"\S*[\d/]\S*", "_", text)
    text = re.sub(r"\b\w*_\w*\b|(_[\s,;:x*]*)+_", "_", text)
    return text[:160]


def table(found: Sequence[Result]) -> str:
    """What came of the files, and the refusals by reason."""
    kinds = Counter(result.kind for result in found)
    lines = [f"{len(found):,} files: " + ", ".join(f"{k} {n:,}" for k, n in kinds.most_common())]
    done = Counter(result.followed for result in found if result.followed)
    if done:
        lines.append("refusals: " + ", ".join(f"{k} {n:,}" for k, n in done.most_common()))
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in found:
        if result.kind != "read":
            groups[result.kind, result.reason].append(result)
    for (kind, why), group in sorted(groups.items(), key=lambda item: -len(item[1])):
        ways: Any = Counter(result.followed for result in group if result.followed)
        note = "  [" + ", ".join(f"{k} {n}" for k, n in ways.most_common()) + "]" if ways else ""
        lines.append(f"{len(group):6,} {kind}: {why}{note}")
        lines += [f"           {result.line[:400]}" for result in group[:SHOWN]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
