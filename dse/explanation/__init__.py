"""Sensitivity and bottlenecks: what binds, and what the next step buys."""

from dse.explanation.binding import RELIEF, binds
from dse.explanation.feedback import Effect, Slack, change, describe, effects, sentences, slacks
from dse.explanation.run import explain_app, explain_model
from dse.explanation.steps import Step, ladder_steps, natural_steps
from dse.printing import setting as shown

__all__ = [
    "RELIEF",
    "Effect",
    "Slack",
    "Step",
    "binds",
    "change",
    "describe",
    "effects",
    "explain_app",
    "explain_model",
    "ladder_steps",
    "natural_steps",
    "sentences",
    "shown",
    "slacks",
]
