"""The Pareto report: one HTML file that says which design, why, and what to change next."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.errors import InputError
from dse.evaluation.metrics import METRICS, label
from dse.evaluation.states import MEANING
from dse.explanation import change, shown
from dse.files import write_json
from dse.reports.advice import Feedback, advise
from dse.reports.choice import Pick, picks
from dse.reports.confidence import Confidence, front_confidence
from dse.reports.economics import PARTS
from dse.reports.plots import (
    SYMBOLS,
    drawn,
    front_plot,
    progress_plot,
    quality_plot,
    stack_plot,
    volume_plot,
)
from dse.reports.tables import (
    Study,
    cheapest_by_volume,
    cheapest_spans,
    read_study,
    volumes_of,
    write_tables,
)
from dse.search import Experiment, Outcome, grid_size
from dse.search.failures import by_level, by_state, failure_counts
from dse.version import model_version

if TYPE_CHECKING:
    import jinja2


def write_report(
    source: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    feedback: bool = True,
    draws: int | None = None,
    workers: int | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Write report.html, pareto.csv, pareto.json and designs.csv of a study into ``out``.

    Args:
        source: a study folder or an Optuna storage URL.
        out: folder, made if missing.
        name: of the study, for a storage that holds several.
        feedback: try one step around the picked designs (simulations) and say what it buys.
        draws: say how likely each front member beats its neighbour, over so many draws of the
            uncertain technology facts.
        workers: processes for that.
        on_step: called with (what, done, all) on the way.

    Returns:
        What was written: file paths, number of designs and of front members; who made the figures,
        and ``left_out``: what was asked for and would have mixed them with those of this model,
        as the study is of another one.
    """
    study = read_study(source, name)
    left_out: list[str] = []
    if not study.of_this_model:
        left_out = [n for n, asked in (("feedback", feedback), ("uncertainty", draws)) if asked]
        feedback, draws = False, None
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder cannot be made ({error.strerror})", file=folder, mend="give another --out"
        ) from None
    with _writing(folder):
        write_tables(study, folder)
    chosen = picks(study)
    replies: list[Feedback] = []
    if feedback:
        replies = advise(study, chosen, workers, on_step)
        with _writing(folder):
            write_json(folder / "feedback.json", [vars(reply) for reply in replies])
    sure: list[Confidence] = []
    if draws and chosen:
        sure = front_confidence(study, draws, workers, _named(on_step, "draws: member"))
        with _writing(folder):
            write_json(folder / "confidence.json", [vars(member) for member in sure])
    html = render(study, chosen, replies, sure)
    with _writing(folder):
        (folder / "report.html").write_text(html, encoding="utf-8")
    names = ["report.html", "pareto.csv", "pareto.json", "designs.csv"]
    return {
        "files": [str(folder / name) for name in names],
        "designs": len(study.outcomes),
        "feasible": len(study.feasible),
        "pareto": len(study.front),
        "by_state": by_state(study.outcomes),
        "made_by": dict(zip(("technology", "version"), study.made_by, strict=True)),
        "of_this_model": study.of_this_model,
        "left_out": left_out,
    }


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What the system refuses to write is said in one line; what was written before stays."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the report cannot be written ({error.strerror})",
            file=error.filename or folder,
            mend="free the disk, make the folder writable, or give another --out",
        ) from None


def _named(
    on_step: Callable[[str, int, int], None] | None, what: str
) -> Callable[[int, int], None] | None:
    return None if on_step is None else lambda done, wanted: on_step(what, done, wanted)


