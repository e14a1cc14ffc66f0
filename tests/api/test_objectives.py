"""Every objective that an error text recommends works for layers, networks, many chips and apps."""

from __future__ import annotations

import re

import pytest

import dse
from dse.errors import InputError
from dse.evaluation import Terms, evaluate_app, evaluate_model, stream_workloads
from dse.mapping import (
    map_batch,
    map_network,
    objective_value,
    program_energy_j,
    program_latency_s,
)
from dse.mapping.cost.objectives import plain
from dse.workload import Workload

CHIP = dse.load_chip("edge_vision")


def recommended() -> list[str]:
    """The objectives named by the error of an unknown one."""
    with pytest.raises(InputError) as raised:
        plain("speed")
    found = re.findall(r"[a-z]+(?:\*[a-z]+\^\d)?", (raised.value.mend or "").partition("with")[0])
    return [name for name in found if name not in ("use", "or", "a", "product", "such", "as")]


#: What the error names, and every other form that an objective may have.
OBJECTIVES = [*recommended(), "energy*latency", "energy^2*latency", "latency^2", (0.5, 2.0)]


def network() -> Workload:
    return dse.load_model("dscnn_kws").at("w8a8")


def test_the_error_names_products() -> None:
    assert recommended() == ["edp", "latency", "energy", "energy*latency^2"]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_every_level_takes_it(objective: str | tuple[float, float]) -> None:
    load = network()
    made = dse.map_layer(load.layers[0], CHIP, objective)
    assert made.latency_s > 0.0
    assert map_network(load, CHIP, objective).schedules
    assert map_batch(load, [CHIP], objective).energy_j.min() > 0.0
    record = evaluate_model(load, CHIP, "simulate", Terms(objective=objective))
    assert record.feasible
    app = dse.load_app("wearable_kws")
    found, _ = evaluate_app(app, stream_workloads(app, CHIP), CHIP, "analytic", objective=objective)
    assert found.latency_s


def test_the_same_objective_in_other_words_gives_the_same() -> None:
    load = network()
    for one, other in (("edp", (1.0, 1.0)), ("latency", "latency^3"), ("energy", (2.0, 0.0))):
        assert plain(other) == one
        assert map_network(load, CHIP, one) == map_network(load, CHIP, other)


def test_a_product_is_minimised_better_than_by_its_neighbours() -> None:
    """The network mapped for a product scores no worse in it than those for time or energy."""
    load = network()

    def score(objective: str | tuple[float, float], by: str) -> float:
        made = map_network(load, CHIP, objective)
        seconds = program_latency_s(made, CHIP)
        return objective_value(by, seconds, program_energy_j(made, CHIP))

    for product in ("energy*latency^2", "energy^2*latency"):
        own = score(product, product)
        assert own <= min(score("latency", product), score("energy", product)) * (1 + 1e-9)


@pytest.mark.parametrize("objective", ["speed", "energy^9", "", (0.0, 0.0), "latency^0.1"])
def test_what_is_none_is_refused_everywhere(objective: str | tuple[float, float]) -> None:
    load = network()
    with pytest.raises(InputError, match="unknown objective"):
        dse.map_layer(load.layers[0], CHIP, objective)
    with pytest.raises(InputError, match="unknown objective"):
        map_network(load, CHIP, objective)
    with pytest.raises(InputError, match="unknown objective"):
        map_batch(load, [CHIP], objective)
