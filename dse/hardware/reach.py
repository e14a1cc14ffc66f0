"""Clocks that a node reaches, where a chip's file was written for another one."""

from __future__ import annotations

import math
from collections.abc import Collection

from dse.hardware.spec import ChipSpec
from dse.technology import Technology


def within_reach(
    spec: ChipSpec, tech: Technology, asked: Collection[str] = ()
) -> tuple[ChipSpec, tuple[str, ...]]:
    """``spec`` with clocks that its node reaches, and a note on each that is not as stated.

    Clocks whose paths are among ``asked`` stay: out of reach, they are errors.
    """
    notes: tuple[str, ...] = ()
    for name, kind in spec.kinds.items():
        if kind.f_hz is not None and f"kinds.{name}.f_hz" not in asked:
            own, notes_of = _own_within_reach(spec.of_kind(name), tech, f" of {name}")
            spec = spec.with_values({f"kinds.{name}.f_hz": own.f_hz}) if notes_of else spec
            notes += notes_of
    own_notes: tuple[str, ...] = ()
    if "f_hz" not in asked and spec.f_hz is not None:
        on_its_clock = [name for name, kind in spec.kinds.items() if not kind.own_point]
        found = [_own_within_reach(one, tech) for one in (spec, *map(spec.of_kind, on_its_clock))]
        slowest, own_notes = min(found, key=lambda pair: pair[0].f_hz or 0.0)
        spec = spec.with_values({"f_hz": slowest.f_hz}) if own_notes else spec
    return spec, (*own_notes, *notes)


def _own_within_reach(
    spec: ChipSpec, tech: Technology, whose: str = ""
) -> tuple[ChipSpec, tuple[str, ...]]:
    if spec.f_hz is None:
        return spec, ()
    reach = tech.reachable_hz(
        spec.node_nm,
        guard_band=spec.guard_band,
        junction_c=spec.junction_c,
        vt=spec.vt,
        corner=spec.corner,
        sram_rail=spec.sram_rail,
        speed_factor=spec.speed_factor,
    )
    if spec.f_hz <= reach:
        return spec, ()
    lowered = math.floor(reach / 1e6) * 1e6
    note = (
        f"clock{whose} lowered from {spec.f_hz / 1e6:.0f} to {lowered / 1e6:.0f} MHz, "
        f"the most that {spec.node_nm} nm reaches"
    )
    return spec.with_values({"f_hz": lowered}), (note,)
