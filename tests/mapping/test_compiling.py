"""Compiled code counts few references to arrays: none is kept, and none is given back twice."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

import dse
from dse.hardware.resolve import load_chip
from dse.mapping.chips.batch import forget_tables, map_batch
from dse.mapping.cost import outer_tiles
from dse.mapping.layer.disk import use_disk_cache
from dse.mapping.layer.mapper import clear_cache, map_layer
from dse.mapping.layer.pareto import pareto_layer
from dse.mapping.network.program import map_network
from dse.mapping.network.warming import warm_up
from dse.mapping.path import shortest
from dse.mapping.search import evaluated, kernel, levels
from dse.mapping.tools.compiling import COMPILED

CHIPS = {
    "two levels": {"l2.bytes": 0},
    "tiles of L2": {"l2.bytes": 1 << 20},
    "registers": {"array.registers.shared": 64},
}


@pytest.fixture
def counted() -> Iterator[None]:
    """Numba counts what its arrays take and give back; no mappings from disk."""
    runtime = pytest.importorskip("numba.core.runtime._nrt_python")
    runtime.memsys_enable_stats()
    use_disk_cache(None)
    yield
    runtime.memsys_disable_stats()


@pytest.mark.skipif(not COMPILED, reason="needs Numba")
def test_networks_need_nothing_compiled_after_warming_up() -> None:
    warm_up()
    for name in ("edge_vision", "rk3588_npu"):
        map_network(dse.load_model("resnet50_v1.5").at("w8a8"), load_chip(name))
    for module, name in (
        (kernel, "search"),
        (levels, "search_levels"),
        (outer_tiles, "find_entries"),
        (evaluated, "evaluate_tiles"),
        (shortest, "shortest"),
    ):
        made = getattr(module, name)._function.signatures
        assert sum("none" in str(types) or name != "search_levels" for types in made) == 1


@pytest.mark.skipif(not COMPILED, reason="needs Numba")
@pytest.mark.parametrize("kind", CHIPS)
def test_all_that_kernels_take_they_give_back(kind: str, counted: None) -> None:
    from numba.core.runtime import rtsys

    chip = load_chip("edge_vision", overrides=CHIPS[kind])
    layers = dse.load_model("mobilenetv2").at("w8a8").layers
    several = [layer for layer in layers if layer.kind == "compute"][::9]

    def work() -> None:
        for layer in several:
            map_layer(layer, chip)
        pareto_layer(several[0], chip)
        if kind == "two levels":
            map_batch(several[:1], [chip, load_chip("edge_vision", overrides={"f_hz": 3e8})])
        clear_cache()
        forget_tables()
        gc.collect()

    work()
    before = rtsys.get_allocation_stats()
    work()
    after = rtsys.get_allocation_stats()
    taken, given = after.alloc - before.alloc, after.free - before.free
    assert taken > 0
    assert taken == given
    assert after.mi_alloc - before.mi_alloc == after.mi_free - before.mi_free
