"""Eyeriss on VGG-16: the cost of a processing pass, layer by layer, and our own mapping of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dse.evaluation import model_at
from dse.hardware.resolve import load_chip
from dse.mapping import map_layer
from dse.validation.eyeriss import array_s, one_copy

SCRIPT = Path(__file__).parents[2] / "experiments" / "eyeriss_vgg" / "compare.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("eyeriss_vgg", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found(script: ModuleType) -> list[Any]:
    return list(script.lines())


def test_a_pass_takes_as_long_as_on_silicon(found: list[Any]) -> None:
    """Nothing is fitted: panels, ports and parts of the buffer are the paper's, and how many
    channels a pass sums is what the published traffic says, but for the image's three."""
    assert len(found) == 13
    for line in found:
        near = 0.35 if line.name == "CONV1-1" else 0.1
        assert line.pass_s == pytest.approx(line.processing_s, rel=near), line.name
        assert line.pass_bytes == pytest.approx(line.buffer_bytes, rel=0.3), line.name


def test_what_our_own_mapping_reaches(script: ModuleType, found: list[Any]) -> None:
    """Within a fifth where the array bounds the chip. Elsewhere the chip's mappings sum one or two
    channels a pass, and ours, that need less of everything, take a quarter to a half of the time.
    """
    for line in found:
        assert line.own_s <= line.pass_s * 1.05, line.name
        if line.name.startswith(("CONV4", "CONV5")):
            assert line.own_s == pytest.approx(line.processing_s, rel=0.2), line.name
            assert 1 / 1.6 < line.own_bytes / line.buffer_bytes < 1.6, line.name
    reached = script.summary(found)
    assert reached["own: processing, median error"] < 0.6
    assert reached["pass: processing, median error"] < 0.03


def test_sums_between_passes_and_panels_bound_the_chip(script: ModuleType) -> None:
    """The pass of CONV1-2: without its narrow port of sums, or with hidden panels, it is faster."""
    chip = one_copy(load_chip("eyeriss"))
    work = model_at("vgg16@batch=3", "w16a16-acc16", chip)
    layer = [layer for layer in work.layers if layer.nest and layer.nest.FY > 1][1]

    def seconds(**values: Any) -> float:
        changed = one_copy(load_chip("eyeriss", overrides=values))
        wanted = "e=13 p=4 q=1 r=1 t=4"
        made = next(s for s, text in script.passes(layer, changed) if wanted in text)
        return float(array_s(made, changed))

    now = seconds()
    wide, hidden = (
        seconds(**{"buffer.sum_bytes_per_cycle": 64}),
        seconds(**{"array.preload": "hidden"}),
    )
    assert wide < now / 2.5
    assert hidden < now * 0.97


def test_rows_are_not_cut_where_the_chip_works_on_whole_rows(script: ModuleType) -> None:
    chip = one_copy(load_chip("eyeriss"))
    work = model_at("vgg16@batch=3", "w16a16-acc16", chip)
    layer = [layer for layer in work.layers if layer.nest and layer.nest.FY > 1][1]
    legal = map_layer(layer, chip, "energy", room_bytes=script.room(chip), legal=True)
    assert legal.tiles["OX"] == 224
    assert legal.dataflow == "ws"
