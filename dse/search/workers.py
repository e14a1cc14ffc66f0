"""Evaluating designs in parallel; a pool of processes, or this one."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dse.errors import OlderFileWarning, RunError
from dse.evaluation.design import Value
from dse.mapping import warm_up
from dse.search.bound import Bound
from dse.search.candidate import Outcome, bound_of, run_candidate
from dse.search.effort import Effort
from dse.search.experiment import Experiment
from dse.search.resolved import ResolvedExperiment, resolve_experiment

#: Bounds that a worker computes in one go.
CHUNK = 16

#: Python's garbage collector looks for cycles after so many new objects, and the older ones each
#: so many times less often. Evaluating makes few cycles but keeps many mappings; looking through
#: them at the usual thresholds took a seventh of a search's time.
RARELY = (100_000, 50, 50)

Job = TypeVar("Job")
Result = TypeVar("Result")


class Evaluator(Protocol):
    """What a search needs of whoever judges its designs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    def evaluate(
        self, designs: Sequence[dict[str, Value]], front: NDArray[np.float64] | None
    ) -> Iterator[tuple[Outcome, Effort]]:
        """Outcomes in any order, with what each took."""
        ...

    def bounds(self, designs: Sequence[dict[str, Value]]) -> list[Bound]:
        """The cheapest level of each design, in order."""
        ...


class Workers:
    """Evaluates lists of designs on ``count`` processes (1: in this process).

    What the experiment names is read before the first of them, if it was not yet, and sent to each
    process once.
    """

    def __init__(self, experiment: Experiment | ResolvedExperiment, count: int | None) -> None:
        self._experiment = experiment
        self.count = count or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None

    @property
    def found(self) -> ResolvedExperiment:
        """The experiment with all that it names.

        Raises:
            InputError: it names what is not there.
        """
        if isinstance(self._experiment, Experiment):
            self._experiment = resolve_experiment(self._experiment)
        return self._experiment

    def __enter__(self) -> Workers:
        self._usually = gc.get_threshold()
        gc.set_threshold(*RARELY)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        gc.set_threshold(*self._usually)
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)
            if kind is not None:
                for process in list((self._pool._processes or {}).values()):
                    process.terminate()

    def evaluate(
        self, designs: Sequence[dict[str, Value]], front: NDArray[np.float64] | None = None
    ) -> Iterator[tuple[Outcome, Effort]]:
        """Outcomes in the order they finish, each with what it took.

        Args:
            front: what to prune against, see :func:`dse.search.candidate.evaluate_candidate`.

        Raises:
            RunError: a worker process died.
        """
        yield from self.run(run_candidate, [(values, front) for values in designs])

    def bounds(self, designs: Sequence[dict[str, Value]]) -> list[Bound]:
        """The cheapest level of each design, in order."""
        if self.count == 1 or len(designs) < 2 * CHUNK:
            return [bound_of(self.found, values) for values in designs]
        parts = [
            (number, list(designs[start : start + CHUNK]))
            for number, start in enumerate(range(0, len(designs), CHUNK))
        ]
        found = dict(self.run(_bounds, parts))
        return [bound for number in range(len(parts)) for bound in found[number]]

    def run(
        self, function: Callable[[ResolvedExperiment, Job], Result], jobs: Sequence[Job]
    ) -> Iterator[Result]:
        """Results of a module-level ``function`` of the experiment and a job, as they finish.

        Raises:
            RunError: a worker process died.
        """
        if self.count == 1:
            yield from (function(self.found, job) for job in jobs)
            return
        if not jobs:
            return
        if self._pool is None:
            warm_up()  # so that not every worker compiles the mapper
            self._pool = ProcessPoolExecutor(
                self.count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(os.getpid(), self.found),
            )
        futures = [self._pool.submit(_in_worker, function, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise RunError(
                "a worker process died (out of memory?)",
                mend="run the command again with fewer --workers: it goes on where it stopped",
            ) from None


#: In a worker process: the experiment whose designs it evaluates.
_found: ResolvedExperiment | None = None


def _in_worker(function: Callable[[ResolvedExperiment, Job], Result], job: Job) -> Result:
    assert _found is not None
    return function(_found, job)


def _start_worker(parent: int, found: ResolvedExperiment) -> None:
    """Ctrl-C goes to the parent alone, which keeps what is finished; no worker outlives it; its
    garbage is collected rarely. What there is to remark on a file, the parent has."""
    global _found
    _found = found
    warnings.simplefilter("ignore", OlderFileWarning)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(*RARELY)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _bounds(
    found: ResolvedExperiment, part: tuple[int, list[dict[str, Value]]]
) -> tuple[int, list[Bound]]:
    number, designs = part
    return number, [bound_of(found, values) for values in designs]
