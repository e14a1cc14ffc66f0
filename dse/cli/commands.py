"""The commands; each imports what it needs when it runs, so that ``dse --help`` is quick."""

from __future__ import annotations

from typing import Annotated, Literal, Optional

import typer

from dse.cli import catalogue, runs, studies
from dse.cli.mapping import map_model, map_otherwise
from dse.cli.options import (
    Bind,
    BreakLock,
    Chip,
    Cores,
    Draws,
    Fidelity,
    Json,
    Keep,
    Kind,
    Legal,
    Line,
    Node,
    Objective,
    Out,
    Precision,
    Seed,
    Settings,
    Together,
    Tries,
    UnknownOps,
    Volume,
    Workers,
)

app = typer.Typer(
    name="dse",
    help="Edge-AI chip design-space exploration: which model on which chip, in which node, for "
    "which application.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def versions(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and the model's digest.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="With --version: all digests, as one JSON object.")
    ] = False,
) -> None:
    """What stands before a command; its text is the program's own."""
    if version:
        catalogue.versions(json)
        raise typer.Exit
    if json:
        raise typer.BadParameter("belongs behind a command, or to --version", param_hint="--json")
    if context.invoked_subcommand is None:
        raise typer.BadParameter("name one; dse --help lists them", param_hint="COMMAND")


@app.command("models")
def models(json: Json = False) -> None:
    """List the shipped models."""
    catalogue.listing("models", json)


@app.command("chips")
def chips(json: Json = False) -> None:
    """List the shipped chips."""
    catalogue.listing("chips", json)


