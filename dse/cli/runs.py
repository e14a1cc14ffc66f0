"""``dse map``, ``dse simulate`` and ``dse explain``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from dse.cli.app_tables import app_figures, print_binding, print_tasks
from dse.cli.mapping import layer_table
from dse.cli.output import note_step, print_json, print_table, si, utilization_shown
from dse.cli.parse import bindings, is_app, settings
from dse.cli.parse import draws as check_draws
from dse.errors import InputError
from dse.files import SCHEMA_VERSION

if TYPE_CHECKING:
    from dse.evaluation import Evaluation, Fidelity, Uncertainty, Value
    from dse.hardware.chip import Chip
    from dse.mapping.mapper import Objective
    from dse.workload import Workload


#: Units over the life of a product: the most that ``--volume`` takes, and a model alone without it.
MOST_UNITS = 1e12
USUAL_UNITS = 1e6


@dataclass(frozen=True)
class ModelRequest:
    """What the user asked about: a model or an app, the chip, and every override."""

    subject: str
    chip: str
    node: str | None
    precision: str | None
    set_: list[str]
    bind: list[str]
    unknown_ops: Literal["error", "host"]
    kind: str | None = None

    @property
    def groups(self) -> dict[str, dict[str, Value]]:
        from dse.evaluation import split_settings

        return split_settings(settings(self.set_))

    def load_chip(self) -> Chip:
        from dse.hardware.resolve import load_chip

        overrides = dict(self.groups["chip"])
        inner = overrides.pop("node", None)
        node = inner if self.node is None else self.node
        return load_chip(
            self.chip, node=None if node is None else str(node), overrides=overrides or None
        )

    def load_model(self, chip: Chip) -> Workload:
        from dse.evaluation import model_at

        groups = self.groups
        for group in ("app", "model", "link", "cloud"):
            for path in groups[group]:
                raise InputError(
                    f"a model alone has no {group} settings",
                    field=f"{group}.{path}",
                    mend="simulate an app; a model takes --precision and name@res=...,width=...",
                )
        if self.kind is not None:
            from dse.hardware.kinds import kind_named

            chip = kind_named(chip, self.kind, "--kind").chip
        return model_at(
            self.subject,
            self.precision,
            chip,
            bindings=bindings(self.bind),
            unknown_ops=self.unknown_ops,
        )


@dataclass(frozen=True)
class Options:
    """How ``dse simulate`` evaluates."""

    fidelity: Fidelity
    objective: Objective
    volume: float | None
    seed: int
    trace: str | None
    draws: int | None
    power_plot: str | None = None
    legal: bool = False


def simulate(request: ModelRequest, options: Options, as_json: bool) -> None:
    """Evaluate a model or an app at one fidelity."""
    if options.volume is not None and not 1 <= options.volume <= MOST_UNITS:
        raise InputError(
            f"a volume of {options.volume:g}",
            field="--volume",
            mend=f"give units from 1 to {MOST_UNITS:.0e}",
        )
    if options.seed < 0:
        raise InputError(f"a seed of {options.seed}", field="--seed", mend="give 0 or more")
    if options.trace is not None and options.fidelity != "simulate":
        raise InputError(
            "only a simulation has a trace", field="--trace", mend="use --fidelity simulate"
        )
    if options.power_plot is not None and options.fidelity != "simulate":
        raise InputError(
            "only a simulation has power over time",
            field="--power-plot",
            mend="use --fidelity simulate",
        )
    if options.power_plot is not None and not options.power_plot.endswith(".html"):
        raise InputError(
            "not an .html file", file=options.power_plot, field="--power-plot", mend="name it so"
        )
    check_draws(options.draws)
    if is_app(request.subject):
        _app_options(options)
    run = _simulate_app if is_app(request.subject) else _simulate_model
    record, spread = run(request, options)
    if as_json:
        extra = {"uncertainty": spread.to_dict()} if spread else {}
        print_json({**record.to_dict(), **extra})
        return
    headline(record)
    if spread is not None:
        print(f"  under {spread.draws} draws of the technology facts (10 % to 90 %):")
        for name, band in spread.bands.items():
            print(f"    {name:<16}{band.low:.3g} to {band.high:.3g} (nominal {band.nominal:.3g})")
        print(f"    the node reaches this clock in {spread.reaches_clock:.0%} of them")
    if record.kind == "model":
        layer_table(record)
    else:
        print_tasks(record)


def _app_options(options: Options) -> None:
    """Refuse what an app's own file says."""
    if options.legal:
        raise InputError(
            "the networks of an app are mapped ideally", field="--legal", mend="simulate a model"
        )
    if options.volume is not None:
        raise InputError(
            "an app has volumes of its own",
            field="--volume",
            mend="write budgets.volume in its file; the record gives the cost at all its volumes",
        )


