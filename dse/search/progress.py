"""What a running search knows: its designs, its front, and whether it still gets anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.evaluation.states import STATES, State
from dse.search.bound import row
from dse.search.candidate import Outcome
from dse.search.experiment import Experiment
from dse.search.failures import by_state
from dse.search.front import Losses, front_of, hypervolume, losses_of


@dataclass(frozen=True)
class Progress:
    """State of a running search, at its start and after each batch.

    ``distinct`` counts designs judged, ``mapped`` those of them that were mapped; every one is
    ``feasible``, ``infeasible``, ``dominated`` or ``impossible``
    (:data:`dse.evaluation.states.MEANING`).
    """

    distinct: int
    wanted: int
    proposals: int
    mapped: int
    feasible: int
    infeasible: int
    dominated: int
    impossible: int
    front: int
    hypervolume: float
    elapsed_s: float

    @property
    def states(self) -> dict[State, int]:
        """How many designs there are of each state."""
        return {state: getattr(self, state) for state in STATES}


class SearchState:
    """Outcomes in the order told, and the rows of the front that designs are pruned against.

    ``rows`` change between batches only, so that a batch does not depend on who finishes first.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.distinct: dict[str, Outcome] = {}
        self.proposals = 0
        self.evaluated = 0
        self.rows: Losses = np.empty((0, 0))
        self._front: tuple[int, ...] = ()
        self._reference: list[float] | None = None
        self._volume = 0.0
        self._moved_at = 0
        self._counted = 0
        self.idle_batches = 0

    def add(self, outcome: Outcome) -> bool:
        """Note an outcome; whether it is a new design."""
        self.proposals += 1
        if outcome.key in self.distinct:
            return False
        self.distinct[outcome.key] = outcome
        self.evaluated += outcome.evaluated
        return True

    def count(self, *, mapped_only: bool) -> int:
        """Distinct designs judged, or only those that were mapped."""
        return self.evaluated if mapped_only else len(self.distinct)

    def close_batch(self) -> None:
        """Bring front and hypervolume up to date."""
        self.idle_batches = self.idle_batches + 1 if len(self.distinct) == self._counted else 0
        self._counted = len(self.distinct)
        outcomes = list(self.distinct.values())
        front = [outcomes[index] for index in front_of(outcomes, self.experiment)]
        self._front = tuple(range(len(front)))
        if not front:
            return
        self.rows = np.array([_row(outcome, self.experiment) for outcome in front])
        found = losses_of(front, self.experiment)
        if self._reference is None:
            spread = np.abs(found).max(axis=0)
            self._reference = list(found.max(axis=0) + np.where(spread > 0, 0.5 * spread, 1.0))
        volume = hypervolume(found, self._reference)
        if volume > self._volume * (1.0 + 1e-6):
            self._moved_at = len(self.distinct)
        self._volume = volume

    def stop(self, elapsed_s: float) -> str:
        """Why the search should end now, or nothing."""
        limit, stall = self.experiment.max_s, self.experiment.stall
        if limit is not None and elapsed_s >= limit:
            return f"the time limit of {limit:g} s"
        if stall is not None and self._front and len(self.distinct) - self._moved_at >= stall:
            return f"no better front in {len(self.distinct) - self._moved_at} designs"
        return ""

    def progress(self, wanted: int, elapsed_s: float) -> Progress:
        """The state for a progress line."""
        return Progress(
            distinct=len(self.distinct),
            wanted=wanted,
            proposals=self.proposals,
            mapped=self.evaluated,
            front=len(self._front),
            hypervolume=self._volume,
            elapsed_s=elapsed_s,
            **by_state(self.distinct.values()),
        )


def _row(outcome: Outcome, experiment: Experiment) -> tuple[float, ...]:
    """The losses that others are pruned against, from the logged record."""
    pairs = zip(experiment.objectives, outcome.objectives or (), strict=True)
    record = outcome.evaluation
    costs = {} if record is None else record.unit_cost_by_volume_usd
    return row([objective.loss(value) for objective, value in pairs], costs, experiment)
