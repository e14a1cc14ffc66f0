"""Published conditions of a comparison: Eyeriss's mapping and code, Vela's steps, frozen chips."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dse.hardware.resolve import load_chip
from dse.mapping import map_layer
from dse.validation import constants, eyeriss, freeze, published
from dse.validation.peer_data import compute_layer, vela
from dse.validation.peers import vela_engine_cycles, without_addition
from dse.validation.predict import chip_of, workload_of
from dse.validation.published import Case
from dse.workload.layer import LoopNest

FILE = freeze.freeze()


# Frozen chips.


@pytest.mark.parametrize("chip", freeze.validated_chips())
def test_no_chip_changes_without_an_entry(chip: str) -> None:
    """If this fails, log the change with its ground: experiments/validation/freeze_chips.py."""
    assert chip in {item.chip for item in FILE.chips}
    assert freeze.changed_blocks(chip, FILE) == {}


def test_changes_say_why_and_follow_the_freeze() -> None:
    frozen = {item.chip: item.date for item in FILE.chips}
    assert len(frozen) == len(FILE.chips)
    for change in FILE.changes:
        assert change.blocks
        assert len(change.ground) > 20
        assert change.date >= frozen[change.chip]


def test_a_change_of_a_parameter_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = freeze.load_spec("gap9").with_values({"overhead.launch_cycles": 7399})
    words = freeze.load_spec("gap9").model_copy(update={"description": "other words"})
    monkeypatch.setattr(freeze, "load_spec", lambda name: spec)
    assert set(freeze.changed_blocks("gap9", FILE)) == {"overhead"}
    monkeypatch.setattr(freeze, "load_spec", lambda name: words)
    assert freeze.changed_blocks("gap9", FILE) == {}


def test_a_block_that_goes_is_logged_as_gone() -> None:
    one = FILE.chips[0]
    gone = freeze.Change(
        chip=one.chip, date=one.date, blocks={"vector": "none"}, ground="a test of the log"
    )
    file = FILE.model_copy(update={"changes": (*FILE.changes, gone)})
    assert "vector" not in freeze.as_logged(file)[one.chip]
    assert "vector" in freeze.changed_blocks(one.chip, file)


# Blind rows.


def test_blind_chips_serve_no_fit_and_change_by_their_runtime_class_alone() -> None:
    """What a class says of a chip is never from its own rows: see test_validation.py."""
    chips = {row.chip for row in published.blinds()}
    assert len(chips) >= 3
    assert not chips & {row.chip for row in published.silicon().rows}
    assert not chips & {field.chip for constant in constants() for field in constant.fields}
    changes = [change for change in FILE.changes if change.chip in chips]
    moved = [change for change in changes if "are the fetch limit" in change.ground]
    assert all(set(change.blocks) == {"buffer"} for change in moved)  # the same fact elsewhere
    classes = [change for change in changes if change not in moved]
    assert all(set(change.blocks) == {"overhead"} for change in classes)
    assert all(change.ground.startswith("runtime class") for change in classes)


# Eyeriss.


def test_the_papers_mapping_has_its_active_elements() -> None:
    chip = load_chip("eyeriss")
    for item, layer in zip(eyeriss.published().layers, eyeriss.convolutions(chip), strict=True):
        assert layer.nest is not None
        sizes = {d: getattr(layer.nest, d) for d in item.spatial}
        steps = math.prod(-(-sizes[d] // n) for d, n in item.spatial.items())
        busy = math.prod(sizes.values()) / steps  # in a mean step; the last rows leave some idle
        assert item.active_pes in (busy, math.prod(item.spatial.values()))
        words = {"W": ("K", "C", "FX"), "I": ("C", "FX"), "O": ("K",)}
        rooms = chip.spec.array.registers.model_dump()
        in_pe = {str(dim): size for dim, size in item.in_pe.items()}
        for operand, dims in words.items():
            assert 2 * math.prod(in_pe.get(d, 1) for d in dims) <= rooms[operand]


@pytest.mark.parametrize("zeros", [0.0, 0.387, 0.725, 0.95])
def test_run_length_share_is_that_of_the_code(zeros: float) -> None:
    """Coded value by value: a pair ends with a value, or a run of 31 zeros and a zero."""
    rng = np.random.default_rng(7)
    values = rng.random(400_000) >= zeros
    pairs = run = 0
    for value in values:
        if value or run == 31:
            pairs, run = pairs + 1, 0
        else:
            run += 1
    bits = pairs / 3 * 64
    assert eyeriss.run_length_share(zeros) == pytest.approx(bits / (16 * len(values)), rel=0.02)


def test_the_clock_network_of_eyeriss_is_counted_once() -> None:
    """It is a share of the whole; the root that chips have besides must add nothing."""
    file = eyeriss.published()
    chip = eyeriss.one_copy(load_chip(file.chip, overrides={"power.clock_share": 0.0}))
    loud = replace(
        chip,
        static=tuple(
            replace(part, active_w=1.0) if part.component == "clock_root" else part
            for part in chip.static
        ),
    )
    item = file.layers[2]
    run = eyeriss.as_published(item, eyeriss.convolutions(chip)[2], chip)
    watts = [
        next(
            row.ours
            for row in eyeriss._rows(item, run, item.dram_bytes, one)
            if row.quantity == "power W"
        )
        for one in (chip, loud)
    ]
    assert watts[0] == watts[1]


# Vela.


def test_steps_of_vela_give_its_engine_cycles() -> None:
    """The closed form, or the output stage, is all but the starts of blocks."""
    for run in vela().runs:
        case = Case(chip=vela().chip, model=run.model)
        layers = [x for x in workload_of(case, chip_of(case)).layers if x.macs]
        for layer, item in zip(layers, run.layers, strict=True):
            assert layer.nest is not None
            if item.kind == "matmul":
                continue
            nest = layer.nest
            stage = nest.OX * nest.OY * nest.K * nest.G / 2
            least = max(vela_engine_cycles(nest), stage)
            assert 0.8 * item.npu < least <= item.npu


def test_an_addition_is_left_out_once() -> None:
    layer = compute_layer("l", LoopNest(K=8, C=8, OY=4, OX=4), 16, side=True)
    assert without_addition(layer).side_elements == 0
    plain = compute_layer("l", LoopNest(K=8, C=8, OY=4, OX=4), 16)
    assert without_addition(plain) == plain


# NE16.


def test_strided_convolutions_run_at_their_rate() -> None:
    strided = LoopNest(K=32, C=32, OY=12, OX=12, FY=3, FX=3, stride_y=2, stride_x=2)
    plain = LoopNest(K=32, C=32, OY=12, OX=12, FY=3, FX=3)
    slow, fast = (load_chip("gap9", overrides={"array.strided_rate": r}) for r in (0.5, 1.0))

    def cycles(nest: LoopNest, chip: object) -> float:
        made = map_layer(compute_layer("l", nest, 625), chip, "latency")  # type: ignore[arg-type]
        return sum(phase.count * phase.array_cycles for phase in made.phases)

    assert cycles(plain, slow) == pytest.approx(cycles(plain, fast))
    assert cycles(strided, slow) > 1.3 * cycles(strided, fast)


def test_depthwise_layers_are_not_nearly_free_on_gap9() -> None:
    """NE16 takes a channel of 9 pixels and 9 taps in eight cycles: 10 MACs a cycle at most."""
    nest = LoopNest(G=64, OY=24, OX=24, FY=3, FX=3)
    made = map_layer(compute_layer("l", nest, 26 * 26), load_chip("gap9"), "latency")
    cycles = sum(phase.count * phase.array_cycles for phase in made.phases)
    assert 5.0 < made.macs / cycles <= 81 / 8