@app.command("nodes")
def nodes(
    line: Line = None,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write plots to this HTML file.")
    ] = None,
    volumes: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="N,N,...", help="Unit cost of one small die by node at these volumes."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the process nodes with energy, speed, area, leakage and cost."""
    catalogue.nodes(line, plot, volumes, json)


@app.command("apps")
def apps(
    schema: Annotated[
        bool, typer.Option("--schema", help="The JSON schema of app files, for editors.")
    ] = False,
    json: Json = False,
) -> None:
    """List the shipped applications."""
    if schema:
        catalogue.schema()
    else:
        catalogue.listing("apps", json)


@app.command("schema")
def schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="app, chip, experiment or platform.")],
    json: Json = False,
) -> None:
    """Show the numbers of a kind of file with range, unit and ground; --json: its JSON schema."""
    catalogue.file_schema(kind, json)


@app.command("templates")
def templates(json: Json = False) -> None:
    """List the chip template families."""
    catalogue.listing("templates", json)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A model, chip, node, app or template.")],
    bind: Bind = None,
    unknown_ops: UnknownOps = "error",
    json: Json = False,
) -> None:
    """Show one model, chip, node, app or template in full."""
    catalogue.show(name, bind or [], unknown_ops, json)


@app.command("map")
def map_(
    model: Annotated[str, typer.Argument(help="A shipped model or an .onnx file.")],
    chip: Chip,
    node: Node = None,
    precision: Precision = None,
    objective: Objective = "edp",
    explain: Annotated[
        str | None, typer.Option(metavar="LAYER", help="Show one layer's loop nest.")
    ] = None,
    pin: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FILE", help="Mappings or constraints that layers must keep to."),
    ] = None,
    fuse: Annotated[bool, typer.Option(help="Let groups of layers run fused.")] = True,
    legal: Legal = False,
    why: Annotated[bool, typer.Option("--why", help="Where each layer's time goes.")] = False,
    front: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="LAYER", help="All mappings of one layer that no other beats."),
    ] = None,
    pipeline: Annotated[bool, typer.Option("--pipeline", help="Lay layers over cores.")] = False,
    set_: Settings = None,
    bind: Bind = None,
    unknown_ops: UnknownOps = "error",
    kind: Kind = None,
    cores: Cores = 1,
    json: Json = False,
) -> None:
    """Map every layer of a model onto a chip."""
    request = runs.ModelRequest(
        model, chip, node, precision, set_ or [], bind or [], unknown_ops, kind
    )
    if front is not None or pipeline:
        others = {"--explain": explain, "--pin": pin, "--no-fuse": not fuse, "--why": why}
        others |= {"--cores": cores != 1, "--pipeline": pipeline}
        map_otherwise(request, objective, front, json, legal=legal, others=others)
        return
    map_model(
        request, objective, explain, json, pin=pin, fuse=fuse, legal=legal, why=why, cores=cores
    )  # fmt: skip


@app.command("simulate")
def simulate(
    subject: Annotated[str, typer.Argument(metavar="MODEL_OR_APP", help="A model or an app.")],
    chip: Chip,
    node: Node = None,
    precision: Precision = None,
    fidelity: Fidelity = "simulate",
    set_: Settings = None,
    bind: Bind = None,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write a Chrome trace (JSON, for Perfetto) to this file."
        ),
    ] = None,
    power_plot: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write power over time to this HTML file."),
    ] = None,
    objective: Objective = "edp",
    legal: Legal = False,
    volume: Volume = None,
    seed: Seed = 0,
    unknown_ops: UnknownOps = "error",
    uncertainty: Draws = None,
    kind: Kind = None,
    cores: Cores = 1,
    json: Json = False,
) -> None:
    """Run a model or a whole app on a chip: latency, energy, power, deadlines, cost."""
    request = runs.ModelRequest(
        subject, chip, node, precision, set_ or [], bind or [], unknown_ops, kind
    )
    options = runs.Options(
        fidelity, objective, volume, seed or 0, trace, uncertainty, power_plot, legal, cores
    )
    runs.simulate(request, options, json)


@app.command("sweep")
def sweep(
    file: Annotated[str, typer.Argument(help="Experiment YAML, or a shipped experiment.")],
    out: Out,
    seed: Seed = None,
    line: Line = None,
    workers: Workers = None,
    break_lock: BreakLock = False,
    json: Json = False,
) -> None:
    """Evaluate the whole grid of an experiment; goes on where it stopped."""
    options = {"experiment": file, "out": out, "seed": seed, "line": line, "workers": workers}
    options["break_lock"] = break_lock
    studies.sweep(options, json)


@app.command("explore")
def explore(
    file: Annotated[str, typer.Argument(help="Experiment YAML, or a shipped experiment.")],
    out: Out,
    trials: Annotated[Optional[int], typer.Option(help="Distinct designs wanted.")] = None,  # noqa: UP045
    seed: Seed = None,
    line: Line = None,
    workers: Workers = None,
    storage: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Mirror into an Optuna storage: a database URL or a journal file."),
    ] = None,
    warm_start: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="DIR", help="Begin with the front of an earlier study."),
    ] = None,
    max_time: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(metavar="SECONDS", help="Stop after this time."),
    ] = None,
    stall: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(metavar="N", help="Stop when N evaluations brought no better front."),
    ] = None,
    break_lock: BreakLock = False,
    json: Json = False,
) -> None:
    """Search an experiment's space with Optuna; goes on where it stopped."""
    options = {
        "experiment": file,
        "out": out,
        "trials": trials,
        "seed": seed,
        "line": line,
        "workers": workers,
        "storage": storage,
        "warm_start": warm_start,
        "max_s": max_time,
        "stall": stall,
        "break_lock": break_lock,
    }
    studies.explore(options, json)