def _simulate_model(
    request: ModelRequest, options: Options
) -> tuple[Evaluation, Uncertainty | None]:
    from dse.evaluation import Terms, evaluate_model, model_uncertainty

    chip = request.load_chip()
    workload = request.load_model(chip)
    terms = Terms(
        volume=USUAL_UNITS if options.volume is None else options.volume,
        objective=options.objective,
        seed=options.seed,
        kind=request.kind,
        legal=options.legal,
    )
    record = evaluate_model(
        workload,
        chip,
        options.fidelity,
        terms,
        trace=options.trace,
        power_plot=options.power_plot,
    )
    if options.trace is not None:
        _written("trace", options.trace)
    if options.power_plot is not None:
        _written("power plot", options.power_plot)
    if options.draws is None:
        return record, None
    return record, model_uncertainty(workload, chip, options.draws, options.seed, terms)


def _written(what: str, file: str) -> None:
    print(f"{what} written to {file}", file=sys.stderr)


def _simulate_app(request: ModelRequest, options: Options) -> tuple[Evaluation, Uncertainty | None]:
    from dse.evaluation import app_design, app_uncertainty, evaluate_app, resolve_design
    from dse.simulation import write_power_plot, write_trace

    _no_bindings(request)
    design = app_design(request.subject, request.chip, _app_settings(request), options.seed)
    found = resolve_design(design)
    record, timeline = evaluate_app(
        found.app,
        found.workloads,
        found.chip,
        options.fidelity,
        objective=options.objective,
        seed=options.seed,
        trace=options.trace is not None,
    )
    if options.trace is not None and timeline is not None:
        write_trace(timeline, options.trace)
        _written("trace", options.trace)
    if options.power_plot is not None and timeline is not None:
        write_power_plot(timeline, options.power_plot)
        _written("power plot", options.power_plot)
    record = replace(record, identity=found.identity)
    if options.draws is None:
        return record, None
    return record, app_uncertainty(
        found.app, found.workloads, found.chip, options.draws, options.seed
    )


def _app_settings(request: ModelRequest) -> dict[str, Value]:
    """The overrides of a request about an app, ``--node`` and ``--precision`` among them."""
    from dse.apps import load_app

    chosen = settings(request.set_)
    if request.node is not None:
        chosen["chip.node"] = request.node
    if request.precision is not None:
        for stream in load_app(request.subject).streams:
            chosen.setdefault(f"model.{stream.id}.precision", request.precision)
    return chosen


def _no_bindings(request: ModelRequest) -> None:
    if request.kind is not None:
        raise InputError(
            "an app pins its streams itself",
            field="--kind",
            mend="write cores in its file, or --set app.<stream>.cores=KIND",
        )
    if request.unknown_ops != "error":
        raise InputError(
            "the networks of an app must be known in full",
            field="--unknown-ops",
            mend="simulate the model alone to run such operators on the host",
        )
    if request.bind:
        raise InputError(
            "an app's models are bound by its file",
            field="--bind",
            mend="use --set model.<stream>.batch=... instead",
        )


