"""How sure the numbers are: the same design under joint draws of all uncertain technology facts.

Each draw is one consistent world (every fact at its drawn value), shared by all designs that are
compared under one seed: so the share of draws in which A beats B means something, although both are
uncertain by the same facts. The mapping stays the nominal one; energy is its counts times drawn
prices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dse.apps import App
from dse.errors import ImpossibleChipError
from dse.evaluation.app_run import evaluate_app
from dse.evaluation.metrics import METRICS, Band, named
from dse.evaluation.model_run import evaluate_model
from dse.evaluation.record import Evaluation
from dse.evaluation.terms import Fidelity, Terms
from dse.hardware.chip import Chip, Platform
from dse.hardware.resolve import resolve
from dse.mapping import Objective
from dse.printing import Printed
from dse.technology import Technology, technology_draws
from dse.workload import Workload

#: A chip, or a platform of device and data centre.
Site = Chip | Platform
#: Quantiles of ``low`` and ``high``.
BAND = (0.1, 0.9)


@dataclass(frozen=True, repr=False)
class Uncertainty(Printed):
    """Bands by metric, and the samples they come from (draw by draw, None where it failed).

    ``reaches_clock`` is the share of draws in which the node reaches the design's clock at all.
    """

    draws: int
    seed: int
    reaches_clock: float
    bands: Mapping[str, Band]
    samples: Mapping[str, tuple[float | None, ...]]

    def on(self, record: Evaluation) -> Evaluation:
        """The record with these bands in it."""
        return replace(record, bands=self.bands)

    def to_dict(self) -> dict[str, Any]:
        """Without the samples."""
        return {
            "draws": self.draws,
            "seed": self.seed,
            "reaches_clock": self.reaches_clock,
            "bands": {name: asdict(band) for name, band in self.bands.items()},
        }

    def table(self) -> list[dict[str, Any]]:
        """One row per metric: low, nominal, high."""
        return [{"metric": name, **asdict(band)} for name, band in self.bands.items()]

    def _title(self) -> str:
        return f"{self.draws} draws of the technology facts: one in ten is below low, above high"

    def _figures(self) -> Mapping[str, Any]:
        return {"reaches its clock": f"{self.reaches_clock:.0%}"}


def app_uncertainty(
    app: App,
    workloads: Mapping[str, Workload],
    chip: Site,
    draws: int,
    seed: int = 0,
    objective: Objective = "edp",
    fidelity: Fidelity = "simulate",
) -> Uncertainty:
    """The app's metrics under ``draws`` draws, at the fidelity in each."""
    return _spread(
        chip,
        draws,
        seed,
        lambda drawn: evaluate_app(
            app, workloads, drawn, fidelity, objective=objective, mapped_on=chip
        )[0],
    )


def model_uncertainty(
    workload: Workload, chip: Chip, draws: int, seed: int = 0, terms: Terms | None = None
) -> Uncertainty:
    """A model's metrics under ``draws`` draws, at the analytic level."""
    return _spread(
        chip,
        draws,
        seed,
        lambda drawn: evaluate_model(workload, _device(drawn), "analytic", terms, mapped_on=chip),
    )


def _drawn(chip: Site, technology: Technology) -> Site:
    """The same design in another world."""
    if isinstance(chip, Chip):
        return resolve(chip.spec, technology)
    chips = tuple(resolve(side.spec, technology) for side in chip.chips)
    return replace(chip, chips=chips)


def _device(site: Site) -> Chip:
    return site if isinstance(site, Chip) else site.chip


def _spread(
    chip: Site, draws: int, seed: int, evaluate: Callable[[Site], Evaluation]
) -> Uncertainty:
    nominal = evaluate(chip)
    records: list[Evaluation | None] = []
    for technology in technology_draws(draws, seed):
        try:
            records.append(evaluate(_drawn(chip, technology)))
        except ImpossibleChipError:
            records.append(None)
    samples = {
        name: tuple(None if record is None else record.metric(name) for record in records)
        for name in named(metric for metric in METRICS.values() if metric.uncertain)
    }
    bands = {}
    for name, values in samples.items():
        known = [value for value in values if value is not None]
        middle = nominal.metric(name)
        if known and middle is not None:
            low, high = np.quantile(known, BAND)
            bands[name] = Band(float(low), middle, float(high))
    reached = sum(record is not None for record in records) / max(draws, 1)
    return Uncertainty(draws, seed, reached, bands, samples)


def probability_better(
    left: Sequence[float | None], right: Sequence[float | None], sense: str = "minimize"
) -> float | None:
    """Share of the draws known for both in which ``left`` is strictly better; ties count half."""
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a is not None and b is not None]
    if not pairs:
        return None
    turned = -1.0 if sense == "maximize" else 1.0
    wins = sum(1.0 if turned * a < turned * b else 0.5 if a == b else 0.0 for a, b in pairs)
    return wins / len(pairs)
