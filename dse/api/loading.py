"""Reading what a user names: models, chips, platforms, apps, experiments and studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.api.options import UnknownOps
from dse.files import is_file, shipped_folder

if TYPE_CHECKING:
    from dse.apps import App
    from dse.hardware.chip import Chip, Platform
    from dse.reports import Study
    from dse.search import Experiment
    from dse.workload import Model
    from dse.workload.layer import Binding


def load_model(
    path_or_name: str | Path, *, unknown_ops: UnknownOps = "error", **bindings: Binding
) -> Model:
    """A shipped model by name (``mobilenetv2@width=0.5,res=192``), or any ``.onnx`` file.

    Args:
        path_or_name: name or path.
        unknown_ops: refuse operators that are not known, or run them on the host.
        **bindings: sizes of dynamic axes, such as ``batch=1, seq=256``, and values of small inputs.

    Raises:
        InputError: no such model, or a file that cannot be read.
    """
    from dse.workload import load_model as load

    return load(path_or_name, unknown_ops=unknown_ops, **bindings)


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

    return load(path_or_name, node=node, overrides=_paths(overrides))


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

    return load(path_or_name, None if node is None else str(node), _paths(overrides))


def _paths(overrides: dict[str, Any]) -> dict[str, Any] | None:
    """Keyword arguments as paths."""
    return {name.replace("__", "."): value for name, value in overrides.items()} or None


def load_app(path_or_name: str | Path) -> App:
    """The app of a YAML file or a shipped name: its streams, rates, deadlines, floors and budgets.

    Raises:
        InputError: unknown name, a fault in the file (named with its line), or in a trace that it
            names.
    """
    from dse.apps import load_app as load

    return load(path_or_name)


def load_experiment(path_or_name: str | Path) -> Experiment:
    """The experiment of a YAML file or a shipped name: a space, its objectives and constraints.

    Raises:
        InputError: unknown name, or a fault in the file (named with its line).
    """
    from dse.search import load_experiment as load

    return load(path_or_name)


def load_study(folder_or_storage: str | Path, name: str | None = None) -> Study:
    """The designs of a study, finished or running, and their front.

    Args:
        folder_or_storage: the ``out`` of :func:`dse.explore` or :func:`dse.sweep`, or an Optuna
            storage that mirrors it.
        name: of the study, for a storage that holds several.

    Raises:
        InputError: neither, several studies and no name, or a study without a single design.
    """
    from dse.reports import read_study

    return read_study(folder_or_storage, name)


def is_app(name: str | Path) -> bool:
    """Whether a name means an app (a shipped one or a YAML file) rather than a model."""
    if has_settings(str(name)):
        return False
    if Path(name).suffix in (".yaml", ".yml"):
        return True
    return is_file(shipped_folder("experiments") / "apps" / f"{name}.yaml")


def has_settings(name: str) -> bool:
    """Whether ``name`` is a model's with settings behind ``@`` (which may name files too)."""
    return "@" in name and not is_file(name)
