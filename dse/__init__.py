"""Edge-AI chip design-space exploration: apps, ONNX models and chips tuned to each other.

Importing the package is cheap; each name below loads what it needs when it is first used::

    import dse
    model = dse.load_model("mobilenetv2")
    chip = dse.load_chip("edge_vision", node="7nm")
    result = dse.simulate(model, chip)
    result.energy_j, result.table()

Everything that the command line does is a function here (``docs/python.md`` shows each at work).
Results are frozen typed records with ``.to_dict()`` (what the command prints as JSON) and
``.table()`` (rows for a data frame); they print on one screen, and as a table in a notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dse.errors import DseError, ImpossibleChipError, InputError, RunError, UnmappableError
from dse.version import __version__

if TYPE_CHECKING:
    from dse.api.alternatives import LayerFront, PipelineMapping, map_front, map_pipeline
    from dse.api.catalogue import (
        Listing,
        NodeTable,
        Shown,
        app_schema,
        file_numbers,
        file_schema,
        list_apps,
        list_chips,
        list_models,
        list_templates,
        nodes,
        show,
    )
    from dse.api.evaluating import Explanation, explain, simulate, uncertainty
    from dse.api.loading import (
        is_app,
        load_app,
        load_chip,
        load_experiment,
        load_model,
        load_platform,
        load_study,
    )
    from dse.api.mapping import MappedLayer, NetworkMapping, map_chips, map_layer, map_network
    from dse.api.measuring import (
        Profile,
        PublishedQuality,
        Validation,
        profile,
        quality,
        validate,
    )
    from dse.api.migrating import migrate
    from dse.api.studies import Comparison, Report, compare, explore, report, sweep
    from dse.apps import App
    from dse.evaluation import Evaluation, LayerRow, TaskRow, Uncertainty
    from dse.hardware.chip import Chip, Platform
    from dse.mapping import BatchResult
    from dse.migrations import MigrationReport
    from dse.model_quality import QualityReport
    from dse.reports import Study
    from dse.search import Experiment, Outcome, Progress, StudyResult
    from dse.workload import Layer, Model, Workload

#: Where each public name stands that is loaded when it is first used.
_HOME = {
    "App": "apps",
    "BatchResult": "mapping",
    "Chip": "hardware.chip",
    "Comparison": "api.studies",
    "Evaluation": "evaluation",
    "Experiment": "search",
    "Explanation": "api.evaluating",
    "Layer": "workload",
    "LayerFront": "api.alternatives",
    "LayerRow": "evaluation",
    "Listing": "api.catalogue",
    "MappedLayer": "api.mapping",
    "MigrationReport": "migrations",
    "Model": "workload",
    "NetworkMapping": "api.mapping",
    "NodeTable": "api.catalogue",
    "Outcome": "search",
    "PipelineMapping": "api.alternatives",
    "Platform": "hardware.chip",
    "Profile": "api.measuring",
    "Progress": "search",
    "PublishedQuality": "api.measuring",
    "QualityReport": "model_quality",
    "Report": "api.studies",
    "Shown": "api.catalogue",
    "Study": "reports",
    "StudyResult": "search",
    "TaskRow": "evaluation",
    "Uncertainty": "evaluation",
    "Validation": "api.measuring",
    "Workload": "workload",
    "app_schema": "api.catalogue",
    "compare": "api.studies",
    "explain": "api.evaluating",
    "explore": "api.studies",
    "file_numbers": "api.catalogue",
    "file_schema": "api.catalogue",
    "is_app": "api.loading",
    "list_apps": "api.catalogue",
    "list_chips": "api.catalogue",
    "list_models": "api.catalogue",
    "list_templates": "api.catalogue",
    "load_app": "api.loading",
    "load_chip": "api.loading",
    "load_experiment": "api.loading",
    "load_model": "api.loading",
    "load_platform": "api.loading",
    "load_study": "api.loading",
    "map_chips": "api.mapping",
    "map_front": "api.alternatives",
    "map_layer": "api.mapping",
    "map_network": "api.mapping",
    "map_pipeline": "api.alternatives",
    "migrate": "api.migrating",
    "nodes": "api.catalogue",
    "profile": "api.measuring",
    "quality": "api.measuring",
    "report": "api.studies",
    "show": "api.catalogue",
    "simulate": "api.evaluating",
    "sweep": "api.studies",
    "uncertainty": "api.evaluating",
    "validate": "api.measuring",
}

__all__ = [
    "App",
    "BatchResult",
    "Chip",
    "Comparison",
    "DseError",
    "Evaluation",
    "Experiment",
    "Explanation",
    "ImpossibleChipError",
    "InputError",
    "Layer",
    "LayerFront",
    "LayerRow",
    "Listing",
    "MappedLayer",
    "MigrationReport",
    "Model",
    "NetworkMapping",
    "NodeTable",
    "Outcome",
    "PipelineMapping",
    "Platform",
    "Profile",
    "Progress",
    "PublishedQuality",
    "QualityReport",
    "Report",
    "RunError",
    "Shown",
    "Study",
    "StudyResult",
    "TaskRow",
    "Uncertainty",
    "UnmappableError",
    "Validation",
    "Workload",
    "__version__",
    "app_schema",
    "compare",
    "explain",
    "explore",
    "file_numbers",
    "file_schema",
    "is_app",
    "list_apps",
    "list_chips",
    "list_models",
    "list_templates",
    "load_app",
    "load_chip",
    "load_experiment",
    "load_model",
    "load_platform",
    "load_study",
    "map_chips",
    "map_front",
    "map_layer",
    "map_network",
    "map_pipeline",
    "migrate",
    "nodes",
    "profile",
    "quality",
    "report",
    "show",
    "simulate",
    "sweep",
    "uncertainty",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dse' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"dse.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
