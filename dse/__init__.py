"""Edge-AI chip design-space exploration: apps, ONNX models and chips tuned to each other.

Importing the package is cheap; each function below loads what it needs when it is first used::

    import dse
    model = dse.load_model("mobilenetv2")
    chip = dse.load_chip("edge_vision", node="7nm")
    result = dse.simulate(model, chip)
    result.energy_j, result.table()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dse.errors import DseError, ImpossibleChipError, InputError, RunError, UnmappableError
from dse.version import __version__

if TYPE_CHECKING:
    from dse.api import (
        explore,
        file_schema,
        load_app,
        load_chip,
        load_model,
        load_platform,
        map_layer,
        migrate,
        simulate,
    )

__all__ = [
    "DseError",
    "ImpossibleChipError",
    "InputError",
    "RunError",
    "UnmappableError",
    "__version__",
    "explore",
    "file_schema",
    "load_app",
    "load_chip",
    "load_model",
    "load_platform",
    "map_layer",
    "migrate",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("dse.api"), name)
    raise AttributeError(f"module 'dse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
