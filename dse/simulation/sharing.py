"""How a shared link serves several segments at once: their speeds under each discipline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dse.hardware.modes import Arbitration

Uses = Sequence[Sequence[float]]
#: A link counts as full only beyond this excess, and as used beyond this share: less is rounding.
_SLACK = 1e-12
#: Most sweeps of the fixed point of round robin; one is enough with one contended link.
_SWEEPS = 200


def speeds(uses: Uses, dominants: Sequence[float], costs: Sequence[float] = ()) -> list[float]:
    """Progress of each segment relative to being alone (0 to 1], by progressive filling.

    All segments grow together, segment ``i`` at a rate of ``1 / costs[i]``, each until its full
    speed; a link that is full stops those that use it.

    Args:
        uses: for each segment its share of every link at full speed. A share above 1 (a link
            that the schedule does not know of) keeps the segment below full speed even alone.
        dominants: the largest share of each segment.
        costs: the dominant shares unless given, which makes all segments hold equal shares of what
            they use most (dominant resource fairness, Ghodsi et al., NSDI 2011).
    """
    links = range(len(uses[0])) if uses else range(0)
    if sum(dominants) <= 1.0 or all(sum(use[k] for use in uses) <= 1.0 + _SLACK for k in links):
        return [1.0] * len(uses)
    costs = costs or dominants
    out = [1.0] * len(uses)
    open_ = [index for index, dominant in enumerate(dominants) if dominant > 0.0]
    taken = [0.0 for _ in links]
    while open_:
        level, full = min(costs[index] for index in open_), -1
        for k in links:
            slope = sum(uses[index][k] / costs[index] for index in open_ if uses[index][k] > _SLACK)
            if slope > 0.0:
                reach = max(0.0, 1.0 - taken[k]) / slope
                if reach < level or (full < 0 and reach <= level * (1.0 + _SLACK)):
                    level, full = min(reach, level), k
        left = []
        for index in open_:
            if full < 0 and costs[index] <= level:
                speed = 1.0
            elif full >= 0 and uses[index][full] > _SLACK:
                speed = min(1.0, level / costs[index])
            else:
                left.append(index)
                continue
            out[index] = speed
            for k in links:
                taken[k] += speed * uses[index][k]
        open_ = left
    return out


def first_come(uses: Uses, dominants: Sequence[float], steps_s: Sequence[float]) -> list[float]:
    """Speeds if a link serves whole requests in order of arrival.

    A core has one request in flight, the transfer of one step. Cores that wait for a full link
    therefore take turns step by step, whatever the sizes: they make equal steps per second.

    Args:
        steps_s: time of one step of each segment at full speed.
    """
    return speeds(uses, dominants, [1.0 / seconds for seconds in steps_s])


def round_robin(uses: Uses, dominants: Sequence[float], _steps_s: Sequence[float]) -> list[float]:
    """Speeds if each link, by itself, serves small bursts of all that wait for it in turn.

    On a full link everyone gets the same bandwidth or what it can use with what the other links
    leave it (max-min fairness link by link). With one contended link the same as :func:`speeds`.
    """
    count, links = len(uses), range(len(uses[0])) if uses else range(0)
    levels = [1.0e300 for _ in links]

    def cap(index: int, but: int = -1) -> float:
        return min(
            [1.0, *(levels[k] / uses[index][k] for k in links if k != but and uses[index][k] > 0.0)]
        )

    for _ in range(_SWEEPS):
        before = list(levels)
        for k in links:
            levels[k] = _water_level([uses[i][k] * cap(i, k) for i in range(count)])
        if all(abs(a - b) <= 1e-12 * b for a, b in zip(levels, before, strict=True)):
            break
    out = [cap(index) for index in range(count)]
    over = max([1.0, *(sum(s * use[k] for s, use in zip(out, uses, strict=True)) for k in links)])
    return [speed / over for speed in out]


def _water_level(demands: Sequence[float]) -> float:
    """The level at which ``sum(min(demand, level))`` is 1; huge if the demands fit."""
    if sum(demands) <= 1.0 + _SLACK:
        return 1.0e300
    left, waiting = 1.0, sorted(demands)
    for number, demand in enumerate(waiting):
        level = left / (len(waiting) - number)
        if demand >= level:
            return level
        left -= demand
    return 1.0e300


def discipline(
    kind: Arbitration,
) -> Callable[[Uses, Sequence[float], Sequence[float]], list[float]]:
    """The speeds under an arbitration: a function of uses, dominant shares and step times."""
    if kind == "fcfs":
        return first_come
    if kind == "round_robin":
        return round_robin
    return lambda uses, dominants, _steps_s: speeds(uses, dominants)
