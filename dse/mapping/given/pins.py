"""Mappings fixed by hand: constraints on layers, up to a whole mapping, evaluated exactly.

A pin file is YAML or JSON::

    schema_version: 1
    pins:
      - layer: "features.*.conv.0*"      # a name or a pattern; or op: Conv; the first match counts
        spatial: {K: 32, C: 32}          # the whole unrolling: other dims are not unrolled
        tiles: {OY: 7, OX: 14}           # buffer tile of these dims; others are free
        order: W                         # operand that stays while the innermost tile loops run
        dataflow: ws
        held: {W: [C, FY, FX]}           # held in the buffer beyond their tile; {} for none
        homes: {W: dram}

What is left open is searched; with ``spatial``, all six ``tiles``, ``order`` and ``dataflow`` there
is one mapping (two where partial sums may lie beside the array or in the buffer), and it is what
the schedule holds. A layer that is pinned is not fused. Timeloop and ZigZag mappings are read by
:mod:`dse.mapping.given.interchange`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from dse.errors import InputError
from dse.mapping.space.choices import Factors
from dse.schema import Strict
from dse.workload.layer import DIMS, Layer

#: The operand that stays while a loop runs innermost outside the buffer.
STAYS = {"B": "W", "OY": "W", "OX": "W", "K": "I", "C": "O"}

Dim = Literal["G", "B", "K", "C", "OY", "OX", "FY", "FX"]
Tiled = Literal["G", "B", "K", "C", "OY", "OX"]


class Pin(Strict):
    """Constraints on the layers that ``layer`` (a pattern) and ``op`` both match.

    ``temporal`` gives loops in place of ``tiles`` and ``order``, innermost first: as many as fit
    make the buffer tile, the rest run outside it in their order.
    """

    layer: str = "*"
    op: str = "*"
    spatial: dict[Dim, int] | None = None
    tiles: dict[Tiled, int] = Field(default_factory=dict)
    order: Literal["W", "I", "O"] | None = None
    dataflow: Literal["ws", "os", "is"] | None = None
    held: dict[Literal["W", "I", "O"], tuple[Dim, ...]] | None = None
    temporal: tuple[tuple[Dim, int], ...] = ()
    homes: dict[Literal["W", "I", "O", "side"], Literal["dram", "l2", "nvm", "buffer"]] = Field(
        default_factory=dict
    )

    def matches(self, layer: Layer) -> bool:
        return fnmatch.fnmatchcase(layer.name, self.layer) and fnmatch.fnmatchcase(
            layer.op, self.op
        )


class PinFile(Strict):
    """A file of pins."""

    schema_version: Literal[1] = 1
    pins: tuple[Pin, ...]


@dataclass(frozen=True)
class Pins:
    """Pins in order; ``origin`` is the file they come from.

    ``sized`` pins (imported mappings) hold for layers of exactly these loop sizes only. With
    ``clipped`` an unrolling beyond a layer's size is that size, as ZigZag reads its own files.
    """

    pins: tuple[Pin, ...]
    origin: str = ""
    sized: tuple[tuple[Factors, Pin], ...] = field(default=())
    clipped: bool = False

    def of(self, layer: Layer) -> Pin | None:
        """The pin of a compute layer, if any."""
        if layer.nest is None:
            return None
        for sizes, pin in self.sized:
            if layer.nest.sizes == sizes:
                return pin
        found = next((pin for pin in self.pins if pin.matches(layer)), None)
        if found is None or found.spatial is None or not self.clipped:
            return found
        whole = dict(zip(DIMS, layer.nest.sizes, strict=True))
        spatial = {dim: min(factor, whole[dim]) for dim, factor in found.spatial.items()}
        return found.model_copy(update={"spatial": spatial})

    def check(self, layers: Sequence[Layer]) -> None:
        """Refuse pins of which none holds for any of ``layers``.

        Raises:
            InputError: naming what there is to pin.
        """
        if any(self.of(layer) is not None for layer in layers):
            return
        names = [layer.name for layer in layers if layer.nest is not None]
        raise InputError(
            "no pin matches a compute layer of the network",
            file=self.origin or None,
            field="pins",
            mend=f"name one of its layers, such as {', '.join(names[:3])}, or match loop sizes",
        )


#: Nothing pinned.
NO_PINS = Pins(())
