"""What compiled code says of a mapping, and of a network, is what plain Python says: to the bit."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import dse
from dse.hardware.resolve import load_chip
from dse.mapping import Program, map_network
from dse.mapping.ir.homes import Homes, default_homes
from dse.mapping.layer.mapper import clear_cache, map_layer
from dse.mapping.search import placement
from dse.mapping.search.placement import Evaluation, Placement, evaluate
from dse.mapping.space.problem import Problem, pack
from dse.mapping.tools import compiling
from tests.mapping.reference import over_arrays

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("array", "tile", "inside", "outside", "footprint", "single", "move", "above", "result")


def numbers(value: Any) -> Iterator[float]:
    """All numbers of nested tuples, in order."""
    if isinstance(value, tuple):
        for part in value:
            yield from numbers(part)
    else:
        yield float(value)


def any_placement(problem: Problem, rng: random.Random) -> Placement:
    sizes = (int(problem.tiles[d, rng.randrange(problem.lengths[d])]) for d in range(6))
    unrolled = problem.spatial[rng.randrange(len(problem.spatial))]
    flow, order, hold = int(rng.choice(problem.flows)), rng.randrange(3), rng.randrange(7)
    return Placement(unrolled, tuple(sizes), flow, order, None, None, hold)


@pytest.mark.parametrize("name", ["edge_vision", "nvdla_512"])
def test_compiled_evaluation_is_the_plain_one(name: str) -> None:
    rng, chip = random.Random(1), load_chip(name)
    room = float(chip.buffer.capacity_bytes)
    for layer in dse.load_model("mobilenetv2").at("w8a8").layers[::3]:
        if layer.nest is None:
            continue
        for homes in (default_homes(layer, chip), Homes("dram", "buffer", "buffer", "buffer")):
            problem = pack(layer, chip, homes, room, layer.nest.sizes, 1, 0.5, 0.1)
            placed = any_placement(problem, rng)
            fast = evaluate(problem, placed)
            plain = placement._plain(problem, placed)
            for part in PARTS:
                found, wanted = getattr(fast, part), getattr(plain, part)
                assert list(numbers(found)) == list(numbers(wanted)), (layer.name, part)
    assert set(PARTS) | {"c", "rows", "q"} == {field.name for field in fields(Evaluation)}


def test_a_mapping_remembered_from_more_room_is_the_one_searched() -> None:
    """In less room: the same schedule, whether more room was asked for before or not."""
    chip = load_chip("nvdla_512")
    layers = [x for x in dse.load_model("mobilenetv2").at("w8a8").layers if x.kind == "compute"]
    room = float(chip.buffer.capacity_bytes)
    for layer in layers[::4]:
        rooms = [room / 2.0**n for n in range(4)]
        clear_cache()
        after = [map_layer(layer, chip, room_bytes=less) for less in rooms]
        for less, made in zip(rooms, after, strict=True):
            clear_cache()
            assert map_layer(layer, chip, room_bytes=less) == made


class _Compiled:
    """Stands for what Numba makes: compiling ends when ``wait`` returns, or fails."""

    def __init__(self, wait: Callable[[], object] = lambda: None, fails: bool = False) -> None:
        self.wait, self.fails = wait, fails

    def typeof_pyval(self, value: object) -> str:
        return type(value).__name__

    def compile(self, signature: object) -> None:
        if self.fails:
            raise EOFError("Ran out of input")
        self.wait()

    def __call__(self, value: float) -> float:
        return value


@pytest.mark.parametrize("kept", [True, False])
def test_a_long_first_call_says_so_once(
    kept: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first call that outlasts the patience, here of no length: it ends when that is over."""
    over, announce = threading.Event(), compiling._announce

    def heard() -> None:
        announce()
        over.set()

    monkeypatch.setattr(compiling, "_said", False)
    monkeypatch.setattr(compiling, "_kept", kept)
    monkeypatch.setattr(compiling, "_announce", heard)
    monkeypatch.setattr(compiling, "PATIENCE_S", threading.TIMEOUT_MAX)
    quick = compiling.Announced(abs, _Compiled(), _Compiled)
    assert [quick(3.0), quick(4.0)] == [3.0, 4.0]
    assert not over.is_set()
    monkeypatch.setattr(compiling, "PATIENCE_S", 0.0)
    for _ in range(2):
        over.clear()
        slow = compiling.Announced(abs, _Compiled(over.wait), _Compiled)
        assert slow(0.1) == slow(0.1) == 0.1
    said = capsys.readouterr().err
    assert said.count("compiling the mapper") == 1
    assert ("once" in said, "NUMBA_CACHE_DIR" in said) == (kept, not kept)


def test_what_cannot_be_loaded_is_compiled() -> None:
    made = compiling.Announced(abs, _Compiled(fails=True), _Compiled)
    assert made(3.0) == 3.0
    never = compiling.Announced(abs, _Compiled(fails=True), lambda: _Compiled(fails=True))
    with pytest.raises(EOFError):
        never(3.0)


def programs() -> list[Program]:
    """Groups, path and memory plan included; nothing remembered."""
    clear_cache()
    chip = load_chip("edge_vision")
    names = ("dscnn_kws", "ad_autoencoder")
    return [map_network(dse.load_model(name).at("w8a8"), chip) for name in names]


def test_networks_are_the_same_over_arrays() -> None:
    fast = programs()
    with over_arrays():
        slow = programs()
    assert fast == slow
    assert sum(len(program.schedules) for program in fast) > 10


PROGRAM = """
import dse
from dse.hardware.resolve import load_chip
from dse.mapping import map_layer
chip = load_chip("edge_vision")
layer = next(x for x in dse.load_model("ad_autoencoder").at("w8a8").layers if x.kind == "compute")
print(map_layer(layer, chip))
"""


def test_a_layer_is_the_same_without_compiling() -> None:
    """By Numba's own switch, with which a debugger can step through the kernels."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    layers = dse.load_model("ad_autoencoder").at("w8a8").layers
    layer = next(x for x in layers if x.kind == "compute")
    assert done.stdout.strip() == repr(map_layer(layer, load_chip("edge_vision")))
