"""Networks as workloads: ONNX files in, layers as loop nests and counted work out.

``load_model`` reads and lowers a network; ``Model.at`` gives it number formats; ``list_models``
tells what ships; ``layer_table`` shows it. Heavy imports happen on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dse.workload.layer import DIMS, FUNCTIONS, Layer, LoopNest, Tensor, Workload
from dse.workload.precision import FORMAT_BITS, Precision, bits_of, parse_precision
from dse.workload.sparsity import Sparsity

if TYPE_CHECKING:
    from dse.workload.load import load_model
    from dse.workload.model import Model
    from dse.workload.table import layer_table
    from dse.workload.zoo import ModelInfo, list_models

__all__ = [
    "DIMS",
    "FORMAT_BITS",
    "FUNCTIONS",
    "Layer",
    "LoopNest",
    "Model",
    "ModelInfo",
    "Precision",
    "Sparsity",
    "Tensor",
    "Workload",
    "bits_of",
    "layer_table",
    "list_models",
    "load_model",
    "parse_precision",
]

_LATER = {
    "load_model": "dse.workload.load",
    "Model": "dse.workload.model",
    "layer_table": "dse.workload.table",
    "list_models": "dse.workload.zoo",
    "ModelInfo": "dse.workload.zoo",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LATER[name]), name)
