"""Mappings on disk: found again, never a torn or foreign file, bounded."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import dse.mapping.disk as disk

    for value, folder in (("", None), ("0", None), (str(tmp_path), tmp_path)):
        monkeypatch.setenv("DSE_MAPPING_CACHE", value)
        monkeypatch.setattr(disk, "_state", {})
        found = disk_cache()
        assert (found.folder.parent if found else None) == folder
