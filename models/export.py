"""Builds the ONNX graphs of the zoo and writes their figures into the manifest.

Run ``python models/export.py [NAME ...]`` (all networks without names); it needs the extra
``zoo`` of the package. The graphs hold no weights: every weight is a ``ConstantOfShape``.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import onnx
from ruamel.yaml import YAML
from zoo_catalog import NETWORKS
from zoo_graph import OPSET, Recipe, export_graph
from zoo_measure import GraphFault, count_macs, is_resizable, op_counts, runs

FOLDER = Path(__file__).resolve().parent
MANIFEST = FOLDER / "manifest.yaml"


def export(name: str, recipe: Recipe) -> dict[str, Any]:
    """Writes ``NAME.onnx`` and returns its figures.

    Raises:
        GraphFault: if the graph does not load or its shapes are not all known.
    """
    model, params = export_graph(name, recipe)
    onnx.checker.check_model(model, full_check=True)
    if not runs(model):
        raise GraphFault(f"{name}: ONNX Runtime computes other shapes than those inferred")
    data = model.SerializeToString(deterministic=True)
    (FOLDER / f"{name}.onnx").write_bytes(data)
    kinds = {k: n for k, n in sorted(op_counts(model).items()) if k != "ConstantOfShape"}
    return {
        "params": params,
        "macs": count_macs(model),
        "inputs": {n: list(s) for n, s in recipe.inputs.items()},
        "resizable": resizes(model, recipe),
        "opset": OPSET,
        "bytes": len(data),
        "operators": kinds,
    }


def resizes(model: onnx.ModelProto, recipe: Recipe) -> bool:
    """Whether the one image input may take half and one and a half times its size."""
    images = [s for s in recipe.inputs.values() if len(s) == 4 and s[1] in {1, 3}]
    if len(recipe.inputs) != 1 or len(images) != 1:
        return False
    height, width = images[0][2:]
    smaller = is_resizable(model, height // 2, width // 2)
    return smaller and is_resizable(model, height + height // 2, width + width // 2)


def main() -> int:
    """Exports the networks named on the command line; 2 if a name is unknown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}")
    names: list[str] = parser.parse_args().names or list(NETWORKS)
    unknown = [n for n in names if n not in NETWORKS]
    if unknown:
        print(f"unknown network {unknown[0]!r}; known: {', '.join(NETWORKS)}", file=sys.stderr)
        return 2
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    yaml = YAML()
    yaml.width = 100
    manifest = yaml.load(MANIFEST)
    entries = {entry["name"]: entry for entry in manifest["models"]}
    for name in names:
        if name not in entries:
            print(f"{MANIFEST.name} lacks an entry for {name!r}; add its facts", file=sys.stderr)
            return 2
        figures = export(name, NETWORKS[name])
        entries[name].update(figures)
        print(f"{name}: {figures['macs'] / 1e6:.2f} MMAC, {figures['bytes']} bytes", flush=True)
        with MANIFEST.open("w", encoding="utf-8") as stream:
            yaml.dump(manifest, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main())
