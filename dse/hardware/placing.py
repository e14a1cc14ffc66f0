"""Where a vendor's compiler puts tensors.

A *policy* is a rule read from the vendor's documents or seen in what its compiler reports; what a
chip file does not say is as good as the mapper can do. Weights have theirs in ``dram.weights`` and
``nvm``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dse.ranges import SharedBytes
from dse.schema import Strict

#: Policies for activations: see :class:`PlacementSpec`.
Policy = Literal["saving", "pools"]


@dataclass(frozen=True, slots=True)
class Placement:
    """The rule for activations, and the parts of the store that no tensor lies across, bytes."""

    activations: Policy = "saving"
    pools: tuple[float, ...] = ()


class PlacementSpec(Strict):
    """Where the compiler puts what an inference is given and makes, if not all of it stays.

    ``activations``:

    ``saving``
        what saves most traffic per byte and layer of its life stays in the store (L2, else a part
        of the buffer); inputs and outputs of the network are outside.
    ``pools``
        every tensor, inputs and outputs of the network too, gets an address for its whole life in
        the first of the ``pools`` that has one free, the biggest tensors first; what finds none is
        outside. Nothing passes through the store that does not live there.

    ``pools``: bytes of the parts of the store; a tensor lies in one of them. Empty: the store is
    one. Beyond the store's bytes they are cut off. Where nothing can leave the chip, all must stay
    in the store under any policy.
    """

    activations: Policy = "saving"
    pools: tuple[SharedBytes, ...] = ()

    def placement(self) -> Placement:
        return Placement(self.activations, tuple(float(size) for size in self.pools))
