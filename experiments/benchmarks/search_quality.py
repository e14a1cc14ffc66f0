"""How much of the true Pareto front a search finds, against baselines, on an enumerated space.

Run ``python experiments/benchmarks/search_quality.py TABLE.npz [--seeds 10] [--trials 2000]
[--objectives average_power_w unit_cost_usd]``, with a table of
``experiments/studies/reference_space/enumerate.py``. The searches are the real
ones; only the evaluation of a design is looked up. An evaluation is a design that reached the
analytic level; designs that only had their bound computed are counted beside it.

Methods: ``dse`` (this package: a Sobol start, then bounds and the guide alone), Optuna's random,
Sobol, NSGA-II and multivariate TPE samplers alone, each without and with the same bound filter.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.evaluation.causes import Cause
from dse.evaluation.design import Value
from dse.evaluation.states import State
from dse.search.bound import Bound, dominated
from dse.search.candidate import Outcome, values_key
from dse.search.effort import Effort
from dse.search.experiment import Experiment
from dse.search.front import hypervolume, igd_plus, non_dominated
from dse.search.space import Space
from dse.search.study import explore

METHODS: dict[str, dict[str, Any]] = {
    "dse": {"sampler": "nsga2", "local_share": 1.0, "prune": True},
    "nsga2": {"sampler": "nsga2", "local_share": 0.0, "prune": False},
    "nsga2 + bounds": {"sampler": "nsga2", "local_share": 0.0, "prune": True},
    "tpe": {"sampler": "tpe", "local_share": 0.0, "prune": False},
    "tpe + bounds": {"sampler": "tpe", "local_share": 0.0, "prune": True},
    "sobol": {"sampler": "qmc", "local_share": 0.0, "prune": False},
    "sobol + bounds": {"sampler": "qmc", "local_share": 0.0, "prune": True},
    "random": {"sampler": "random", "local_share": 0.0, "prune": False},
    "random + bounds": {"sampler": "random", "local_share": 0.0, "prune": True},
}
#: Marks at which the table is read.
MARKS = (100, 200, 500, 1000, 2000)


class Table:
    """An enumerated space, in place of the worker pool of a search."""

    def __init__(self, path: Path, objectives: Sequence[str] = ()) -> None:
        data = np.load(path)
        experiment = Experiment.model_validate(json.loads(str(data["space"])))
        known = [objective.metric for objective in experiment.objectives]
        columns = [known.index(name) for name in objectives or known]
        kept = tuple(experiment.objectives[k] for k in columns)
        self.experiment = experiment.model_copy(update={"objectives": kept})
        self.losses = data["losses"].astype(float)[:, columns]
        self.violation = data["violation"].astype(float)
        self.bounds_of = data["bounds"].astype(float)[:, columns]
        self.serves = data["serves"]
        self.index = {
            values_key(values): number
            for number, values in enumerate(Space(self.experiment).designs())
        }
        able = np.flatnonzero(np.isfinite(self.losses).all(axis=1) & (self.violation == 0.0))
        self.front = able[non_dominated(self.losses[able])]
        rows = self.losses[self.front]
        self.reference = list(rows.max(axis=0) + 0.1 * np.ptp(rows, axis=0))
        self.volume = hypervolume(rows, self.reference)
        self.prune = True

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def bounds(self, designs: Sequence[Mapping[str, Value]]) -> list[Bound]:
        """The bound level of designs."""
        out = []
        for values in designs:
            number = self.index[values_key(values)]
            row = self.bounds_of[number]
            known = bool(np.isfinite(row).all())
            out.append(Bound(tuple(map(float, row)) if known else None, bool(self.serves[number])))
        return out

    def evaluate(
        self, designs: Sequence[dict[str, Value]], front: NDArray[np.float64] | None
    ) -> Iterator[tuple[Outcome, Effort]]:
        """Outcomes as the real levels would give them."""
        for values in designs:
            number = self.index[values_key(values)]
            level, pruned, row = "analytic", False, self.losses[number]
            if not np.isfinite(row).all():
                yield (
                    Outcome(values, "none", "impossible", False, 1e6, None, (), "", None),
                    Effort(),
                )
                continue
            if front is not None:
                bound = self.bounds_of[number]
                pruned = dominated(bound, front)
                if pruned or not self.serves[number]:
                    level, row = "roofline", bound
            violation = float(self.violation[number])
            good = level == "analytic" and violation == 0.0
            objectives = tuple(
                objective.loss(loss)
                for objective, loss in zip(self.experiment.objectives, row, strict=True)
            )
            causes = (Cause("dominated", "dominated"),) if pruned else ()
            state: State = "feasible" if good else "dominated" if pruned else "infeasible"
            yield (
                Outcome(values, level, state, good, violation, objectives, causes, "", None),
                Effort(),
            )


def run(table: Table, method: str, seed: int, trials: int) -> dict[str, Any]:
    """One search: share of the hypervolume and of the front at the marks, and the effort."""
    experiment = table.experiment.model_copy(update={**METHODS[method], "seed": seed})
    started = time.process_time()
    result = explore(experiment, evaluations=trials, evaluator=table)
    spent = time.process_time() - started
    evaluated = [table.index[o.key] for o in result.outcomes if o.evaluated]
    wanted = set(table.front.tolist())
    curve = {}
    for mark in (*MARKS, round(len(table.losses) / 100), len(evaluated)):
        if mark > len(evaluated):
            continue
        first = np.array(evaluated[:mark])
        able = first[(table.violation[first] == 0.0)]
        rows = table.losses[able][non_dominated(table.losses[able])] if len(able) else []
        curve[mark] = (
            hypervolume(rows, table.reference) / table.volume if len(able) else 0.0,
            len(wanted & set(first.tolist())) / len(wanted),
            igd_plus(rows, table.losses[table.front]) if len(able) else np.inf,
        )
    return {
        "curve": curve,
        "evaluated": evaluated,
        "bounds": len(result.outcomes) - len(evaluated),
        "cpu_ms": spent / max(result.proposals, 1) * 1e3,
        "repeats": len(evaluated) - len(set(evaluated)),
    }


def needed(table: Table, found: dict[str, Any], share: float) -> float:
    """Evaluations until the hypervolume share is reached; inf if it never is."""
    evaluated = found["evaluated"]
    low, high = 1, len(evaluated) + 1
    while low < high:
        middle = (low + high) // 2
        first = np.array(evaluated[:middle])
        able = first[table.violation[first] == 0.0]
        rows = table.losses[able][non_dominated(table.losses[able])] if len(able) else []
        volume = hypervolume(rows, table.reference) / table.volume if len(able) else 0.0
        low, high = (low, middle) if volume >= share else (middle + 1, high)
    return float(low) if low <= len(evaluated) else float("inf")


_table: Table | None = None
_keep: Path | None = None


def _open(path: Path, objectives: Sequence[str], keep: Path | None) -> None:
    global _table, _keep
    _table, _keep = Table(path, objectives), keep


def _job(job: tuple[str, int, int]) -> dict[str, Any]:
    """One search, or what an earlier run of this command kept of it."""
    assert _table is not None
    if _keep is None:
        return run(_table, *job)
    method, seed, trials = job
    metrics = "-".join(objective.metric for objective in _table.experiment.objectives)
    file = _keep / f"{method.replace(' + ', '+')}-{seed}-{trials}-{metrics}.json"
    if not file.is_file():
        _keep.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(run(_table, *job)))
    found: dict[str, Any] = json.loads(file.read_text())
    found["curve"] = {int(mark): row for mark, row in found["curve"].items()}
    return found


def quartiles(values: Sequence[float], form: str) -> str:
    """Median (lower to upper quartile)."""
    low, middle, high = np.percentile(np.array(values, dtype=float), (25, 50, 75))
    return f"{middle:{form}} ({low:{form}}-{high:{form}})"


def report(table: Table, found: Mapping[str, list[dict[str, Any]]], trials: int) -> str:
    """The table as Markdown, a row for each method."""
    size, front = len(table.losses), len(table.front)
    one = round(size / 100)
    goal = None
    lines = [f"{size:,} designs, {front} on the true front."]
    if "random" in found and trials in MARKS:
        at_end = [r["curve"][trials][0] for r in found["random"] if trials in r["curve"]]
        if at_end:
            goal = float(np.median(at_end))
            lines.append(f"Random search has {goal:.4f} of the hypervolume after {trials:,}.")
    marks = sorted({m for m in (*MARKS, one) if m <= trials})
    head = ["method"]
    for at in marks:
        head += [f"volume @{at:,}", f"front @{at:,}"]
    head += ["IGD+ at the end", "random's end after", "bounds", "repeats", "CPU ms a proposal"]
    lines += ["", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for method, runs in found.items():
        cells = [method]
        for at in marks:
            reached = [r["curve"][at] for r in runs if at in r["curve"]]
            if len(reached) < len(runs):
                cells += ["-", "-"]
                continue
            cells.append(quartiles([c[0] for c in reached], ".4f"))
            cells.append(quartiles([c[1] for c in reached], ".0%"))
        ends = [r["curve"][max(r["curve"])] for r in runs]
        cells.append(f"{np.median([e[2] for e in ends]):.2e}")
        if goal is None:
            cells.append("-")
        else:
            first = float(np.median([needed(table, r, goal) for r in runs]))
            cells.append("-" if np.isinf(first) else f"{first:.0f}")
        cells.append(f"{np.median([r['bounds'] for r in runs]):.0f}")
        cells.append(f"{max(r['repeats'] for r in runs)}")
        cells.append(f"{np.median([r['cpu_ms'] for r in runs]):.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table of methods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--objectives", nargs="*", default=[], help="a subset of the table's")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--keep", type=Path, help="folder for finished runs, to go on from")
    options = parser.parse_args()
    jobs = [(m, seed, options.trials) for m in options.methods for seed in range(options.seeds)]
    opened = (options.table, options.objectives)
    found: dict[str, list[dict[str, Any]]] = {method: [] for method in options.methods}
    shared = (*opened, options.keep)
    with multiprocessing.get_context("spawn").Pool(options.workers, _open, shared) as pool:
        for number, ((method, seed, _), result) in enumerate(
            zip(jobs, pool.imap(_job, jobs), strict=True), 1
        ):
            found[method].append(result)
            print(f"{number}/{len(jobs)}: {method}, seed {seed}", file=sys.stderr, flush=True)
    print(report(Table(*opened), found, options.trials))


if __name__ == "__main__":
    main()
