"""Mappings on disk: found again, never a torn or foreign file, bounded."""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dse.mapping.ir.schedule import LayerSchedule
from dse.mapping.layer import disk
from dse.mapping.layer.disk import DiskCache, disk_cache, key_digest, unpack, use_disk_cache
from dse.mapping.layer.mapper import cache_statistics, clear_cache, map_layer

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


@pytest.fixture(scope="module")
def entries() -> dict[object, LayerSchedule]:
    """Schedules of two kinds of chip by a key each."""
    chip, tiled = make_chip(), make_chip(l2=1e9, l2_bytes=1e5)
    made = [map_layer(make_layer(K=8, C=8, OY=6), one) for one in (chip, tiled)]
    made.append(dataclasses.replace(made[0], spare_bytes=math.inf, held={"W": ("OY", "OX")}))
    return {("layer", number, 0.1): schedule for number, schedule in enumerate(made)}


def test_read_as_it_was_written(tmp_path: Path, entries: dict[object, LayerSchedule]) -> None:
    """Every field is the same to the last bit and of the same type; lists of text are tuples."""
    cache = DiskCache(tmp_path)
    for key, schedule in entries.items():
        cache.put(key, schedule)
        found = cache.get(key)
        assert found == schedule
        assert repr(vars(found)) == repr(vars(schedule))
        assert type(found.loop_nest) is tuple


