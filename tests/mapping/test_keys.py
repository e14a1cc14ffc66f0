"""What a remembered mapping depends on: every field of chip and layer, changed in turn.

Fields are found in the dataclasses, so that a new one is tried without being named here. After a
change the answer with all caches full of the unchanged chip and layer is the one with all caches
empty; and where the views that name a mapping on disk are equal, so are the mappings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from dse.hardware import load_chip
from dse.hardware.chip import Chip
from dse.hardware.kinds import kind_named
from dse.mapping import map_network
from dse.mapping.layer.mapper import map_layer
from dse.mapping.space.shape import array_view, layer_shape
from dse.registry import APART, clear_caches, key_of
from dse.workload.layer import Layer, LoopNest

from .conftest import make_chip, make_layer
from .test_row_wise import workload

OPEN = make_chip(l2=1e9, l2_bytes=1e5, nvm=1e9, nvm_bytes=1e5)
WHOLE = [load_chip(name) for name in ("edge_vision", "eyeriss", "gap9", "edge_tpu")]
DUO = load_chip("vision_dsp_duo")
WHOLE.append(kind_named(DUO, "dsp").chip)
CHIPS = {chip.name: chip for chip in (OPEN, *WHOLE)}
LAYERS = {
    "conv": make_layer(K=24, C=16, OY=8, OX=8, FY=3, FX=3),
    "depthwise": make_layer(
        G=16, OY=8, OX=8, FY=3, FX=3, w_format="int16", i_format="int16", o_format="int16"
    ),
    "pruned": make_layer(
        K=16,
        C=32,
        OX=4,
        weight_density=0.5,
        weight_pattern="2:4",
        input_density=0.6,
        vector_ops=(("relu", 64), ("exp", 64)),
        acc_bits=24,
        b_elements=16,
    ),
    "product": make_layer(
        op="MatMul", G=4, K=16, C=16, OX=16, w_is_activation=True, i_format="int4", w_format="int4"
    ),
    "vector": Layer(
        "sum",
        "Add",
        "vector",
        ("n",),
        ("a", "b"),
        ("c",),
        i_elements=512,
        o_elements=256,
        vector_ops=(("add", 256),),
        row_wise=True,
        note="added",
    ),
    "host": Layer(
        "sort",
        "TopK",
        "host",
        ("n",),
        ("a",),
        ("c",),
        i_elements=512,
        o_elements=8,
        vector_ops=(("compare", 5120),),
    ),
}
#: Which of them are tried on every field of which chip.
PAIRS = [
    *((OPEN.name, layer) for layer in LAYERS if layer != "depthwise"),
    ("edge_vision", "conv"),
    ("eyeriss", "pruned"),
    ("gap9", "depthwise"),
    ("edge_tpu", "conv"),
    (WHOLE[-1].name, "product"),
]


def changes(value: Any, hint: Any = Any, others: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """A value with one thing in it changed, by the path of what it is; records are entered.

    Args:
        others: values that the same field has elsewhere: for what is none here, or a word.
    """
    elsewhere = next((other for other in others if other != value), None)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value))
        for field in dataclasses.fields(value):
            own = tuple(getattr(o, field.name) for o in others if type(o) is type(value))
            for path, new in changes(getattr(value, field.name), hints[field.name], own):
                try:
                    made = dataclasses.replace(value, **{field.name: new})
                except ValueError:
                    continue
                yield f"{field.name}{path}", made
    elif isinstance(value, Mapping) and value:
        for name, item in value.items():
            for path, new in changes(item):
                yield f".{name}{path}", {**value, name: new}
            yield f"-{name}", {key: held for key, held in value.items() if key != name}
            if not dataclasses.is_dataclass(item):
                return
    elif isinstance(value, tuple) and value:
        for path, new in changes(value[0]):
            yield f".0{path}", (new, *value[1:])
        yield "-0", value[1:]
    elif elsewhere is not None:
        yield "", elsewhere
    elif isinstance(value, bool):
        yield "", not value
    elif isinstance(value, (int, float)):
        yield "", value + 1
        yield "/2", type(value)(value / 2)
    elif get_origin(hint) is Literal:
        yield "", next(word for word in get_args(hint) if word != value)
    elif isinstance(value, str):
        yield "", value + "x"
    else:
        yield "", some(hint)


def some(hint: Any) -> Any:
    """A value of a type that is neither None nor empty: for a field that nothing here has."""
    kinds = [kind for kind in get_args(hint) if kind not in (type(None), Ellipsis)]
    origin = get_origin(hint)
    if origin is Literal:
        return kinds[-1]
    if origin is tuple:
        return (some(kinds[0]),) * 2 if Ellipsis in get_args(hint) else tuple(map(some, kinds))
    if origin in (Union, UnionType):
        return some(kinds[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {some(kinds[0]): some(kinds[1])}
    if hint is Chip:
        return OPEN
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        given = {
            field.name: some(hints[field.name])
            for field in dataclasses.fields(hint)
            if field.default is field.default_factory is dataclasses.MISSING
        }
        make: Any = hint
        return make(**given)
    return {bool: True, int: 2, float: 0.5, str: "some", Any: "some"}[hint]


def chips_from(chip: Chip) -> Iterator[tuple[str, Chip]]:
    return changes(chip, others=(*CHIPS.values(), DUO))


def layers_from(layer: Layer) -> Iterator[tuple[str, Layer]]:
    return changes(layer, others=tuple(LAYERS.values()))


def mapped(layer: Layer, chip: Chip) -> Any:
    """The mapping of a layer; or why there is none."""
    try:
        return map_layer(layer, chip).renamed("layer", "op")
    except Exception as fault:
        text = str(fault).replace(f"layer {layer.name}", "layer")
        return type(fault), text.replace(f"chip {chip.name}", "chip")


@pytest.mark.parametrize(("chip_name", "layer_name"), PAIRS)
def test_every_field_of_a_chip(chip_name: str, layer_name: str) -> None:
    chip, layer = CHIPS[chip_name], LAYERS[layer_name]
    clear_caches()
    before = mapped(layer, chip)
    assert not isinstance(before, tuple), before
    tried: list[str] = []
    told = 0
    for path, other in chips_from(chip):
        clear_caches()
        mapped(layer, chip)
        warm = mapped(layer, other)
        clear_caches()
        cold = mapped(layer, other)
        assert warm == cold, path
        if other.mapping_view == chip.mapping_view:
            assert cold == before, path
        else:
            told += 1
        tried.append(path)
    heads = {path.partition(".")[0].partition("-")[0] for path in tried}
    assert all(any(h.startswith(f.name) for h in heads) for f in dataclasses.fields(Chip))
    assert 40 < told < len(tried)


@pytest.mark.parametrize("layer_name", LAYERS)
def test_every_field_of_a_layer(layer_name: str) -> None:
    layer, chip = LAYERS[layer_name], CHIPS["gap9" if layer_name == "depthwise" else OPEN.name]
    clear_caches()
    before = mapped(layer, chip)
    assert not isinstance(before, tuple), before
    told = 0
    for path, other in layers_from(layer):
        clear_caches()
        mapped(layer, chip)
        warm = mapped(other, chip)
        clear_caches()
        cold = mapped(other, chip)
        assert warm == cold, path
        if other.mapping_view == layer.mapping_view:
            assert cold == before, path
        else:
            told += 1
    assert told >= len(dataclasses.fields(Layer)) - 9


def test_every_field_of_a_chip_for_a_network_with_fused_layers() -> None:
    net, chip = workload("Gelu"), OPEN

    def program(on: Chip) -> Any:
        try:
            return map_network(net, on, "energy")
        except Exception as fault:
            return type(fault), str(fault)

    clear_caches()
    before = program(chip)
    assert before.schedules
    for path, other in chips_from(chip):
        clear_caches()
        program(chip)
        warm = program(other)
        clear_caches()
        cold = program(other)
        assert warm == cold, path
        if other.mapping_view == chip.mapping_view:
            assert cold == before, path


def test_every_field_of_a_chip_that_a_shape_depends_on() -> None:
    """What layers are on an array is remembered apart from prices and clock."""
    layer = LAYERS["conv"]
    assert layer.nest is not None
    sizes = layer.nest.sizes

    def shape(chip: Chip) -> Any:
        try:
            found = layer_shape(layer, chip, sizes, legal=True, winograd=False)
        except Exception as fault:
            return type(fault), str(fault)
        return {name: repr(value) for name, value in vars(found).items()}

    clear_caches()
    before, same = shape(OPEN), 0
    for path, other in chips_from(OPEN):
        clear_caches()
        found = shape(other)
        if array_view(other) == array_view(OPEN):
            same += 1
            assert found == before, path
    assert same


def test_a_field_is_in_the_key_unless_it_says_that_it_is_apart() -> None:
    @dataclasses.dataclass(frozen=True)
    class Thing:
        name: str = dataclasses.field(default="a", metadata=APART)
        size: int = 1
        by: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"x": 1.0})
        nest: LoopNest = dataclasses.field(default_factory=LoopNest)

    thing, change = Thing(), dataclasses.replace
    assert key_of(change(thing, name="b")) == key_of(thing)
    keys = {
        key_of(made)
        for made in (
            thing, change(thing, size=2), change(thing, by={"x": 2.0}), change(thing, by={}),
            change(thing, by={"x": 1.0, "y": 1.0}), change(thing, nest=LoopNest(K=2)),
        )
    }  # fmt: skip
    assert len(keys) == 6
    assert key_of(change(thing, by={"y": 2.0, "x": 1.0})) == key_of(
        change(thing, by={"x": 1.0, "y": 2.0})
    )
    with pytest.raises(TypeError, match="cannot be part of a key"):
        key_of(change(thing, by={"x": object()}))
    with pytest.raises(TypeError, match="cannot be part of a key"):
        key_of((1, [2]))
