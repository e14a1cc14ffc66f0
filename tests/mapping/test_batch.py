"""Many chips at once: the same costs as one by one, the optimum where it says so."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dse.errors import InputError
from dse.hardware.chip import Chip
from dse.mapping.chips.batch import TABLE_FROM, forget_tables, map_batch
from dse.mapping.layer.mapper import map_layer
from dse.mapping.path.chain import item
from dse.workload.layer import Layer

from .conftest import make_chip, make_layer

LAYERS = [
    make_layer("conv", K=32, C=24, OY=14, OX=14, FY=3, FX=3),
    make_layer("gemm", K=96, C=64, OX=50, vector_ops=(("lut", 4800),)),
    make_layer("depthwise", G=48, OY=14, OX=14, FY=3, FX=3, stride_y=2, stride_x=2),
    Layer("add", "Add", "vector", ("add",), ("a",), ("b",), None, i_elements=4000,
          o_elements=2000, vector_ops=(("add", 2000),)),
]  # fmt: skip


def variants(count: int, seed: int = 0, **parts: Any) -> list[Chip]:
    """Chips of one shape that differ in everything else."""
    rng = random.Random(seed)
    base = make_chip(8, 8, l2=4e9, l2_bytes=1e5, **parts)
    out = []
    for _ in range(count):
        prices = {action: joules * rng.uniform(0.5, 2.0) for action, joules in base.prices.items()}
        dram = replace(base.links["dram"], bytes_per_s=2e9 * 2 ** rng.uniform(-2, 3))
        out.append(
            replace(
                base,
                f_hz=5e8 * 2 ** rng.uniform(-1, 1),
                prices=prices,
                links={**base.links, "dram": dram},
                buffer=replace(
                    base.buffer,
                    capacity_bytes=int(2 ** rng.uniform(12, 18)),
                    read_bytes_per_cycle=rng.choice((16.0, 64.0)),
                    input_bytes_per_cycle=rng.choice((0.0, 4.0)),
                    weight_bytes_per_cycle=rng.choice((0.0, 2.0)),
                    result_bytes_per_cycle=rng.choice((0.0, 0.5)),
                    sum_bytes_per_cycle=rng.choice((0.0, 1.0)),
                    fill_bytes_per_cycle=rng.choice((0.0, 8.0)),
                    fetch_bytes_per_cycle=rng.choice((0.0, 1.0)),
                ),
                overheads=replace(
                    base.overheads,
                    launch_cycles=rng.choice((100.0, 2000.0)),
                    descriptor_cycles=rng.choice((10.0, 200.0)),
                ),
            )
        )
    return out


def alone(layer: Layer, chip: Chip, objective: Any) -> tuple[float, float]:
    made = map_layer(layer, chip, objective, l2_room_bytes=0.0, uneven=False)
    found = item((made,), chip)
    seconds = found.own_s + found.first_s
    return seconds, found.energy_j + chip.mapping_static_w * seconds


def value(objective: str, latency: Any, energy: Any) -> Any:
    return {"edp": latency * energy, "latency": latency, "energy": energy}[objective]


@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_exact_is_map_layer(objective: Any) -> None:
    chips = [*variants(6), make_chip(16, 4), make_chip(8, 8, double=False), *variants(2, 5)]
    found = map_batch([*LAYERS, LAYERS[0]], chips, objective, exact=True)
    assert found.layers == tuple(layer.name for layer in LAYERS)
    assert found.times == (2, 1, 1, 1)
    assert found.exact.all()
    for row, layer in enumerate(LAYERS):
        for column, chip in enumerate(chips):
            want = alone(layer, chip, objective)
            got = found.latency_s[row, column], found.energy_j[row, column]
            assert got == pytest.approx(want, rel=1e-9)
    assert found.network_latency_s[0] == pytest.approx(
        found.latency_s[:, 0].sum() + found.latency_s[0, 0]
    )


@pytest.mark.parametrize("objective", ["edp", "latency", "energy"])
def test_tables_find_the_optimum_nearly_always(
    objective: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never better than the optimum, equal on most chips, within a percent on nine of ten."""
    forget_tables()
    chips = variants(TABLE_FROM + 140)
    found = map_batch(LAYERS, chips, objective)
    some = list(range(0, len(chips), 12))
    truth = map_batch(LAYERS, [chips[n] for n in some], objective, exact=True)
    ours = value(objective, found.latency_s[:, some], found.energy_j[:, some])
    best = value(objective, truth.latency_s, truth.energy_j)
    assert np.isfinite(ours).all()
    excess = ours / best - 1.0
    assert excess.min() > -1e-9
    assert (excess < 1e-9).mean() > 0.8
    assert np.quantile(excess, 0.9) < 0.01
    assert found.searched < found.latency_s.size
    assert excess[found.exact[:, some]].max() < 1e-9
    # The next batch starts from the tables.
    monkeypatch.delattr("dse.mapping.chips.batch._Table._probe")
    again = map_batch(LAYERS, variants(TABLE_FROM + 40, 3), objective)
    assert np.isfinite(again.latency_s).all()


def test_what_does_not_fit_is_infinite() -> None:
    chips = variants(3)
    tiny = replace(chips[0], buffer=replace(chips[0].buffer, capacity_bytes=8))
    found = map_batch(LAYERS[:1], [tiny, *chips], "edp")
    assert np.isinf(found.latency_s[0, 0])
    assert np.isfinite(found.latency_s[0, 1:]).all()
    with pytest.raises(InputError, match="no chips"):
        map_batch(LAYERS, [])
    with pytest.raises(InputError, match="unknown objective"):
        map_batch(LAYERS, chips, "speed")


def test_no_chip_of_a_table_has_room() -> None:
    chips = [
        replace(chip, buffer=replace(chip.buffer, capacity_bytes=1))
        for chip in variants(TABLE_FROM + 6)
    ]
    found = map_batch(LAYERS[:1], chips)
    assert np.all(np.isinf(found.latency_s))
