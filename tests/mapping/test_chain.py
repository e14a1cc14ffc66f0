"""The path search against all combinations, and what prefetch makes of a network."""

from __future__ import annotations

import itertools
import random
from dataclasses import fields
from typing import Any

import pytest

import dse
from dse.hardware.resolve import load_chip
from dse.mapping.given.placed_by_hand import evaluate_mapping
from dse.mapping.ir.schedule import (
    LayerSchedule,
    Phase,
    Program,
    layer_latencies_s,
    program_latency_s,
    unroll,
)
from dse.mapping.layer import mapper
from dse.mapping.layer.build import Amounts, Draft
from dse.mapping.layer.mapper import clear_cache, draft_layer, map_layer
from dse.mapping.network.program import map_network, program_energy_j
from dse.mapping.path.chain import Item, best_path, item, layer_item

from .conftest import make_chip, make_layer


def random_schedule(rng: random.Random, name: str) -> LayerSchedule:
    """A schedule with one or two phases and some of everything."""
    phases = tuple(
        Phase(
            rng.randint(1, 4),
            array_cycles=rng.randint(0, 3000),
            vector_cycles=rng.randint(0, 1000),
            link_bytes=(rng.choice((0.0, rng.uniform(0, 4e4))), 0.0, 0.0),
        )
        for _ in range(rng.randint(1, 2))
    )
    return LayerSchedule(
        name, "MatMul", "compute", "array", 10, 1, rng.choice((0.0, 100.0)),
        (rng.choice((0.0, rng.uniform(0, 8e4))), 0.0, 0.0), (rng.uniform(0, 1e4), 0.0, 0.0),
        phases, (rng.uniform(0, 1e4), 0.0, 0.0), {"dram.read_bit": rng.uniform(0, 1e6)}, 1.0,
        spare_bytes=rng.choice((None, rng.uniform(0, 6e4), 1e6)),
    )  # fmt: skip


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
def test_path_is_the_best_of_all(double: bool, objective: str) -> None:
    """Exact for sums; for the product never worse than the best that a price of time can name."""
    chip = make_chip(double=double)
    for seed in range(15):
        rng = random.Random(seed)
        layers = rng.randint(1, 4)
        options = [
            [random_schedule(rng, f"{n}") for _ in range(rng.randint(1, 3))] for n in range(layers)
        ]
        items: dict[int, list[Any]] = {
            n: [item((one,), chip) for one in found] for n, found in enumerate(options)
        }
        if layers > 2:  # two layers that run in some way only together
            pair = (random_schedule(rng, "a"), random_schedule(rng, "b"))
            items[1].append(item(pair, chip))
        path, cost = best_path(items, layers, chip, objective, 1e-5)
        made = tuple(schedule for one in path for schedule in one.made())
        assert len(made) == layers
        assert cost.latency_s == pytest.approx(_latency(made, chip), rel=1e-12)
        every = [list(chosen) for chosen in itertools.product(*options)]
        if layers > 2:
            rest = itertools.product(options[0], *options[3:])
            every += [[first, *pair, *others] for first, *others in rest]
        costs = []
        for chosen in every:
            program = _program(tuple(chosen), chip)
            costs.append((program_latency_s(program, chip), program_energy_j(program, chip)))
        scores = {"latency": [t for t, _ in costs], "energy": [e for _, e in costs]}
        if objective in scores:
            ours = {"latency": cost.latency_s, "energy": cost.energy_j}[objective]
            assert ours == pytest.approx(min(scores[objective]), rel=1e-12)
        else:
            ours = cost.latency_s * cost.energy_j
            assert ours <= min(costs)[0] * min(costs)[1] * (1 + 1e-12)
            assert ours <= 1.1 * min(t * e for t, e in costs)


def _program(schedules: tuple[LayerSchedule, ...], chip: Any) -> Program:
    segments = unroll(schedules, prefetch=chip.buffer.double_buffered)
    return Program("p", schedules, segments, 1, 1e-5)


def _latency(schedules: tuple[LayerSchedule, ...], chip: Any) -> float:
    return program_latency_s(_program(schedules, chip), chip)


def test_hidden_fill_takes_part_in_the_objective() -> None:
    """With the fill hidden, time beside it is never longer; the fill may be."""
    chip = make_chip(8, 8, dram=1e9)
    layer = make_layer(K=64, C=64, OY=8, OX=8, FY=3, FX=3)
    shown, hidden = (map_layer(layer, chip, "latency", exposed=share) for share in (1.0, 0.0))
    assert item((hidden,), chip).own_s <= item((shown,), chip).own_s * (1 + 1e-12)
    assert item((shown,), chip).own_s + item((shown,), chip).first_s <= (
        item((hidden,), chip).own_s + item((hidden,), chip).first_s
    ) * (1 + 1e-12)


def test_price_of_time_trades_energy_for_time() -> None:
    chip = make_chip(8, 8, dram=1e9, buffer_bytes=16 * 1024, static_w=0.0)
    layer = make_layer(K=96, C=96, OY=14, OX=14, FY=3, FX=3)
    points = []
    for watts in (0.0, 0.01, 0.1, 1.0, 100.0):
        made = item((map_layer(layer, chip, "energy", time_price_w=watts),), chip)
        points.append((made.own_s + made.first_s, made.energy_j))
    assert points == sorted(points, key=lambda p: (-p[0], p[1]))
    assert points[0][1] < points[-1][1] or points[0][0] == points[-1][0]


