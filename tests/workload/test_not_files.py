"""What is no regular file is refused in one line, and never read: it might have no end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dse import load_chip
from dse.apps import load_app
from dse.errors import InputError
from dse.files import regular
from dse.mapping.given.interchange import read_foreign
from dse.migrations.paths import migrate_path
from dse.model_quality.results import read_report
from dse.schema import read_yaml
from dse.search.experiment import load_experiment
from dse.search.folder import CONFIG, LOG, StudyFolder
from dse.simulation.arrivals import read_trace
from dse.workload import load_model

READERS: list[Callable[[str], Any]] = [
    load_model,
    load_chip,
    load_app,
    load_experiment,
    migrate_path,
    read_yaml,
    read_report,
    read_trace,
    read_foreign,
]


def made(kind: str, folder: Path) -> tuple[str, str]:
    """A path of a kind, and how an error calls it."""
    place = str(folder / "x.yaml")
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made_here:
            os.chdir(folder)  # names of sockets are short
            made_here.bind("x.yaml")
    elif kind == "folder":
        os.mkdir(place)
    elif kind == "link":
        os.symlink("/dev/zero", place)
    else:
        place = "/dev/zero"
    return place, {"link": "device"}.get(kind, kind)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="a system without devices")
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device", "link"])
def test_what_is_no_file_is_refused(
    read: Callable[[str], Any], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place, shown = made(kind, tmp_path)
    with pytest.raises(InputError) as caught:
        read(place)
    wanted = f"it is a {shown}, not a file"
    if read is migrate_path and kind == "folder":  # folders are migrated as a whole
        wanted = "no file in it carries a version"
    assert wanted in str(caught.value)
    assert caught.value.mend
    assert str(caught.value).isprintable()


def test_a_study_of_pipes_is_not_read(tmp_path: Path) -> None:
    """``dse report`` and ``dse explore`` on a folder whose files have been replaced."""
    for name in (CONFIG, LOG):
        os.mkfifo(tmp_path / name)
    study = StudyFolder(tmp_path)
    with pytest.raises(InputError, match="no study in this folder"):
        study.config()
    for read in (lambda: list(study.outcomes()), study.effort):
        with pytest.raises(InputError, match="a pipe, not a file"):
            read()


def test_settings_behind_the_name_of_a_device() -> None:
    with pytest.raises(InputError, match="a device, not a file"):
        load_model("/dev/zero@batch=2")


def test_a_file_and_a_place_without_one_pass(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    assert regular(tmp_path / "a") == tmp_path / "a"
    assert regular(tmp_path / "absent") == tmp_path / "absent"
    assert regular("a\0b") == Path("a\0b")
