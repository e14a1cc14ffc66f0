"""A study mirrored into a real PostgreSQL server: the same study, and read back the same."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dse.reports.tables import Study, read_study
from tests.cli.conftest import Run
from tests.tools import program

pytestmark = pytest.mark.full

FOLDERS = "usr/lib/postgresql/*/bin"
#: Debian's account of the server, which does not run as root.
ACCOUNT = "postgres"
NUMBERS = itertools.count()
EXPERIMENT = """
schema_version: 1
name: mirrored
app: wearable_kws
chip: gap9
parameters:
  chip.node: {ladder: [28nm, 16nm, 7nm]}
  chip.f_hz: {ladder: [1.0e+8, 2.0e+8, 9.0e+9]}
  chip.array.cols: {ladder: [8, 16, 32]}
objectives: [{metric: average_power_w}, {metric: unit_cost_usd}]
population: 4
batch: 4
seed: 3
trials: 14
"""


def as_server(*command: str) -> None:
    """Run a program of the server, as its account where this is root."""
    root = os.geteuid() == 0
    change = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--init-groups"]
    done = subprocess.run(
        [*(change if root else []), *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command[0]}: {done.stdout}"


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """A server of its own, at a socket in a folder; the folder."""
    initdb, control = (program([name], "postgresql", FOLDERS) for name in ("initdb", "pg_ctl"))
    # Not below pytest's folders, which the server's account may not enter; and a short path.
    folder = Path(tempfile.mkdtemp(prefix="dse-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, ACCOUNT, ACCOUNT)
    data = str(folder / "data")
    try:
        as_server(initdb, "-D", data, "-U", "dse", "-A", "trust", "-E", "UTF8", "--no-locale")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        log = str(folder / "log")
        as_server(control, "-D", data, "-l", log, "-o", options, "-w", "-t", "600", "start")
        try:
            yield folder
        finally:
            as_server(control, "-D", data, "-m", "immediate", "-w", "-t", "600", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(server: Path) -> str:
    """An empty database of the test: its name."""
    name = f"test{next(NUMBERS)}"
    with psycopg.connect(host=str(server), user="dse", dbname="postgres", autocommit=True) as open_:
        open_.execute(f"CREATE DATABASE {name}".encode())
    return name


def url(server: Path, database: str) -> str:
    return f"postgresql+psycopg://dse@/{database}?host={server}"


def search(run: Run, out: str, trials: int, *more: str) -> Any:
    done = run(
        "explore", "mirrored.yaml", "--out", out, "--trials", str(trials), "--workers", "1",
        "--json", *more,
    )  # fmt: skip
    assert done.code == 0, done.err
    return done.json


def designs(study: Study) -> list[dict[str, Any]]:
    return [outcome.to_dict() for outcome in study.outcomes]


def test_a_mirrored_study_is_the_same_study(
    run: Run, server: Path, database: str, tmp_path: Path
) -> None:
    """Searched, gone on with, and gone on with once more when there is nothing left to do."""
    (tmp_path / "mirrored.yaml").write_text(EXPERIMENT)
    where = url(server, database)
    search(run, "plain", 8)
    search(run, "plain", 14)
    for trials in (8, 14, 14):
        search(run, "mirror", trials, "--storage", where)
        kept = designs(read_study("mirror"))
        assert len(kept) >= trials
        assert designs(read_study(where)) == kept
        with psycopg.connect(host=str(server), user="dse", dbname=database) as open_:
            rows = open_.execute("SELECT state, count(*) FROM trials GROUP BY state").fetchall()
        assert sum(number for _, number in rows) == len(kept)
    assert {state for state, _ in rows} == {"COMPLETE", "FAIL"}, "some chips cannot be built"
    assert designs(read_study("plain")) == kept


def test_a_report_of_the_database_is_that_of_the_folder(
    run: Run, server: Path, database: str, tmp_path: Path
) -> None:
    (tmp_path / "mirrored.yaml").write_text(EXPERIMENT)
    where = url(server, database)
    search(run, "study", 14, "--storage", where)
    for source, out in (("study", "of_folder"), (where, "of_database")):
        assert run("report", source, "--out", out, "--workers", "1").code == 0
    written = sorted(path.name for path in (tmp_path / "of_folder").iterdir())
    assert {"designs.csv", "pareto.csv", "pareto.json", "feedback.json"} <= set(written)
    assert sorted(path.name for path in (tmp_path / "of_database").iterdir()) == written
    for name in written:
        if name != "report.html":  # it names its source, and a folder knows the search's progress
            one, other = (tmp_path / out / name for out in ("of_folder", "of_database"))
            assert one.read_bytes() == other.read_bytes(), name


def test_a_server_that_is_not_there_is_one_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mirrored.yaml").write_text(EXPERIMENT)
    where = url(tmp_path, "any")
    for command in (
        ("explore", "mirrored.yaml", "--out", "x", "--storage", where),
        ("report", where, "--out", "y"),
    ):
        done = run(*command)
        assert done.code == 2
        assert done.err.startswith("error: postgresql")
        assert done.err.count("\n") == 1
        assert "Traceback" not in done.err