def test_first_weights_wait_for_room_beside_the_step_before() -> None:
    """A whole layer of 4 KiB W, I and O each leaves 4 KiB of 16: half of the next one's 8 KiB."""
    chip = make_chip(8, 8, buffer_bytes=16 * 1024, dram=1e9)

    def whole(tiles: dict[str, Any], **sizes: Any) -> LayerSchedule:
        return evaluate_mapping(make_layer(**sizes), chip, {"C": 8, "K": 8}, tiles)

    first, second = whole({}, K=64, C=64, OX=64), whole({}, K=64, C=128, OX=8)
    assert first.spare_bytes == 4096.0
    assert second.fill_weight == (8192.0, 0.0, 0.0)
    segments = unroll((first, second), prefetch=True)
    fill = next(seg for seg in segments if (seg.layer, seg.stage) == (1, "fill"))
    assert fill.link_bytes[0] == second.fill_other[0] + 4096.0
    last = [seg for seg in segments if (seg.layer, seg.stage) == (0, "steps")][-1]
    assert last.link_bytes[0] == 4096.0
    # Of what is loaded tile by tile the last step needs one copy: 4 KiB and twice 16 rows of 64.
    cut = whole({"buffer": {"OX": 16}}, K=64, C=64, OX=64)
    assert cut.footprint_bytes == 4096.0 + 4 * 1024.0
    assert cut.spare_bytes == 16 * 1024 - 4096.0 - 2 * 1024.0


@pytest.mark.parametrize("through_l2", [False, True])
def test_what_is_prefetched_fits_beside_the_last_step(through_l2: bool) -> None:
    l2: dict[str, Any] = {"l2": 4e9, "l2_bytes": 64 * 1024.0} if through_l2 else {}
    chip = make_chip(8, 8, buffer_bytes=8 * 1024, dram=2e9, **l2)
    layers = [make_layer(f"l{n}", K=64 + 32 * n, C=96 + 64 * (n % 3), OX=200) for n in range(6)]
    made = [map_layer(layer, chip, "energy") for layer in layers]
    assert any(one.levels for one in made) == through_l2
    exposed = 0
    for before, after in itertools.pairwise(made):
        fill = next(
            seg for seg in unroll((before, after), prefetch=True)
            if (seg.layer, seg.stage) == (1, "fill")
        )  # fmt: skip
        shown = fill.link_bytes[0] - after.fill_other[0]
        hidden = after.fill_weight[0] - shown
        assert before.spare_bytes is not None
        assert -1e-6 <= hidden <= before.spare_bytes + 1e-6
        exposed += shown > 1e-6
    assert exposed


@pytest.mark.parametrize(
    ("chip", "model", "slack"),
    [
        ("edge_vision", "mobilenetv2", 0.002),
        ("edge_vision", "densenet121", 0.0005),
        ("tpu_v1", "resnet50_v1.5", 0.0005),
    ],
)
def test_a_larger_buffer_does_not_make_a_network_slower(
    chip: str, model: str, slack: float
) -> None:
    """Layer by layer; DenseNet-121 took 8.4 ms with 256 KiB and 9.5 ms with 2 MiB before."""
    workload = dse.load_model(model).at("w8a8")
    best = float("inf")
    for kib in (256, 1024, 2048):
        made = load_chip(chip, overrides={"buffer.bytes": kib * 1024})
        program = map_network(workload, made, "latency", fuse=False)
        latency = program_latency_s(program, made)
        assert latency <= best * (1.0 + slack)
        assert sum(layer_latencies_s(program, made)) + program.invoke_s == pytest.approx(latency)
        best = min(best, latency)


@pytest.mark.parametrize("double", [True, False])
def test_item_of_a_layer_is_that_of_its_schedule(double: bool) -> None:
    """The short way from a layer's numbers gives the very numbers of the long one."""
    chip = make_chip(double=double)
    names = [f.name for f in fields(Item) if f.name != "made"]
    for seed in range(40):
        one = random_schedule(random.Random(seed), "x")
        short, long = layer_item(one, chip), item((one,), chip)
        assert [getattr(short, n) for n in names] == [getattr(long, n) for n in names]
        assert short.made() == (one,)


@pytest.mark.parametrize("chip", [make_chip(), make_chip(l2=1e9, l2_bytes=1e5)])
def test_draft_says_what_its_schedule_says(chip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, schedule and item of a draft agree; one in less room is what a new search finds."""
    layer = make_layer(K=48, C=32, OY=16, OX=16, FY=3, FX=3)
    names = [n for n in Amounts._fields if n not in ("last_bytes", "found")]
    searched: list[float] = []
    search = mapper._map_compute

    def counted(layer: Any, chip: Any, asked: Any) -> Any:
        searched.append(asked.room)
        return search(layer, chip, asked)

    def drafted(room: float) -> Draft:
        found = draft_layer(
            layer, chip, "edp", homes=None, cores=1, room_bytes=room, l2_room_bytes=5e4,
            exposed=1.0, time_price_w=0.0, legal=False, uneven=True,
        )  # fmt: skip
        assert isinstance(found, Draft)
        return found

    monkeypatch.setattr(mapper, "_map_compute", counted)
    clear_cache()
    first = drafted(30e3)
    for room in (30e3, 0.5 * (30e3 + first.footprint_bytes), first.footprint_bytes, 3e3):
        clear_cache()
        drafted(30e3)
        searched.clear()
        draft = drafted(room)
        assert searched == ([] if room >= first.footprint_bytes else [room])
        made = draft.schedule
        assert [getattr(draft.amounts, n) for n in names] == [getattr(made, n) for n in names]
        assert layer_item(draft, chip).numbers == item((made,), chip).numbers
        clear_cache()
        again = drafted(room)
        assert again.key == draft.key
        assert again.schedule == made
