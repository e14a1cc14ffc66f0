"""Small ONNX graphs for tests."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dse.workload import Model, load_model


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    stored: Mapping[str, np.ndarray] | None = None,
    opset: int = 20,
) -> onnx.ModelProto:
    """A model of float inputs and outputs (of unstated shape) with stored tensors."""
    given = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in inputs.items()
    ]
    made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    kept = [numpy_helper.from_array(a, n) for n, a in (stored or {}).items()]
    body = helper.make_graph(list(nodes), "test", given, made, kept)
    domains = {n.domain for n in nodes if n.domain}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(body, opset_imports=imports, ir_version=10)


def load(model: onnx.ModelProto, folder: Path, name: str = "net", **bindings: int) -> Model:
    """The lowered model, through a file."""
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return load_model(path, unknown_ops="error", **bindings)


def weight(*shape: int, seed: int = 0) -> np.ndarray:
    """A float32 weight."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def script(name: str) -> Any:
    """A script of ``experiments/hardening`` as a module."""
    folder = str(Path(__file__).parents[2] / "experiments" / "hardening")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
