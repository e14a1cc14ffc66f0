"""Searching the joint space of apps, models and chips."""

from dse.search.candidate import Outcome, evaluate_candidate
from dse.search.effort import Effort
from dse.search.experiment import Experiment, load_experiment
from dse.search.folder import StudyFolder
from dse.search.front import front_of
from dse.search.progress import Progress
from dse.search.resolved import ResolvedExperiment, check_experiment, resolve_experiment
from dse.search.space import grid_size
from dse.search.study import StudyResult, check_numbers, design_row, explore, front_rows, sweep
from dse.search.warm import starting_designs

__all__ = [
    "Effort",
    "Experiment",
    "Outcome",
    "Progress",
    "ResolvedExperiment",
    "StudyFolder",
    "StudyResult",
    "check_experiment",
    "check_numbers",
    "design_row",
    "evaluate_candidate",
    "explore",
    "front_of",
    "front_rows",
    "grid_size",
    "load_experiment",
    "resolve_experiment",
    "starting_designs",
    "sweep",
]
