"""Mappings on disk: found again, never a torn or foreign file, bounded."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dse.mapping import disk
from dse.mapping.disk import DiskCache, disk_cache, use_disk_cache
from dse.mapping.mapper import cache_statistics, clear_cache, map_layer

from .conftest import make_chip, make_layer


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    use_disk_cache(tmp_path)
    clear_cache()
    yield tmp_path
    use_disk_cache(None)
    clear_cache()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_found_again_by_another_process(folder: Path) -> None:
    layers = [make_layer(f"l{n}", K=8 + n, C=8) for n in range(5)]
    chip = make_chip()
    made = [map_layer(layer, chip) for layer in layers]
    assert len(files(folder)) == 5
    clear_cache()
    assert [map_layer(layer, chip) for layer in layers] == made
    found = cache_statistics()
    assert (found.misses, found.disk_hits, found.disk_misses) == (5, 5, 5)
    assert [map_layer(layer, chip) for layer in layers] == made
    assert cache_statistics().hits == 5
    # Another chip, objective or room is another mapping.
    map_layer(layers[0], make_chip(dram=4e9))
    map_layer(layers[0], chip, "energy")
    map_layer(layers[0], chip, room_bytes=4096)
    assert len(files(folder)) == 8


def test_a_torn_or_foreign_file_is_not_there(folder: Path) -> None:
    layer, chip = make_layer(K=8, C=8), make_chip()
    made = map_layer(layer, chip)
    (file,) = files(folder)
    for content in (b"", file.read_bytes()[:40], pickle.dumps(os.getcwd), pickle.dumps([1])):
        file.write_bytes(content)
        clear_cache()
        assert map_layer(layer, chip) == made
    assert cache_statistics().disk_hits == 0


def test_bounded(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, limit=20)
    schedule = map_layer(make_layer(K=8, C=8), make_chip())
    for number in range(50):
        cache.put(number, schedule)
        os.utime(cache._path(number), (number, number))
    old = tmp_path / "0123456789abcdef"
    old.mkdir()
    (old / "x").write_text("of another version")
    cache.trim()
    assert len(files(tmp_path)) == 20
    assert cache.get(49) == schedule
    assert cache.get(0) is None
    assert not old.exists()


def _write(where: Path) -> int:
    cache = DiskCache(where)
    schedule = map_layer(make_layer(K=8, C=8), make_chip())
    for number in range(200):
        cache.put(number % 10, schedule)
        assert cache.get(number % 10) == schedule
    return cache.hits


def test_many_processes_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_write, [tmp_path] * 2) == [200, 200]
    assert len(files(tmp_path)) == 10


def test_filed_under_all_that_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of any number of a chip or layer that the mapper reads is another key."""
    chip = make_chip(l2=1e9, l2_bytes=1e5, nvm=1e9, nvm_bytes=1e5)
    changed: Any = dataclasses.replace
    parts: dict[str, Any] = {
        name: getattr(chip, name)
        for name in ("array", "buffer", "vector", "overheads", "host", "legality")
    }
    for name, part in parts.items():
        for field in (f.name for f in dataclasses.fields(part)):
            value = getattr(part, field)
            if (name, field) == ("host", "name") or dataclasses.is_dataclass(value):
                continue
            other = changed(part, **{field: _other(value)})
            assert changed(chip, **{name: other}).slice_key != chip.slice_key, (name, field)
    for name in ("registers", "sparsity", "compression"):
        part = getattr(chip.array, name)
        for field in (f.name for f in dataclasses.fields(part)):
            other = changed(part, **{field: _other(getattr(part, field))})
            array = changed(chip.array, **{name: other})
            assert changed(chip, array=array).slice_key != chip.slice_key, (name, field)
    for name, link in chip.links.items():
        for field in ("bytes_per_s", "capacity_bytes"):
            links = {**chip.links, name: changed(link, **{field: 3.0})}
            assert changed(chip, links=links).slice_key != chip.slice_key, (name, field)
    dearer = {**chip.prices, "noc.bit": 1.0}
    for change in ({"f_hz": 1.0}, {"prices": dearer}, {"static": ()}):
        assert changed(chip, **change).slice_key != chip.slice_key, change
    layer = make_layer(K=8, C=8)
    names = ("name", "op", "nodes", "inputs", "outputs", "w_tensor", "note", "rectified")
    for field in (f.name for f in dataclasses.fields(layer) if f.name not in names):
        new = None if field == "nest" else _other(getattr(layer, field))
        assert changed(layer, **{field: new}).shape_key != layer.shape_key, field
    # Files beside the mapper's own that it reads are there, and in its version.
    version = disk.mapper_version.__wrapped__
    before = version()
    assert before == version()
    monkeypatch.setattr(disk, "READ", disk.READ[1:])
    assert version() != before


def _other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, dict):
        return {**value, "another": 7}
    return (1.0, 2.0, 3.0) if value is None else (*value, value[0] if value else ("K", 3))


def test_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for value, folder in (("", None), ("0", None), (str(tmp_path), tmp_path)):
        monkeypatch.setenv("DSE_MAPPING_CACHE", value)
        monkeypatch.setattr(disk, "_state", {})
        found = disk_cache()
        assert (found.folder.parent if found else None) == folder
