"""When jobs arrive: all of a task's randomness comes from one generator of its own."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from dse.simulation.task import Periodic, Poisson, Task, Trace


def generator(seed: int, name: str) -> np.random.Generator:
    """The random numbers of one task: they depend on the seed and its name, on no other task."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "big")])


def release_times(task: Task, seed: int, horizon_s: float) -> list[float]:
    """Ascending release times of a task before the horizon, s; none for a triggered task."""
    release = task.release
    if isinstance(release, Trace):
        return [time for time in release.times_s if time < horizon_s]
    if isinstance(release, Periodic):
        count = max(0, math.ceil((horizon_s - release.phase_s) * release.rate_hz) + 1)
        times = release.phase_s + np.arange(count) / release.rate_hz
        if release.jitter_s > 0.0:
            times = np.sort(times + release.jitter_s * generator(seed, task.name).random(count))
        return [float(time) for time in times[times < horizon_s]]
    if isinstance(release, Poisson):
        rng = generator(seed, task.name)
        last, parts = 0.0, []
        while last < horizon_s:
            part = last + np.cumsum(rng.exponential(1.0 / release.rate_hz, 1024))
            last = float(part[-1])
            parts.append(part)
        times = np.concatenate(parts)
        return [float(time) for time in times[times < horizon_s]]
    return []


class Dice:
    """Decides which jobs of the task before trigger one of this task.

    The n-th number belongs to the n-th job of the task before, whenever that finishes: the same
    frames trigger on every chip, which makes chips comparable.
    """

    def __init__(self, seed: int, name: str, probability: float) -> None:
        self._rng = generator(seed, name)
        self._probability = probability
        self._drawn: list[float] = []

    def hits(self, index: int) -> bool:
        while len(self._drawn) <= index:
            self._drawn.extend(self._rng.random(256).tolist())
        return self._drawn[index] < self._probability
