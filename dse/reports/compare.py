"""Several studies side by side: which of them serves an app best at which volume, and why.

Made for searches that differ in one decision: a production line, a chip family, a model. Studies of
the same app stand together; at every volume each gives its cheapest design that meets everything
but the unit cost, and the best of these is held against the others part by part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.evaluation.states import State, count_states, told_states
from dse.files import SCHEMA_VERSION
from dse.reports.economics import ONE_TIME, PARTS, parts_at
from dse.reports.tables import Study, cost_limit, cost_of, read_study, summary, volumes_of
from dse.search import Outcome
from dse.search.failures import by_state

#: Differences in a cost part below this share of the best unit cost are not named.
NAMED_SHARE = 0.02
#: Cost parts named in a comparison, at most.
NAMED_PARTS = 3


@dataclass(frozen=True)
class Standing:
    """What one study offers one app at one volume.

    Attributes:
        study: name of the study's folder or storage.
        designs: distinct designs the study judged, and how many of them serve the app.
        states: how many of them are feasible, infeasible, dominated, impossible.
        node: of the design shown; empty if no design serves.
        unit_cost_usd, f_hz: of the cheapest design that serves; so are ``metrics``, those that
            short summaries name, unit cost aside.
        within_budget: whether its cost meets the app's limit (True if there is none).
        parts_usd: its cost parts at this volume, USD.
        least_power_w: least power among designs that serve within the cost limit, and its cost.
        reason: why nothing serves: what the design that comes closest breaks.
    """

    study: str
    designs: int
    serving: int
    node: str = ""
    unit_cost_usd: float | None = None
    within_budget: bool = False
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    f_hz: float | None = None
    parts_usd: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    least_power_w: float | None = None
    least_power_cost_usd: float | None = None
    reason: str = ""
    states: Mapping[State, int] = field(default_factory=lambda: count_states(()))

    @property
    def told_states(self) -> str:
        """Those counts for people."""
        return told_states(self.states)

    @property
    def average_power_w(self) -> float | None:
        """Module power of that design."""
        return self.metrics.get("average_power_w")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping, the metrics among the rest."""
        out: dict[str, Any] = {}
        for name, value in vars(self).items():
            out |= value if name == "metrics" else {name: value}
        return out


@dataclass(frozen=True)
class Contest:
    """One app at one volume: the standing of every study, the best first, and the verdict.

    ``maker`` says which model made the figures, ``of_this_model`` whether that is this one.
    """

    app: str
    volume: float
    standings: tuple[Standing, ...]
    verdict: str
    maker: str = ""
    of_this_model: bool = True

    @property
    def winner(self) -> str | None:
        """The study with the cheapest design within the budget; None if there is none."""
        best = self.standings[0]
        return best.study if best.within_budget else None


def compare_studies(sources: Sequence[str | Path]) -> list[Contest]:
    """Contests of all apps at all volumes that every study of the app recorded.

    Raises:
        InputError: fewer than two studies, or two of one app that share no volume or were made by
            different versions of the tool or of its technology data.
    """
    if len(sources) < 2:
        raise InputError("one study has nothing to be compared with", mend="name two or more")
    studies = [(name, read_study(source)) for name, source in _named(sources)]
    contests = []
    for app in dict.fromkeys(study.experiment.subject for _, study in studies):
        own = [(name, study) for name, study in studies if study.experiment.subject == app]
        _check_versions([study for _, study in own])
        makers = " and ".join(dict.fromkeys(study.maker for _, study in own))
        here = all(study.of_this_model for _, study in own)
        recorded = [some for _, study in own if (some := set(volumes_of(study.outcomes)))]
        if not recorded:
            raise InputError(
                f"no study of {app} holds a design that can be built",
                mend="search for chips that can: see the reasons in evaluations.jsonl",
            )
        shared = set.intersection(*recorded)
        if not shared:
            raise InputError(
                f"the studies of {app} share no volume",
                field="volumes",
                mend="give their apps the same budgets.volumes",
            )
        for volume in sorted(shared, key=float):
            found = sorted((standing(name, study, volume) for name, study in own), key=_order)
            contests.append(Contest(app, float(volume), tuple(found), verdict(found), makers, here))
    return contests


def _check_versions(studies: Sequence[Study]) -> None:
    """Refuses studies whose figures come from different models: they would differ by that."""
    known = [study for study in studies if any(study.made_by)]
    for study in known[1:]:
        if study.made_by != known[0].made_by:
            raise InputError(
                f"made by another version of the tool or of its data than {known[0].source} "
                f"({study.maker}; that one by {known[0].maker})",
                file=study.source,
                mend="search again with one version, into another --out folder",
            )


def _named(sources: Sequence[str | Path]) -> list[tuple[str, str | Path]]:
    """Each source with the last part of its path, or all of it where two are alike."""
    short = [Path(str(source)).name for source in sources]
    names = short if len(set(short)) == len(short) else [str(source) for source in sources]
    return list(zip(names, sources, strict=True))


