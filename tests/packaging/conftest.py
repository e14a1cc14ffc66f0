"""Building the package once, and running what was installed as somebody else would."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A user that no machine knows, when the tests run as root.
STRANGER = 54321


def call(*command: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; an error shows what it said."""
    settings = {"capture_output": True, "text": True, **settings}
    done = subprocess.run([str(part) for part in command], **settings)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Built:
    """``folder`` holds everything and can be read by all; ``sdist`` and ``wheel`` are made of it,
    ``direct`` is the wheel made of the checkout without the sdist."""

    folder: Path
    source: Path
    sdist: Path
    wheel: Path
    direct: Path


@pytest.fixture(scope="session")
def built() -> Iterator[Built]:
    """Both made of a copy of what git tracks, with litter in it that must not travel."""
    folder = Path(tempfile.mkdtemp(prefix="dse-packaging-"))
    folder.chmod(0o755)
    source = folder / "source"
    tracked = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    for litter in ("out/study/study.json", "dse/mapping/__pycache__/costs.nbi",
                   "dse/mapping/.costs.py.swp", "models/__pycache__/export.pyc",
                   "experiments/apps/old.yaml~"):  # fmt: skip
        (source / litter).parent.mkdir(parents=True, exist_ok=True)
        (source / litter).write_bytes(b"litter")
    call(sys.executable, "-m", "build", "--outdir", folder / "dist", source)
    call(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "direct", source)
    (sdist,), (wheel,) = (folder / "dist").glob("*.gz"), (folder / "dist").glob("*.whl")
    (direct,) = (folder / "direct").glob("*.whl")
    yield Built(folder, source, sdist, wheel, direct)
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


def candidates() -> Iterator[Path]:
    """Every Python on the path whose name is that of a version this package takes."""
    for minor in range(11, 30):
        for folder in os.get_exec_path():
            path = Path(folder) / f"python3.{minor}"
            if path.is_file():
                yield path


def runs(path: Path, **settings: Any) -> bool:
    """Whether a Python runs and can make environments."""
    try:
        command = [str(path), "-c", "import venv, ensurepip"]
        return subprocess.run(command, capture_output=True, cwd="/", **settings).returncode == 0
    except OSError:
        return False


def interpreters() -> list[Path]:
    """The first Python on the path of each version that is there, oldest first."""
    found: dict[str, Path] = {}
    for path in candidates():
        if path.name not in found and runs(path):
            found[path.name] = path
    return list(found.values())


def stranger() -> dict[str, Any]:
    """How ``subprocess`` runs a command as an ordinary user."""
    if os.geteuid() != 0:
        return {}
    return {"user": STRANGER, "group": STRANGER, "extra_groups": []}


def for_strangers() -> Path:
    """A Python that an ordinary user may run (one below another's home may not)."""
    for path in (Path(sys.executable), *candidates()):
        if runs(path, **stranger()):
            return path
    raise AssertionError("no Python here can be run by an ordinary user")


def installed(where: Path, python: Path, *what: object, cwd: Path) -> Path:
    """A fresh environment with packages in it; its Python."""
    call(python, "-m", "venv", where, cwd=cwd)
    made = where / "bin" / "python"
    call(made, "-m", "pip", "install", "--quiet", *what, cwd=cwd)
    return made


def bare_env(home: Path | None, **more: str) -> dict[str, str]:
    """What a user's shell sets, and nothing of ours; without a home if it is None."""
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **more}
    return env if home is None else {**env, "HOME": str(home)}


def as_stranger(
    command: Sequence[object], cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return call(*command, cwd=cwd, env=env, **stranger())
