"""Build step that pyproject.toml cannot express: the top-level data folders travel in the wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("models", "hwconfigs", "experiments")
SUFFIXES = (".onnx", ".yaml", ".json", ".csv", ".py")


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
                if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts:
                    goal = target / path.relative_to(root)
                    goal.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, goal)


setup(cmdclass={"build_py": BuildWithData})
