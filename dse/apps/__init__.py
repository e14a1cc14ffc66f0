"""Applications: scenario files, their tasks, floors and scores."""

from dse.apps.limits import (
    METRIC_HIGHER,
    Budgets,
    Environment,
    Privacy,
    QualityFigure,
    QualityFloor,
    SourceNote,
)
from dse.apps.scenario import App, Chain, app_schema, list_apps, load_app
from dse.apps.score import QualityVerdict, judge_quality, worst_margin
from dse.apps.stated import Figure, figures
from dse.apps.stream import Request, RequestStage, Stream
from dse.apps.tasks import stream_tasks

__all__ = [
    "METRIC_HIGHER",
    "App",
    "Budgets",
    "Chain",
    "Environment",
    "Figure",
    "Privacy",
    "QualityFigure",
    "QualityFloor",
    "QualityVerdict",
    "Request",
    "RequestStage",
    "SourceNote",
    "Stream",
    "app_schema",
    "figures",
    "judge_quality",
    "list_apps",
    "load_app",
    "stream_tasks",
    "worst_margin",
]
