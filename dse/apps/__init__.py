"""Applications: scenario files, their tasks, floors and scores."""

from dse.apps.scenario import App, Budgets, QualityFloor, Stream, list_apps, load_app
from dse.apps.score import QualityVerdict, judge_quality, worst_margin
from dse.apps.tasks import stream_tasks

__all__ = [
    "App",
    "Budgets",
    "QualityFloor",
    "QualityVerdict",
    "Stream",
    "judge_quality",
    "list_apps",
    "load_app",
    "stream_tasks",
    "worst_margin",
]
