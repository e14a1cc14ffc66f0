"""Networks cut in two: nothing is lost, and what crosses is what the tail reads."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.apps.split import STORED, crossing_tensors, cuts, read_tensors, split_at
from dse.errors import InputError
from dse.workload import Workload, load_model

NETS = ("resnet8", "mobilenetv2", "squeezenet", "bert_tiny", "segformer_b0")
LOADED = {name: load_model(name).at("w8a8") for name in NETS}


def by_hand(workload: Workload, count: int) -> set[str]:
    """Tensors read behind the cut that were there before it."""
    before = {n for layer in workload.layers[:count] for n in layer.outputs} | set(workload.inputs)
    after = {n for layer in workload.layers[count:] for n in read_tensors(layer, workload)}
    return before & after


@settings(max_examples=40)
@given(st.sampled_from(NETS), st.floats(0.01, 0.99))
def test_head_and_tail_make_the_whole(name: str, share: float) -> None:
    whole = LOADED[name]
    count = max(1, min(len(whole.layers) - 1, round(share * len(whole.layers))))
    split = split_at(whole, whole.layers[count - 1].name)
    assert split.head.layers + split.tail.layers == whole.layers
    assert split.head.macs + split.tail.macs == whole.macs
    assert set(split.crossing) == by_hand(whole, count)
    assert set(split.raw) == set(split.crossing) & set(whole.inputs)
    assert split.bytes == sum(whole.tensors[n].bytes for n in split.crossing)
    made = {n for layer in split.tail.layers for n in layer.outputs}
    known = made | set(split.tail.inputs)
    for layer in split.tail.layers:
        assert set(read_tensors(layer, split.tail)) <= known
    weights = {n for n, t in whole.tensors.items() if t.role in STORED}
    used = {n for part in (split.head, split.tail) for n in part.tensors} & weights
    assert used == {n for n in weights if any(n in (*y.inputs, y.w_tensor) for y in whole.layers)}
    assert split.head.digest != split.tail.digest != whole.digest


def test_a_cut_behind_the_last_layer_or_an_unknown_one_is_refused() -> None:
    whole = LOADED["resnet8"]
    with pytest.raises(InputError, match="last one"):
        split_at(whole, whole.layers[-1].name)
    with pytest.raises(InputError, match="cannot be split"):
        split_at(whole, "no such layer")


def test_what_crosses_keeps_the_heads_formats() -> None:
    model = load_model("resnet8")
    cut = LOADED["resnet8"].layers[2].name
    wide = split_at(model.at("w8a8"), cut, model.at("fp16"))
    assert wide.bytes == split_at(model.at("w8a8"), cut).bytes
    assert wide.tail.precision.name == "fp16"


@pytest.mark.parametrize("name", NETS)
def test_cuts_worth_a_look_cross_ever_fewer_bytes(name: str) -> None:
    whole = LOADED[name]
    found = cuts(whole, most=1000)
    sizes = [size for _, size in found]
    assert sizes == sorted(sizes, reverse=True)
    raw = sum(whole.tensors[n].bytes for n in whole.inputs)
    assert all(size < raw for size in sizes)
    assert len(cuts(whole, most=3)) <= 3
    names = [layer.name for layer in whole.layers]
    for layer, size in found[:5]:
        crossing = crossing_tensors(whole, names.index(layer) + 1)
        assert size == sum(whole.tensors[n].bytes for n in crossing)
