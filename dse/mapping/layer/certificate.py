"""A layer's mapping with the proof of how good it is, and a better one where the proof finds it."""

from __future__ import annotations

import math
from typing import NamedTuple

from dse.hardware.chip import Chip
from dse.mapping.cost import costs as k
from dse.mapping.cost.objectives import Objective, exponents, objective_code
from dse.mapping.ir.certificate import Certificate
from dse.mapping.layer.build import Draft
from dse.mapping.layer.mapper import Asked, fitted, question, splits, ways_of
from dse.mapping.search.best import Found
from dse.mapping.search.placement import evaluate
from dse.mapping.search.proof import EFFORT, prove
from dse.mapping.space.problem import Problem, pack
from dse.mapping.space.shape import chip_number, layer_number
from dse.registry import Remembered
from dse.workload.layer import Layer

#: Layers on chips, with questions, whose certificates are remembered.
CERTIFIED = 4096
_certified = Remembered("mapping.layer.certificate.certified", CERTIFIED)


class Certified(NamedTuple):
    """The best mapping known of a layer, and what is proven of it."""

    draft: Draft
    certificate: Certificate


def certify_layer(layer: Layer, chip: Chip, asked: Asked, effort: int = EFFORT) -> Certified:
    """The best mapping of a compute layer, compared with every mapping of its space.

    The mapper chooses from lists of tile sizes. Here every whole number is a tile size of every
    dim, every maximal unrolling and every cut of the filter is there; of L2 and register tiles any
    that exist. Where a mapping better than the listed ones comes to light it is taken.

    Args:
        asked: of :func:`dse.mapping.layer.mapper.question`.
        effort: most boxes of tilings looked at, for each way in which the layer may run.

    Raises:
        UnmappableError: no unit runs the layer, or its smallest tile does not fit.
    """
    key = (layer_number(layer), chip_number(chip), asked, effort)
    return _certified.of(key, lambda: _certify(layer, chip, asked, effort))


def certified_layer(
    layer: Layer, chip: Chip, objective: Objective = "edp", *, cores: int = 1, legal: bool = False
) -> Certified:
    """:func:`certify_layer` of a layer alone, as ``map_layer`` maps it by default."""
    return certify_layer(
        layer,
        chip,
        question(
            layer, chip, objective, homes=None, cores=cores, room_bytes=None, l2_room_bytes=None,
            exposed=1.0, time_price_w=0.0, legal=legal, uneven=True,
        ),
    )  # fmt: skip


def _certify(layer: Layer, chip: Chip, asked: Asked, effort: int) -> Certified:
    draft = fitted(layer, chip, asked)
    value = keys_of(draft.problem, draft, asked)
    bound = math.inf
    for problem in problems_of(layer, chip, asked):
        scale = float(problem.cores) ** exponents(asked.objective)[0]
        start = (value[0] / scale, value[1] / _second(problem, asked))
        proof = prove(
            problem, asked.objective, start, outer_room=asked.l2_room / problem.cores,
            uneven=asked.uneven, effort=effort,
        )  # fmt: skip
        bound = min(bound, proof.bound * scale)
        found: Found | None = proof.found
        # A bound is of every whole number; what a compiler can express is only some of them.
        if found is not None and not problem.legal:
            better = Draft(problem, found.placement)
            keys = keys_of(problem, better, asked)
            if keys < value:
                draft, value = better, keys
    name = asked.objective if isinstance(asked.objective, str) else objective_text(asked.objective)
    return Certified(draft, Certificate(name, value[0], min(bound, value[0])))


def problems_of(layer: Layer, chip: Chip, asked: Asked) -> list[Problem]:
    """All ways in which the layer may run: cut over cores, and as what."""
    assert layer.nest is not None
    made = []
    for sizes, used in splits(layer.nest.sizes, asked.cores):
        for legal, winograd in ways_of(layer, chip, legal=asked.legal):
            if legal and not asked.legal:
                continue  # what a compiler can express is part of the ideal space
            made.append(
                pack(
                    layer, chip, asked.homes, asked.room, sizes, used, *asked.weights,
                    legal=legal, winograd=winograd, spread=asked.spread,
                )
            )  # fmt: skip
    return made


def keys_of(problem: Problem, draft: Draft, asked: Asked) -> tuple[float, float]:
    """What a mapping reaches of the objective, of all its cores, and the tie-break."""
    result = evaluate(problem, draft.placed)
    first, second = k.keys(
        result.latency_s, result.energy_j * problem.cores, objective_code(asked.objective)
    )
    return float(first), float(second)


def _second(problem: Problem, asked: Asked) -> float:
    """Cores that count in the tie-break, which is energy unless energy is the objective."""
    return 1.0 if asked.objective == "energy" else float(problem.cores)


def objective_text(objective: tuple[float, float]) -> str:
    """A product of powers as an objective is written."""
    names = zip(("energy", "latency"), objective, strict=True)
    return "*".join(name if power == 1.0 else f"{name}^{power:g}" for name, power in names if power)
