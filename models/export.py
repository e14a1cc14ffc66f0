"""Builds the ONNX graphs of the zoo and writes their figures into the manifest.

Run ``python models/export.py [NAME ...]`` (all networks without names); it needs the extra
``zoo`` of the package. The graphs hold no weights: every weight is a ``ConstantOfShape``.
"""

from __future__ import annotations

import argparse
import logging
import math
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from zoo_build import GraphBuilder, bound
from zoo_measure import (
    GraphFault,
    count_macs,
    count_params,
    input_shapes,
    is_resizable,
    op_counts,
    runs,
)
from zoo_written import WRITTEN

if TYPE_CHECKING:
    from zoo_graph import Recipe

FOLDER = Path(__file__).resolve().parent
MANIFEST = FOLDER / "manifest.yaml"
#: Graphs above this many multiply-accumulates are loaded but not run at their own size.
RUN_LIMIT_MACS = 5e9
#: Graphs with more parameters are not run either: they are filled when they run (4 bytes each).
RUN_LIMIT_PARAMS = 3e8


def export(name: str, recipe: Recipe) -> dict[str, Any]:
    """Writes ``NAME.onnx`` and returns its figures.

    Raises:
        GraphFault: if the graph does not load or its shapes are not all known.
    """
    from zoo_graph import export_graph  # torch

    model, params = export_graph(name, recipe)
    onnx.checker.check_model(model, full_check=True)
    if not runs(model, execute=count_macs(model) < RUN_LIMIT_MACS):
        raise GraphFault(f"{name}: ONNX Runtime computes other shapes than those inferred")
    data = model.SerializeToString(deterministic=True)
    (FOLDER / f"{name}.onnx").write_bytes(data)
    return {"params": params, **figures(model), "bytes": len(data)}


def write(name: str, builder: GraphBuilder) -> dict[str, Any]:
    """Writes ``NAME.onnx`` from a graph built operator by operator and returns its figures.

    Raises:
        GraphFault: if the graph does not load or its shapes are not all known.
    """
    model = builder.model()
    fixed = bound(model, builder.defaults)
    onnx.checker.check_model(model)
    onnx.checker.check_model(fixed, full_check=True)
    small = builder.params < RUN_LIMIT_PARAMS and count_macs(fixed) < RUN_LIMIT_MACS
    if not runs(fixed, execute=small):
        raise GraphFault(f"{name}: ONNX Runtime computes other shapes than those inferred")
    data = model.SerializeToString(deterministic=True)
    (FOLDER / f"{name}.onnx").write_bytes(data)
    symbols = {"symbols": dict(builder.defaults)} if builder.defaults else {}
    return {"params": builder.params, **symbols, **figures(fixed), "bytes": len(data)}


def measure_shipped(file: str) -> dict[str, Any]:
    """Figures of ``onnx:NAME``, a graph inside the onnx package."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    path = folder / file.removeprefix("onnx:")
    model = onnx.load(path)
    if not runs(model, execute=count_macs(model) < RUN_LIMIT_MACS):
        raise GraphFault(f"{file}: ONNX Runtime computes other shapes than those inferred")
    return {"params": count_params(model), **figures(model), "bytes": path.stat().st_size}


def figures(model: onnx.ModelProto) -> dict[str, Any]:
    """What the manifest says about any graph."""
    inputs = input_shapes(model)
    kinds = {k: n for k, n in sorted(op_counts(model).items()) if k != "ConstantOfShape"}
    return {
        "macs": count_macs(model),
        "inputs": {name: one_line(shape) for name, shape in without_layers(inputs).items()},
        "resizable": resizes(model, inputs),
        "opset": max(o.version for o in model.opset_import if not o.domain),
        "operators": kinds,
    }


def without_layers(inputs: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """``inputs``; those that differ by the number of their layer only are one, ``past.*.key``."""
    return {re.sub(r"\.\d+\.", ".*.", name): shape for name, shape in inputs.items()}


def one_line(shape: tuple[int, ...]) -> CommentedSeq:
    """A YAML list written as ``[1, 3, 224, 224]``."""
    sequence = CommentedSeq(shape)
    sequence.fa.set_flow_style()
    return sequence


def resizes(model: onnx.ModelProto, inputs: dict[str, tuple[int, ...]]) -> bool:
    """Whether the one image input may take about half and one and a half times its size."""
    shapes = list(inputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 4:
        return False
    height, width = shapes[0][2:]
    small = aligned(height / 2), aligned(width / 2)
    large = aligned(1.5 * height), aligned(1.5 * width)
    light = count_macs(model) < RUN_LIMIT_MACS * 4  # half the size is a quarter of the work
    return is_resizable(model, *small, execute=light) and is_resizable(model, *large, execute=False)


def aligned(size: float) -> int:
    """The next multiple of 32, the usual total stride; sizes below 48 are only rounded."""
    return math.ceil(size / 32) * 32 if size >= 48 else math.ceil(size)


def main() -> int:
    """Exports or measures the networks named on the command line; 2 if a name is unknown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of manifest.yaml (default: all)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    yaml = YAML()
    yaml.width = 100
    manifest = yaml.load(MANIFEST)
    entries = {entry["name"]: entry for entry in manifest["models"]}
    for name in arguments.names or entries:
        if name not in entries:
            print(f"{MANIFEST.name} lacks {name!r}; it has {', '.join(entries)}", file=sys.stderr)
            return 2
        file: str = entries[name]["file"]
        if file.startswith("onnx:"):
            measured = measure_shipped(file)
        elif name in WRITTEN:
            measured = write(name, WRITTEN[name](name))
        else:
            from zoo_catalog import NETWORKS  # torch, timm, transformers

            if name not in NETWORKS:
                print(f"no recipe for {name!r} in zoo_catalog.py, zoo_written.py", file=sys.stderr)
                return 2
            measured = export(name, NETWORKS[name])
        entries[name].update(measured)
        print(f"{name}: {measured['macs'] / 1e6:.3f} MMAC, {measured['bytes']} bytes", flush=True)
        with MANIFEST.open("w", encoding="utf-8") as stream:
            yaml.dump(manifest, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main())
