"""The exported files of a study: designs.csv, pareto.csv, pareto.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dse.apps import load_app
from dse.errors import InputError
from dse.evaluation import METRICS, Evaluation
from dse.evaluation.states import told_states
from dse.files import is_file, write_json
from dse.migrations import current
from dse.printing import Printed
from dse.search import (
    Effort,
    Experiment,
    Outcome,
    StudyFolder,
    design_row,
    front_of,
    front_rows,
)
from dse.search.candidate import objectives_of
from dse.search.failures import by_state
from dse.technology import load_technology
from dse.version import model_version


@dataclass(frozen=True, repr=False)
class Study(Printed):
    """A finished or running study as the report sees it: designs in a stable order."""

    experiment: Experiment
    outcomes: tuple[Outcome, ...]
    front_indices: tuple[int, ...]
    environment: dict[str, str]
    source: str
    progress: tuple[dict[str, float], ...] = ()
    effort: Effort = field(default_factory=Effort)
    #: Digests of the technology data and the code that made it; empty if the study does not say.
    made_by: tuple[str, str] = ("", "")

    @property
    def maker(self) -> str:
        """Which model made the figures, for a reader."""
        data, version = self.made_by
        if not version:
            return "a model version that the study does not name"
        return f"model version {version} with technology data {data[:12]}"

    @property
    def of_this_model(self) -> bool:
        """Whether this code with this data is what made the figures.

        Where it is not, nothing may be simulated beside them: it would differ by the model, too.
        """
        return self.made_by == (load_technology().digest, model_version())

    @property
    def front(self) -> list[Outcome]:
        """Front members, best first in the first objective."""
        first = self.experiment.objectives[0]
        members = [self.outcomes[index] for index in self.front_indices]
        return sorted(members, key=lambda o: (first.loss((o.objectives or (0.0,))[0]), o.key))

    @property
    def serving(self) -> list[Outcome]:
        """Designs evaluated in full that meet everything but, possibly, the unit cost."""
        wanted = self.experiment.fidelity
        return [o for o in self.outcomes if o.serves and o.fidelity == wanted]

    @property
    def feasible(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.feasible]

    def to_dict(self) -> dict[str, Any]:
        """The front with its objectives, parameters and full records, as in ``pareto.json``."""
        return pareto_json(self)

    def table(self) -> list[dict[str, Any]]:
        """One flat row per design: parameters, metrics, fidelity, feasible."""
        return [design_row(outcome, self.experiment) for outcome in self.outcomes]

    def _title(self) -> str:
        return f"study {self.experiment.name} in {self.source}: {len(self.outcomes)} designs"

    def _figures(self) -> Mapping[str, Any]:
        told = told_states(by_state(self.outcomes))
        return {"of them": told, "on the front": len(self.front), "by": self.maker}

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        return front_rows(self.front, self.experiment)


def read_study(source: str | Path, name: str | None = None) -> Study:
    """The study of a folder, or of an Optuna storage.

    Args:
        source: either; behind a storage may stand ``#`` and the study's name.
        name: of the study, for a storage that holds several.

    Raises:
        InputError: neither, several studies and no name, or a study without a single design, or
            whose designs were judged by other objectives.
    """
    text = str(source)
    if name is None and "#" in text and not Path(text).exists():
        text, _, name = text.rpartition("#")
    folder = StudyFolder(text)
    environment: dict[str, str] = {}
    progress: tuple[dict[str, float], ...] = ()
    effort = Effort()
    made_by = ("", "")
    if "://" in text or is_file(text):
        from dse.search.mirror import read_storage

        stored = read_storage(text, name)
        experiment, found, made_by = stored.experiment, stored.outcomes, stored.made_by
    else:
        config = folder.config()
        environment = config.get("environment", {})
        made_by = (str(config.get("technology", "")), str(config.get("version", "")))
        experiment, found = folder.experiment(), list(folder.outcomes())
        if name is not None and name != experiment.name:
            raise InputError(
                f"the folder holds the study {experiment.name!r}, not {name!r}",
                file=text,
                field="--name",
                mend="leave the name out, or give the folder of that study",
            )
        progress, effort = folder.progress(), folder.effort()
    if not found:
        raise InputError("the study holds no design yet", file=text, mend="run the search first")
    _check_judged(found, experiment, text)
    outcomes = tuple(sorted(found, key=lambda outcome: outcome.key))
    front = front_of(outcomes, experiment)
    return Study(experiment, outcomes, front, environment, text, progress, effort, made_by)


def _check_judged(outcomes: Sequence[Outcome], experiment: Experiment, source: str) -> None:
    """That every design is ranked by the experiment's objectives: early releases let several
    experiments share a name, and so watts stood where seconds were read.

    Raises:
        InputError: a design whose figures are those of another objective.
    """
    for outcome in outcomes:
        if outcome.evaluation is None or outcome.objectives is None:
            continue
        own = objectives_of(outcome.evaluation, experiment)
        same = own is not None and len(own) == len(outcome.objectives)
        if not same or any(
            not math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12)
            for a, b in zip(own or (), outcome.objectives, strict=False)
        ):
            metrics = ", ".join(objective.metric for objective in experiment.objectives)
            raise InputError(
                f"designs were judged by other objectives than the experiment's ({metrics})",
                file=source,
                field=f"design {outcome.key}",
                mend="report the study's own folder (--out), or search again into another one",
            )


def write_tables(study: Study, out: Path) -> None:
    """designs.csv (all), pareto.csv and pareto.json (the front) in ``out``."""
    import pandas as pd

    rows = [design_row(outcome, study.experiment) for outcome in study.outcomes]
    front = {study.outcomes[index].key for index in study.front_indices}
    for row, outcome in zip(rows, study.outcomes, strict=True):
        row["on_front"] = outcome.key in front
    pd.DataFrame(rows).to_csv(out / "designs.csv", index=False)
    members = [design_row(outcome, study.experiment) for outcome in study.front]
    pd.DataFrame(members, columns=list(rows[0]) if not members else None).to_csv(
        out / "pareto.csv", index=False
    )
    write_json(out / "pareto.json", pareto_json(study))


def pareto_json(study: Study) -> dict[str, Any]:
    """The front with its objectives, parameters and full records."""
    objectives = study.experiment.objectives
    return {
        "schema_version": current("pareto"),
        "made_by": dict(zip(("technology", "version"), study.made_by, strict=True)),
        "experiment": study.experiment.name,
        "app": study.experiment.subject,
        "chip": study.experiment.chip,
        "fidelity": study.experiment.fidelity,
        "objectives": [{"metric": o.metric, "direction": o.sense} for o in objectives],
        "designs_evaluated": len(study.outcomes),
        "designs_feasible": len(study.feasible),
        "designs_by_state": by_state(study.outcomes),
        "pareto": [
            {
                "parameters": outcome.values,
                "objectives": dict(
                    zip((o.metric for o in objectives), outcome.objectives or (), strict=True)
                ),
                "feasible": outcome.feasible,
                "fidelity": outcome.fidelity,
                "identity": outcome.identity,
                "evaluation": outcome.record.to_dict(),
            }
            for outcome in study.front
        ],
    }


def summary(record: Evaluation) -> dict[str, float | None]:
    """The metrics that short summaries name."""
    return {metric.name: metric.of(record) for metric in METRICS.values() if metric.short}


def cheapest_by_volume(study: Study) -> list[dict[str, Any]]:
    """For each volume the cheapest design of each node that serves the app, with its cost parts.

    A design serves if it meets everything but the unit cost, which is what the volume changes;
    ``within_budget`` says whether it also meets the app's limit on that.
    """
    from dse.reports.economics import parts_at

    volumes = volumes_of(study.outcomes)
    limit = cost_limit(study.experiment)
    rows: list[dict[str, Any]] = []
    for volume in volumes:
        by_node: dict[str, Outcome] = {}
        for outcome in study.serving:
            node = outcome.record.node
            best = by_node.get(node)
            if best is None or cost_of(outcome, volume) < cost_of(best, volume):
                by_node[node] = outcome
        cheapest = min((cost_of(o, volume) for o in by_node.values()), default=0.0)
        for node, outcome in sorted(by_node.items(), key=lambda item: -_nm(item[0])):
            cost = cost_of(outcome, volume)
            rows.append(
                {
                    "volume": float(volume),
                    "node": node,
                    **summary(outcome.record),
                    "unit_cost_usd": cost,
                    "cheapest": cost == cheapest,
                    "within_budget": limit is None or cost <= limit,
                    "parts_usd": parts_at(outcome.record, float(volume)),
                    "parameters": outcome.values,
                }
            )
    return rows


def cheapest_spans(study: Study) -> list[dict[str, Any]]:
    """Which node is cheapest from which volume on, among all designs that serve the app.

    Unit cost is a + b / volume (b: masks, design, IP), so the cheapest design as a function of
    volume is the lower envelope of these curves. Volumes from 10 thousand to 1 billion units.

    Returns:
        Rows ``node``, ``from_volume``, ``to_volume`` (None: no end), neighbours of one node merged.
    """
    curves = [(*_curve(outcome), outcome.record.node) for outcome in study.serving]
    if not curves:
        return []
    low, high = 1e4, 1e9
    volume = low
    here = min(curves, key=lambda curve: curve[0] + curve[1] / volume)
    spans = [{"node": here[2], "from_volume": low, "to_volume": None}]
    while True:
        # A curve with less cost per unit but more one-time cost takes over at a later volume.
        crossings = [
            ((other[1] - here[1]) / (here[0] - other[0]), other)
            for other in curves
            if other[0] < here[0] and other[1] > here[1]
        ]
        later = [(at, other) for at, other in crossings if at > volume]
        if not later:
            break
        volume, here = min(later, key=lambda item: (item[0], item[1][0]))
        if volume >= high:
            break
        if here[2] != spans[-1]["node"]:
            spans[-1]["to_volume"] = volume
            spans.append({"node": here[2], "from_volume": volume, "to_volume": None})
    return spans


def _curve(outcome: Outcome) -> tuple[float, float]:
    """Cost per unit and one-time cost of a design, USD."""
    from dse.reports.economics import ONE_TIME

    record = outcome.record
    parts = record.cost_breakdown_usd
    once = sum(value for name, value in parts.items() if name in ONE_TIME)
    return sum(parts.values()) - once, once * record.volume


def volumes_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Volumes at which unit cost was recorded, ascending, as written in the records."""
    found = {
        volume
        for outcome in outcomes
        if outcome.evaluation is not None
        for volume in outcome.evaluation.unit_cost_by_volume_usd
    }
    return sorted(found, key=float)


def cost_limit(experiment: Experiment) -> float | None:
    """The unit cost that the app may have, USD; of several apps the lowest, as all share a chip."""
    limits = [load_app(use.app).budgets.unit_cost_usd for use in experiment.uses]
    return min((limit for limit in limits if limit is not None), default=None)


def cost_of(outcome: Outcome, volume: str) -> float:
    """Unit cost of a design at one of its recorded volumes, USD."""
    return outcome.record.unit_cost_by_volume_usd[volume]


def _nm(node: str) -> float:
    return float(node.removesuffix("nm"))
