"""What one job of a task does: one program, or the stages of a request, ready to play."""

from __future__ import annotations

from collections.abc import Sequence

from dse.hardware.chip import Chip
from dse.hardware.kinds import view_of
from dse.simulation.noc import Network, Site
from dse.simulation.plan import Plan, PowerTable, Seg
from dse.simulation.task import Task


class Work:
    """The parts of a task's job and how often each runs. Times in s.

    A part has one plan for each operating point and site of its cores; ``plans`` are those of the
    chip's own point (and, without a network between cores, the only site).

    Args:
        chips: the chip at its operating points, its own last. On a chip with several kinds of
            cores all cores of a task are of one kind, whose clock and prices hold.
    """

    def __init__(
        self, task: Task, chips: Sequence[Chip], table: PowerTable, network: Network | None = None
    ) -> None:
        several = len(task.parts) > 1 or task.parts[0].repeat > 1
        self._name = task.name
        self._several = several
        self._receive = task.receive
        self._chips = tuple(view_of(chip, task.cores[0]) for chip in chips)
        self._table = table
        self._network = network
        self.top = len(self._chips) - 1
        self.width = task.program.cores
        #: Cores that a job may use: those of a group, or those it takes one of.
        self.cores = task.cores[: self.width] if self.width > 1 else task.cores
        programs = {id(stage.program): stage.program for stage in task.parts}
        numbers = {key: number for number, key in enumerate(programs)}
        self._programs = list(programs.values())
        self._prefixes = [""] * len(self._programs)
        self._variants: list[dict[tuple[int, Site | tuple[int, ...] | None], Plan]] = [
            {} for _ in self._programs
        ]
        parts = []
        for stage in task.parts:
            number = numbers[id(stage.program)]
            if several and not self._prefixes[number]:
                self._prefixes[number] = f"{stage.name or stage.program.name}: "
            parts.append((number, stage.repeat))
        self.parts: tuple[tuple[int, int], ...] = tuple(parts)
        first = self.cores if self.width > 1 else self.cores[:1]
        self.plans = [self._plan(number, self.top, first) for number in range(len(programs))]
        self.service_s = self.service_at_s(self.top)
        # A run of a request waits for the one before; what it waits for is in its plan.
        self._drain_cycles = 0.0 if several else self._programs[0].drain_cycles
        #: Time of a whole job alone until its results are out, at the chip's own point.
        self.alone_s = self.service_s + self.drain_at_s(self.top)

    def plan(self, part: int, point: int, cores: tuple[int, ...]) -> Plan:
        """The plan of a part at an operating point on given cores."""
        return self._plan(self.parts[part][0], point, cores)

    def service_at_s(self, point: int) -> float:
        """Time of a whole job alone at an operating point."""
        first = self.cores if self.width > 1 else self.cores[:1]
        return sum(
            self._plan(number, point, first).service_s * repeat for number, repeat in self.parts
        )

    def drain_at_s(self, point: int) -> float:
        """From when a job leaves its cores until its results are out, at an operating point."""
        return self._drain_cycles / self._chips[point].f_hz if self._drain_cycles else 0.0

    def remaining_s(self, part: int, rounds: int, position: int, done: float, point: int) -> float:
        """Time of the rest of a job alone at an operating point."""
        first = self.cores if self.width > 1 else self.cores[:1]
        plan = self.plan(part, point, first)
        total = plan.remaining_s(position, done)
        total += plan.service_s * (self.parts[part][1] - rounds - 1)
        for number, repeat in self.parts[part + 1 :]:
            total += self._plan(number, point, first).service_s * repeat
        return total

    def totals(self) -> list[tuple[Seg, float]]:
        """Every segment of one job and how many steps of it the job takes."""
        return [
            (seg, float(repeat * seg.count))
            for number, repeat in self.parts
            for seg in self.plans[number].segs
        ]

    def variants(self) -> list[tuple[int, Plan]]:
        """Every plan made, with the number of its program."""
        return [(k, plan) for k, plans in enumerate(self._variants) for plan in plans.values()]

    def all_segs(self) -> list[Seg]:
        """Every segment that may have been played, refills and saves included."""
        return [seg for _, plan in self.variants() for seg in plan.all_segs()]

    def _plan(self, number: int, point: int, cores: tuple[int, ...]) -> Plan:
        site = self._network.site(cores) if self._network else None
        receive = None
        if site is not None and self._network is not None and self._receive is not None:
            source, amount = self._receive
            path, first_s, joules = self._network.hop_path(source, cores[0])
            if path and amount > 0.0:
                receive = (path, first_s, joules, amount)
        key = (point, cores if receive else site)
        found = self._variants[number].get(key)
        if found is None:
            found = self._variants[number][key] = Plan(
                self._name,
                self._programs[number],
                self._chips[point],
                self._table,
                site,
                self._prefixes[number],
                receive if number == self.parts[0][0] else None,
                drains=self._several,
            )
        return found
