"""What the parts of a pipeline keep in the L2 that they share."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dse.hardware.resolve import load_chip
from dse.mapping import map_network
from dse.simulation.handing import through_l2
from dse.simulation.pipeline import part_of, pipeline_parts
from dse.workload.layer import Workload
from dse.workload.load import load_model


@pytest.fixture(scope="module")
def net() -> Workload:
    return load_model("resnet8").at()


def moved(program: object, link: int) -> float:
    return sum(seg.count * seg.link_bytes[link] for seg in program.segments)  # type: ignore[attr-defined]


def test_a_pipeline_moves_no_more_dram_than_the_network_in_turn(net: Workload) -> None:
    """Where all fits the L2, only input and output cross the DRAM: once, not at every part."""
    chip = load_chip("edge_vision", overrides={"cores": 8, "l2.bytes": 1 << 22})
    whole = moved(map_network(net, chip), 0)
    for parts in (2, 4, 8):
        made = pipeline_parts(net, chip, parts)
        assert sum(moved(program, 0) for _, program in made) <= whole * (1.0 + 1e-9)


def test_the_l2_is_never_overfull(net: Workload) -> None:
    cuts = (0, 2, 4, 6, len(net.layers))
    pieces = [part_of(net, a, b) for a, b in pairwise(cuts)]
    most = len({name for piece in pieces[1:] for name in piece.inputs})
    found = []
    for size in (1 << 13, 1 << 15, 1 << 16, 1 << 17, 1 << 18, 1 << 22):
        chip = load_chip("edge_vision", overrides={"cores": 4, "l2.bytes": size})
        handing = through_l2(pieces, chip, alone=True)
        names = frozenset() if handing is None else handing.names
        found.append(len(names))
        if handing is None:
            continue
        taken = 0.0
        for piece, keep in zip(pieces, handing.keep_bytes, strict=True):
            program = map_network(piece, chip, shared=True, keep_bytes=keep, handed=names)
            taken += program.resident_bytes.get("l2", 0.0) + program.activation_bytes["l2"]
        assert taken <= size
    assert found == sorted(found)  # more room hands over no less
    assert found[0] < found[-1] == most


def test_others_on_the_chip_leave_weights_no_room(net: Workload) -> None:
    chip = load_chip("edge_vision", overrides={"cores": 4, "l2.bytes": 1 << 22})
    made = pipeline_parts(net, chip, 2, shared=True)
    assert all(not program.resident_bytes.get("l2") for _, program in made)
    assert moved(made[1][1], 0) > 0.0
