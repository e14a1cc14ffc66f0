"""Searches killed at any moment, then run again: nothing is lost, nothing is counted twice.

Run ``python experiments/hardening/kills.py [--count 55] [--seed 1]``. A small search (``dse
explore``) is started, killed without warning (SIGKILL, its workers too) once it has written so many
designs or at any moment of its start, up to three times, and then run to its end: it exits with 0,
its log holds each design once and as many as were asked, and the report of its folder is written. A
search with one worker must hold the same designs as one that nobody killed. The exit code is 1 if
any case failed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import arguments, end, report

#: What may come of a case.
GOOD = ("whole",)
TRIALS = 40
EXPERIMENT = """
name: kills
app: mlperf_tiny
chip: mcu_mram_npu
fidelity: analytic
parameters:
  chip.array.rows: {choices: [4, 8, 16, 32]}
  chip.array.cols: {choices: [4, 8, 16, 32]}
  chip.node: {choices: [22nm, 16nm, 12nm]}
  chip.buffer.bytes: {choices: [32768, 65536, 131072]}
objectives:
  - metric: average_power_w
  - metric: unit_cost_usd
"""
LOG = "evaluations.jsonl"


def main() -> None:
    chosen = arguments(__doc__, 55).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "kills.yaml").write_text(EXPERIMENT)
        whole = {workers: run_to_its_end(place, f"whole{workers}", workers) for workers in (1, 2)}
        end(report(killed(place, chosen.count, chosen.seed, whole[1]), GOOD), GOOD)


def killed(
    place: Path, count: int, seed: int, whole: list[str]
) -> Iterator[tuple[int, str, str, str]]:
    """Number, what was done, what came of it, and a detail."""
    for index in range(count):
        rng = random.Random(f"{seed}:{index}")
        out, workers = f"case{index}", rng.choice((1, 2))
        moments = [rng.randrange(TRIALS) for _ in range(rng.choice((1, 1, 2, 3)))]
        for moment in moments:
            _kill(place, out, workers, moment, rng.random())
        told = f"{workers} workers, killed behind {moments} designs"
        try:
            designs = run_to_its_end(place, out, workers)
        except AssertionError as error:
            yield index, told, "failed", str(error)
            continue
        same = workers > 1 or designs == whole
        yield index, told, "whole" if same else "other designs", told


def _command(out: str, workers: int) -> list[str]:
    options = ["--trials", str(TRIALS), "--workers", str(workers), "--seed", "0", "--out", out]
    return [sys.executable, "-m", "dse", "explore", "kills.yaml", *options]


def _kill(place: Path, out: str, workers: int, moment: int, share: float) -> None:
    """Starts a search and kills it behind ``moment`` designs (0: at some moment of its start)."""
    run = subprocess.Popen(
        _command(out, workers), cwd=place, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if moment:
        while run.poll() is None and len(_lines(place / out)) < moment:
            time.sleep(0.01)
    else:
        time.sleep(5.0 * share)
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def _lines(folder: Path) -> list[str]:
    log = folder / LOG
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def run_to_its_end(place: Path, out: str, workers: int) -> list[str]:
    """Runs a search to its end and writes its report; the designs that it evaluated, in order."""
    for command in (
        _command(out, workers),
        [sys.executable, "-m", "dse", "report", out, "--out", f"{out}/report"],
    ):
        done = subprocess.run(command, cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-500:]
        assert "Traceback" not in done.stderr, done.stderr[-500:]
    rows = [json.loads(line) for line in _lines(place / out)]
    designs = [json.dumps(row["values"], sort_keys=True) for row in rows if "values" in row]
    assert len(set(designs)) == len(designs), "a design was evaluated twice"
    assert len(designs) == TRIALS, f"{len(designs)} designs of {TRIALS}"
    return designs


if __name__ == "__main__":
    main()
