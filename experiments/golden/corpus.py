"""What the golden corpus records: tasks, and the record of each, through public names only.

The code under test is whichever ``dse`` is on the path, so the same tasks run on any commit. Each
task gives records ``{"id": "section/...", "inputs": [ids it was computed from], "record": {...}}``;
what a commit refuses is recorded as ``{"refused": message}``.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

HERE = Path(__file__).resolve().parent
FILES = HERE / "files"
#: Sections in the order in which one is computed from those before it.
SECTIONS = (
    "facts", "nodes", "chips", "models", "networks", "apps", "studies", "commands", "validation",
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One unit of work: what a process computes without giving it away."""

    section: str
    subject: str = ""
    chip: str = ""
    trials: int = 0


def corpus() -> dict[str, Any]:
    """The fixed list of ``corpus.yaml``, with the apps of ``app_matrix.yaml``."""
    found = _yaml(HERE / "corpus.yaml")
    found["apps"] = _yaml(HERE.parent / "app_matrix.yaml")["apps"]
    return found


def _yaml(path: Path) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(path.read_text(encoding="utf-8")))


def _checkout() -> Path:
    """The folder of the commit whose code runs."""
    import dse

    return Path(dse.__file__).resolve().parents[1]


def tasks(sections: tuple[str, ...] = SECTIONS) -> list[Task]:
    """All tasks of these sections, heavy ones first."""
    listed = corpus()
    found = [Task("studies", s["experiment"], trials=s["trials"]) for s in listed["studies"]]
    found += [Task("validation")]
    found += [Task("apps", name) for name in listed["apps"]]
    found += [Task("commands", line) for line in listed["commands"]]
    for model in listed["networks"]["models"]:
        found += [Task("networks", model, chip) for chip in listed["networks"]["chips"]]
    found += [Task("facts"), Task("nodes"), Task("chips"), Task("models")]
    return [task for task in found if task.section in sections]


def records(task: Task) -> Iterator[dict[str, Any]]:
    """The records of one task."""
    yield from _RECORDERS[task.section](task)


def _row(name: str, record: Mapping[str, Any], *inputs: str) -> dict[str, Any]:
    return {"id": name, "inputs": sorted(set(inputs)), "record": dict(record)}


def command(*arguments: str) -> dict[str, Any]:
    """What ``dse ... --json`` prints, or its one line of error."""
    from dse.cli import main

    before, out, err = sys.argv, io.StringIO(), io.StringIO()
    sys.argv = ["dse", *arguments, "--json"]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                if end.code:
                    return {"refused": (err.getvalue().strip().splitlines() or [""])[-1]}
        return dict(json.loads(out.getvalue()))
    finally:
        sys.argv = before


def _facts(task: Task) -> Iterator[dict[str, Any]]:
    from dse.technology import load_technology

    for fact in load_technology().facts():
        yield _row(f"facts/{fact.path}", {"value": fact.value, "uncertainty": fact.uncertainty})


def _nodes(task: Task) -> Iterator[dict[str, Any]]:
    for row in command("nodes")["nodes"]:
        yield _row(f"nodes/{row['name']}", row, "facts")


def _chips(task: Task) -> Iterator[dict[str, Any]]:
    for row in command("chips")["chips"]:
        name = row["name"]
        yield _row(f"chips/{name}", {**command("show", name), "listed": row}, "facts")


def _models(task: Task) -> Iterator[dict[str, Any]]:
    for row in command("models")["models"]:
        yield _row(f"models/{row['name']}", command("show", row["name"]))


def _networks(task: Task) -> Iterator[dict[str, Any]]:
    import dse

    for fidelity in corpus()["fidelities"]:
        try:
            made = dse.simulate(dse.load_model(task.subject), dse.load_chip(task.chip), fidelity)
            record = made.to_dict()
        except dse.DseError as error:
            record = {"refused": error.describe()}
        name = f"networks/{task.subject}/{task.chip}/{fidelity}"
        # A variant by size is another graph; one by precision is lowered from the same.
        model = task.subject.partition("@")[0]
        yield _row(name, record, f"chips/{task.chip}", f"models/{model}", "facts")


def _apps(task: Task) -> Iterator[dict[str, Any]]:
    """An app on the chip that satisfies it, at each fidelity, and on one that does not."""
    line, listed = corpus()["apps"][task.subject], corpus()
    runs = [(line["satisfied"], fidelity) for fidelity in listed["fidelities"]]
    for chip, fidelity in [*runs, (line["fails"], "simulate")]:
        made = command("simulate", task.subject, "--chip", chip, "--fidelity", fidelity)
        models = [f"models/{row['model'].partition('@')[0]}" for row in made.get("tasks", ())]
        name = f"apps/{task.subject}/{chip}/{fidelity}"
        yield _row(name, made, f"chips/{chip}", "facts", "networks", *models)


def _studies(task: Task) -> Iterator[dict[str, Any]]:
    """Every design of a small study with one worker, and what its report says of the front."""
    name = f"studies/{task.subject}"
    with tempfile.TemporaryDirectory() as folder:
        study, page = str(Path(folder) / "study"), Path(folder) / "page"
        source = str(_checkout() / "experiments" / f"{task.subject}.yaml")
        options = ("--trials", str(task.trials), "--workers", "1")
        run = command("explore", source, "--out", study, *options)
        if "refused" in run:
            yield _row(name, run, "facts")
            return
        yield _row(name, run, "facts", "search")
        told = command("report", study, "--out", str(page), "--no-feedback")
        if "refused" in told:
            told = command("report", study, "--out", str(page))
        yield _row(f"{name}/report", told, "facts", "search")
        front = json.loads((page / "pareto.json").read_text(encoding="utf-8"))
        yield _row(f"{name}/pareto", front, "facts", "search")
        with (page / "designs.csv").open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            names = list(rows.fieldnames or ())
            parameters = names[: names.index("fidelity")]
            for row in rows:
                design = ",".join(f"{key}={row[key]}" for key in parameters)
                values = {key: _number(text) for key, text in row.items()}
                yield _row(f"{name}/designs/{design}", values, "facts", "search")


def _number(text: str | None) -> Any:
    if text is None or text == "":
        return None
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text


def _commands(task: Task) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        for file in FILES.iterdir():
            shutil.copy(file, folder)
        before = Path.cwd()
        os.chdir(folder)
        try:
            record = command(*task.subject.split())
        finally:
            os.chdir(before)
    yield _row(f"commands/{task.subject}", record, "facts", "all")


def _validation(task: Task) -> Iterator[dict[str, Any]]:
    for section in command("validate")["sections"]:
        seen: dict[str, int] = {}
        for row in section["rows"]:
            name = f"validation/{section['name']}/{row['item']}/{row['quantity']}"
            seen[name] = seen.get(name, 0) + 1
            again = f"#{seen[name]}" if seen[name] > 1 else ""
            yield _row(name + again, row, "facts", "all")
        yield _row(f"validation/{section['name']}", section["summary"], "facts", "all")


_RECORDERS = {
    "facts": _facts,
    "nodes": _nodes,
    "chips": _chips,
    "models": _models,
    "networks": _networks,
    "apps": _apps,
    "studies": _studies,
    "commands": _commands,
    "validation": _validation,
}
