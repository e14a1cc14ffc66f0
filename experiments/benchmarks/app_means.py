"""Do an app's means and verdict depend on how long it is observed, or on the level? They must not.

Run ``python experiments/benchmarks/app_means.py [--apps A,B] [--markdown]``. Twenty shipped apps,
each on the chip that satisfies it (``experiments/app_matrix.yaml``), are observed for half, once
and three times the ``horizon_s`` of their file, at three levels. Power and throughput of a level
must be the same for all horizons, those of the play must be those of the analytic level, all within
1 %, and the verdicts of a level must be equal. The roofline is a bound of the energy of a job: its
throughput must be the same, its power not above. Leaves with 1 if a line is not so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import dse
from dse.errors import InputError
from dse.evaluation import Evaluation

MATRIX = Path(__file__).parents[1] / "app_matrix.yaml"
#: Regular and random ones, of milliseconds and of minutes, one core and many, device and cloud.
APPS = (
    "ad_l2p", "drone_delivery", "drone_inspect", "agri_spray", "agri_harvest", "robot_amr",
    "robot_clean", "robot_food", "robot_manuf", "robot_care", "factory_inspection",
    "wearable_kws", "wearable_ar", "edge_llm", "edge_imgvid", "dc_split", "mlperf_tiny",
    "mlperf_mobile", "xrbench_outdoor_b", "xrbench_social_b",
)  # fmt: skip
FACTORS = (0.5, 1.0, 3.0)
LEVELS = ("roofline", "analytic", "simulate")
#: Share by which means may differ.
WITHIN = 0.01


@dataclass(frozen=True)
class Row:
    """One app at one level: a record for each horizon."""

    app: str
    chip: str
    level: str
    records: tuple[Evaluation, ...]

    @property
    def power_w(self) -> list[float]:
        return [record.average_power_w or 0.0 for record in self.records]

    @property
    def per_s(self) -> list[float]:
        return [record.throughput_per_s or 0.0 for record in self.records]

    @property
    def verdicts(self) -> list[str]:
        return [record.verdict for record in self.records]


def rows_of(app: str, factors: Sequence[float] = FACTORS) -> list[Row]:
    """All levels of one shipped app, each for several horizons."""
    chip = yaml.safe_load(MATRIX.read_text())["apps"][app]["satisfied"]
    asked = dse.load_app(app)
    site: Any
    try:
        site = dse.load_chip(chip)
    except InputError:
        site = dse.load_platform(chip)
    return [
        Row(
            app,
            chip,
            level,
            tuple(
                dse.simulate(
                    asked, site, level, settings={"app.horizon_s": asked.observed_s * factor}
                )
                for factor in factors
            ),
        )
        for level in LEVELS
    ]


def faults(rows: Sequence[Row]) -> list[str]:
    """What is not as it must be among the levels of one app."""
    out = []
    bound, sums, played = rows
    for row in rows:
        for what, values in (("power", row.power_w), ("throughput", row.per_s)):
            if max(values) > min(values) * (1.0 + WITHIN):
                out.append(f"{row.app}, {row.level}: {what} from {min(values)} to {max(values)}")
        if len(set(row.verdicts)) > 1:
            out.append(f"{row.app}, {row.level}: {', '.join(row.verdicts)}")
    for number in range(len(played.records)):
        pairs = [("power", sums.power_w, played.power_w), ("throughput", sums.per_s, played.per_s)]
        pairs.append(("throughput", bound.per_s, played.per_s))
        for what, low, high in pairs:
            if abs(low[number] - high[number]) > WITHIN * high[number]:
                out.append(f"{played.app}: {what} {low[number]}, played {high[number]}")
        if bound.power_w[number] > played.power_w[number] * (1.0 + 1e-9):
            out.append(f"{played.app}: the bound of power is above what was played")
    return out


def line(rows: Sequence[Row]) -> list[str]:
    """An app as cells: means of each level, spread over horizons, verdicts of the play."""
    cells = [rows[0].app, rows[0].chip]
    for row in rows:
        spread = max(row.power_w) / min(row.power_w) - 1.0
        cells.append(f"{row.power_w[1]:.4g} W ({spread:.2%})")
    ratio = rows[1].power_w[1] / rows[2].power_w[1] - 1.0
    spread = max(rows[2].per_s) / min(rows[2].per_s) - 1.0
    cells += [f"{ratio:+.2%}", f"{rows[2].per_s[1]:.4g}/s ({spread:.2%})"]
    return [*cells, ", ".join(dict.fromkeys(rows[2].verdicts))]


HEAD = (
    "app", "chip", "roofline (spread)", "analytic (spread)", "simulate (spread)",
    "analytic to simulate", "throughput (spread)", "verdict",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", default=",".join(APPS))
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args()
    bar = " | " if chosen.markdown else "  "
    edge = "| " if chosen.markdown else ""
    print(edge + bar.join(HEAD))
    if chosen.markdown:
        print("|" + " --- |" * len(HEAD))
    wrong: list[str] = []
    for app in chosen.apps.split(","):
        rows = rows_of(app)
        wrong += faults(rows)
        print(edge + bar.join(line(rows)), flush=True)
    for fault in wrong:
        print(fault, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
