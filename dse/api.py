"""The Python interface: load a model, a chip or an app; map, simulate, explore.

Results are frozen typed records with ``.to_dict()`` (what the command line prints as JSON) and
``.table()`` (rows for a data frame).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dse.apps import App, load_app
from dse.errors import InputError
from dse.evaluation import (
    Evaluation,
    Fidelity,
    Terms,
    evaluate_app,
    evaluate_model,
    stream_workloads,
    workload_on,
)
from dse.evaluation.core_choice import preferred, usable
from dse.hardware.chip import Chip, Platform
from dse.hardware.kinds import kind_named
from dse.mapping import MappedLayer, Objective, mapped_layer
from dse.migrations import MigrationReport, migrate_path
from dse.search import Experiment, StudyResult, check_experiment, load_experiment
from dse.workload import Layer, Model, Workload
from dse.workload.layer import Binding

__all__ = [
    "explore",
    "load_app",
    "load_chip",
    "load_model",
    "load_platform",
    "map_layer",
    "migrate",
    "simulate",
]


def load_model(path_or_name: str | Path, **bindings: Binding) -> Model:
    """A shipped model by name (``mobilenetv2@width=0.5,res=192``), or any ``.onnx`` file.

    Args:
        path_or_name: name or path.
        **bindings: sizes of dynamic axes, such as ``batch=1, seq=256``, and values of small inputs.

    Raises:
        InputError: no such model, or a file that cannot be read.
    """
    from dse.workload import load_model as load

    return load(path_or_name, unknown_ops="error", **bindings)


def load_chip(path_or_name: str | Path, node: str | int | None = None, **overrides: Any) -> Chip:
    """A shipped chip by name, or a YAML file; resolved and priced at ``node``.

    Args:
        path_or_name: name or path.
        node: such as ``"7nm"``; the file's own by default.
        **overrides: spec values by path, dots written as double underscores
            (``array__rows=32``, ``f_hz=8e8``).

    Raises:
        InputError: no such chip, a fault in the file, or a chip that cannot be built.
    """
    from dse.hardware.resolve import load_chip as load

    paths = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(path_or_name, node=node, overrides=paths or None)


def load_platform(
    path_or_name: str | Path, node: str | int | None = None, **overrides: Any
) -> Platform:
    """A device, a data-centre chip and the network between them, from a name or a YAML file.

    Args:
        path_or_name: name or path.
        node: of the device; the file's own by default.
        **overrides: values by path as in :func:`load_chip`; ``link__rtt_s``,
            ``cloud__utilization`` and ``cloud__chip__cores`` for what is not the device.

    Raises:
        InputError: no such platform, or a fault in its file or in a chip's.
    """
    from dse.hardware.platform import load_platform as load

    paths = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(path_or_name, None if node is None else str(node), paths or None)


def map_layer(
    layer: Layer,
    chip: Chip,
    objective: Objective = "edp",
    *,
    legal: bool = False,
    kind: str | None = None,
) -> MappedLayer:
    """The best mapping of one layer alone on one core of ``chip``.

    Activations are in DRAM (without DRAM in L2 or the buffer), weights in NVM if they fit there.
    ``legal`` keeps to what the chip's compiler can express (its ``legality``). ``kind`` of core, on
    a chip with several; by default the one on which ``objective`` is least.

    Raises:
        UnmappableError: no unit of the chip (or kind) can run the layer, or it fits no memory.
    """

    def on(view: Chip) -> tuple[MappedLayer, float, float]:
        made = mapped_layer(layer, view, objective, legal=legal)
        energy_j = made.energy_j + view.mapping_static_w * made.latency_s
        return made, made.latency_s, energy_j

    options = [(one.name, partial(on, one.chip)) for one in usable(chip, kind)]
    return preferred(options, objective)[1]


def simulate(
    model_or_app: Model | Workload | App,
    chip: Chip | Platform,
    fidelity: Fidelity = "simulate",
    *,
    precision: str | None = None,
    volume: float = 1e6,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    kind: str | None = None,
    legal: bool = False,
) -> Evaluation:
    """A model alone or a whole app on a chip.

    Args:
        model_or_app: from :func:`load_model` or :func:`load_app`.
        chip: from :func:`load_chip`, or (for an app) a platform of :func:`load_platform`.
        fidelity: ``roofline`` (bound), ``analytic`` (sum) or ``simulate`` (discrete events).
        precision: of a model, such as ``w8a8``; by default the file's own, else the chip's native.
        volume: units over the product's life, for a model's unit cost (an app has its own).
        seed: of jitter, random arrivals and triggers.
        settings: model settings of an app's streams, such as ``{"sort.precision": "w8a16"}``.
        kind: of core that a model runs on, on a chip with several; by default the one that the
            mapper's objective prefers (an app pins its streams itself).
        legal: whether a model's mapping keeps to what the chip's compiler can express.
    """
    if isinstance(model_or_app, App):
        workloads = stream_workloads(model_or_app, chip, settings)
        return evaluate_app(model_or_app, workloads, chip, fidelity, seed=seed)[0]
    if isinstance(chip, Platform):
        if len(chip.chips) != 1:
            raise InputError(
                f"a platform of {len(chip.chips)} chips",
                field="chip",
                mend="give one chip; only an app can be placed on several",
            )
        chip = chip.chip
    if isinstance(model_or_app, Model):
        view = chip if kind is None else kind_named(chip, kind, "kind").chip
        workload = workload_on(model_or_app, precision, view)
    elif isinstance(model_or_app, Workload):
        workload = model_or_app
    else:
        raise InputError(
            f"cannot simulate a {type(model_or_app).__name__}",
            mend="give what load_model or load_app returned",
        )
    terms = Terms(volume=volume, seed=seed, kind=kind, legal=legal)
    return evaluate_model(workload, chip, fidelity, terms)


def explore(
    experiment: Experiment | str | Path,
    trials: int | None = None,
    storage: str | None = None,
    *,
    out: str | Path | None = None,
    workers: int | None = 1,
    seed: int | None = None,
    warm_start: str | Path | None = None,
) -> StudyResult:
    """Search an experiment's space with Optuna.

    Args:
        experiment: the experiment, its YAML file, or a shipped name.
        trials: distinct designs wanted (default: the experiment's own number).
        storage: an Optuna storage URL or journal file that mirrors the study.
        out: study folder; an interrupted run in it is continued.
        workers: processes; the result does not depend on it. A script that asks for several must
            guard its entry with ``if __name__ == "__main__"``.
        seed: in place of the experiment's.
        warm_start: folder of an earlier study, also one of another model version, whose best
            designs this search begins with; they are evaluated anew.
    """
    from dse.search import explore as run
    from dse.search import starting_designs

    name = "experiment" if isinstance(experiment, Experiment) else str(experiment)
    found = experiment if isinstance(experiment, Experiment) else load_experiment(experiment)
    if seed is not None:
        found = found.model_copy(update={"seed": seed})
    resolved = check_experiment(found, name)
    start = () if warm_start is None else starting_designs(found, warm_start)
    return run(resolved, out, trials=trials, workers=workers, storage=storage, start=start)


def migrate(
    path: str | Path, out: str | Path | None = None, *, in_place: bool = False
) -> MigrationReport:
    """Write a file or folder of an older release in the form of today; see ``docs/files.md``.

    Args:
        path: a chip, app, platform, experiment, pin file, ``pareto.json`` or quality report; a
            study's folder; or a folder of such files.
        out: the new file or folder; by default beside the old one.
        in_place: write over the files, and keep each old one as ``NAME.bak``.

    Raises:
        InputError: nothing that carries a version, one that this release does not know, or a
            place that is taken.
    """
    return migrate_path(path, out, in_place=in_place)
