"""In what share of time any core works: what all share is awake then, and the converter loaded.

Every job takes at least its time alone from its release (of a chain: of the first job) on. While a
job is there some core works, whatever the scheduler, so the time that such stretches cover together
is a bound from below that no queue or contention undercuts; where releases are random it is the
mean of that time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dse.apps import App, Stream
from dse.evaluation.loads import Load
from dse.simulation.periods import common_s

#: Most releases in a common period that are laid over each other; beyond, streams count as
#: independent of one another.
MOST_RELEASES = 2000.0


def covered(app: App, loads: Sequence[Load]) -> float:
    """The share of time in which some job is there at the least, from times alone on the chip."""
    by_id = {load.stream.id: load for load in loads}
    regular = [load for load in loads if _regular(app, load.stream, by_id)]
    rates = [load.stream.rate_hz or 0.0 for load in regular if load.stream.after is None]
    chances = [_alone(load) for load in loads if load not in regular]
    found = None
    if rates:
        most_s = MOST_RELEASES / sum(load.rate_hz for load in regular)
        found = common_s(rates, most_s, most_s)
    if found is None:
        chances += [_alone(load) for load in regular]
        together = 0.0
    else:
        together = _together(app, regular, by_id, found[0])
    return 1.0 - (1.0 - together) * math.prod(1.0 - chance for chance in chances)


def _regular(app: App, stream: Stream, by_id: dict[str, Load]) -> bool:
    """Whether its releases, or those that start its chain, come at regular times on this chip."""
    while stream.after is not None:
        if stream.after not in by_id:
            return False
        stream = app.stream(stream.after)
    return stream.arrivals is None and stream.release == "periodic"


def _alone(load: Load) -> float:
    """Share of time that jobs of a stream cover where nothing is known of when they come."""
    return 1.0 - math.exp(-load.rate_hz * load.latency_s)


def _together(app: App, loads: Sequence[Load], by_id: dict[str, Load], period_s: float) -> float:
    """Share of a common period that regular streams cover, releases laid over each other."""
    starts, lengths, chances = [], [], []
    for load in loads:
        stream, wait_s, chance = load.stream, 0.0, 1.0
        while stream.after is not None:
            chance *= stream.probability
            stream = app.stream(stream.after)
            wait_s += by_id[stream.id].latency_s
        rate = stream.rate_hz or 1.0
        count = max(1, round(period_s * rate))
        for index in range(load.stream.instances):
            phase = (index % stream.instances) / (stream.instances * rate)
            times = (wait_s + phase + np.arange(count) / rate) % period_s
            starts.append(times)
            lengths.append(np.full(count, min(load.latency_s, period_s)))
            chances.append(np.full(count, chance))
    begin, length = np.concatenate(starts), np.concatenate(lengths)
    # What reaches over the end of the period goes on at its start.
    over = np.maximum(begin + length - period_s, 0.0)
    begin = np.concatenate([begin, np.zeros(len(over))])
    length = np.concatenate([length - over, over])
    free = np.log1p(-np.minimum(np.tile(np.concatenate(chances), 2), 1.0 - 1e-12))
    times = np.concatenate([begin, begin + length])
    order = np.argsort(times, kind="stable")
    none = np.exp(np.cumsum(np.concatenate([free, -free])[order])[:-1])
    ascending = times[order]
    gaps = ascending[0] + period_s - ascending[-1]
    return 1.0 - (float(np.sum(none * np.diff(ascending))) + float(gaps)) / period_s
