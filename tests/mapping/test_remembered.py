"""What is remembered between mappings, and text that waits until somebody reads it."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest

from dse.mapping.layer import build
from dse.mapping.layer.mapper import cache_statistics, clear_cache, map_layer
from dse.mapping.search.placement import Placement
from dse.mapping.space.problem import Problem
from dse.registry import Remembered, cached, caches, clear_caches

from .conftest import make_chip, make_layer


class Thing:
    """Something with an identity."""


def test_the_oldest_is_dropped() -> None:
    store = Remembered("letters", 2)
    for key in ("a", "b", "c"):
        assert store.of(key, key.upper) == key.upper()
    assert [store.get(key) for key in ("a", "b", "c")] == [None, "B", "C"]
    assert store.of("c", lambda: "made again") == "C"
    store.clear()
    assert store.of("c", lambda: "made again") == "made again"


def test_what_a_key_names_by_its_id_stays_alive() -> None:
    store, thing = Remembered("one", 1), Thing()
    alive, key = weakref.ref(thing), id(thing)
    store.of(key, lambda: 1, thing)
    del thing
    gc.collect()
    assert id(alive()) == key  # so no other object has this id
    store.of("next", lambda: 2)
    gc.collect()
    assert alive() is None


def test_all_caches_are_emptied_at_once() -> None:
    """Those of functions too; each has a limit, and mapping's are among them."""
    made: list[int] = []

    @cached(2)
    def doubled(n: int) -> int:
        made.append(n)
        return 2 * n

    store = Remembered("one", 1)
    store.put("a", 1)
    assert [doubled(n) for n in (1, 1, 2, 3, 1)] == [2, 2, 4, 6, 2]
    assert made == [1, 2, 3, 1]
    layer, chip = make_layer(K=24, C=16, OY=8, OX=8), make_chip()
    before = map_layer(layer, chip)
    clear_caches()
    assert store.get("a") is None
    assert doubled(1) == 2
    assert made[4:] == [1]
    assert cache_statistics().size == 0
    assert map_layer(layer, chip) == before
    assert len(caches()) > 25
    assert all(cache.limit > 0 for cache in caches())


def test_text_is_written_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    written, write = [], build.loop_nest

    def counted(problem: Problem, placed: Placement) -> tuple[str, ...]:
        written.append(placed)
        return write(problem, placed)

    monkeypatch.setattr(build, "loop_nest", counted)
    clear_cache()
    made = map_layer(make_layer(K=24, C=16, OY=8, OX=8), make_chip())
    assert not written
    lines = tuple(made.loop_nest)
    assert lines[0].startswith("homes: ")
    assert (len(made.loop_nest), made.loop_nest[0], *made.loop_nest[1:]) == (len(lines), *lines)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other == made
        assert other.loop_nest == lines
        assert isinstance(other.loop_nest, tuple)
    assert made.loop_nest != lines[1:]
    assert len(written) == 1
    clear_cache()
