"""One run at a time in a folder, and what a dead run left is taken over. No clock, no waiting."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dse.errors import InputError, RunError
from dse.search import StudyFolder, explore
from dse.search.lock import BEAT_S, LOCK, MISSED, StudyLock
from tests.search.test_study import experiment


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1.7e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lock(folder: Path, clock: Clock) -> StudyLock:
    return StudyLock(folder, clock=clock, beating=False)


def change(folder: Path, clock: Clock, **fields: object) -> None:
    """As if another run held the lock; its last heartbeat stays."""
    path = folder / LOCK
    beat = path.stat().st_mtime
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    os.utime(path, (beat, beat))


def test_the_lock_says_who_holds_it(tmp_path: Path, clock: Clock) -> None:
    first = lock(tmp_path, clock)
    first.acquire()
    held = json.loads((tmp_path / LOCK).read_text())
    assert held["process"] == os.getpid()
    assert held["started"] == "2023-11-14T22:13:20Z"
    clock.now += 7
    with pytest.raises(InputError) as refused:
        lock(tmp_path, clock).acquire()
    told = refused.value.describe()
    for word in (
        f"process {os.getpid()}",
        held["host"],
        held["started"],
        "7 s ago",
        "--break-lock",
    ):
        assert word in told
    assert "\n" not in told
    first.release()
    assert list(tmp_path.iterdir()) == []
    lock(tmp_path, clock).acquire()


def test_a_run_of_this_machine_that_was_killed_holds_nothing(tmp_path: Path, clock: Clock) -> None:
    lock(tmp_path, clock).acquire()
    change(tmp_path, clock, process=2**22 + 1, token="of the dead")  # no such process
    lock(tmp_path, clock).acquire()
    change(tmp_path, clock, born="1", token="of the dead")  # its number was given to another
    lock(tmp_path, clock).acquire()


def test_another_machine_is_waited_for_ten_heartbeats(tmp_path: Path, clock: Clock) -> None:
    lock(tmp_path, clock).acquire()
    change(tmp_path, clock, host="elsewhere", token="far away")
    clock.now += MISSED * BEAT_S
    with pytest.raises(InputError, match="on elsewhere since"):
        lock(tmp_path, clock).acquire()
    clock.now += 1
    lock(tmp_path, clock).acquire()


def test_a_heartbeat_keeps_a_lock_alive(tmp_path: Path, clock: Clock) -> None:
    first = lock(tmp_path, clock)
    first.acquire()
    token = json.loads((tmp_path / LOCK).read_text())["token"]
    for _ in range(3):
        clock.now += MISSED * BEAT_S
        assert first.beat()
    change(tmp_path, clock, host="elsewhere", token=token)
    clock.now += MISSED * BEAT_S
    with pytest.raises(InputError, match="last heard of 100 s ago"):
        lock(tmp_path, clock).acquire()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}'])
def test_a_lock_that_says_nothing_grows_old_too(tmp_path: Path, clock: Clock, text: str) -> None:
    (tmp_path / LOCK).write_text(text)
    os.utime(tmp_path / LOCK, (clock.now, clock.now))
    with pytest.raises(InputError, match="does not name"):
        lock(tmp_path, clock).acquire()
    clock.now += MISSED * BEAT_S + 1
    lock(tmp_path, clock).acquire()


def test_who_lost_the_lock_stops_and_leaves_the_other_one(tmp_path: Path, clock: Clock) -> None:
    first, second = lock(tmp_path, clock), lock(tmp_path, clock)
    first.acquire()
    second.acquire(break_lock=True)
    first.check()  # it has not noticed yet
    assert not first.beat()
    with pytest.raises(RunError, match="taken over"):
        first.check()
    first.release()
    assert (tmp_path / LOCK).exists()
    second.release()
    assert not (tmp_path / LOCK).exists()


def test_a_second_run_on_a_folder_is_refused(tmp_path: Path) -> None:
    explore(experiment(), tmp_path, trials=2, workers=1)
    assert not (tmp_path / LOCK).exists()
    running = StudyLock(tmp_path, beating=False)
    running.acquire()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="another run holds this folder"):
        explore(experiment(), tmp_path, trials=4, workers=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    result = explore(experiment(), tmp_path, trials=3, workers=1, break_lock=True)
    assert len(result.outcomes) == 3
    assert len(list(StudyFolder(tmp_path).outcomes())) == 3


def test_a_run_that_fails_gives_the_folder_back(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--storage"):
        explore(experiment(), tmp_path, trials=2, workers=1, storage="nonsense://x")
    assert not (tmp_path / LOCK).exists()
