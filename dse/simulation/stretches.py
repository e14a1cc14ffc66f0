"""Stretches of a play in which jobs of rare streams are at work, and how often they come.

The play is cut into slots in which the streams that are not rare repeat. Slots in which jobs of
rare streams are in the system (or were, up to :data:`SETTLE` slots before) come as often as those
jobs do; the other slots, which are alike, take the rest of the time. So a mean over all time is a
weighted one over the slots that were played, however many jobs of a rare stream fell into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dse.simulation.periods import WHOLE, Regime, whole_slots
from dse.simulation.scheduler import LiveJob

Floats = NDArray[np.float64]
#: Slots after a job of a rare stream that still differ: what waited for it, parts on their way to
#: sleep.
SETTLE = 1


@dataclass(frozen=True)
class Weights:
    """Parts of the play that a mean is over: between ``cuts`` (n+1 times, s) with ``share`` (n
    values that sum to 1) of all time."""

    cuts: Floats
    share: Floats

    @property
    def density(self) -> Floats:
        """Share of all time that a second of each part stands for, 1/s."""
        return self.share / np.diff(self.cuts)

    def mean(self, edges: Floats, values: Floats) -> float:
        """Mean of piecewise-constant ``values`` (between ``edges``)."""
        total = np.concatenate([[0.0], np.cumsum(values * np.diff(edges))])
        return float(np.sum(self.density * np.diff(np.interp(self.cuts, edges, total))))

    def busy(self, spans: Sequence[tuple[float, float]]) -> float:
        """Mean number of spans that hold at a time."""
        if not spans:
            return 0.0
        starts, ends = np.sort(np.asarray(spans), axis=0).T
        return float(np.sum(self.density * np.diff(_before(self.cuts, starts, ends))))

    def per_s(self, times: Sequence[float]) -> float:
        """How many of some events, which fell on ``times``, there are in a second."""
        if not times:
            return 0.0
        counts = np.diff(np.searchsorted(np.sort(np.asarray(times)), self.cuts, side="left"))
        return float(np.sum(self.density * counts))


def _before(cuts: Floats, starts: Floats, ends: Floats) -> Floats:
    """Seconds of all spans before each cut; starts and ends ascend."""
    from_start, from_end = np.append(0.0, np.cumsum(starts)), np.append(0.0, np.cumsum(ends))
    begun = np.searchsorted(starts, cuts)
    over = np.searchsorted(ends, cuts)
    out: Floats = (begun * cuts - from_start[begun]) - (over * cuts - from_end[over])
    return out


def live_spans(jobs: Sequence[LiveJob], end_s: float) -> dict[str, list[tuple[float, float]]]:
    """When jobs of each task were in the system, from release to completion."""
    out: dict[str, list[tuple[float, float]]] = {}
    for job in jobs:
        gone = min(job.last_start_s, end_s) if job.finish_s is None else job.finish_s
        out.setdefault(job.task.name, []).append((job.release_s, max(job.release_s, gone)))
    return out


def _slots(regime: Regime, end_s: float) -> int:
    return int(end_s / regime.slot_s * (1.0 + WHOLE))


def quiet(jobs: Sequence[LiveJob], regime: Regime, end_s: float) -> NDArray[np.bool_]:
    """Slot by slot, whether no job of a rare stream was in the system, nor shortly before, and what
    had waited for one is done."""
    slot, count = regime.slot_s, _slots(regime, end_s)
    loud = np.zeros(count, dtype=np.bool_)
    others: list[tuple[float, float]] = []
    for name, spans in live_spans(jobs, end_s).items():
        if name not in regime.rare:
            others += spans
            continue
        for start, stop in spans:
            loud[int(start / slot) : int(stop / slot) + 1 + SETTLE] = True
    if not others or not np.any(loud):
        return ~loud
    waiting = _across(others, np.arange(count, dtype=np.float64) * slot, WHOLE * slot)
    usual = np.min(waiting[1:][~loud[1:]], initial=np.max(waiting))
    for number in np.flatnonzero(waiting > usual):
        if number and loud[number - 1]:
            loud[number] = True
    return ~loud


def _across(spans: Sequence[tuple[float, float]], times: Floats, rounding: float) -> Floats:
    """How many spans reach across each of some times."""
    starts, ends = np.sort(np.asarray(spans), axis=0).T
    begun = np.searchsorted(starts, times - rounding)
    over = np.searchsorted(ends, times + rounding)
    out: Floats = (begun - over).astype(float)
    return out


def weights(
    jobs: Sequence[LiveJob],
    served: Mapping[str, Sequence[tuple[float, float]]],
    regime: Regime,
    rates_hz: Mapping[str, float],
    horizon_s: float,
    end_s: float,
) -> Weights:
    """What parts of a play a long-run mean is over.

    Args:
        jobs: all that were released.
        served: when jobs of each task held cores.
        rates_hz: jobs per second that each task is asked for.
        horizon_s: as many whole slots as it holds are taken where no stream is rare: the last ones.
        end_s: of the play.
    """
    if not regime.rare:
        length = min(whole_slots(regime, horizon_s), end_s)
        return Weights(np.array([end_s - length, end_s]), np.ones(1))
    count = _slots(regime, end_s)
    if count == 0:
        return Weights(np.array([0.0, end_s]), np.ones(1))
    cuts = np.arange(count + 1, dtype=np.float64) * regime.slot_s
    loud = ~quiet(jobs, regime, end_s)
    if _reaches(jobs, regime, float(cuts[-1])) and end_s > cuts[-1]:
        cuts, loud = np.append(cuts, end_s), np.append(loud, True)  # to the end of what is rare
    lengths: Floats = np.diff(cuts) / cuts[-1]
    often: Floats = np.where(loud, _often(jobs, served, regime, rates_hz, cuts), 0.0) * lengths
    rest, still = 1.0 - float(np.sum(often)), float(np.sum(lengths[~loud]))
    if still > 0.0 and rest > 0.0:
        return Weights(cuts, np.where(loud, often, lengths * rest / still))
    often = often if np.any(often > 0.0) else lengths
    return Weights(cuts, often / np.sum(often))


def _reaches(jobs: Sequence[LiveJob], regime: Regime, time_s: float) -> bool:
    """Whether a job of a rare stream is in the system after a time."""
    return any(
        job.task.name in regime.rare and (job.finish_s is None or job.finish_s > time_s)
        for job in jobs
        if not job.dropped
    )


def _often(
    jobs: Sequence[LiveJob],
    served: Mapping[str, Sequence[tuple[float, float]]],
    regime: Regime,
    rates_hz: Mapping[str, float],
    cuts: Floats,
) -> Floats:
    """How much oftener each slot comes than it was played: its rare jobs' stated rates over those
    played, as they share its time."""
    count = len(cuts) - 1
    total, scaled = np.zeros(count), np.zeros(count)
    spans = live_spans(jobs, float(cuts[-1]))
    for name in sorted(regime.rare):
        arrived = sum(start < cuts[-1] for start, _ in spans.get(name, ()))
        if not arrived:
            continue
        ratio = rates_hz[name] * float(cuts[-1]) / arrived
        taken = np.zeros(count)
        for weight, some in ((1.0, served[name]), (1e-6, spans[name])):
            if some:
                starts, ends = np.sort(np.asarray(some), axis=0).T
                taken += weight * np.diff(_before(cuts, starts, ends))
        total += taken
        scaled += ratio * taken
    mean = float(np.sum(scaled) / np.sum(total)) if np.sum(total) > 0.0 else 1.0
    # A slot that is loud only because it follows one: as the one before it.
    known = np.maximum.accumulate(np.where(total > 0.0, np.arange(count), -1))
    out: Floats = np.where(total > 0.0, scaled / np.where(total > 0.0, total, 1.0), mean)
    filled: Floats = np.where(known >= 0, out[known], mean)
    return filled
