"""Two commits side by side, the reckoning: order of the runs, ratios, intervals, verdicts, table.

Nothing here looks at a clock. A run is one process; a pair is one run of each commit, one right
after the other, so that what the machine does besides falls on both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: The interval of the ratio holds the true one with at least this probability.
CONFIDENCE = 0.98
#: Fewest pairs of which a sign test can be that sure; of fewer the logarithms are taken as normal.
SIGN_PAIRS = 7
#: Ratios of pairs further apart than this, (largest - smallest) / median: a noisy machine.
NOISY = 0.10


@dataclass(frozen=True)
class Run:
    """One process. CPU times are between its marks, s; ``peak_mb`` is of the whole process.

    ``missing`` says why the commit has no such thing, ``failed`` what went wrong; either way the
    numbers are 0.
    """

    user_s: float = 0.0
    system_s: float = 0.0
    peak_mb: float = 0.0
    result: Any = None
    missing: str = ""
    failed: str = ""

    @property
    def measured(self) -> bool:
        return not self.missing and not self.failed


@dataclass(frozen=True)
class Row:
    """A benchmark of both commits: medians, ratios B/A, and what they say.

    ``fastest`` is the ratio of the fastest run of each. ``low`` and ``high`` bound the true ratio
    (:func:`interval`). Without ratios, ``verdict`` says why there are none.
    """

    name: str
    verdict: str
    pairs: int = 0
    a_s: float = 0.0
    b_s: float = 0.0
    ratio: float = math.nan
    fastest: float = math.nan
    least: float = math.nan
    lower_quarter: float = math.nan
    upper_quarter: float = math.nan
    most: float = math.nan
    low: float = math.nan
    high: float = math.nan
    a_peak_mb: float = 0.0
    b_peak_mb: float = 0.0
    differs: str = ""
    broken: bool = False

    @property
    def noisy(self) -> bool:
        """Whether the ratios of the pairs lie far apart."""
        return (self.most - self.least) / self.ratio > NOISY

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON; numbers that are not there, and bounds at infinity, are null."""
        found = asdict(self) | {"noisy": self.noisy}
        return {k: _finite(v) for k, v in found.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def order(pairs: int) -> list[tuple[str, str]]:
    """Which commit runs first in each pair: A B, B A, A B ... so that a drift cancels."""
    return [("a", "b") if number % 2 == 0 else ("b", "a") for number in range(pairs)]


def ratios(a: Sequence[Run], b: Sequence[Run]) -> list[float]:
    """User CPU of B over that of A, pair by pair."""
    return [two.user_s / one.user_s for one, two in zip(a, b, strict=True)]


def interval(found: Sequence[float]) -> tuple[float, float]:
    """Where the true ratio lies with a probability of at least 98 %.

    From 7 pairs on between two of the ratios themselves, as the sign test has it: each pair falls
    on either side of the true median with equal chance, whatever the noise is like (7 pairs: from
    the smallest to the largest). Fewer cannot be that sure, so they are taken as log-normal
    (Student). One pair bounds nothing. The level is high as a table has some 14 of them.
    """
    from scipy import stats

    if len(found) >= SIGN_PAIRS:
        bounds = stats.quantile_test(found, p=0.5).confidence_interval(CONFIDENCE)
        return float(bounds.low), float(bounds.high)
    if len(found) < 2:
        return 0.0, math.inf
    logs = [math.log(ratio) for ratio in found]
    if max(logs) == min(logs):
        return found[0], found[0]
    bounds = stats.ttest_1samp(logs, 0.0).confidence_interval(CONFIDENCE)
    return math.exp(bounds.low), math.exp(bounds.high)


def verdict(low: float, high: float) -> str:
    """What an interval of B/A says in words."""
    if low > 1.0:
        return f"B slower by {_span(low - 1.0, high - 1.0)}"
    if high < 1.0:
        return f"B faster by {_span(1.0 - high, 1.0 - low)}"
    return f"no difference seen ({_percent(low - 1.0)} to {_percent(high - 1.0)})"


def _span(less: float, more: float) -> str:
    return f"{round(100 * less, 1):.3g} % to {round(100 * more, 1):.3g} %"


def _percent(part: float) -> str:
    return "any" if math.isinf(part) else f"{round(100 * part, 1):+.3g} %"


def difference(one: Any, other: Any, path: str = "") -> str:
    """Where two results differ first and by how much; empty if they are the same."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(key for key in other if key not in one)]:
            where = f"{path}.{key}" if path else str(key)
            if key not in one or key not in other:
                return f"{where} only in {'A' if key in one else 'B'}"
            found = difference(one[key], other[key], where)
            if found:
                return found
        return ""
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{path}: {len(one)} and {len(other)} entries"
        parts = (difference(x, y, f"{path}[{n}]") for n, (x, y) in enumerate(zip(one, other)))  # noqa: B905
        return next((part for part in parts if part), "")
    if one == other:
        return ""
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (one, other))
    if numbers and one:
        return f"{path}: {one:.6g} and {other:.6g} ({other / one - 1.0:+.2g} of it)"
    return f"{path}: {str(one)[:40]} and {str(other)[:40]}"


def judged(name: str, a: Sequence[Run], b: Sequence[Run]) -> Row:
    """The row of a benchmark from the runs of both commits, in the order of the pairs.

    A benchmark that fails, or that A has and B lacks, is ``broken``.
    """
    for side, runs in (("A", a), ("B", b)):
        for run in runs:
            if run.failed:
                return Row(name, f"failed in {side}: {run.failed}", broken=True)
    lacking = {
        s: next((r.missing for r in runs if r.missing), "") for s, runs in (("A", a), ("B", b))
    }
    sides = [side for side, why in lacking.items() if why]
    if sides:
        why = lacking[sides[0]]
        return Row(name, f"not in {' and '.join(sides)}: {why}", broken=sides == ["B"])
    found = ratios(a, b)
    low, high = interval(found)
    quarters = statistics.quantiles(found, n=4, method="inclusive") if len(found) > 1 else found * 3
    return Row(
        name,
        verdict(low, high),
        pairs=len(found),
        a_s=statistics.median(run.user_s for run in a),
        b_s=statistics.median(run.user_s for run in b),
        ratio=statistics.median(found),
        fastest=min(run.user_s for run in b) / min(run.user_s for run in a),
        least=min(found),
        lower_quarter=quarters[0],
        upper_quarter=quarters[2],
        most=max(found),
        low=low,
        high=high,
        a_peak_mb=statistics.median(run.peak_mb for run in a),
        b_peak_mb=statistics.median(run.peak_mb for run in b),
        differs=_differs(a, b),
    )


def _differs(a: Sequence[Run], b: Sequence[Run]) -> str:
    """How the results of both commits differ, or those of one from run to run."""
    for side, runs in (("A", a), ("B", b)):
        for run in runs[1:]:
            found = difference(runs[0].result, run.result)
            if found:
                return f"from run to run of {side}: {found}"
    return difference(a[0].result, b[0].result)


def over(rows: Sequence[Row], limit: float) -> list[Row]:
    """Rows surely slower than ``limit`` times A."""
    return [row for row in rows if row.low > limit]


def table(rows: Sequence[Row]) -> str:
    """All rows under each other, with what has to be said about them below."""
    width = max((len(row.name) for row in rows), default=0) + 2
    head = f"{'benchmark':<{width}}{'A s':>7}{'B s':>7}{'B/A':>7}{'fastest':>9}{'half of them':>15}"
    lines = [f"{head}{'all of them':>15}{'peak MB A, B':>14}  verdict"]
    for row in rows:
        if not row.pairs:
            lines.append(f"{row.name:<{width}}{row.verdict}")
            continue
        half = f"{row.lower_quarter:.3f}-{row.upper_quarter:.3f}"
        whole = f"{row.least:.3f}-{row.most:.3f}"
        peaks = f"{row.a_peak_mb:.0f}, {row.b_peak_mb:.0f}"
        lines.append(
            f"{row.name:<{width}}{row.a_s:7.3g}{row.b_s:7.3g}{row.ratio:7.3f}{row.fastest:9.3f}"
            f"{half:>15}{whole:>15}{peaks:>14}  {row.verdict}"
            f"{'; RESULTS DIFFER' if row.differs else ''}"
        )
    return "\n".join([*lines, *notes(rows)])


def notes(rows: Sequence[Row]) -> list[str]:
    """Results that differ, and rows on which the machine was noisy."""
    out = [f"results differ, {row.name}: {row.differs}" for row in rows if row.differs]
    noisy = [row.name for row in rows if row.pairs and row.noisy]
    if noisy:
        out.append(
            f"noisy: the ratios of the pairs are more than {100 * NOISY:.0f} % apart in "
            f"{', '.join(noisy)}; more pairs or a quieter machine tell more"
        )
    return out
