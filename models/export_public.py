"""Exports graphs of public networks into ``public/`` and counts them with torch's own counter.

Run ``python models/export_public.py [NAME ...]`` by hand (all networks without names); it needs
the extra ``zoo`` of the package. The networks have random weights, nothing is downloaded, and
the files hold none of them. ``public/manifest.yaml`` says of each what it is and what it costs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import onnx
from public_build import Public, export_public
from public_language import LANGUAGE
from public_vision import VISION
from ruamel.yaml import YAML

FOLDER = Path(__file__).resolve().parent / "public"
MANIFEST = FOLDER / "manifest.yaml"
NETWORKS = VISION | LANGUAGE
HEAD = """\
# Graphs of public networks as their users export them, without the data of their weights; written
# by `python models/export_public.py`, read by tests/workload/test_public.py.
#
# bindings: sizes at which macs holds, of axes that are open in the file; values of tensors that
#   the network leaves to its data.
# macs: multiply-accumulates, counted by the method beside it, never by this project.
# folded: multiply-accumulates among these that depend on weights only, so that they are computed
#   before the network runs; differs says which.
# reduced: what was made smaller than published.
"""
LICENCES = {"torchvision": "BSD-3-Clause", "transformers": "Apache-2.0", "timm": "Apache-2.0"}


def export(name: str, public: Public) -> dict[str, Any]:
    """Writes ``NAME.onnx`` and returns its entry of the manifest."""
    model, count = export_public(name, public)
    onnx.checker.check_model(_loadable(model))
    data = model.SerializeToString(deterministic=True)
    (FOLDER / f"{name}.onnx").write_bytes(data)
    entry: dict[str, Any] = {
        "name": name,
        "task": public.task,
        "source": f"{public.package} {importlib.metadata.version(public.package)}, {public.of}",
        "licence": LICENCES[public.package],
        "exporter": f"torch {importlib.metadata.version('torch').split('+')[0]}, "
        + ("torch.export (dynamo)" if public.exporter == "dynamo" else "tracing (TorchScript)"),
        "opset": max(o.version for o in model.opset_import if not o.domain),
        "bindings": public.bindings,
        "macs": count.macs,
        "method": count.method,
    }
    entry |= {k: v for k in ("folded", "differs", "reduced") if (v := getattr(public, k))}
    return entry | {"bytes": len(data)}


def _loadable(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that onnx's checker takes: weights are inputs there, since their data are absent."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    listed = {value.name for value in copy.graph.input}
    kept = []
    for tensor in copy.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            kept.append(onnx.TensorProto.FromString(tensor.SerializeToString()))
        elif tensor.name not in listed:
            copy.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    return copy


def write_manifest(entries: dict[str, dict[str, Any]]) -> None:
    """Writes the entries of networks that are still listed, in the order of the list."""
    yaml = YAML()
    yaml.width = 100
    yaml.default_flow_style = False
    with MANIFEST.open("w", encoding="utf-8") as stream:
        stream.write(HEAD)
        ordered = [entries[name] for name in NETWORKS if name in entries]
        yaml.dump({"schema_version": 1, "models": ordered}, stream)


def main() -> int:
    """Exports the networks named on the command line; 2 if a name is unknown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="one of them (default: all)")
    names = parser.parse_args().names or list(NETWORKS)
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        print(f"no network {unknown[0]!r}; there are {', '.join(NETWORKS)}", file=sys.stderr)
        return 2
    warnings.filterwarnings("ignore")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    held = YAML().load(MANIFEST)["models"] if MANIFEST.exists() else []
    entries = {entry["name"]: entry for entry in held}
    for name in names:
        entries[name] = export(name, NETWORKS[name])
        print(
            f"{name}: {entries[name]['macs'] / 1e6:.3f} MMAC, {entries[name]['bytes']} bytes",
            flush=True,
        )
        write_manifest(entries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