def test_every_byte_counts(tmp_path: Path, entries: dict[object, LayerSchedule]) -> None:
    """400 changes of one byte, in each part of an entry, and every way to cut it: misses all."""
    cache, drawn = DiskCache(tmp_path), random.Random(0)
    key, schedule = next(iter(entries.items()))
    cache.put(key, schedule)
    (file,) = files(tmp_path)
    entry = file.read_bytes()
    at_least = [*range(disk.HEAD), disk.HEAD, len(entry) - 1]
    places = at_least + drawn.choices(range(disk.HEAD, len(entry)), k=400 - len(at_least))
    for place in places:
        changed = bytearray(entry)
        changed[place] ^= drawn.randrange(1, 256)
        file.write_bytes(changed)
        assert cache.get(key) is None, place
    for length in (*range(disk.HEAD + 2), len(entry) // 2, len(entry) - 1):
        assert unpack(key_digest(key), entry[:length]) is None, length
    assert unpack(key_digest(key), entry + b" ") is None
    assert unpack(key_digest(key), pickle.dumps(schedule)) is None
    assert (cache.hits, cache.misses) == (0, 400)
    file.write_bytes(entry)
    assert cache.get(key) == schedule


def test_a_whole_entry_of_something_else(
    tmp_path: Path, entries: dict[object, LayerSchedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of another key, of another version, and one whose content is no schedule."""
    cache = DiskCache(tmp_path)
    (key, schedule), (other, elsewhere), *_ = entries.items()
    cache.put(key, schedule)
    cache.put(other, elsewhere)
    own, foreign = (cache.path(key_digest(name)) for name in (key, other))
    whole = own.read_bytes()
    own.write_bytes(foreign.read_bytes())
    assert cache.get(key) is None
    fields = json.loads(whole[disk.HEAD :])
    for name, value in (
        ("macs", "12"), ("macs", 1.5), ("phases", [[1, 2]]), ("counts", {"x": None}),
        ("cores", None), ("cores", True), ("layer", 3), ("drain", ["x"]),
    ):  # fmt: skip
        wrong = json.dumps({**fields, name: value}).encode()
        head = disk._head(key_digest(key), wrong)
        own.write_bytes(head + wrong)
        assert cache.get(key) is None, (name, value)
    less = json.dumps({k: v for k, v in fields.items() if k != "macs"}).encode()
    own.write_bytes(disk._head(key_digest(key), less) + less)
    assert cache.get(key) is None
    own.write_bytes(whole)
    assert cache.get(key) == schedule
    monkeypatch.setattr(disk, "mapper_version", lambda: "0" * 16)
    assert cache.get(key) is None
    assert DiskCache(tmp_path).folder != cache.folder


def test_what_stands_in_an_entrys_place(
    tmp_path: Path, entries: dict[object, LayerSchedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder, a pipe, a huge file, a broken link, a file for a folder: misses, and no error."""
    cache = DiskCache(tmp_path)
    key, schedule = next(iter(entries.items()))
    path = cache.path(key_digest(key))
    path.mkdir(parents=True)
    assert cache.get(key) is None
    cache.put(key, schedule)
    assert cache.get(key) is None
    assert files(tmp_path) == []  # nothing aside is left of the attempt
    cache.trim()
    cache.put(key, schedule)
    assert cache.get(key) == schedule
    path.unlink()
    os.mkfifo(path)
    assert cache.get(key) is None
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert cache.get(key) is None
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert cache.get(key) is None
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("no folder")
    assert cache.get(key) is None
    cache.put(key, schedule)
    cache.trim()
    unreadable = DiskCache(tmp_path / "other")
    unreadable.put(key, schedule)
    monkeypatch.setattr("builtins.open", _denied)
    assert unreadable.get(key) is None


def _denied(*_: object, **__: object) -> None:
    raise PermissionError("not yours")


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, entries: dict[object, LayerSchedule], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(tmp_path)
    key, schedule = next(iter(entries.items()))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "replace", full)
    cache.put(key, schedule)
    assert files(tmp_path) == []
    assert cache.get(key) is None


def test_bounded(tmp_path: Path, entries: dict[object, LayerSchedule]) -> None:
    cache = DiskCache(tmp_path, limit=20)
    schedule = next(iter(entries.values()))
    for number in range(50):
        cache.put(number, schedule)
        os.utime(cache.path(key_digest(number)), (number, number))
    old, own, link = (tmp_path / name for name in ("mappings-0", "0123456789abcdef", "mappings-x"))
    for folder in (old, own):
        folder.mkdir()
        (folder / "x").write_text("of another version")
    link.symlink_to(own)
    shelf = cache.path(key_digest(49)).parent
    (shelf / ".new-killed").write_bytes(b"x")
    os.utime(shelf / ".new-killed", (1, 1))
    (shelf / ".new-written").write_bytes(b"x")
    cache.trim()
    kept = {path.name for path in files(cache.folder)}
    assert kept == {cache.path(key_digest(n)).name for n in range(30, 50)} | {".new-written"}
    assert cache.get(49) == schedule
    assert cache.get(0) is None
    assert not old.exists()
    # What is not the cache's own stays.
    assert (own / "x").exists()


def test_keys_write_all_that_they_hold() -> None:
    """A key's text is its identity: no field is left out of it, none is an object's address."""
    chip = make_chip(l2=1e9, l2_bytes=1e5, nvm=1e9, nvm_bytes=1e5)
    _check_written((make_layer(K=8, C=8).mapping_view, chip.mapping_view))


def _check_written(value: Any) -> None:
    if dataclasses.is_dataclass(value):
        assert all(field.repr for field in dataclasses.fields(value)), type(value)
        value = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    if isinstance(value, tuple):
        for item in value:
            _check_written(item)
    else:
        assert value is None or type(value) in (str, int, float, bool), type(value)


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


def test_filed_under_all_that_it_depends_on() -> None:
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
            assert changed(chip, **{name: other}).mapping_view != chip.mapping_view, (name, field)
    for name in ("registers", "sparsity", "compression"):
        part = getattr(chip.array, name)
        for field in (f.name for f in dataclasses.fields(part)):
            other = changed(part, **{field: _other(getattr(part, field))})
            array = changed(chip.array, **{name: other})
            assert changed(chip, array=array).mapping_view != chip.mapping_view, (name, field)
    for name, link in chip.links.items():
        for field in ("bytes_per_s", "capacity_bytes"):
            links = {**chip.links, name: changed(link, **{field: 3.0})}
            assert changed(chip, links=links).mapping_view != chip.mapping_view, (name, field)
    dearer = {**chip.prices, "noc.bit": 1.0}
    for change in ({"f_hz": 1.0}, {"prices": dearer}, {"static": ()}):
        assert changed(chip, **change).mapping_view != chip.mapping_view, change
    layer = make_layer(K=8, C=8)
    names = (
        "name",
        "op",
        "nodes",
        "inputs",
        "outputs",
        "w_tensor",
        "note",
        "rectified",
        "row_wise",
    )
    for field in (f.name for f in dataclasses.fields(layer) if f.name not in names):
        new = None if field == "nest" else _other(getattr(layer, field))
        assert changed(layer, **{field: new}).mapping_view != layer.mapping_view, field


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


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSE_MAPPING_CACHE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be passed over, says its specification

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(disk, "_state", {})
    assert disk_cache() is None
