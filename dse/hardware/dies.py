"""The dies of a package: what stands on which one, how large each is, and how they are joined.

Cores are dealt out in equal runs over ``noc.chiplets`` dies. The first die holds all that the cores
share (host, L2, memories' interfaces, pads, the rest of the die); each other one holds its cores, a
clock generator, its own channels where memories are private, and its end of a link to the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dse.errors import ImpossibleChipError, InputError
from dse.hardware.area import AreaNode
from dse.hardware.spec import ChipSpec
from dse.technology import D2dKind, FloorFacts, Technology

#: Packages whose die is wire-bonded: pads in a ring on all four sides.
WIRE_BONDED = ("qfn", "bga")
#: Block of the links' ends, whose parts are the clock generators of the dies they lead to.
_LINKS = "die_links"
#: Blocks of which each die has its own channels where memories are private.
_CHANNELS = ("dram_phy", "dram_controller")


@dataclass(frozen=True)
class Dies:
    """Areas of the chip's own dies, the first one first, mm2; ``designs``: how many differ."""

    areas_mm2: tuple[float, ...]
    designs: int


def die_link(spec: ChipSpec, tech: Technology) -> D2dKind:
    """The link between the dies.

    Raises:
        InputError: unknown link, or more dies than cores.
    """
    if spec.noc.chiplets > spec.total_cores:
        raise InputError(
            f"{spec.noc.chiplets} chiplets cannot share {spec.total_cores} cores",
            field="noc.chiplets",
            mend=f"at most {spec.total_cores}, or more cores",
        )
    try:
        return tech.d2d(spec.noc.die_link)
    except InputError as error:
        raise InputError(error.message, field="noc.die_link", mend=error.mend) from None


def link_parts(tech: Technology, spec: ChipSpec, pll_mm2: float) -> tuple[AreaNode, ...]:
    """What several dies add to a floorplan: both ends of each link, a clock generator a die."""
    further = range(1, spec.noc.chiplets)
    if not further:
        return ()
    ends = 2 * len(further) * _phy_mm2(spec, die_link(spec, tech))
    return (
        AreaNode(_LINKS, ends, parts=tuple(AreaNode(f"{_LINKS}.{d}", pll_mm2) for d in further)),
    )


def further_dies(area: AreaNode) -> int:
    """Dies of a floorplan beside the first one."""
    return sum(len(part.parts) for part in area.parts if part.name == _LINKS)


def surrounded(
    parts: Sequence[AreaNode], spec: ChipSpec, floor: FloorFacts
) -> tuple[float, float, tuple[float, ...]]:
    """Space left empty, pads and seal rings, and the areas of the dies of these blocks, mm2."""
    insides = _insides(parts, spec)
    around = [_around(inside, spec, floor, first=die == 0) for die, inside in enumerate(insides)]
    white, ring = sum(white for white, _ in around), sum(ring for _, ring in around)
    areas = tuple(
        inside + white + ring for inside, (white, ring) in zip(insides, around, strict=True)
    )
    return white, ring, areas


def chip_dies(area: AreaNode, spec: ChipSpec, floor: FloorFacts, without: str = "") -> Dies:
    """The dies of a floorplan, of which ``without`` names a kind of cores that is left out."""
    if spec.noc.chiplets == 1 and not without:
        return Dies((area.total_mm2,), 1)
    parts = [part for part in area.parts if part.name != "io_ring"]
    if without:
        parts = [_lacking(part, spec, without) if part.name == "npu" else part for part in parts]
    held = {tuple(sorted(_held(spec, die).items())) for die in range(1, spec.noc.chiplets)}
    return Dies(surrounded(parts, spec, floor)[2], 1 + len(held))


