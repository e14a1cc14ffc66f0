"""The options that several commands share: each is defined here, once.

What a value may be is checked by the function of ``dse`` that takes it, whose error names the
parameter; :func:`as_flag` gives the option's name for it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Optional

import typer

from dse.errors import DseError

#: Options whose name is not that of the parameter.
OTHERWISE = {
    "draws": "--uncertainty",
    "max_s": "--max-time",
    "evaluate": "--eval",
    "layer": "--explain",
    "pins": "--pin",
}
#: Parameters that a file may have a field of the same name as: flags only where no file is named.
IN_FILES = ("seed", "trials", "stall", "volume", "cores", "kind", "max_s", "pins", "objective")
#: Parameters that are options of the same name.
ALIKE = (
    "seed", "volume", "cores", "kind", "legal", "trace", "power_plot", "trials", "workers", "stall",
    "labels", "dynamic", "out", "runs", "line", "volumes", "section", "objective", "precision",
    "break_lock", "together", "tries", "fidelity", "keep",
)  # fmt: skip


def as_flag(error: DseError) -> None:
    """Name the command's option in place of the function's parameter in an error."""
    name = error.field or ""
    if error.file is not None and name in IN_FILES:
        return
    if name in OTHERWISE:
        error.field = OTHERWISE[name]
    elif name in ALIKE:
        error.field = f"--{name.replace('_', '-')}"


Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
Chip = Annotated[
    str,
    typer.Option(
        "--chip", "--platform", "-c", help="A shipped chip or platform, or a YAML file of one."
    ),
]
Node = Annotated[
    str | None, typer.Option("--node", "-n", metavar="NODE", help="Process node, such as 7nm.")
]
Precision = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--precision", "-p", help="int8, w4a8, w8a16, fp16 ..., -qat behind it."),
]
Settings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", "-s", metavar="PATH=VALUE", help="Override, such as chip.array.rows=32."),
]
Bind = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--bind",
        metavar="NAME=VALUE",
        help="Bind dynamic axes and small inputs, such as batch=1,seq=256 or sr=16000.",
    ),
]
Out = Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")]
BreakLock = Annotated[
    bool, typer.Option("--break-lock", help="Take the folder from a run that is dead.")
]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes (default: all cores).")]
Line = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--line", metavar="LINE", help="Only nodes of a line: jasm1, jasm2, rapidus ..."),
]
Objective = Annotated[
    str,
    typer.Option(
        "--objective",
        metavar="OBJECTIVE",
        help="What the mapper minimises: edp, latency, energy, or a product: energy*latency^2.",
    ),
]
Fidelity = Annotated[
    Literal["roofline", "analytic", "simulate"],
    typer.Option("--fidelity", help="Bound, sum, or play."),
]
Seed = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--seed", help="Of jitter, arrivals, triggers and proposals."),
]
Cores = Annotated[
    int, typer.Option("--cores", metavar="N", help="Cores that a layer of a model is split over.")
]
Draws = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(
        "--uncertainty",
        metavar="DRAWS",
        help="Draws of the technology facts: 32 is usual.",
    ),
]
Together = Annotated[
    int,
    typer.Option(
        "--together",
        metavar="STEPS",
        help="Steps taken together where no single one helps; 0: none.",
    ),
]
Tries = Annotated[
    int,
    typer.Option(
        "--tries", metavar="N", help="Sets of steps mapped or played, at most (bounds: 30 N)."
    ),
]
Keep = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--keep", metavar="PATH", help="A path that no step may change: chip.node ..."),
]
Volume = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        "--volume",
        metavar="UNITS",
        help="Units over the product's life, for cost (default: 1,000,000; an app has its own).",
    ),
]
Kind = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--kind", metavar="KIND", help="Kind of core that a model runs on, of a chip with several."
    ),
]
Legal = Annotated[
    bool,
    typer.Option("--legal/--ideal", help="Only mappings that the chip's compiler can express."),
]
UnknownOps = Annotated[
    Literal["error", "host"],
    typer.Option("--unknown-ops", help="Refuse them, or run them on the host."),
]
