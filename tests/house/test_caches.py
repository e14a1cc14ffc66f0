"""What is remembered in a process is remembered in one place: by name, bounded, emptied at once."""

from __future__ import annotations

import ast
import importlib
from collections import Counter

import dse
from dse.registry import cached, caches, clear_caches
from tests.house.imports import modules

#: Where caches are made.
HOME = "dse.registry"
#: What Python offers besides; a property of an object goes with the object.
OTHERS = {"lru_cache", "cache"}
#: Stores that live in an object each.
MANY = {"workload.sources.made"}


def test_caches_are_made_in_the_registry_only() -> None:
    for name, path in modules().items():
        if name == HOME:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "functools":
                assert not OTHERS & {alias.name for alias in node.names}, name
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "functools":
                assert node.attr not in OTHERS, f"{name}: use dse.registry.cached"


def test_each_cache_has_a_name_of_its_own_that_says_where_it_is() -> None:
    known = {name.removeprefix("dse.") for name in modules()}
    for name in modules():
        if not name.endswith("__main__"):
            importlib.import_module(name)
    found = [cache for cache in caches() if cache.name.rpartition(".")[0] in known]
    assert len(found) > 60
    counts = Counter(cache.name for cache in found if cache.name not in MANY)
    assert set(counts.values()) == {1}
    assert all(cache.limit > 0 for cache in found)


def test_all_are_emptied() -> None:
    """Whatever an evaluation remembers: of files, chips, networks, mappings, versions."""

    @cached(1)
    def own() -> int:
        return 1

    clear_caches()
    first = dse.simulate("wearable_kws", "gap9", "analytic")
    assert own() == 1
    assert sum(len(cache) > 0 for cache in caches()) > 20
    clear_caches()
    assert {cache.name: len(cache) for cache in caches() if len(cache)} == {}
    assert dse.simulate("wearable_kws", "gap9", "analytic") == first
