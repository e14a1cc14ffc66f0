"""Options of array, buffer and compiler in a chip file, all off by default."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from dse.ranges import OverPlain, PeBytes, PortOrNone, RateShare, Ratio, SpeedUp, TileSize
from dse.schema import Strict

Dim = Literal["G", "B", "K", "C", "OY", "OX", "FY", "FX"]


class RegistersSpec(Strict):
    """Operand registers of each PE; see :class:`dse.hardware.chip.Registers`. Bytes."""

    W: PeBytes = 0
    I: PeBytes = 0  # noqa: E741 - the operand's name everywhere
    O: PeBytes = 0  # noqa: E741
    shared: PeBytes = 0
    latch: bool = True

    @model_validator(mode="after")
    def _one_way(self) -> RegistersSpec:
        if self.shared and (self.W or self.I or self.O):
            raise ValueError("registers are shared or of each operand; give shared, or W, I and O")
        return self

    @property
    def bytes(self) -> int:
        """All registers of a PE together."""
        return self.W + self.I + self.O + self.shared


class SparsitySpec(Strict):
    """What the array makes of zeros; see :class:`dse.hardware.chip.Sparsity`.

    ``energy_factor`` and ``area_factor`` weigh one MAC with its selection logic against a plain
    one.
    """

    kind: Literal["none", "gating", "structured", "unstructured"] = "none"
    pattern: str = "2:4"
    max_speedup: SpeedUp = 2.0
    utilization: RateShare = 1.0
    operands: Literal["weights", "both"] = "weights"
    energy_factor: OverPlain = 1.0
    area_factor: OverPlain = 1.0

    @field_validator("pattern")
    @classmethod
    def _ratio(cls, value: str) -> str:
        n, _, m = value.partition(":")
        if not (n.isdigit() and m.isdigit() and 0 < int(n) < int(m)):
            raise ValueError(f"{value!r} is no pattern; write n:m with n below m, such as 2:4")
        return value


class CompressionSpec(Strict):
    """Weights compressed outside the buffer; see :class:`dse.hardware.chip.Compression`."""

    ratio: Ratio | None = None
    decoder_bytes_per_cycle: PortOrNone = 0.0


class LegalitySpec(Strict):
    """What the compiler can express; see :class:`dse.hardware.chip.Legality`.

    ``own_banks``: weights and inputs take whole banks of the buffer, results what is left. A large
    ``min_tile`` keeps a dim whole.
    """

    granularity: dict[Dim, TileSize] = Field(default_factory=dict)
    min_tile: dict[Dim, TileSize] = Field(default_factory=dict)
    max_tile: dict[Dim, TileSize] = Field(default_factory=dict)
    dataflow: Literal["ws", "os", "is"] | None = None
    own_banks: bool = False

    @model_validator(mode="after")
    def _some_size_is_left(self) -> LegalitySpec:
        for dim, most in self.max_tile.items():
            least, grain = self.min_tile.get(dim, 1), self.granularity.get(dim, 1)
            if most < max(least, grain):
                raise ValueError(
                    f"max_tile.{dim} of {most} leaves no size above min_tile {least} that is a "
                    f"multiple of granularity {grain}; make it larger"
                )
        return self
