"""The shortest path through items that run one or more layers each, as one compiled loop.

An item is a row of numbers (fields ``N_*``); what it costs depends on the item before it, whose
last step fetches its first weights. :mod:`dse.mapping.path.chain` says what the items are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dse.mapping.tools.compiling import Function, shared
from dse.mapping.tools.stamp import stamped

# Fields of an item: time of its own, time of its fill if nothing hides it, energy, buffer left
# beside the last step, cores, time of the last step, whether it has steps; bytes on three links of
# the first weights, of what is loaded with them, and of the last step.
N_OWN, N_FIRST, N_ENERGY, N_SPARE, N_CORES, N_LAST, N_STEPS = range(7)
N_FILL, N_OTHER, N_BYTES = 7, 10, 13


@shared
def added_s(before: Any, after: Any, rates: Any) -> float:
    """Time that the first weights of ``after`` add behind ``before``, s."""
    need = np.inf
    for n in range(3):
        if after[N_FILL + n] != 0.0:
            need = min(need, after[N_FILL + n])
    if before[N_STEPS] == 0.0 or need == np.inf:
        return 0.0
    need = need / after[N_CORES]
    share = 1.0
    if need > before[N_SPARE]:
        share = max(0.0, before[N_SPARE]) / need
    worst = before[N_LAST]
    for n in range(3):
        more = after[N_FILL + n]
        if more > 0.0:
            worst = max(worst, (before[N_BYTES + n] + share * more) / rates[n])
    added = worst - before[N_LAST]
    if share < 1.0:
        bare = shown = 0.0
        for n in range(3):
            own = after[N_OTHER + n]
            if own != 0.0:
                bare = max(bare, own / rates[n])
            total = own + (1.0 - share) * after[N_FILL + n]
            if total != 0.0:
                shown = max(shown, total / rates[n])
        added += shown - bare
    return float(added)


def _function(version: int) -> Function:
    """The search, bound to the functions of ``version`` (see :mod:`.tools.stamp`)."""

    def shortest(
        starts: Any, ends: Any, items: Any, rates: Any, layers: int, prefetch: bool, timed: bool,
        watts: float, before: Any, seconds: Any, joules: Any,
    ) -> int:  # fmt: skip
        """The last item of the best path from layer 0 to ``layers``, or -1.

        The least energy plus ``watts`` times time, ties to less time; if ``timed`` the least time,
        ties to less energy; then the first of ``items``.

        Args:
            starts, ends: first layer of each item and the one after its last, in ascending order of
                starts; items: their numbers.
            before: receives the item before each on its best path, -1 for none.
            seconds, joules: receive what the best path up to each item takes.
        """
        if version < 0:  # never: makes the version part of the cached function
            return -1
        reached = np.zeros(len(starts), np.bool_)
        linked = np.full(len(starts), -1, np.int64)  # the next item that ends at the same layer
        first = np.full(layers + 1, -1, np.int64)
        last = np.full(layers + 1, -1, np.int64)
        best_of_all = -1
        whole1 = whole2 = np.inf
        for n in range(len(starts)):
            row = items[n]
            best1 = best2 = np.inf
            state = first[starts[n]]
            if starts[n] == 0:
                state = -1
            while True:
                if state < 0 and starts[n] > 0:
                    break
                time, energy, more = 0.0, 0.0, row[N_FIRST]
                if state >= 0:
                    time, energy = seconds[state], joules[state]
                    if prefetch:
                        more = added_s(items[state], row, rates)
                time = time + row[N_OWN] + more
                energy = energy + row[N_ENERGY]
                score, tie = energy + watts * time, time
                if timed:
                    score, tie = time, energy
                if not reached[n] or score < best1 or (score == best1 and tie < best2):
                    best1, best2, reached[n] = score, tie, True
                    before[n], seconds[n], joules[n] = state, time, energy
                if state < 0:
                    break
                state = linked[state]
            if not reached[n]:
                continue
            end = ends[n]
            if first[end] < 0:
                first[end] = n
            else:
                linked[last[end]] = n
            last[end] = n
            better = best1 < whole1 or (best1 == whole1 and best2 < whole2)
            if end == layers and (best_of_all < 0 or better):
                best_of_all, whole1, whole2 = n, best1, best2
        return best_of_all

    return shortest


#: Types of the arguments of ``shortest``.
SIGNATURE = "i8[::1], i8[::1], f8[:, ::1], f8[::1], i8, b1, b1, f8, i8[::1], f8[::1], f8[::1]"
shortest = stamped(_function)
