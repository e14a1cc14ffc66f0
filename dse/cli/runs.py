"""``dse simulate`` and ``dse explain``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dse
from dse.api.options import Fidelity, UnknownOps, check_draws
from dse.cli.app_tables import app_figures, print_binding, print_tasks
from dse.cli.layer_tables import layer_table
from dse.cli.output import note_step, print_json, print_table
from dse.cli.parse import bindings, settings
from dse.cli.way_tables import print_ways
from dse.errors import InputError
from dse.printing import setting, si

if TYPE_CHECKING:
    from dse import Evaluation, Explanation, Model, Uncertainty
    from dse.api.options import Value


@dataclass(frozen=True)
class ModelRequest:
    """What the user asked about: a model or an app, the chip, and every override."""

    subject: str
    chip: str
    node: str | None
    precision: str | None
    set_: list[str]
    bind: list[str]
    unknown_ops: UnknownOps
    kind: str | None = None

    @property
    def settings(self) -> dict[str, Value]:
        """The overrides by path, ``--node`` among them."""
        chosen = settings(self.set_)
        return chosen if self.node is None else {**chosen, "chip.node": self.node}

    def model(self) -> Model:
        """The model, bound."""
        return dse.load_model(self.subject, unknown_ops=self.unknown_ops, **bindings(self.bind))

    def asked(self) -> dict[str, Any]:
        """What ``simulate`` and ``explain`` are asked about, as their arguments."""
        app = dse.is_app(self.subject)
        if app:
            self._refuse_bindings()
        return {
            "model_or_app": self.subject if app else self.model(),
            "chip": self.chip,
            "precision": self.precision,
            "settings": self.settings,
        }

    def _refuse_bindings(self) -> None:
        """The networks of an app are named and bound by its file."""
        if self.unknown_ops != "error":
            raise InputError(
                "the networks of an app must be known in full",
                field="--unknown-ops",
                mend="simulate the model alone to run such operators on the host",
            )
        if self.bind:
            raise InputError(
                "an app's models are bound by its file",
                field="--bind",
                mend="use --set model.<stream>.batch=... instead",
            )


@dataclass(frozen=True)
class Options:
    """How ``dse simulate`` evaluates; names as in ``dse.simulate``."""

    fidelity: Fidelity
    objective: str
    volume: float | None
    seed: int
    trace: str | None
    draws: int | None
    power_plot: str | None = None
    legal: bool = False
    cores: int = 1


def simulate(request: ModelRequest, options: Options, as_json: bool) -> None:
    """Evaluate a model or an app at one fidelity."""
    check_draws(options.draws)
    asked: dict[str, Any] = {
        **request.asked(),
        "objective": options.objective,
        "cores": options.cores,
        "volume": options.volume,
        "seed": options.seed,
        "kind": request.kind,
        "legal": options.legal,
    }
    files: dict[str, Any] = {"trace": options.trace, "power_plot": options.power_plot}
    record = dse.simulate(fidelity=options.fidelity, **asked, **files)
    for name, file in files.items():
        if file is not None:
            print(f"{name.replace('_', ' ')} written to {file}", file=sys.stderr)
    spread = None if options.draws is None else dse.uncertainty(draws=options.draws, **asked)
    if spread is not None:
        record = spread.on(record)
    if as_json:
        extra = {"uncertainty": spread.to_dict()} if spread else {}
        print_json({**record.to_dict(), **extra})
        return
    headline(record)
    if spread is not None:
        _spread(spread)
    if record.kind == "model":
        layer_table(record)
    else:
        print_tasks(record)


def _spread(spread: Uncertainty) -> None:
    print(f"  under {spread.draws} draws of the technology facts (10 % to 90 %):")
    for name, band in spread.bands.items():
        print(f"    {name:<16}{band.low:.3g} to {band.high:.3g} (nominal {band.nominal:.3g})")
    print(f"    the node reaches this clock in {spread.reaches_clock:.0%} of them")


@dataclass(frozen=True)
class Tried:
    """How far ``dse explain`` goes for several steps together; names as in ``dse.explain``."""

    together: int
    tries: int
    keep: list[str]
    draws: int | None


def explain(request: ModelRequest, fidelity: Fidelity, how: Tried, as_json: bool) -> None:
    """What binds and what the next step, or several together, buys."""
    notes: dict[str, Any] = {"on_step": _step_note, "on_try": note_step}
    found = dse.explain(**request.asked(), fidelity=fidelity, **vars(how), **notes)
    if as_json:
        print_json(found.to_dict())
        return
    state = {True: "feasible", False: "NOT feasible", None: "feasibility not decided"}
    print(f"{found.subject} on {found.chip} at {found.node}: {state[found.feasible]}")
    for reason in found.reasons:
        print(f"  - {reason}")
    for note in found.notes:
        print(f"  note: {note}")
    print(f"bottleneck: {found.bottleneck}")
    print_binding(found.binds)
    for sentence in found.summary:
        print(f"  * {sentence}")
    if found.recommendation:
        print(f"  next: {found.recommendation['text']}")
    print()
    print_table(found.worst_layers)
    if found.slacks:
        print()
        print_table(found.slacks[:10], title="room left, tightest first")
    print()
    print_table([_step_row(found, step) for step in found.steps], title="one step, by simulation")
    if found.tried is not None:
        print_ways(found.ways, found.tried)


def _step_row(found: Explanation, step: Mapping[str, Any]) -> dict[str, Any]:
    """A step and its relative changes."""
    path = step["path"]
    row = {"step": f"{path}: {setting(path, step['before'])} -> {setting(path, step['after'])}"}
    row |= found.changes(step)
    row["state"] = step["state"] or "-"
    if step["feasible"] is False and step["reasons"]:
        row["state"] += f": {step['reasons'][0][:60]}"
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
    figures: dict[str, Any] = {
        **record.figures(),
        "MACs": si(float(record.macs), ""),
        "bottleneck": record.bottleneck,
        **app_figures(record),
    }
    width = max(len(name) for name in figures) + 2
    for name, figure in figures.items():
        print(f"  {name:<{width}}{figure}")
    print(
        "  power by scope: "
        + ", ".join(
            f"{scope} {si(values['average_power_w'], 'W')}"
            for scope, values in record.by_scope.items()
        )
    )
    if record.kind == "model":
        for name, room in record.memory.items():
            parts = ", ".join(f"{what} {si(size, 'B')}" for what, size in room["parts"].items())
            print(f"  in {name}: {parts}, of {si(room['capacity_bytes'], 'B')}")
    for note in record.notes:
        print(f"  note: {note}")
