"""A model or an app on a chip: what it is worth, how sure that is, and what binds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dse.api.options import (
    USUAL_DRAWS,
    USUAL_TRIES,
    USUAL_UNITS,
    Fidelity,
    Objective,
    check_counts,
    check_draws,
    check_page,
    check_seed,
    check_together,
    check_volume,
)
from dse.api.subjects import as_app, named, only_of_models, paths_of, site_of, workload_of
from dse.errors import InputError
from dse.files import SCHEMA_VERSION
from dse.printing import Printed

if TYPE_CHECKING:
    from dse.api.subjects import Site, Subject
    from dse.evaluation import Evaluation, Uncertainty, Value


def simulate(
    model_or_app: Subject,
    chip: Site,
    fidelity: Fidelity = "simulate",
    *,
    objective: Objective = "edp",
    cores: int = 1,
    precision: str | None = None,
    volume: float | None = None,
    seed: int = 0,
    settings: Mapping[str, Value] | None = None,
    kind: str | None = None,
    legal: bool = False,
    trace: str | None = None,
    power_plot: str | None = None,
) -> Evaluation:
    """A model alone or a whole app on a chip.

    Args:
        model_or_app: from :func:`dse.load_model` or :func:`dse.load_app`, or its name or file.
        chip: from :func:`dse.load_chip`, or (for an app) a platform of :func:`dse.load_platform`;
            or its name or file.
        fidelity: ``roofline`` (bound), ``analytic`` (sum) or ``simulate`` (discrete events).
        objective: what the mapper minimises: ``edp``, ``latency``, ``energy``, or a product such as
            ``energy*latency^2``.
        cores: over which a layer of a model alone is split (an app pins its streams itself).
        precision: such as ``w8a8``; by default the file's own, else the chip's native. Of an app,
            that of all streams whose own is not in ``settings``.
        volume: units over the product's life, for a model's unit cost (by default 1,000,000; an app
            has its own).
        seed: of jitter, random arrivals and triggers.
        settings: values by path: ``{"chip.array.rows": 32}``; of an app also
            ``app.<stream>.rate_hz``, ``model.<stream>.precision``, ``link.`` and ``cloud.``.
        kind: of core that a model runs on, on a chip with several; by default the one that the
            objective prefers.
        legal: whether a model's mapping keeps to what the chip's compiler can express.
        trace: a file for the Chrome trace of the simulation.
        power_plot: an HTML file for the page that shows its power over time.

    Returns:
        The record; ``feasible`` is False with the reasons if the chip cannot run or serve it.

    Raises:
        InputError: unknown names, paths or values, an option that does not belong to a model or an
            app, or a file that cannot be written.
    """
    # So many arguments: each is an option of its own, as of the command.
    from dse.evaluation import Terms, evaluate_app, evaluate_model, resolve_parts
    from dse.simulation import write_power_plot, write_trace

    _check(fidelity, objective, volume, seed, cores)
    for name, file, what in (
        ("trace", trace, "a trace"),
        ("power_plot", power_plot, "power over time"),
    ):
        if file is not None and fidelity != "simulate":
            mend = "take fidelity simulate"
            raise InputError(f"only a simulation has {what}", field=name, mend=mend)
    check_page(power_plot, "power_plot")
    app = as_app(model_or_app)
    if app is not None:
        only_of_models(kind=kind, cores=cores > 1, legal=legal, volume=volume)
        found = resolve_parts(app, named(chip), paths_of(app, settings, precision), seed)
        record, timeline = evaluate_app(
            found.app,
            found.workloads,
            found.chip,
            fidelity,
            objective=objective,
            seed=seed,
            trace=trace is not None,
        )
        if trace is not None and timeline is not None:
            write_trace(timeline, trace)
        if power_plot is not None and timeline is not None:
            write_power_plot(timeline, power_plot)
        return replace(record, identity=found.identity)
    site = site_of(chip, settings)
    workload = workload_of(model_or_app, site, precision, kind)
    terms = Terms(
        volume=USUAL_UNITS if volume is None else volume,
        objective=objective,
        seed=seed,
        kind=kind,
        cores=cores,
        legal=legal,
    )
    return evaluate_model(workload, site, fidelity, terms, trace=trace, power_plot=power_plot)


def _check(
    fidelity: str, objective: Objective, volume: float | None, seed: int, cores: int
) -> None:
    """Refuse what no subject takes."""
    from dse.evaluation.terms import check_fidelity
    from dse.mapping import exponents

    check_fidelity(fidelity)
    exponents(objective)
    check_volume(volume)
    check_seed(seed)
    check_counts(cores=cores)


def uncertainty(
    model_or_app: Subject,
    chip: Site,
    draws: int = USUAL_DRAWS,
    *,
    objective: Objective = "edp",
    cores: int = 1,
    precision: str | None = None,
    volume: float | None = None,
    seed: int = 0,
    settings: Mapping[str, Value] | None = None,
    kind: str | None = None,
    legal: bool = False,
) -> Uncertainty:
    """How sure the figures are: low (10 %) and high (90 %) under draws of the technology facts.

    A model is evaluated at the analytic level, an app is simulated, on the same mapping in every
    draw. Arguments are those of :func:`simulate`; ``draws`` is how many worlds are drawn.

    Raises:
        InputError: as :func:`simulate`, or fewer than two draws.
    """
    from dse.evaluation import Terms, app_uncertainty, model_uncertainty, resolve_parts

    _check("analytic", objective, volume, seed, cores)
    check_draws(draws)
    app = as_app(model_or_app)
    if app is not None:
        only_of_models(kind=kind, cores=cores > 1, legal=legal, volume=volume)
        found = resolve_parts(app, named(chip), paths_of(app, settings, precision), seed)
        return app_uncertainty(found.app, found.workloads, found.chip, draws, seed, objective)
    site = site_of(chip, settings)
    workload = workload_of(model_or_app, site, precision, kind)
    terms = Terms(
        volume=USUAL_UNITS if volume is None else volume,
        objective=objective,
        seed=seed,
        kind=kind,
        cores=cores,
        legal=legal,
    )
    return model_uncertainty(workload, site, draws, seed, terms)


@dataclass(frozen=True, repr=False)
class Explanation(Printed):
    """What binds a model or an app on a chip, and what one step in app, model or chip buys.

    ``feasible`` at the ``fidelity``, with its ``reasons``; ``binds`` names the tightest demand with
    its stream, layer and resource; ``slacks`` is the room of every demand, tightest first;
    ``steps`` are single steps with the metrics before and after (SI units), the best first.
    ``ways``: where an app breaks something and no single step mends it, the smallest sets of steps
    that do, fewest changes first, each with its steps one after the other, the numbers before and
    after and their bands; ``tried`` is what was looked at for them (None: nothing had to be).
    ``recommendation`` is the best step or way (None if none helps), ``summary`` the same in
    sentences.
    """

    subject: str
    chip: str
    node: str
    fidelity: str
    feasible: bool | None
    reasons: Sequence[str]
    notes: Sequence[str]
    bottleneck: str
    resource_utilization: Mapping[str, float]
    worst_layers: Sequence[Mapping[str, Any]]
    binds: Mapping[str, Any]
    recommendation: Mapping[str, Any] | None
    summary: Sequence[str]
    slacks: Sequence[Mapping[str, Any]]
    steps: Sequence[Mapping[str, Any]]
    ways: Sequence[Mapping[str, Any]]
    tried: Mapping[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        return {"schema_version": SCHEMA_VERSION, **vars(self)}

    def table(self) -> list[dict[str, Any]]:
        """One row per step: path, values, and each metric before and after."""
        rows = []
        for step in self.steps:
            row = {k: v for k, v in step.items() if not isinstance(v, (Mapping, list, tuple))}
            for name, (before, after) in step["metrics"].items():
                row |= {f"{name}_before": before, f"{name}_after": after}
            rows.append(row)
        return rows

    def changes(self, step: Mapping[str, Any]) -> dict[str, str]:
        """What a step does to each metric, for a person: ``-12.0%``, or a difference."""
        from dse.explanation import change

        return {name: change(name, step["metrics"]) for name in step["metrics"]}

    def _title(self) -> str:
        state = {True: "feasible", False: "NOT feasible", None: "feasibility not decided"}
        return f"{self.subject} on {self.chip} at {self.node}: {state[self.feasible]}"

    def _figures(self) -> Mapping[str, Any]:
        best = self.recommendation["text"] if self.recommendation else "-"
        reasons = {f"reason {n}": text for n, text in enumerate(self.reasons[:5], 1)}
        return {**reasons, "bottleneck": self.bottleneck, "next": best}


def explain(
    model_or_app: Subject,
    chip: Site,
    *,
    precision: str | None = None,
    settings: Mapping[str, Value] | None = None,
    fidelity: Fidelity = "simulate",
    together: int = 4,
    tries: int = USUAL_TRIES,
    keep: Sequence[str] = (),
    draws: int | None = 16,
    on_step: Callable[[int, int], None] | None = None,
    on_try: Callable[[str, int, int], None] | None = None,
) -> Explanation:
    """What binds, and what the next step buys, by simulation.

    Where an app breaks something and no single step mends it, several steps together are searched:
    over node, cores, sizes, clock or voltage, DRAM, production quantity, and what the app allows in
    its streams and models.

    Args:
        model_or_app, chip, precision, settings: as for :func:`simulate`; a model must not be a
            workload, since other precisions of it are tried.
        fidelity: ``analytic`` or ``simulate``; a model alone is always summed up.
        together: steps in one set, at most; 0: single steps only.
        tries: sets of steps that are mapped or played, at most; 30 times as many are held against
            the bound. What it takes depends on this number and on no clock.
        keep: paths that no step may change, such as ``chip.node``.
        draws: of the technology facts, for bands beside the numbers of steps together; None: none.
        on_step: called with (done, all) on the way.
        on_try: called with (what, done, most) while steps are searched together.

    Raises:
        InputError: unknown names, paths or values.
    """
    from dse.evaluation import model_at, workload_on
    from dse.explanation import Asked, Limits, explain_app, explain_model
    from dse.workload import Model, Workload

    check_together(together)
    check_counts(tries=tries)
    check_draws(draws)
    if fidelity == "roofline":
        raise InputError(
            "a bound decides nothing", field="fidelity", mend="use analytic or simulate"
        )
    app = as_app(model_or_app)
    if app is not None:
        paths = paths_of(app, settings, precision)
        asked = Asked(fidelity, Limits(together, tries), keep=tuple(keep), draws=draws)
        return Explanation(
            **explain_app(app, named(chip), paths, on_step, asked=asked, on_try=on_try)
        )
    site = site_of(chip, settings)
    if isinstance(model_or_app, Workload):
        raise InputError(
            "a workload has one precision", field="model_or_app", mend="give its model"
        )

    def rebuild(text: str) -> Workload:
        if isinstance(model_or_app, Model):
            return workload_on(model_or_app, text, site)
        return model_at(str(model_or_app), text, site)

    workload = workload_of(model_or_app, site, precision)
    return Explanation(**explain_model(workload, site, rebuild, on_step))
