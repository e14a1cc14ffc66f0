"""What is installed works for an ordinary user elsewhere, and says the same as the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dse.version import __version__, model_version
from tests.packaging.conftest import (
    ROOT,
    STRANGER,
    Built,
    as_stranger,
    bare_env,
    call,
    for_strangers,
    installed,
)

pytestmark = pytest.mark.full

EXPERIMENT = """
schema_version: 1
name: small
app: wearable_kws
chip: gap9
parameters:
  chip.node: {ladder: [28nm, 16nm, 7nm]}
  chip.array.cols: {ladder: [8, 16, 32]}
  chip.buffer.bytes: {ladder: [65536, 262144]}
objectives:
  - metric: average_power_w
  - metric: unit_cost_usd
population: 4
batch: 4
trials: 6
"""


@dataclass(frozen=True)
class Place:
    """An installation, and a user's own folder elsewhere."""

    python: Path
    site: Path
    home: Path

    def run(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        """``dse`` of the installation, run by the user from the own folder."""
        command = self.python.with_name("dse")
        return as_stranger([command, *arguments], self.home, bare_env(self.home, **more))

    def json(self, *arguments: object) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def place(built: Built) -> Place:
    """Installed where nobody but root can write; without root, where writing is taken away."""
    python = installed(built.folder / "venv", for_strangers(), built.wheel, cwd=built.folder)
    (site,) = (built.folder / "venv" / "lib").glob("python3*/site-packages")
    home = built.folder / "home"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, STRANGER, STRANGER)
    else:
        for path in [site / "dse", *(site / "dse").rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
    (home / "small.yaml").write_text(EXPERIMENT)
    return Place(python, site, home)


def here(*arguments: object, cwd: Path) -> Any:
    """The same command of the checkout."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = call(sys.executable, "-m", "dse", *arguments, "--json", cwd=cwd, env=env)
    return json.loads(done.stdout)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_says_the_same_as_the_checkout(place: Place, tmp_path: Path) -> None:
    before = files(place.site / "dse")
    digest = model_version().partition("+")[2]
    assert place.run("--version").stdout == f"dse {__version__} (model {digest})\n"
    for command in (
        ("chips",),
        ("models",),
        ("apps",),
        ("simulate", "mobilenetv2", "--chip", "edge_vision"),
        ("map", "dscnn_kws", "--chip", "edge_vision"),
    ):
        own, theirs = json.dumps(place.json(*command)), json.dumps(here(*command, cwd=tmp_path))
        assert str(ROOT) not in own
        # Models say where their files are: some ship with this package, some with onnx.
        own = own.replace(str(place.site / "dse" / "shipped"), str(ROOT))
        assert own.replace(str(place.site), sysconfig.get_path("purelib")) == theirs, command
    shutil.copyfile(place.home / "small.yaml", tmp_path / "small.yaml")
    explore = ("explore", "small.yaml", "--out", "study", "--workers", "1")
    place.json(*explore)
    here(*explore, cwd=tmp_path)
    logs = [folder / "study" / "evaluations.jsonl" for folder in (place.home, tmp_path)]
    mine, others = ([json.loads(line) for line in log.read_text().splitlines()] for log in logs)
    assert len(mine) == 6
    timed = ("seconds", "mappings", "remembered")
    assert [{k: v for k, v in row.items() if k not in timed} for row in mine] == [
        {k: v for k, v in row.items() if k not in timed} for row in others
    ]
    place.run("report", "study", "--out", "report")
    assert (place.home / "report" / "report.html").stat().st_size > 10_000
    # Nothing was written where the package is; what was compiled is in the user's cache.
    assert files(place.site / "dse") == before
    assert list((place.home / ".cache" / "numba").rglob("*.nbi"))


def test_the_module_is_the_command(place: Place) -> None:
    done = as_stranger([place.python, "-m", "dse", "--version"], place.home, bare_env(place.home))
    assert done.stdout == place.run("--version").stdout


def test_a_user_without_a_home(place: Place, tmp_path: Path) -> None:
    """Nowhere to write at all: each process compiles, says so once, and gives the same numbers."""
    command = ("simulate", "dscnn_kws", "--chip", "edge_vision", "--json")
    env = bare_env(None, DSE_MAPPING_CACHE="1")
    done = as_stranger([place.python.with_name("dse"), *command], Path("/"), env)
    assert json.loads(done.stdout) == here(*command[:-1], cwd=tmp_path)
    if os.geteuid() == 0:  # (an ordinary user that the machine knows has a home all the same)
        assert done.stderr.count("compiling the mapper") <= 1
        assert "once" not in done.stderr
        assert not Path("/~").exists()


PROGRAM = """
import dse

chip = dse.load_chip("edge_vision", node="7nm")
result = dse.simulate(dse.load_model("mobilenetv2"), chip)
energy: float | None = result.energy_j
reveal_type(dse.__version__)
"""


def test_typed_for_those_who_import_it(place: Place, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text(PROGRAM + "name: str = dse.__version__ + 1\n")
    command = (sys.executable, "-m", "mypy", "--python-executable", place.python)
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    settings: dict[str, Any] = {
        "cwd": tmp_path,
        "env": {**env, "MYPY_CACHE_DIR": str(tmp_path / "cache")},
    }
    said = call(*command, "program.py", **settings).stdout
    assert 'Revealed type is "str"' in said.replace("builtins.", "")
    wrong = subprocess.run(
        [*map(str, command), "wrong.py"], capture_output=True, text=True, **settings
    )
    assert wrong.returncode == 1
    assert "error" in wrong.stdout
