"""The scripts of ``experiments`` are put on the path, as when they are run."""

from __future__ import annotations

import sys
from pathlib import Path

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
sys.path[:0] = [str(EXPERIMENTS / "benchmarks"), str(EXPERIMENTS)]
