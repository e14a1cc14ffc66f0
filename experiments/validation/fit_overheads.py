"""Fit the constants of dse/validation/data/fits.yaml on their own rows, and on no other.

Usage: python experiments/validation/fit_overheads.py [NAME]

For every group of constants with the same rows it tries a grid and prints the least sum of squared
relative errors (logarithms of ours over published).
"""

from __future__ import annotations

import itertools
import math
import sys

from dse.hardware.resolve import load_chip
from dse.validation.predict import predict
from dse.validation.published import Constant, constants, silicon

#: Multiples of the present value that are tried.
FACTORS = (0.25, 0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.8, 4.0)


def error(rows: tuple[str, ...], trial: dict[str, float], group: list[Constant]) -> float:
    """Sum of squared logarithms over the rows, with constants at trial values."""
    total = 0.0
    for row in silicon().rows:
        if row.id not in rows:
            continue
        values: dict[str, float] = {}
        for constant in group:
            for field in constant.fields:
                if field.chip == row.chip:
                    scale = load_chip(row.chip).f_hz if field.per else 1.0
                    value = trial[constant.name] * scale
                    whole = max(1, round(value))
                    values[field.path] = whole if constant.unit == "lanes" else value
        made = predict(row.case.model_copy(update={"set": values}), "analytic")
        assert made.latency_s is not None
        total += math.log(made.latency_s / row.latency_s) ** 2
    return total


def main(wanted: str = "") -> None:
    groups: dict[tuple[str, ...], list[Constant]] = {}
    for constant in constants():
        if isinstance(constant.value, str) or not constant.fields:
            continue  # chosen among words, or a fact of the technology
        groups.setdefault(constant.fitted_on, []).append(constant)
    for rows, group in groups.items():
        if wanted and not any(wanted in constant.name for constant in group):
            continue
        grid = itertools.product(FACTORS, repeat=len(group))
        tried = []
        for factors in grid:
            trial = {c.name: float(c.value) * f for c, f in zip(group, factors, strict=True)}
            if any(c.unit == "share" and trial[c.name] > 1 for c in group):
                continue
            tried.append((error(rows, trial, group), trial))
        for score, trial in sorted(tried, key=lambda entry: entry[0])[:5]:
            print(f"{math.sqrt(score / len(rows)):.3f} rms", trial)


if __name__ == "__main__":
    main(*sys.argv[1:2])
