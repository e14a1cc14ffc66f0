"""What `dse explain` says of every app on the chip it fails on: one step, and several together.

    python experiments/ways_out.py [APP ...] [--tries N] [--keep PATH ...] [--markdown]

The chips are those of ``app_matrix.yaml`` beside it. The table in ``docs/apps.md`` is the output
with ``--markdown``: what the best single step leaves broken, and the first set of steps that mends
the app, or what comes closest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from app_matrix import HERE, short

import dse
from dse.explanation.feedback import VIOLATION
from dse.printing import setting
from dse.schema import read_yaml


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("apps", nargs="*", help="shipped apps (default: all of the matrix)")
    parser.add_argument("--tries", type=int, default=120, help="sets mapped or played, at most")
    parser.add_argument("--keep", nargs="*", default=[], help="paths that no step may change")
    parser.add_argument("--markdown", action="store_true", help="a table for docs/apps.md")
    options = parser.parse_args()
    data, _ = read_yaml(HERE / "app_matrix.yaml")
    if options.markdown:
        print("| app on chip | broken | best single step | steps together | evaluations |")
        print("| --- | --- | --- | --- | --- |")
    for app, line in data["apps"].items():
        if options.apps and app not in options.apps:
            continue
        found = dse.explain(app, line["fails"], tries=options.tries, keep=options.keep, draws=None)
        cells = (f"{app} on {line['fails']}", *told(found))
        print("| " + " | ".join(cells) + " |" if options.markdown else "  ".join(cells), flush=True)
    return 0


def told(found: dse.Explanation) -> tuple[str, str, str, str]:
    """What is broken, what one step leaves, what several do, and how many evaluations it took."""
    start = found.steps[0]["metrics"].get(VIOLATION, (None, None))[0] if found.steps else None
    broken = "unmappable" if start is None else f"{start:.2f}"
    best = max(found.steps, key=lambda step: step["gain"], default=None)
    single = "none"
    if best is not None and best["gain"] > 1e-3:
        left = "mends it" if best["feasible"] else f"{best['metrics'][VIOLATION][1]:.2f} left"
        single = f"{step_text(best)}: {left}"
    if found.tried is None:
        return broken, single, "not needed", "-"
    spent = f"{found.tried['bounds']:,} bounds, {found.tried['evaluations']} mapped or played"
    if found.ways:
        way = found.ways[0]
        return broken, single, ", ".join(step_text(step) for step in way["steps"]), spent
    closest = found.tried["closest"]
    if closest is None:
        return broken, single, "nothing found", spent
    steps = ", ".join(f"{path} {setting(path, value)}" for path, value in closest["set"].items())
    left = f"{closest['violation']:.2f} left, {short(closest['reasons'][0], 60)}"
    return broken, single, f"nothing found; closest: {steps} ({left})", spent


def step_text(step: Mapping[str, Any]) -> str:
    """A step as people write it."""
    old, new = (setting(step["path"], step[key]) for key in ("before", "after"))
    return f"{step['path']} {old} → {new}"


if __name__ == "__main__":
    sys.exit(main())
