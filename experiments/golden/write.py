"""Write the golden corpus of the code on the path: every record of a fixed list, as JSON lines.

    python experiments/golden/write.py out/golden/mine [--workers 2] [--only networks,apps] [--cold]

Each section becomes ``SECTION.jsonl`` in the folder, its records sorted by id. Interrupted, it goes
on where it stopped. ``--cold`` compiles the kernels anew into an empty folder. What the records
hold is in ``corpus.yaml``; ``compare.py`` holds two commits against each other.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from corpus import SECTIONS, Task, records, tasks  # noqa: E402

#: Finished tasks with their records, one a line, while a corpus is being written.
PARTS = "parts.jsonl"
ABOUT = "about.json"


def made(task: Task) -> list[dict[str, Any]]:
    """The records of one task, in a worker."""
    return list(records(task))


def write(folder: Path, sections: tuple[str, ...] = SECTIONS, workers: int = 1) -> int:
    """Write the corpus into ``folder``; returns the number of records."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = folder / PARTS
    done = {key for key, _ in _parts(parts)}
    wanted = tasks(sections)
    left = [task for task in wanted if _key(task) not in done]
    with parts.open("a", encoding="utf-8") as log:
        for number, (task, rows) in enumerate(_run(left, workers), len(wanted) - len(left) + 1):
            log.write(json.dumps([_key(task), rows], allow_nan=False) + "\n")
            log.flush()
            print(f"\rtask {number} of {len(wanted)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    keys = {_key(task) for task in wanted}
    by_section: dict[str, list[dict[str, Any]]] = {name: [] for name in sections}
    for key, rows in _parts(parts):
        if key in keys:
            by_section[key.partition(" ")[0]] += rows
    for name, rows in by_section.items():
        lines = [json.dumps(row) for row in sorted(rows, key=lambda row: row["id"])]
        (folder / f"{name}.jsonl").write_text("".join(f"{x}\n" for x in lines), encoding="utf-8")
    (folder / ABOUT).write_text(json.dumps(_about(sections, workers), indent=1), encoding="utf-8")
    parts.unlink()
    return sum(map(len, by_section.values()))


def _run(left: list[Task], workers: int) -> Iterator[tuple[Task, list[dict[str, Any]]]]:
    if workers == 1:
        yield from ((task, made(task)) for task in left)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(made, task): task for task in left}
        try:
            for one in as_completed(running):
                yield running[one], one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _key(task: Task) -> str:
    return f"{task.section} {task.subject} {task.chip} {task.trials}"


def _parts(path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Finished tasks; a last line cut short by a kill is left out."""
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                key, rows = json.loads(line)
            except ValueError:
                continue
            yield key, rows


def _about(sections: tuple[str, ...], workers: int) -> dict[str, Any]:
    """What the corpus was made with; not compared."""
    from dse.version import model_version

    return {
        "schema_version": 1,
        "version": model_version(),
        "python": platform.python_version(),
        "sections": sections,
        "workers": workers,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma-separated")
    parser.add_argument("--cold", action="store_true", help="compile the kernels anew")
    chosen = parser.parse_args()
    sections = tuple(name for name in SECTIONS if name in chosen.only.split(","))
    unknown = set(chosen.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}; use {', '.join(SECTIONS)}")
    with tempfile.TemporaryDirectory() as empty:
        if chosen.cold:
            os.environ["NUMBA_CACHE_DIR"] = empty
        count = write(chosen.folder, sections, chosen.workers)
    print(f"{count} records in {chosen.folder}")


if __name__ == "__main__":
    main()
