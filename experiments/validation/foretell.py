"""Print predictions as rows of ``frozen_predictions.yaml``: ``foretell.py CHIP MODEL ...``.

Rows of the file are never changed; what is printed is pasted under ``rows`` before the measured
latencies of the chip are read, or, with a ground, under ``later``.
"""

from __future__ import annotations

import argparse
import datetime

from dse.validation.predict import predict
from dse.validation.published import Case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chip")
    parser.add_argument("models", nargs="+")
    asked = parser.parse_args()
    today = datetime.date.today().isoformat()
    for model in asked.models:
        seconds = predict(Case(chip=asked.chip, model=model)).latency_s
        said = f'model: "{model}", predicted_s: {seconds:.5g}, date: {today}'
        print(f"  - {{chip: {asked.chip}, {said}}}")


if __name__ == "__main__":
    main()
