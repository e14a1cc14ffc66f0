"""Each number of every shipped chip turned to twelve others: a finite record, or one line.

Run ``python experiments/hardening/chip_numbers.py [--every 1] [--part K/N]``. For each numeric
field of each shipped chip (as its file and template resolve it) the chip is loaded with that field
at 12 values, from 0 over small changes to absurd, and simulates a small network: every metric is
finite, or the chip or the record says in one line what cannot be. 10 s and 1 GB for each. ``--every
7`` tries every seventh case.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Iterator
from typing import Any

from harness import end, judged, report

import dse
from dse.errors import DseError
from dse.hardware.library import load_spec

#: What may come of a chip.
GOOD = ("finite", "infeasible", "refused")
#: In place of a field's value x, which is the last factor's base.
ABSOLUTE = (0, 1, -1, 1e-30, 1e30)
FACTORS = (1e-6, 0.1, 0.5, 0.99, 1.5, 10.0, 1e6)
NETWORK = "ad_autoencoder"
#: Chips that between them use every kernel of the mapper.
COMPILING = ("wearable_npu", "eyeriss", "edge_vision", "simba")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="only every so manyth case")
    parser.add_argument("--part", default="1/1", help="K/N: the K-th of N parts")
    chosen = parser.parse_args()
    part, parts = (int(number) for number in chosen.part.split("/"))
    for chip in COMPILING:  # the kernels are compiled once, in front of all children
        dse.simulate(NETWORK, chip)
    step = chosen.every * parts
    some = ((n, case) for n, case in enumerate(cases()) if n % step == (part - 1) * chosen.every)
    end(report(judged(some, tried, GOOD), GOOD), GOOD)


def cases() -> Iterator[tuple[str, str, float]]:
    """Chip, path of a field, and the value that it gets."""
    for entry in dse.list_chips():
        spec = load_spec(entry["name"])
        for path, value in leaves(spec.model_dump(exclude_none=True)):
            values = [*ABSOLUTE, *(value * factor for factor in FACTORS)]
            whole = isinstance(value, int)
            for other in dict.fromkeys(round(v) if whole and abs(v) < 1e18 else v for v in values):
                yield entry["name"], path, other


def leaves(tree: Any, at: str = "") -> Iterator[tuple[str, float]]:
    """Each number of nested mappings with its dotted path; of a list only what has a name."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{at}.{key}" if at else str(key))
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield at, tree


def tried(case: tuple[str, str, float]) -> tuple[str, str]:
    """Loads and simulates; what is no error of ours is raised."""
    warnings.simplefilter("ignore")
    name, path, value = case
    told = f"{name} {path}={value!r}"
    try:
        record = dse.simulate(NETWORK, name, settings={f"chip.{path}": value})
    except DseError as error:
        line = error.describe()
        well = line.isprintable() and len(line) < 4000
        return ("refused" if well else "unclear"), f"{told}: {line}"
    if not record.feasible:
        return ("infeasible" if record.reasons else "no reason"), told
    odd = [
        name
        for name, number in record.to_dict().items()
        if isinstance(number, float) and not math.isfinite(number)
    ]
    return ("not finite" if odd else "finite"), f"{told}: {', '.join(odd)}"


if __name__ == "__main__":
    main()
