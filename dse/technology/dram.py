"""External memories, host links and die-to-die links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dse.errors import ImpossibleChipError, InputError
from dse.technology.facts import FactBase


@dataclass(frozen=True)
class DramKind:
    """One kind of external memory (or host link), per channel.

    Energies are per bit above standby: ``device_*`` on the memory's side, ``phy_*`` on the host's
    side with the controller; ``read_j_per_bit`` and ``write_j_per_bit`` are their sums. Standby,
    self-refresh and the PHY's idle power are separate.
    """

    name: str
    channel_bits: int
    peak_bytes_per_s_per_channel: float
    device_read_j_per_bit: float
    device_write_j_per_bit: float
    phy_read_j_per_bit: float
    phy_write_j_per_bit: float
    granule_bytes: int
    activate_overhead_bytes: float
    turnaround_bytes: float
    stream_ceiling: float
    batch: float
    background_w_per_channel: float
    self_refresh_w_per_gib: float
    phy_idle_w_per_channel: float
    usd_per_gib: float
    carbon_kg_per_gib: float
    on_die: bool
    _phy_area: tuple[tuple[int, float], ...]
    _controller_area: tuple[tuple[int, float], ...]

    @property
    def read_j_per_bit(self) -> float:
        """Device and host energy (J) of one bit read."""
        return self.device_read_j_per_bit + self.phy_read_j_per_bit

    @property
    def write_j_per_bit(self) -> float:
        """Device and host energy (J) of one bit written."""
        return self.device_write_j_per_bit + self.phy_write_j_per_bit

    def efficiency(self, burst_bytes: float, write_share: float = 0.25) -> float:
        """Share of the peak rate that useful bytes reach, in (0, 1].

        ceiling x b/(b + activation + turns) x min(1, b/granule), where turns =
        4 w (1 - w) x turnaround / batch: a controller groups ``batch`` bursts of one direction
        before it turns the bus. Refresh is inside the ceiling.

        Args:
            burst_bytes: contiguous useful bytes of one request to a channel.
            write_share: share w of the traffic that is written, 0 to 1.
        """
        if burst_bytes <= 0.0 or not 0.0 <= write_share <= 1.0:
            raise InputError(
                f"a burst of {burst_bytes:g} bytes with write share {write_share:g} has no meaning",
                field="burst_bytes",
                mend="bytes above 0 and a share from 0 to 1",
            )
        turns = 4.0 * write_share * (1.0 - write_share) * self.turnaround_bytes / self.batch
        granule = min(1.0, burst_bytes / self.granule_bytes)
        moved = max(burst_bytes, float(self.granule_bytes))
        return (
            self.stream_ceiling * granule * moved / (moved + self.activate_overhead_bytes + turns)
        )

    def phy_area_mm2(self, node_nm: int) -> float:
        """PHY area (mm2) of one channel, with its IO and clocking."""
        return dict(self._phy_area)[node_nm]

    def controller_area_mm2(self, node_nm: int) -> float:
        """Controller area (mm2) of one channel."""
        return dict(self._controller_area)[node_nm]


@dataclass(frozen=True)
class D2dKind:
    """A die-to-die link: energy (J/bit), density (B/s per mm of edge and per mm2), latency (s).

    ``packages`` can carry it. A ``stacked`` one joins faces and takes no edge.
    """

    name: str
    j_per_bit: float
    bytes_per_s_per_mm: float
    bytes_per_s_per_mm2: float
    latency_s: float
    packages: tuple[str, ...]
    stacked: bool


class DramModel:
    """All kinds, built once from the facts."""

    def __init__(self, facts: FactBase) -> None:
        phy = facts.series("dram", "_phy_area_x16_mm2")
        controller = facts.series("dram", "_controller_area_x16_mm2")
        batch = facts.number("dram", "_batch")
        control_j = facts.number("dram", "_controller_pj_bit") * 1e-12
        self.kinds = {
            name: _kind(name, facts.table("dram", name), phy, controller, batch, control_j)
            for name in facts.names("dram")
            if not name.startswith("_")
        }
        self._coarsest = facts.table("dram", "_phy_coarsest_nm")
        self.links = {}
        for name in facts.names("links"):
            row = facts.table("links", name)
            self.links[name] = D2dKind(
                name,
                float(row["pj_bit"]) * 1e-12,
                float(row["bytes_per_s_per_mm"]),
                float(row["bytes_per_s_per_mm2"]),
                float(row["latency_s"]),
                tuple(row["packages"]),
                bool(row["stacked"]),
            )

    def dram(self, kind: str) -> DramKind:
        """The named kind, or InputError with the list."""
        found = self.kinds.get(kind)
        if found is None:
            raise InputError(
                f"unknown external memory {kind!r}",
                field="kind",
                mend=f"one of {', '.join(self.kinds)}",
            )
        return found

    def dram_at(self, node_nm: int, kind: str) -> DramKind:
        """The named kind, for a chip in ``node_nm``.

        Raises:
            InputError: an unknown kind.
            ImpossibleChipError: nobody makes a PHY for it in so coarse a node.
        """
        found = self.dram(kind)
        coarsest = self._coarsest.get(kind)
        if coarsest is not None and node_nm > coarsest:
            able = [name for name in self.kinds if node_nm <= self._coarsest.get(name, node_nm)]
            raise ImpossibleChipError(
                f"no {kind} PHY exists at {node_nm} nm; the coarsest node is {coarsest} nm",
                field="kind",
                mend=f"use {', '.join(able)}, or a finer node",
            )
        return found

    def d2d(self, kind: str) -> D2dKind:
        """The named link, or InputError with the list."""
        found = self.links.get(kind)
        if found is None:
            raise InputError(
                f"unknown die-to-die link {kind!r}",
                field="kind",
                mend=f"one of {', '.join(self.links)}",
            )
        return found


def _kind(
    name: str,
    row: dict[str, Any],
    phy: dict[int, float],
    controller: dict[int, float],
    batch: float,
    control_j: float,
) -> DramKind:
    pj = 1e-12
    return DramKind(
        name=name,
        channel_bits=int(row["channel_bits"]),
        peak_bytes_per_s_per_channel=float(row["peak_bytes_per_s_per_channel"]),
        device_read_j_per_bit=row["device_read_pj_bit"] * pj,
        device_write_j_per_bit=row["device_write_pj_bit"] * pj,
        phy_read_j_per_bit=row["phy_read_pj_bit"] * pj + control_j,
        phy_write_j_per_bit=row["phy_write_pj_bit"] * pj + control_j,
        granule_bytes=int(row["granule_bytes"]),
        activate_overhead_bytes=float(row["activate_overhead_bytes"]),
        turnaround_bytes=float(row["turnaround_bytes"]),
        stream_ceiling=float(row["stream_ceiling"]),
        batch=batch,
        background_w_per_channel=row["background_mw_per_channel"] * 1e-3,
        self_refresh_w_per_gib=row["self_refresh_mw_per_gib"] * 1e-3,
        phy_idle_w_per_channel=row["phy_idle_mw_per_channel"] * 1e-3,
        usd_per_gib=float(row["usd_per_gib"]),
        carbon_kg_per_gib=float(row["carbon_kg_per_gib"]),
        on_die=bool(row["on_die"]),
        _phy_area=tuple((n, a * row["phy_area_factor"]) for n, a in phy.items()),
        _controller_area=tuple(
            (n, a * row["controller_area_factor"]) for n, a in controller.items()
        ),
    )
