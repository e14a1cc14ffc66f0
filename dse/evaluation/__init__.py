"""From a design and a fidelity to one record of every metric."""

from dse.evaluation.app_run import evaluate_app
from dse.evaluation.cpu_baseline import CpuProfile, profile_cpu
from dse.evaluation.design import (
    Design,
    Resolved,
    evaluate,
    identity_at,
    model_at,
    resolve_design,
    resolve_parts,
    split_settings,
    stream_workloads,
    with_values,
    workload_on,
)
from dse.evaluation.inputs import ResolvedInputs, Value, read_inputs
from dse.evaluation.metrics import METRICS, Band, Metric
from dse.evaluation.model_run import evaluate_model
from dse.evaluation.record import Evaluation, LayerRow, TaskRow
from dse.evaluation.terms import FIDELITIES, Fidelity, Terms
from dse.evaluation.uncertainty import (
    Uncertainty,
    app_uncertainty,
    model_uncertainty,
    probability_better,
)

__all__ = [
    "FIDELITIES",
    "METRICS",
    "Band",
    "CpuProfile",
    "Design",
    "Evaluation",
    "Fidelity",
    "LayerRow",
    "Metric",
    "Resolved",
    "ResolvedInputs",
    "TaskRow",
    "Terms",
    "Uncertainty",
    "Value",
    "app_uncertainty",
    "evaluate",
    "evaluate_app",
    "evaluate_model",
    "identity_at",
    "model_at",
    "model_uncertainty",
    "probability_better",
    "profile_cpu",
    "read_inputs",
    "resolve_design",
    "resolve_parts",
    "split_settings",
    "stream_workloads",
    "with_values",
    "workload_on",
]
