"""Hold the golden corpora of two commits against each other: equal, or what moved and why.

    python experiments/golden/compare.py A B [--only networks,chips] [--workers 2]
    python experiments/golden/compare.py HEAD~1 HEAD --changelog CHANGELOG.md

A and B are commits, checkouts (``.`` with its uncommitted changes) or folders that ``write.py``
made. Corpora of commits are kept in ``out/golden``. Leaves with 0 if every number of A is in B by
``==``, with 1 if one moved or is gone, with 2 if a side cannot be had. ``--changelog`` writes the
table into the section "Numbers that changed" of the newest entry.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]

from checkouts import CannotLayOut, commit_of, laid_out  # noqa: E402
from corpus import SECTIONS  # noqa: E402
from differences import causes, compare  # noqa: E402
from telling import changelog, report  # noqa: E402

KEPT = ROOT / "out" / "golden"
#: Files that decide what a corpus holds beside the commit itself.
DECISIVE = ("corpus.py", "corpus.yaml", "files/pins.yaml", "files/tiny.yaml", "../app_matrix.yaml")


def corpus_of(side: str, sections: Sequence[str], workers: int) -> Path:
    """The folder with the corpus of a commit, a checkout or a folder; made if it is not there.

    Raises:
        CannotLayOut: there is no such side, or its corpus could not be made.
    """
    if (Path(side) / "about.json").is_file():
        return Path(side)
    commit = commit_of(side, ROOT)
    listed = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in DECISIVE))
    name = commit[:12] if commit else f"checkout-{Path(side).resolve().name}"
    folder = KEPT / f"{name}-{listed.hexdigest()[:8]}"
    if commit is None:
        shutil.rmtree(folder, ignore_errors=True)
    missing = [name for name in sections if not (folder / f"{name}.jsonl").is_file()]
    if missing:
        _make(side, folder, missing, workers)
    return folder


def _make(side: str, folder: Path, sections: Sequence[str], workers: int) -> None:
    print(f"corpus of {side}: {', '.join(sections)}", file=sys.stderr)
    with laid_out((side,), ROOT) as (checkout,):
        script = [sys.executable, str(HERE / "write.py"), str(folder.resolve())]
        options = ["--only", ",".join(sections), "--workers", str(workers)]
        environment = checkout.environment(os.environ)
        done = subprocess.run(
            [*script, *options], cwd=checkout.folder, env=environment, stdout=subprocess.DEVNULL
        )
    if done.returncode:
        raise CannotLayOut(f"the corpus of {side} could not be made (see above)")


def read(folder: Path, sections: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The records of a corpus by id.

    Raises:
        CannotLayOut: a section is missing or damaged.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in sections:
        try:
            lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
            found.update((row["id"], row) for row in map(json.loads, lines))
        except (OSError, ValueError, KeyError, TypeError):
            raise CannotLayOut(
                f"{folder / name}.jsonl: missing or damaged; write the corpus again"
            ) from None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma-separated")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--changelog", type=Path, help="write the table into this file")
    parser.add_argument("--json", action="store_true", help="every move, one JSON object")
    chosen = parser.parse_args()
    sections = [name for name in SECTIONS if name in chosen.only.split(",")]
    if unknown := set(chosen.only.split(",")) - set(SECTIONS):
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}; use {', '.join(SECTIONS)}")
    try:
        sides = [
            corpus_of(side, sections, chosen.workers) for side in (chosen.before, chosen.after)
        ]
        before, after = (read(side, sections) for side in sides)
    except CannotLayOut as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    found = compare(before, after)
    grouped = causes(found, after)
    if chosen.json:
        print(json.dumps(_as_json(found, grouped), indent=1))
    else:
        print(report(found, grouped, after))
    if chosen.changelog:
        text = chosen.changelog.read_text(encoding="utf-8")
        told = changelog(text, found, grouped, after)
        chosen.changelog.write_text(told, encoding="utf-8")
    sys.exit(0 if found.equal else 1)


def _as_json(found: Any, grouped: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "records": found.records,
        "equal": found.equal,
        "causes": [
            {
                "cause": cause.label,
                "records": cause.ids,
                "moves": [[m.id, m.path, m.before, m.after] for m in cause.moves],
            }
            for cause in grouped
        ],
        "words": [[m.id, m.path, m.before, m.after] for m in found.words],
        "added": found.added,
        "gone": found.gone,
        "fields_added": found.fields_added,
        "fields_gone": found.fields_gone,
    }


if __name__ == "__main__":
    main()
