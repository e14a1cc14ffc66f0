"""Thousands of cases in limited processes: what came of each, counted, and the exit code.

A *case* is a number and what is tried; *work* says what came of it (``outcome``, detail) and raises
what is no error of ours. Twenty cases share a process; if one of them does not end well, each gets
a process of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from limited import guarded, in_child

Case = TypeVar("Case")
#: Cases that share a process.
BATCH = 20


def judged(
    cases: Iterator[tuple[int, Case]],
    work: Callable[[Case], tuple[str, str]],
    good: Sequence[str],
    batch: int = BATCH,
) -> Iterator[tuple[int, Case, str, str]]:
    """Number, case, what came of it, and a detail of that."""
    while some := list(islice(cases, batch)):
        found = judge([case for _, case in some], work)
        if len(some) > 1 and any(outcome not in good for outcome, _ in found):
            found = [judge([case], work)[0] for _, case in some]
        for (index, case), (outcome, detail) in zip(some, found, strict=True):
            yield index, case, outcome, detail


def judge(cases: Sequence[Case], work: Callable[[Case], tuple[str, str]]) -> list[tuple[str, str]]:
    """What comes of cases in a limited process of their own, and a detail of each."""

    def all_of_them() -> list[tuple[str, Any]]:
        return [guarded(partial(work, case)) for case in cases]

    kind, found = in_child(all_of_them)
    if kind != "done":
        return [(kind, found)] * len(cases)
    return [answer if ended == "done" else (ended, answer) for ended, answer in found]


def arguments(text: str | None, count: int) -> argparse.ArgumentParser:
    """A parser of ``--count`` and ``--seed``."""
    parser = argparse.ArgumentParser(description=(text or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    return parser


def report(
    found: Iterator[tuple[int, Case, str, str]],
    good: Sequence[str],
    keep: Callable[[int, Case], None] | None = None,
) -> Counter[str]:
    """Prints what did not end well, then the counts."""
    counts: Counter[str] = Counter()
    for index, case, outcome, detail in found:
        counts[outcome] += 1
        if outcome not in good:
            what = "" if isinstance(case, bytes) else f" {case!r}"[:300]
            print(f"case {index}: {outcome}: {detail}{what}", flush=True)
            if keep:
                keep(index, case)
    print(", ".join(f"{kind} {count:,}" for kind, count in counts.most_common()))
    return counts


def end(counts: Counter[str], good: Sequence[str]) -> None:
    """Exit code 1 if anything did not end well."""
    sys.exit(any(kind not in good for kind in counts))
