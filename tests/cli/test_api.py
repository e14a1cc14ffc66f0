"""The Python interface of the contract."""

from __future__ import annotations

import dataclasses
import json

import pytest

import dse
from dse.hardware.chip import Platform


def test_map_layer_gives_a_record() -> None:
    model, chip = dse.load_model("resnet50"), dse.load_chip("edge_vision", node="7nm")
    layer = next(layer for layer in model.layers if layer.kind == "compute")
    fast, frugal = (dse.map_layer(layer, chip, goal) for goal in ("latency", "energy"))
    assert fast.latency_s <= frugal.latency_s
    assert sum(fast.energy_breakdown_j.values()) == pytest.approx(fast.energy_j)
    assert json.dumps(fast.to_dict())
    assert fast.table()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fast.latency_s = 0.0  # type: ignore[misc]


def test_overrides_and_nodes() -> None:
    chip = dse.load_chip("edge_vision", node="5nm", array__rows=16, **{"array.cols": 8})
    assert (chip.node_nm, [axis.size for axis in chip.array.axes]) == (5, [16, 8])


def test_a_platform_of_one_chip_is_that_chip() -> None:
    model, chip = dse.load_model("resnet8"), dse.load_chip("edge_vision")
    assert dse.simulate(model, Platform((chip,))) == dse.simulate(model, chip)
    with pytest.raises(dse.InputError, match="2 chips"):
        dse.simulate(model, Platform((chip, chip)))


def test_explore_in_memory() -> None:
    result = dse.explore("factory_module", trials=6)
    assert len(result.outcomes) == 6
    assert len(result.table()) == 6
    assert json.dumps(result.to_dict())


@pytest.mark.parametrize(
    "call",
    [
        lambda: dse.load_model("no_such_model"),
        lambda: dse.load_chip("no_such_chip"),
        lambda: dse.load_app("no_such_app"),
        lambda: dse.explore("no_such_experiment"),
        lambda: dse.simulate(dse.load_model("resnet8"), dse.load_chip("gap9"), "rtl"),  # type: ignore[arg-type]
        lambda: dse.simulate(8, dse.load_chip("gap9")),  # type: ignore[arg-type]
    ],
)
def test_errors_derive_from_one_base(call: object) -> None:
    with pytest.raises(dse.DseError):
        call()  # type: ignore[operator]
