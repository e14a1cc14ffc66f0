"""What the observed jobs show: verdicts that wait for more of them, and how sure others are.

A share of ``n`` jobs is judged as a sample of all that will ever come, unless every stream repeats
itself within what was observed: then the sample is everything.
"""

from __future__ import annotations

import math

from dse.apps import App
from dse.apps.observed import CONFIDENCE, recording_s, samples_for
from dse.evaluation.causes import Cause
from dse.evaluation.record import Evaluation, TaskRow
from dse.ranges import LONGEST_PLAY_S
from dse.simulation.task import Timeline

#: What the time to first token and per token are judged by.
LIMITS_SHARE = 0.99
_HALVINGS = 50


def assured_share(judged: int, missed: int) -> float:
    """The share of all jobs that is in time at least, with :data:`CONFIDENCE`: the one-sided bound
    of Clopper and Pearson (1934) after ``missed`` of ``judged`` independent jobs."""
    if missed >= judged:
        return 0.0
    if missed == 0:
        return float((1.0 - CONFIDENCE) ** (1.0 / judged))
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = 0.5 * (low + high)
        if _at_most(missed, judged, 1.0 - share) < 1.0 - CONFIDENCE:
            low = share
        else:
            high = share
    return low


def _at_most(count: int, of: int, chance: float) -> float:
    """Probability of at most ``count`` hits in ``of`` draws; of many, by the normal curve."""
    if count > 1000:
        middle, width = of * chance, math.sqrt(of * chance * (1.0 - chance))
        return 0.5 * math.erfc((middle - count - 0.5) / (width * math.sqrt(2.0)))
    if chance >= 1.0:
        return 0.0
    logs = [
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1)
        + k * math.log(chance) + (of - k) * math.log1p(-chance)
        for k in range(count + 1)
    ]  # fmt: skip
    return min(1.0, math.fsum(math.exp(value) for value in logs))


def confidence(judged: int, missed: int, share: float) -> float:
    """How sure it is that at least ``share`` of all jobs is in time, after so many observed ones:
    one less the chance to see no more late ones if only just that share were in time."""
    if judged == 0:
        return 0.0
    return max(0.0, 1.0 - _at_most(missed, judged, 1.0 - share)) if share < 1.0 else 0.0


def notes_on_samples(app: App, record: Evaluation, whole: Timeline) -> list[str]:
    """How much the verdicts on percentiles are worth, where what was observed is a sample."""
    mean = whole.mean
    if mean is None or mean.exact:
        return []
    out = []
    if mean.period_s > app.observed_s * (1.0 + 1e-6):
        out.append(
            f"the streams repeat after {mean.period_s:.4g} s, jobs were observed for "
            f"{app.observed_s:g} s of it: horizon_s of {mean.period_s:.4g} judges them all"
        )
    for row in record.tasks:
        limited = row.ttft_limit_s is not None or row.tpot_limit_s is not None
        if row.deadline_s is None and not limited:
            continue
        share = max(row.percentile, LIMITS_SHARE) if limited else row.percentile
        out += _sample(f"stream {row.task}", row.judged, row.missed_fraction, share, row.rate_hz)
    for chain in record.chains:
        rates = [row.rate_hz for row in record.tasks if row.stream == chain.streams[-1]]
        name = f"chain {chain.chain}"
        out += _sample(name, chain.judged, chain.missed_fraction, chain.percentile, sum(rates))
    return out


def _sample(
    name: str, judged: int | None, missed: float | None, share: float, rate_hz: float
) -> list[str]:
    if not judged or missed is None:
        return []
    late = round(missed * judged)
    shown = assured_share(judged, late)
    if shown >= share or 1.0 - missed < share - 1e-12:
        return []
    text = (
        f"{name}: {late} of {judged} jobs late, which shows with {CONFIDENCE:.0%} confidence that "
    )
    text += f"{_percent(shown)} % of all are in time; "
    if share == 1.0:
        return [text + "that all are no sample can show"]
    sure, wanted = confidence(judged, late, share), samples_for(share)
    text += f"that {_percent(share)} % are, it shows with {sure:.0%}"
    if wanted > judged and rate_hz > 0.0:
        text += f" ({wanted} jobs, {wanted / rate_hz:.3g} s, would with {CONFIDENCE:.0%})"
    return [text]


def _percent(share: float) -> str:
    """``99.9``: rounded down, so that it does not promise more."""
    digits = 1 if share < 0.999 else 3
    return f"{math.floor(share * 100 * 10**digits + 1e-6) / 10**digits:g}"


def cut_notes(app: App) -> list[str]:
    """Recorded arrivals that are not played."""
    out = []
    for stream in app.streams:
        times = stream.arrivals.times_s if stream.arrivals else ()
        played = sum(time < app.observed_s for time in times)
        if played < len(times):
            out.append(
                f"{stream.id}: {len(times) - played} of {len(times)} recorded arrivals come after "
                f"the {app.observed_s:g} s that are observed, the last at {times[-1]:g} s; its "
                "rate is that of the part that is observed"
            )
    return out


def undecided(app: App, record: Evaluation, end_s: float) -> tuple[list[Cause], float | None]:
    """Streams and chains on which there is no verdict, and the ``horizon_s`` that would give one.

    Args:
        end_s: of the play.
    """
    reasons, wanted = [], 0.0
    for row in record.tasks:
        if row.meets_deadline is not None or row.released is None or not _demands(row):
            continue
        waiting = row.released - (row.judged or 0)
        if waiting:
            needed = 2.0 * max(end_s, app.observed_s)
            text = f"{waiting} of {row.released} jobs neither finished nor due after {end_s:.4g} s"
        else:
            needed = _first_s(app, row)
            text = f"no job of it is released within the {app.observed_s:g} s observed"
        wanted = max(wanted, needed)
        reasons.append(Cause(_ask(f"stream {row.task}", text, needed), "horizon", row.task))
    for chain in record.chains:
        if chain.meets_deadline is None and chain.judged is not None:
            text = f"{chain.judged} jobs of it are decided after {end_s:.4g} s"
            needed = max(wanted, 2.0 * max(end_s, app.observed_s))
            wanted = max(wanted, needed)
            name = f"chain {chain.chain}"
            reasons.append(Cause(_ask(name, text, needed), "horizon", chain.chain))
    return reasons, wanted or None


def _ask(name: str, why: str, needed_s: float) -> str:
    if needed_s > LONGEST_PLAY_S:
        end = f"it would take {needed_s:.3g} s, more than can be played"
    else:
        end = f"horizon_s of {needed_s:.4g} would decide"
    return f"not decided: {name}: {why}; {end}"


def _demands(row: TaskRow) -> bool:
    """Whether a stream has anything to be judged by."""
    return any(limit is not None for limit in (row.deadline_s, row.ttft_limit_s, row.tpot_limit_s))


def _first_s(app: App, row: TaskRow) -> float:
    """When a first job is there: surely if the stream is regular, else with :data:`CONFIDENCE`."""
    stream, sure = app.stream(row.stream), True
    while stream.after is not None:
        sure = sure and stream.probability == 1.0
        stream = app.stream(stream.after)
    if stream.arrivals is not None:
        return recording_s(stream.arrivals.times_s)
    sure = sure and stream.release == "periodic"
    mean_s = 1.0 / row.rate_hz if row.rate_hz > 0.0 else math.inf
    return mean_s if sure else -math.log(1.0 - CONFIDENCE) * mean_s