def check_joined(areas_mm2: Sequence[float], tech: Technology, spec: ChipSpec) -> None:
    """The dies must be such that their package and edges can join them.

    Raises:
        InputError: a package that cannot carry the link.
        ImpossibleChipError: a link wider than the edges that face each other, or more of them
            than go around (for stacked dies: onto) the first die.
    """
    further = len(areas_mm2) - 1
    if not further:
        return
    link = die_link(spec, tech)
    if spec.die.package not in link.packages:
        raise InputError(
            f"a {spec.die.package} package cannot join dies by {link.name}",
            field="die.package",
            mend=f"use {', '.join(link.packages)}, or another noc.die_link",
        )
    rate = spec.noc.die_bytes_per_s or 0.0
    mend = "a slower die_bytes_per_s, a denser noc.die_link, or fewer chiplets"
    first, small = areas_mm2[0], min(areas_mm2)
    if link.stacked:
        if sum(areas_mm2[1:]) > first:
            raise ImpossibleChipError(
                f"{further} dies of {sum(areas_mm2[1:]):.1f} mm2 do not fit onto one of "
                f"{first:.1f} mm2",
                field="noc.chiplets",
                mend="fewer chiplets, or a link beside each other",
            )
        return
    edge = rate / link.bytes_per_s_per_mm
    around = sum(tech.die_sides_mm(first)) * 2.0 / further
    facing = min(*tech.die_sides_mm(small), around)
    if edge > facing:
        raise ImpossibleChipError(
            f"a {link.name} link of {rate:.3g} B/s takes {edge:.2f} mm of a die's edge, of which "
            f"{facing:.2f} mm are there for it",
            field="noc.die_bytes_per_s",
            mend=mend,
        )


def _phy_mm2(spec: ChipSpec, link: D2dKind) -> float:
    """One end of a link, mm2."""
    return (spec.noc.die_bytes_per_s or 0.0) / link.bytes_per_s_per_mm2


def _held(spec: ChipSpec, die: int) -> dict[str, int]:
    """Cores of each kind on a die: those of the chip in the order of their numbers."""
    dies, total = spec.noc.chiplets, spec.total_cores
    low, high = total * die // dies, total * (die + 1) // dies
    held, start = {}, 0
    for name in spec.kind_names:
        count = spec.cores if name == spec.kind else spec.kinds[name].cores
        held[name] = max(0, min(high, start + count) - max(low, start))
        start += count
    return held


def _core_mm2(npu: AreaNode, spec: ChipSpec) -> Mapping[str, float]:
    """One core of each kind, mm2."""
    further = {part.name: part.total_mm2 for part in npu.parts if part.name in spec.kinds}
    shared = sum(part.total_mm2 for part in npu.parts if part.name == "l2")
    own = npu.total_mm2 - shared - sum(further.values())
    cores = {name: further[name] / kind.cores for name, kind in spec.kinds.items()}
    return {spec.kind: own / spec.cores, **cores}


def _insides(parts: Sequence[AreaNode], spec: ChipSpec) -> list[float]:
    """Blocks on each die, mm2."""
    whole = sum(part.total_mm2 for part in parts)
    dies = spec.noc.chiplets
    if dies == 1:
        return [whole]
    sizes = {part.name: part.total_mm2 for part in parts}
    core = _core_mm2(next(part for part in parts if part.name == "npu"), spec)
    links = next(part for part in parts if part.name == _LINKS)
    own = 0.5 * links.own_mm2 / (dies - 1) + links.parts[0].total_mm2
    if spec.noc.memories == "private":
        own += sum(sizes.get(name, 0.0) for name in _CHANNELS) / dies
    others = [
        own + sum(count * core[name] for name, count in _held(spec, die).items())
        for die in range(1, dies)
    ]
    return [whole - sum(others), *others]


def _around(
    inside_mm2: float, spec: ChipSpec, floor: FloorFacts, *, first: bool
) -> tuple[float, float]:
    """Space that stays empty between a die's blocks, and pads around both, mm2.

    The package's pads are on the first die; the others have their links, power and a seal ring.
    """
    die = spec.die
    white = inside_mm2 * die.white_space / (1.0 - die.white_space)
    pads = die.io_pads * floor.io_cell_area_mm2 if first else 0.0
    ring = floor.ring_area_mm2(inside_mm2 + white, flip_chip=die.package not in WIRE_BONDED)
    return white, max(pads, ring)


def _lacking(npu: AreaNode, spec: ChipSpec, without: str) -> AreaNode:
    """The accelerator without the cores of a kind: their blocks have no area."""
    gone = {without} if without in spec.kinds else _own_blocks(npu, spec)
    kept = tuple(part for part in npu.parts if part.name not in gone)
    none = AreaNode(without, 0.0, "npu") if without in spec.kinds else None
    return AreaNode(npu.name, npu.own_mm2, npu.scope, (*kept, none) if none else kept)


def _own_blocks(npu: AreaNode, spec: ChipSpec) -> set[str]:
    """Names of the blocks of the chip's first kind of cores."""
    return {part.name for part in npu.parts if part.name not in ("l2", *spec.kinds)}
