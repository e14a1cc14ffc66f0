"""Build step that pyproject.toml cannot express: the top-level data folders travel in the wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("models", "hwconfigs", "experiments")


class BuildWithData(build_py):
    """Copies the shipped folders to ``dse/shipped`` of the built package."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        root = Path(__file__).resolve().parent
        target = Path(self.build_lib) / "dse" / "shipped"
        shutil.rmtree(target, ignore_errors=True)
        for folder in FOLDERS:
            for path in sorted((root / folder).rglob("*")):
                if path.is_file() and not _left_behind(path.relative_to(root)):
                    goal = target / path.relative_to(root)
                    goal.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, goal)


def _left_behind(path: Path) -> bool:
    """Whether a file is what running scripts or an editor leaves: the rest travels, of any kind."""
    return "__pycache__" in path.parts or path.name.startswith(".") or path.name.endswith("~")


setup(cmdclass={"build_py": BuildWithData})