def render(
    study: Study,
    chosen: Sequence[Pick],
    replies: Sequence[Feedback],
    sure: Sequence[Confidence] = (),
) -> str:
    """The page as HTML, complete in itself (no network needed to read it)."""
    environment = page_environment()
    members = [(pick.title, pick.outcome) for pick in chosen]
    plots: dict[str, str] = {}
    if study.outcomes:
        plots["front"] = plot_html(front_plot(study), first=True)
    if study.progress:
        plots["progress"] = plot_html(progress_plot(study.progress))
    if study.feasible:
        plots["quality"] = plot_html(quality_plot(study))
        plots["volume"] = plot_html(volume_plot(study))
    if members:
        plots["energy"] = plot_html(stack_plot(members, "energy_breakdown_j", label("energy_j")))
        plots["cost"] = plot_html(
            stack_plot(members, "cost_breakdown_usd", label("unit_cost_usd"), PARTS)
        )
    return environment.get_template("report.html.j2").render(
        study=study,
        here=model_version(),
        experiment=study.experiment,
        grid_size=grid_size(study.experiment),
        picks=chosen,
        replies=replies,
        sure=sure,
        plots=plots,
        volumes=volumes_of(study.outcomes),
        cheapest=cheapest_by_volume(study),
        spans=cheapest_spans(study),
        front=front_lines(study),
        columns=front_columns(study.experiment),
        failures=failure_counts(study.outcomes),
        levels=by_level(study.outcomes),
        legend=legend(study),
        not_drawn=sum(not drawn(outcome) for outcome in study.outcomes),
        seconds=study.effort.seconds,
        hit_rate=study.effort.hit_rate,
        label=label,
        short=[metric for metric in METRICS.values() if metric.short],
        judged=[metric for metric in METRICS.values() if metric.judged],
        goals=[objective.metric for objective in study.experiment.objectives],
        parts=PARTS,
    )


def legend(study: Study) -> list[dict[str, Any]]:
    """The four words for what became of a design: symbol in the plot, count, and what they mean."""
    counts = by_state(study.outcomes)
    return [
        {"state": state, "symbol": SYMBOLS[state][1], "count": counts[state], "means": meaning}
        for state, meaning in MEANING.items()
    ]


def page_environment() -> jinja2.Environment:
    """The templates of this package, with the filter ``three``."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dse.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["three"] = three
    environment.globals["shown"] = shown
    environment.globals["change"] = change
    environment.globals["spread"] = spread
    return environment


def spread(step: Mapping[str, Any], name: str) -> str:
    """A metric before and after a step of a way, each with low to high of the draws."""
    bands = step["bands"].get(name, (None, None))
    cells = []
    for value, band in zip(step["metrics"].get(name, (None, None)), bands, strict=True):
        inside = "" if band is None else f" ({three(band['low'])} to {three(band['high'])})"
        cells.append(three(value) + inside)
    return " → ".join(cells)


def plot_html(figure: Any, first: bool = False) -> str:
    """A figure as HTML; the first of a page brings the library along."""
    from markupsafe import Markup

    text = figure.to_html(full_html=False, include_plotlyjs=first, config={"displaylogo": False})
    return Markup(text)


def three(value: Any) -> str:
    """A number with three significant digits, as much as these models can claim."""
    if isinstance(value, bool) or value is None:
        return "-" if value is None else str(value)
    if isinstance(value, (int, float)):
        if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
            return f"{value:.2e}"
        return f"{float(f'{value:.3g}'):g}"
    return str(value)


def front_columns(experiment: Experiment) -> list[str]:
    """Columns of the front table: objectives, then the parameters that vary."""
    return [*(o.metric for o in experiment.objectives), *experiment.parameters, "equal designs"]


def front_lines(study: Study) -> list[list[Any]]:
    """One line per distinct point of the front; the last cell counts designs that tie with it."""
    ties: dict[tuple[float, ...], list[Outcome]] = {}
    for outcome in study.front:
        ties.setdefault(outcome.objectives or (), []).append(outcome)
    return [[*front_line(found[0], study.experiment), len(found)] for found in ties.values()]


def front_line(outcome: Outcome, experiment: Experiment) -> list[Any]:
    settings = [shown(path, outcome.values[path]) for path in experiment.parameters]
    return [*(outcome.objectives or ()), *settings]