def standing(name: str, study: Study, volume: str) -> Standing:
    """The standing of one study at one of its volumes."""
    serving = study.serving
    if not serving:
        return Standing(
            name,
            len(study.outcomes),
            0,
            reason=_closest(study.outcomes),
            states=by_state(study.outcomes),
        )
    limit = cost_limit(study.experiment)
    best = min(serving, key=lambda o: (cost_of(o, volume), o.key))
    cost = cost_of(best, volume)
    record = best.record
    affordable = [o for o in serving if limit is None or cost_of(o, volume) <= limit]
    least = min(affordable, key=lambda o: (_power(o), cost_of(o, volume)), default=None)
    return Standing(
        name,
        len(study.outcomes),
        len(serving),
        node=record.node,
        unit_cost_usd=cost,
        within_budget=limit is None or cost <= limit,
        metrics={k: v for k, v in summary(record).items() if k != "unit_cost_usd"},
        f_hz=record.f_hz,
        parts_usd=parts_at(record, float(volume)),
        parameters=best.values,
        least_power_w=None if least is None else _power(least),
        least_power_cost_usd=None if least is None else cost_of(least, volume),
        reason=_excess(cost, limit),
        states=by_state(study.outcomes),
    )


def _excess(cost: float, limit: float | None) -> str:
    if limit is None or cost <= limit:
        return ""
    over = cost / limit - 1.0
    return f"unit cost {cost:.3g} USD over the budget of {limit:.3g} USD by {over:.0%}"


def _power(outcome: Outcome) -> float:
    power = outcome.record.average_power_w
    assert power is not None  # a design that serves was evaluated in full
    return power


def _closest(outcomes: Sequence[Outcome]) -> str:
    """What the design with the least violation breaks, for studies that serve nobody.

    Designs that were left out as dominated break nothing that is known.
    """
    known = [o for o in outcomes if o.state in ("infeasible", "impossible")]
    if not known:
        return "no design was evaluated in full"
    closest = min(known, key=lambda o: (o.state == "impossible", o.violation, o.key))
    return next(reason for reason in closest.reasons if reason.kind != "dominated")


def _order(one: Standing) -> tuple[bool, bool, float, str]:
    cost = one.unit_cost_usd
    return not one.within_budget, cost is None, cost or 0.0, one.study


def verdict(standings: Sequence[Standing]) -> str:
    """One paragraph: the best, and what sets each of the others apart from it."""
    best = standings[0]
    if best.unit_cost_usd is None:
        return "No study serves this app. " + " ".join(
            f"{one.study}: {one.reason}." for one in standings
        )
    first = f"{best.study} ({best.node}) is cheapest at {best.unit_cost_usd:.3g} USD"
    if not best.within_budget:
        first += f", but over the budget: {best.reason}"
    lines = [first + "."]
    lines.extend(f"{one.study}: {_against(one, best)}." for one in standings[1:])
    thrifty = min(
        (one for one in standings if one.least_power_w is not None),
        key=lambda one: (one.least_power_w or 0.0, one.study),
        default=None,
    )
    if thrifty is not None and thrifty.least_power_w is not None:
        lines.append(
            f"Least power within the budget: {thrifty.study} with {thrifty.least_power_w:.3g} W "
            f"at {thrifty.least_power_cost_usd:.3g} USD."
        )
    return " ".join(lines)


def _against(one: Standing, best: Standing) -> str:
    if one.unit_cost_usd is None or best.unit_cost_usd is None:
        none = f"serves in none of {one.designs} designs ({one.told_states})"
        return f"{none}; the closest: {one.reason}"
    more = one.unit_cost_usd - best.unit_cost_usd
    text = f"{one.node}, {more:+.3g} USD"
    gaps = {
        part: one.parts_usd.get(part, 0.0) - best.parts_usd.get(part, 0.0)
        for part in {**best.parts_usd, **one.parts_usd}
    }
    large = sorted(
        (part for part, gap in gaps.items() if abs(gap) >= NAMED_SHARE * best.unit_cost_usd),
        key=lambda part: -abs(gaps[part]),
    )[:NAMED_PARTS]
    if large:
        text += " (" + ", ".join(f"{PARTS.get(p, p)} {gaps[p]:+.3g}" for p in large) + ")"
    if one.average_power_w and best.average_power_w:
        text += f", {one.average_power_w / best.average_power_w - 1:+.0%} power"
    return text + ("" if one.within_budget else f"; {one.reason}")


def rows_of(contests: Sequence[Contest]) -> list[dict[str, Any]]:
    """The table: one row for each app, volume and study."""
    rows: list[dict[str, Any]] = []
    for contest in contests:
        for one in contest.standings:
            once = sum(one.parts_usd.get(part, 0.0) for part in ONE_TIME)
            rows.append(
                {
                    "app": contest.app,
                    "volume": contest.volume,
                    "study": one.study,
                    "best": one.study == contest.winner,
                    "node": one.node or "-",
                    "unit_cost_usd": one.unit_cost_usd,
                    "one_time_usd": once if one.parts_usd else None,
                    "die_usd": one.parts_usd.get("die"),
                    **one.metrics,
                    "least_power_w": one.least_power_w,
                    "serving": f"{one.serving}/{one.designs}",
                    **{str(state): count for state, count in one.states.items()},
                    "reason": one.reason,
                }
            )
    return rows


def to_json(contests: Sequence[Contest]) -> dict[str, Any]:
    """Everything a program would want of a comparison."""
    return {
        "schema_version": SCHEMA_VERSION,
        "contests": [
            {
                "app": contest.app,
                "volume": contest.volume,
                "winner": contest.winner,
                "verdict": contest.verdict,
                "maker": contest.maker,
                "of_this_model": contest.of_this_model,
                "standings": [one.to_dict() for one in contest.standings],
            }
            for contest in contests
        ],
    }
