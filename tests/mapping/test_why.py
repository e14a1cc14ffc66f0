"""Where a layer's time goes: shares that add up, and MobileNetV2 on a 64 x 64 array in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dse
from dse.hardware.chip import Chip
from dse.hardware.resolve import load_chip
from dse.mapping.ir.layer_row import LayerRow
from dse.mapping.network.program import layer_rows, map_network
from dse.mapping.network.why import why

from .conftest import make_chip
from .test_fusion import attention, chain

WIDE = {"array.rows": 64, "array.cols": 64}
CAUSES = {
    "lanes", "passes", "dram", "l2", "nvm", "buffer port", "vector", "dma", "host", "launch",
    "fill", "drain", "compute",
}  # fmt: skip


def check_rows(rows: list[LayerRow]) -> None:
    for row in rows:
        if not row.macs:
            assert row.losses == {}
            assert row.why.startswith("no MACs: ")
            continue
        assert row.utilization + sum(row.losses.values()) == pytest.approx(1.0, abs=1e-6)
        assert all(share >= 0.0 for share in row.losses.values())
        assert set(row.losses) <= CAUSES
        assert list(row.losses.values()) == sorted(row.losses.values(), reverse=True)
        assert why(row) == row.why


@settings(max_examples=40)
@given(
    sizes=st.lists(
        st.tuples(
            st.sampled_from([4, 8, 24]),
            st.sampled_from([1, 3]),
            st.sampled_from([1, 2]),
            st.sampled_from([0, 1]),
        ),
        min_size=1,
        max_size=3,
    ),
    heads=st.sampled_from([0, 0, 2]),
    paid=st.sampled_from(["paid", "hidden"]),
    depthwise=st.sampled_from(["none", "diagonal", "vector"]),
    double=st.booleans(),
    fuse=st.booleans(),
    dram=st.sampled_from([2e8, 1e10]),
)
def test_utilization_and_losses_add_up_to_one(
    sizes: Any, heads: int, paid: Any, depthwise: Any, double: bool, fuse: bool, dram: float
) -> None:
    chip = make_chip(
        8, 8, preload=paid, fill_drain=paid, depthwise=depthwise, double=double, dram=dram,
        buffer_bytes=16 * 1024,
    )  # fmt: skip
    net = attention(heads, 24, 16, 32) if heads else chain(sizes, 17)
    check_rows(layer_rows(map_network(net, chip, fuse=fuse), chip))


def test_losses_name_what_was_made_slow() -> None:
    """One thing at a time made slow is what most is lost to."""
    net = chain([(16, 3, 1, 0)], 32)

    def lost(**parts: Any) -> dict[str, float]:
        chip = make_chip(8, 8, **{"dram": 1e12, "launch": 0.0, "port": 4096.0, **parts})
        (row,) = layer_rows(map_network(net, chip, "latency", fuse=False), chip)
        check_rows([row])
        return dict(row.losses)

    assert lost(dram=1e7)["dram"] + lost(dram=1e7).get("fill", 0.0) > 0.8
    assert lost(launch=1e6)["launch"] > 0.8
    assert lost(port=0.5)["buffer port"] > 0.8
    assert lost(lanes=0.01)["vector"] > 0.8
    paid = lost(preload="paid", preload_cycles=5000)
    assert next(iter(paid)) == "passes"
    assert paid["passes"] > 0.5
    net = chain([(8, 3, 1, 1)], 32)  # depthwise, group after group: at most nine taps at once
    assert lost()["lanes"] > 0.8


@pytest.fixture(scope="module")
def mobilenet() -> dict[str, LayerRow]:
    chip: Chip = load_chip("edge_vision", overrides=WIDE)
    rows = layer_rows(map_network(dse.load_model("mobilenetv2").at("w8a8"), chip, fuse=False), chip)
    check_rows(rows)
    return {row.name: row for row in rows}


def test_mobilenet_is_slow_on_a_wide_array_as_real_chips_are(
    mobilenet: dict[str, LayerRow],
) -> None:
    """Published: TDA4VM runs MobileNetV2 at about 2 % of the peak of its 64 x 64 array, RK3588 at
    13 % of a 32 x 32 one; nobody reaches 60 %."""
    total = sum(row.latency_s for row in mobilenet.values())
    used = sum(row.utilization * row.latency_s for row in mobilenet.values()) / total
    assert 0.02 < used < 0.13


@pytest.mark.parametrize(
    ("layer", "bottleneck", "lanes", "words"),
    [
        # 3 channels x 3 columns x 32 filters of 4096 units.
        ("features.0.0/Conv", "compute", 288 / 4096, "C 3 as 1 x 3, FX 3 as 1 x 3"),
        # 16 channels along the diagonal, 3 taps each: 32 channels in two steps.
        ("features.1.conv.0.0/Conv", "compute", 48 / 4096, "every channel by itself (G 32 as 2 x"),
        # 16 of 64 rows, 96 filters in two halves of 48.
        ("features.2.conv.0.0/Conv", "dram", 16 * 48 / 4096, "waiting for DRAM"),
        # 24 filters are padded to the alignment of 16: 32 columns.
        ("features.2.conv.2/Conv", "l2", 0.28125, "25% of it padded (K 24 as 1 x 32"),
        # ReLU6 of 144 channels on 32 lanes keeps pace with what leaves by the port of L2.
        ("features.3.conv.0.0/Conv", "l2", 24 * 48 / 4096, "waiting for the port of L2"),
        # 160 channels, 7 x 7 pixels: 153,600 weights from DRAM for 49 pixels.
        ("features.17.conv.2/Conv", "dram", 1.0, "waiting for DRAM"),
    ],
)
def test_mobilenet_layer_by_layer(
    mobilenet: dict[str, LayerRow], layer: str, bottleneck: str, lanes: float, words: str
) -> None:
    """The main cause of each kind of layer, and the share of the array that its loops fill."""
    row = mobilenet[layer]
    assert row.bottleneck == bottleneck
    assert row.lanes == pytest.approx(lanes, rel=1e-6)
    assert words in row.why
    assert f"{row.utilization:.1%} of peak; lost: " in row.why
