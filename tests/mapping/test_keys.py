"""What a remembered mapping is filed under: every field of chip and layer is in the key, or the
mapping is the same whatever it holds."""

from __future__ import annotations

import dataclasses

import pytest

from dse.hardware.chip import Chip, Link
from dse.hardware.core import Array
from dse.mapping.ir.homes import Homes
from dse.mapping.ir.schedule import LayerSchedule
from dse.mapping.layer.mapper import clear_cache, map_layer
from dse.mapping.space.shape import _array_key
from dse.workload.layer import Layer, LoopNest

from .conftest import make_chip, make_layer
from .test_disk import _other

CHIP = make_chip(l2=1e9, l2_bytes=1e5, nvm=1e9, nvm_bytes=1e5)
LAYER = make_layer(K=24, C=16, OY=8, OX=8, FY=3, FX=3)
HOMES = Homes("dram", "dram", "dram", "dram")
#: Fields that hold records, whose own fields are tried one by one here or in ``test_disk``.
RECORDS = {
    "kind", "legality", "kinds", "pmic", "area", "static", "array", "buffer", "vector", "links",
    "overheads", "host", "prices", "nest", "dvfs", "thermal", "network",
}  # fmt: skip


def plain(record: type) -> list[str]:
    return [f.name for f in dataclasses.fields(record) if f.name not in RECORDS]


def mapped(layer: Layer, chip: Chip) -> LayerSchedule:
    """Searched anew, by the name of the layer as it was."""
    clear_cache()
    made = map_layer(layer, chip, homes=HOMES, room_bytes=4096.0, l2_room_bytes=0.0)
    return made.renamed(LAYER.name, LAYER.op)


@pytest.mark.parametrize("field", plain(Chip))
def test_a_field_of_the_chip(field: str) -> None:
    chip = dataclasses.replace(CHIP, **{field: _other(getattr(CHIP, field))})
    if chip.slice_key == CHIP.slice_key:
        assert mapped(LAYER, chip) == mapped(LAYER, CHIP)


@pytest.mark.parametrize("field", plain(Link))
def test_a_field_of_a_link(field: str) -> None:
    for name, link in CHIP.links.items():
        other = dataclasses.replace(link, **{field: _other(getattr(link, field))})
        chip = dataclasses.replace(CHIP, links={**CHIP.links, name: other})
        if chip.slice_key == CHIP.slice_key:
            assert mapped(LAYER, chip) == mapped(LAYER, CHIP), name


@pytest.mark.parametrize("field", plain(Layer))
def test_a_field_of_the_layer(field: str) -> None:
    layer = dataclasses.replace(LAYER, **{field: _other(getattr(LAYER, field))})
    if layer.shape_key == LAYER.shape_key:
        assert mapped(layer, CHIP) == mapped(LAYER, CHIP)


@pytest.mark.parametrize("field", plain(LoopNest))
def test_a_field_of_the_loops_is_in_the_key(field: str) -> None:
    assert LAYER.nest is not None
    nest = dataclasses.replace(LAYER.nest, **{field: getattr(LAYER.nest, field) + 1})
    assert dataclasses.replace(LAYER, nest=nest).shape_key != LAYER.shape_key


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Array)])
def test_a_field_of_the_array_is_in_the_key_of_shapes(field: str) -> None:
    """What layers are on an array of a shape is remembered apart from prices and clock."""
    value = getattr(CHIP.array, field)
    record = dataclasses.is_dataclass(value)
    names = [f.name for f in dataclasses.fields(value)] if record else [field]
    for name in names:
        other = _other(getattr(value, name) if record else value)
        array = dataclasses.replace(
            CHIP.array, **{field: dataclasses.replace(value, **{name: other}) if record else other}
        )
        assert _array_key(dataclasses.replace(CHIP, array=array)) != _array_key(CHIP), name