@app.command("report")
def report(
    source: Annotated[
        str, typer.Argument(metavar="DIR_OR_STORAGE", help="A study folder or storage.")
    ],
    out: Out,
    name: Annotated[
        str | None, typer.Option("--name", help="The study, in a storage of several.")
    ] = None,
    feedback: Annotated[
        bool, typer.Option(help="Simulate one step around the best designs.")
    ] = True,
    uncertainty: Draws = None,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Write report.html, pareto.csv, pareto.json and designs.csv of a study."""
    options = {
        "study": source, "out": out, "name": name, "feedback": feedback, "draws": uncertainty,
        "workers": workers,
    }  # fmt: skip
    studies.report(options, json)


@app.command("compare")
def compare(
    sources: Annotated[
        list[str], typer.Argument(metavar="DIR_OR_STORAGE...", help="Two or more studies.")
    ],
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the comparison to this HTML file.")
    ] = None,
    json: Json = False,
) -> None:
    """Studies side by side: which serves an app best at which volume, and why."""
    studies.compare(sources, html, json)


@app.command("explain")
def explain(
    subject: Annotated[str, typer.Argument(metavar="APP_OR_MODEL", help="An app or a model.")],
    chip: Chip,
    node: Node = None,
    precision: Precision = None,
    set_: Settings = None,
    bind: Bind = None,
    fidelity: Fidelity = "simulate",
    together: Together = 4,
    tries: Tries = 200,
    keep: Keep = None,
    uncertainty: Draws = 16,
    json: Json = False,
) -> None:
    """Say what binds, and what one step in app, model or chip, or several together, would buy."""
    request = runs.ModelRequest(subject, chip, node, precision, set_ or [], bind or [], "error")
    runs.explain(request, fidelity, runs.Tried(together, tries, keep or [], uncertainty), json)


@app.command("profile")
def profile(
    file: Annotated[str, typer.Argument(help="An .onnx file or a shipped model.")],
    chip: Annotated[
        str, typer.Option("--chip", "-c", help="Chip to compare with.")
    ] = "edge_vision",
    node: Node = None,
    precision: Precision = None,
    runs_: Annotated[int, typer.Option("--runs", help="Timed runs after one warm-up.")] = 5,
    bind: Bind = None,
    unknown_ops: UnknownOps = "error",
    force: Annotated[bool, typer.Option(help="Run a model of any size.")] = False,
    json: Json = False,
) -> None:
    """Run a model in onnxruntime on this CPU, beside a simulated chip."""
    from dse.cli.parse import bindings
    from dse.cli.profiling import profile as run_profile

    options = {
        "model": file,
        "chip": chip,
        "node": node,
        "precision": precision,
        "runs": runs_,
        "bindings": bindings(bind or []),
        "unknown_ops": unknown_ops,
        "force": force,
    }
    run_profile(options, json)


@app.command("quality")
def quality(
    model: Annotated[str, typer.Argument(help="An .onnx file with weights, or a shipped model.")],
    inputs: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--inputs", "-i", help="Calibration: an .npz, or a folder of .npy."),
    ] = None,
    evaluate: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--eval", help="Evaluation inputs (default: second half of --inputs)."),
    ] = None,
    labels: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="An .npy with the right class of every evaluation input."),
    ] = None,
    precision: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--precision", "-p", help="w8a8, w8a16, w4a8, w4afp16 ...; repeatable."),
    ] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Ranges found while running.")] = False,
    calibration: Annotated[
        Literal["minmax", "entropy", "percentile"], typer.Option(help="How ranges are chosen.")
    ] = "minmax",
    group: Annotated[int, typer.Option(help="Inputs sharing a scale below 8 bit; 0 for all.")] = 0,
    out: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--out", "-o", help="Write the report; results in it are not measured again."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure what quantization costs a model file; without inputs, show what is published."""
    from dse.cli.measuring import quality as run_quality

    options = {
        "model": model,
        "inputs": inputs,
        "precisions": precision or ["w8a8"],
        "evaluate": evaluate,
        "labels": labels,
        "dynamic": dynamic,
        "calibration": calibration,
        "group": group,
        "out": out,
    }
    run_quality(options, json)


@app.command("validate")
def validate(
    section: Annotated[
        str | None, typer.Option(metavar="NAME", help="One section only, such as silicon.")
    ] = None,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the tables to this HTML file.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare with published figures, section by section."""
    from dse.cli.measuring import validate as run_validate

    run_validate(section, html, json)


@app.command("migrate")
def migrate(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file, or a folder of files.")],
    out: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--out", "-o", metavar="PATH", help="The new file or folder (default: beside it)."
        ),
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Write over the files; the old ones stay as .bak.")
    ] = False,
    json: Json = False,
) -> None:
    """Write files of an older release in the form of this one."""
    from dse.cli.migrating import migrate as run_migrate

    run_migrate(path, out, in_place, json)
