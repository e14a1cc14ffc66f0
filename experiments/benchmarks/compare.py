"""Two commits side by side: start-up, mapping, design, simulation and loading, in CPU time.

Run ``python experiments/benchmarks/compare.py A B [--quick] [--only NAME] [--limit 1.05] [--json]``
with git revisions or folders of checkouts; ``.`` is this one with uncommitted changes. All
benchmarks in 7 pairs take some 10 minutes, with ``--quick`` 3 pairs. How to read the table:
``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(HERE.parent))

from checkouts import CannotLayOut, Checkout, laid_out  # noqa: E402
from verdicts import Row, Run, judged, order, over, table  # noqa: E402

BODIES = HERE / "bodies.py"
PAIRS, QUICK = 7, 3
#: After so long a process is given up, s; compiling all kernels on a busy machine takes 100.
PATIENCE_S = 900.0

Play = Callable[[Checkout, str], Run]


def play(checkout: Checkout, name: str, bodies: Path = BODIES) -> Run:
    """One benchmark once, in a process of its own that knows only this commit."""
    process = subprocess.Popen(
        [sys.executable, str(bodies), name],
        env=checkout.environment(os.environ),
        cwd=checkout.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complaint = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return Run(failed=f"no end after {PATIENCE_S:.0f} s")
    finally:
        if process.poll() is None:  # given up or interrupted: what it started goes with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        return Run(failed=(complaint.strip().splitlines() or [f"exit {process.returncode}"])[-1])
    return Run(**json.loads(said.splitlines()[-1]))


def measure(
    sides: Sequence[Checkout], name: str, pairs: int, run: Play, say: Callable[[str], None]
) -> Row:
    """One benchmark of both commits: once each uncounted, which compiles, then pair by pair."""
    by_side = dict(zip("ab", sides, strict=True))
    say(f"{name}: first runs, not counted")
    first = {side: run(checkout, name) for side, checkout in by_side.items()}
    if not all(one.measured for one in first.values()):
        return judged(name, [first["a"]], [first["b"]])
    runs: dict[str, list[Run]] = {"a": [], "b": []}
    for number, pair in enumerate(order(pairs), 1):
        for side in pair:
            runs[side].append(run(by_side[side], name))
        one, two = runs["a"][-1], runs["b"][-1]
        say(f"{name}: pair {number} of {pairs}: A {one.user_s:.3g} s, B {two.user_s:.3g} s")
        if not one.measured or not two.measured:
            break
    return judged(name, runs["a"], runs["b"])


def chosen(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The benchmarks meant: by name, or all that begin with it; without names all.

    Raises:
        ValueError: a name that none begins with.
    """
    for name in wanted:
        if not any(one.startswith(name) for one in known):
            raise ValueError(f"no benchmark {name!r}; there are: {', '.join(known)}")
    return [one for one in known if not wanted or one.startswith(tuple(wanted))]


def report(rows: Sequence[Row], labels: Sequence[str], limit: float | None) -> tuple[str, int]:
    """Everything that is printed, and the exit code."""
    pairs = max((row.pairs for row in rows), default=0)
    head = f"A = {labels[0]}, B = {labels[1]}; user CPU, medians of {pairs} pairs"
    lines = [head, table(rows)]
    slow = [] if limit is None else over(rows, limit)
    lines += [f"over the limit of {limit:g}: {row.name}, {row.verdict}" for row in slow]
    broken = [row.name for row in rows if row.broken]
    lines += [f"could not be measured: {', '.join(broken)}"] if broken else []
    return "\n".join(lines), int(bool(slow or broken))


def listed() -> list[str]:
    """Names of the benchmarks, asked of the process that runs them."""
    done = subprocess.run(
        [sys.executable, str(BODIES), "--list"],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", metavar="A", help="git revision or folder of a checkout")
    parser.add_argument("b", metavar="B", help="the other, compared with A")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} pairs in place of {PAIRS}")
    parser.add_argument("--pairs", type=int, help="so many pairs")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="such as map or load-resnet50"
    )
    parser.add_argument(
        "--limit", type=float, help="exit code 1 where B is surely slower than this times A"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="keep commits and kernels there"
    )
    found = parser.parse_args()
    if found.pairs is not None and found.pairs < 1:
        parser.error("--pairs must be 1 or more")
    if found.limit is not None and not found.limit > 0.0:
        parser.error("--limit must be above 0, such as 1.05")
    return found


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Being asked to end (SIGTERM) is like Ctrl-C: folders are removed first."""
    usually = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usually)


def main() -> int:
    asked = options()
    pairs = asked.pairs or (QUICK if asked.quick else PAIRS)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        names = chosen(asked.only, listed())
        with stoppable(), laid_out((asked.a, asked.b), ROOT, asked.cache) as sides:
            rows = [measure(sides, name, pairs, play, say) for name in names]
    except (CannotLayOut, ValueError) as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted")
        return 1
    labels = [side.label for side in sides]
    text, code = report(rows, labels, asked.limit)
    if asked.json:
        told: dict[str, Any] = {"schema_version": 1, "a": labels[0], "b": labels[1], "pairs": pairs}
        told |= {"limit": asked.limit, "exit_code": code, "rows": [row.to_dict() for row in rows]}
        print(json.dumps(told))
    else:
        print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
