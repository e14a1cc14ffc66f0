"""Studies side by side as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.evaluation.metrics import METRICS
from dse.evaluation.states import MEANING
from dse.reports.compare import Contest
from dse.reports.economics import PARTS
from dse.reports.page import page_environment, plot_html
from dse.reports.plots import comparison_plot


def write_comparison(contests: Sequence[Contest], path: str | Path) -> None:
    """An HTML page, complete in itself: cost by part and power of every study, and the verdicts.

    Raises:
        InputError: the file does not end in .html, or cannot be written.
    """
    target = Path(path)
    if target.suffix != ".html":
        raise InputError("not an .html file", file=path, field="--html", mend="name it so")
    apps: list[dict[str, Any]] = []
    for app in dict.fromkeys(contest.app for contest in contests):
        own = [contest for contest in contests if contest.app == app]
        plot = plot_html(comparison_plot(own, PARTS), first=not apps)
        apps.append({"name": app, "contests": own, "plot": plot})
    text = (
        page_environment()
        .get_template("compare.html.j2")
        .render(
            apps=apps,
            parts=PARTS,
            meaning=MEANING,
            short=[m for m in METRICS.values() if m.short and m.name != "unit_cost_usd"],
        )
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the page cannot be written ({error.strerror})", file=path, mend="give another file"
        ) from None
