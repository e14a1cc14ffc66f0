"""Sensitivity and bottlenecks: what binds, and what the next step buys."""

from dse.explanation.app_judge import as_demand, impossible
from dse.explanation.binding import RELIEF, binds
from dse.explanation.feedback import Effect, Slack, change, describe, effects, sentences, slacks
from dse.explanation.ladders import Move, ladder_moves, natural_moves
from dse.explanation.run import Asked, explain_app, explain_model, given_of
from dse.explanation.sets import Judged, Limits
from dse.explanation.steps import Step, ladder_steps, natural_steps
from dse.explanation.ways import ways_out
from dse.printing import setting as shown

__all__ = [
    "RELIEF",
    "Asked",
    "Effect",
    "Judged",
    "Limits",
    "Move",
    "Slack",
    "Step",
    "as_demand",
    "binds",
    "change",
    "describe",
    "effects",
    "explain_app",
    "explain_model",
    "given_of",
    "impossible",
    "ladder_moves",
    "ladder_steps",
    "natural_moves",
    "natural_steps",
    "sentences",
    "shown",
    "slacks",
    "ways_out",
]
