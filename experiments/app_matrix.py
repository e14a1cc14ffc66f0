"""Every shipped app on a chip that satisfies it and on one that does not, and what binds.

    python experiments/app_matrix.py [APP ...] [--markdown]

Reads ``app_matrix.yaml`` beside it and leaves with 1 if a line of it is not so. The table in
``docs/apps.md`` is the output with ``--markdown``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from dse.apps import list_apps
from dse.errors import DseError
from dse.evaluation import Design, Evaluation, evaluate_app, resolve_design
from dse.evaluation.requirements import Requirement, requirements
from dse.schema import read_yaml

HERE = Path(__file__).resolve().parent
#: A demand with no more room than this binds. An app in which time, power, cost and heat all leave
#: more asks for nothing; a quality floor alone sizes no chip.
BINDING = 0.25


@dataclass(frozen=True)
class Line:
    """One app: where it runs, where it does not, and what binds where it does."""

    app: str
    satisfied: str
    fails: str
    reason: str
    binds: str
    faults: tuple[str, ...]


def expectations() -> dict[str, dict[str, str]]:
    """The lines of ``app_matrix.yaml`` by app."""
    data, _ = read_yaml(HERE / "app_matrix.yaml")
    return {name: dict(line) for name, line in data["apps"].items()}


def run(app: str, chip: str) -> tuple[Evaluation, list[Requirement]]:
    """One app simulated on one chip or platform, with its demands, tightest first."""
    found = resolve_design(Design(app, chip))
    record, _ = evaluate_app(found.app, found.workloads, found.chip)
    return record, requirements(found.app, record)


def busy(record: Evaluation) -> list[Requirement]:
    """The time that the app needs of each resource, as demands with the room that is left."""
    return [
        Requirement("load", f"time of {name}", "offered_load", share, 1.0, 1.0 - share)
        for name, share in record.offered_load.items()
        if share <= 1.0
    ]


def check(app: str, line: dict[str, str]) -> Line:
    """Whether an app does on both chips what the file says."""
    good, demands = run(app, line["satisfied"])
    demands = sorted([*demands, *busy(good)], key=lambda d: 1.0 if d.room is None else d.room)
    bad, _ = run(app, line["fails"])
    faults = []
    if good.feasible is not True:
        faults.append(f"not satisfied by {line['satisfied']}: {'; '.join(good.reasons[:2])}")
    if bad.feasible is not False:
        faults.append(f"satisfied by {line['fails']}")
    told = [reason for reason in bad.reasons if line["because"] in reason]
    if not told:
        faults.append(f"no reason of {line['fails']} speaks of {line['because']!r}: {bad.reasons}")
    close = [demand for demand in demands if demand.room is not None and demand.room <= BINDING]
    if all(demand.kind == "quality" for demand in close):
        faults.append(f"nothing binds on {line['satisfied']}")
    told_first = sorted(close, key=lambda demand: demand.kind == "quality")[:3]
    binds = ", ".join(f"{demand.name} ({demand.room:.0%})" for demand in told_first)
    reason = told[0] if told else "-"
    return Line(app, line["satisfied"], line["fails"], reason, binds, tuple(faults))


def main(arguments: list[str]) -> int:
    names = [name for name in arguments if not name.startswith("-")]
    wanted = expectations()
    shipped = [app.name for app in list_apps()]
    faults = [f"{name}: no line in app_matrix.yaml" for name in shipped if name not in wanted]
    markdown = "--markdown" in arguments
    if markdown:
        print("| app | satisfied by | fails on | because | what binds (room left) |")
        print("| --- | --- | --- | --- | --- |")
    for name in names or shipped:
        if name not in wanted:
            continue
        try:
            line = check(name, wanted[name])
        except DseError as error:
            faults.append(f"{name}: {error}")
            continue
        cells = (line.app, line.satisfied, line.fails, short(line.reason), line.binds)
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells), flush=True)
        faults += [f"{name}: {fault}" for fault in line.faults]
    for fault in faults:
        print(f"WRONG {fault}", file=sys.stderr)
    return 1 if faults else 0


def short(text: str, most: int = 110) -> str:
    """The first words of a reason."""
    text = text.replace("|", "/")
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