def explain(request: ModelRequest, as_json: bool) -> None:
    """What binds and what the next step buys."""
    from dse.evaluation import model_at
    from dse.explain import explain_app, explain_model

    if is_app(request.subject):
        _no_bindings(request)
        answer = explain_app(request.subject, request.chip, _app_settings(request), _step_note)
    else:
        chip = request.load_chip()

        def rebuild(precision: str) -> Workload:
            return model_at(request.subject, precision, chip, bindings=bindings(request.bind))

        answer = explain_model(request.load_model(chip), chip, rebuild, _step_note)
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, **answer})
        return
    state = {True: "feasible", False: "NOT feasible", None: "feasibility not decided"}
    print(
        f"{answer['subject']} on {answer['chip']} at {answer['node']}: {state[answer['feasible']]}"
    )
    for reason in answer["reasons"]:
        print(f"  - {reason}")
    for note in answer["notes"]:
        print(f"  note: {note}")
    print(f"bottleneck: {answer['bottleneck']}")
    print_binding(answer["binds"])
    for sentence in answer["summary"]:
        print(f"  * {sentence}")
    if answer["recommendation"]:
        print(f"  next: {answer['recommendation']['text']}")
    print()
    print_table(answer["worst_layers"])
    if answer["slacks"]:
        print()
        print_table(answer["slacks"][:10], title="room left, tightest first")
    print()
    print_table([_step_row(step) for step in answer["steps"]], title="one step, by simulation")


def _step_row(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step and its relative changes."""
    from dse.explain import shown

    path = step["path"]
    row = {"step": f"{path}: {shown(path, step['before'])} -> {shown(path, step['after'])}"}
    for name, (before, after) in step["metrics"].items():
        if before is None or after is None:
            row[name] = "-"
        elif name in ("quality", "score", "violation"):
            row[name] = f"{after - before:+.2f}"
        else:
            row[name] = f"{after / before - 1.0:+.1%}" if before else "-"
    row["feasible"] = {True: "yes", None: "-"}.get(step["feasible"], "no")
    if step["feasible"] is False and step["reasons"]:
        row["feasible"] = "no: " + step["reasons"][0][:60]
    return row


def _step_note(done: int, wanted: int) -> None:
    note_step("step", done, wanted)


def headline(record: Evaluation) -> None:
    """The figures of a record, for a person."""
    state = {True: "feasible", False: "NOT feasible", None: "feasibility not decided"}
    chip = f"{record.chip}, its {record.core_kind} cores" if record.core_kind else record.chip
    print(
        f"{record.subject} on {chip}, {record.node} at {si(record.f_hz, 'Hz')} and "
        f"{record.voltage_v:.2f} V, {record.precision}, {record.fidelity}: {state[record.feasible]}"
    )
    for reason in record.reasons:
        print(f"  - {reason}")
    figures: Mapping[str, Any] = {
        "latency": si(record.latency_s, "s") + (" (worst p99)" if record.kind == "app" else ""),
        "throughput": si(record.throughput_per_s, "/s"),
        "energy": si(record.energy_j, "J")
        + (f" over {record.horizon_s:g} s" if record.horizon_s else " per inference"),
        "power": si(record.average_power_w, "W") + f", peak {si(record.peak_power_w, 'W')}",
        "MACs": si(float(record.macs), "") + f", {utilization_shown(record)}",
        "DRAM traffic": si(record.dram_bytes, "B"),
        "die": f"{record.area_mm2:.3g} mm2, {record.die_cost_usd:.3g} USD",
        "unit cost": f"{record.unit_cost_usd:.3g} USD at {record.volume:,.0f} units",
        "carbon": f"{record.carbon_kg:.3g} kg CO2e" if record.carbon_kg else "-",
        "quality": "unknown" if record.quality is None else f"{record.quality:.3g}",
        "bottleneck": record.bottleneck,
        **app_figures(record),
    }
    for name, figure in figures.items():
        print(f"  {name:<13}{figure}")
    print(
        "  power by scope: "
        + ", ".join(
            f"{scope} {si(values['average_power_w'], 'W')}"
            for scope, values in record.by_scope.items()
        )
    )
    for note in record.notes:
        print(f"  note: {note}")
