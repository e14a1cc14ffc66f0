"""How long an app is observed where its file does not say so.

Long enough for what its streams do to be seen: all of their common period where they are regular,
all of a recording, and of what comes at random as many jobs as the share that must be in time needs
to be judged by. A job that begins near the end is played to its end in any case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dse.apps.stream import Stream
from dse.ranges import LONGEST_PLAY_S
from dse.simulation.periods import common_s

#: Shortest window of its own choice, s.
LEAST_S = 1.0
#: Most runs (of a network, once) that a window of its own choice holds: minutes of playing.
MOST_RUNS = 3000.0
#: How sure it is to be that a share of jobs is in time, if none of a sample is late.
CONFIDENCE = 0.95
#: Where all jobs must be in time, as many are looked at as this share needs.
ALMOST_ALL = 0.99


def samples_for(share: float) -> int:
    """How many independent jobs, none of them late, show with :data:`CONFIDENCE` that at least
    ``share`` of all are in time: the least ``n`` with ``share ** n <= 1 - CONFIDENCE`` (S. S.
    Wilks 1941).
    """
    return max(1, math.ceil(math.log(1.0 - CONFIDENCE) / math.log(min(share, 1.0 - 1e-9))))


def recording_s(times_s: Sequence[float]) -> float:
    """How long a recording of arrivals is taken to be, s: one mean interval beyond the last."""
    if len(times_s) < 2:
        return max(times_s[-1] * 2.0, LEAST_S) if times_s else LEAST_S
    mean_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    return max(times_s[-1] + mean_s, times_s[-1] * (1.0 + 1e-9), 1e-6)


def default_s(streams: Sequence[Stream]) -> float:
    """The time over which an app that states no ``horizon_s`` is observed, s."""
    by_id = {stream.id: stream for stream in streams}
    starts = {stream.id: _start(stream, by_id) for stream in streams}
    rates = {name: _rate_hz(start) for name, start in starts.items()}
    runs = sum(rates[stream.id] * stream.instances * _runs(stream) for stream in streams)
    most_s = min(LONGEST_PLAY_S, max(LEAST_S, MOST_RUNS / runs))
    regular = {
        rates[name]
        for name, start in starts.items()
        if start.arrivals is None and start.release == "periodic"
    }
    found = common_s(sorted(regular), LEAST_S, most_s) if regular else None
    period_s = found[0] if found is not None else 0.0
    wanted = [LEAST_S]
    recorded = [recording_s(s.arrivals.times_s) for s in streams if s.arrivals is not None]
    for stream in streams:
        chance, start = _chance(stream, by_id), starts[stream.id]
        random = start.release == "poisson" or start.jitter_s > 0.0 or chance < 1.0
        if start.arrivals is None and random:
            share = stream.percentile if stream.percentile < 1.0 else ALMOST_ALL
            rate = rates[stream.id] * chance * stream.instances
            wanted.append(min(most_s, samples_for(share) / rate))
    if regular:
        wanted.append(period_s or most_s)
    longest = max(wanted)
    if period_s > 0.0:
        longest = math.ceil(longest / period_s * (1.0 - 1e-9)) * period_s
    return (
        min(LONGEST_PLAY_S, max(longest, *recorded)) if recorded else min(LONGEST_PLAY_S, longest)
    )


def _start(stream: Stream, by_id: Mapping[str, Stream]) -> Stream:
    """The stream whose releases start the chain of a stream."""
    while stream.after is not None:
        stream = by_id[stream.after]
    return stream


def _chance(stream: Stream, by_id: Mapping[str, Stream]) -> float:
    """Share of the releases that start its chain which a stream runs for."""
    chance = 1.0
    while stream.after is not None:
        chance *= stream.probability
        stream = by_id[stream.after]
    return chance


def _rate_hz(start: Stream) -> float:
    """Releases per second of one instance."""
    if start.arrivals is not None:
        times = start.arrivals.times_s
        return len(times) / recording_s(times) if times else 1.0
    return start.rate_hz or 1.0


def _runs(stream: Stream) -> float:
    """Runs of networks of one job."""
    return float(sum(part.repeat for part in stream.request.parts)) if stream.request else 1.0
