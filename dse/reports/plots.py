"""The plots of a report, as Plotly figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from dse.evaluation.metrics import METRICS, label
from dse.evaluation.states import State
from dse.explanation import shown
from dse.reports.tables import Study, cheapest_by_volume, volumes_of
from dse.search import Outcome

if TYPE_CHECKING:
    from dse.reports.compare import Contest

_COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#bbbbbb",
    "#dd8452",
    "#8172b3",
    "#937860",
    "#64b5cd",
)


def nodes_of(study: Study) -> list[str]:
    """Process nodes tried, coarsest first."""
    found = {o.evaluation.node for o in study.outcomes if o.evaluation}
    return sorted(found, key=lambda node: -float(node.removesuffix("nm")))


#: How a design of each state is drawn, and what the legend of the page shows for it.
SYMBOLS: dict[State, tuple[str, str]] = {
    "feasible": ("circle", "●"),
    "infeasible": ("x-thin-open", "×"),
    "dominated": ("diamond-open", "◇"),
    "impossible": ("", "not drawn"),
}


def drawn(outcome: Outcome) -> bool:
    """Whether a design has a place in the plot of the front: it was mapped, and all is known."""
    return bool(outcome.evaluated and outcome.objectives and outcome.evaluation)


def front_plot(study: Study) -> Any:
    """Mapped designs in the first two objectives: nodes by colour, states by symbol."""
    import plotly.graph_objects as go

    x, y = (list(study.experiment.objectives) * 2)[:2]
    figure = go.Figure()
    front = {outcome.key for outcome in study.front}
    seen = [outcome for outcome in study.outcomes if drawn(outcome)]
    for number, node in enumerate(nodes_of(study)):
        # What is feasible comes last and lies on top.
        for state in ("dominated", "infeasible", "feasible"):
            chosen = [o for o in seen if o.record.node == node and o.state == state]
            if not chosen:
                continue
            figure.add_scatter(
                x=[_objective(study, o, 0) for o in chosen],
                y=[_objective(study, o, 1) for o in chosen],
                mode="markers",
                name=f"{node}, {state}",
                legendgroup=node,
                text=[hover(o) for o in chosen],
                hovertemplate="%{text}<extra></extra>",
                marker={
                    "color": _COLOURS[number % len(_COLOURS)],
                    "symbol": SYMBOLS[state][0],
                    **_marks(state, [o.key in front for o in chosen]),
                },
            )
    return _style(figure, label(x.metric), label(y.metric))


def _marks(state: State, on_front: Sequence[bool]) -> dict[str, Any]:
    """Size and outline of designs of one state; those on the front are large and outlined."""
    if state == "feasible":
        line = {"width": [2 if front else 0 for front in on_front], "color": "#222"}
        return {"size": [13 if front else 8 for front in on_front], "line": line}
    return {"size": 6, "opacity": 0.6, "line": {"width": 1}}


def quality_plot(study: Study) -> Any:
    """Front members in the first and last objective, sized by die area."""
    import plotly.graph_objects as go

    x, y = study.experiment.objectives[0], study.experiment.objectives[-1]
    last = len(study.experiment.objectives) - 1
    figure = go.Figure()
    for number, node in enumerate(nodes_of(study)):
        chosen = [o for o in study.feasible if o.record.node == node]
        if chosen:
            figure.add_scatter(
                x=[_objective(study, o, 0) for o in chosen],
                y=[_objective(study, o, last) for o in chosen],
                mode="markers",
                name=node,
                text=[hover(o) for o in chosen],
                hovertemplate="%{text}<extra></extra>",
                marker={"color": _COLOURS[number % len(_COLOURS)], "size": 9},
            )
    return _style(figure, label(x.metric), label(y.metric))


def volume_plot(study: Study) -> Any:
    """Unit cost of the cheapest feasible design of each node, at each volume."""
    import plotly.graph_objects as go

    rows = cheapest_by_volume(study)
    figure = go.Figure()
    for number, volume in enumerate(volumes_of(study.outcomes)):
        chosen = [row for row in rows if row["volume"] == float(volume)]
        figure.add_bar(
            x=[row["node"] for row in chosen],
            y=[row["unit_cost_usd"] for row in chosen],
            name=f"{float(volume):,.0f} units",
            marker_color=_COLOURS[number % len(_COLOURS)],
            text=["cheapest" if row["cheapest"] else "" for row in chosen],
            textposition="outside",
        )
    figure.update_layout(barmode="group")
    figure.update_yaxes(type="log", dtick=1)
    return _style(figure, "process node", f"{label('unit_cost_usd')}, log scale")


def progress_plot(rows: Sequence[Mapping[str, float]]) -> Any:
    """Hypervolume and size of the front against evaluations."""
    import plotly.graph_objects as go

    x = [row["distinct"] for row in rows]
    figure = go.Figure()
    figure.add_scatter(x=x, y=[row["hypervolume"] for row in rows], name="hypervolume")
    figure.add_scatter(x=x, y=[row["front"] for row in rows], name="front", yaxis="y2")
    _style(figure, "designs judged", "hypervolume (objectives' own units)")
    right = {"title": {"text": "designs on the front"}, "overlaying": "y", "side": "right"}
    figure.update_layout(
        yaxis2={**right, "rangemode": "tozero", "showgrid": False, "tickformat": "d"},
        legend={"orientation": "h", "y": 1.12},
    )
    return figure


def stack_plot(
    members: Sequence[tuple[str, Outcome]],
    part: str,
    unit: str,
    names: Mapping[str, str] | None = None,
) -> Any:
    """Stacked bars of a breakdown of the record (``energy_breakdown_j`` ...) for some designs.

    The largest parts have a colour of their own; what is left is one bar, ``N smaller parts``.
    ``names`` says what parts are called in the legend.
    """
    import plotly.graph_objects as go

    shares: list[Mapping[str, float]] = [getattr(o.record, part) for _, o in members]
    totals: dict[str, float] = {}
    for share in shares:
        for name, value in share.items():
            totals[name] = totals.get(name, 0.0) + value
    ranked = sorted(totals, key=lambda key: -totals[key])
    kept = ranked if len(ranked) <= len(_COLOURS) else ranked[: len(_COLOURS) - 1]
    rest = ranked[len(kept) :]
    titles = [title for title, _ in members]
    figure = go.Figure()
    for number, name in enumerate(kept):
        figure.add_bar(
            y=titles,
            x=[share.get(name, 0.0) for share in shares],
            name=(names or {}).get(name, name),
            orientation="h",
            marker_color=_COLOURS[number],
        )
    if rest:
        figure.add_bar(
            y=titles,
            x=[sum(share.get(name, 0.0) for name in rest) for share in shares],
            name=f"{len(rest)} smaller parts",
            orientation="h",
            marker_color="#dddddd",
        )
    figure.update_layout(barmode="stack", legend={"traceorder": "normal"})
    figure.update_yaxes(autorange="reversed")
    return _style(figure, unit, "")


def comparison_plot(contests: Sequence[Contest], names: Mapping[str, str]) -> Any:
    """Cost by part of every study's cheapest design, a panel with its own scale for each volume.

    ``names`` says what cost parts are called in the legend.
    """
    from plotly.subplots import make_subplots

    titles = [f"{contest.volume:,.0f} units" for contest in contests]
    figure = make_subplots(rows=1, cols=len(contests), subplot_titles=titles, shared_yaxes=True)
    parts = list(dict.fromkeys(p for c in contests for one in c.standings for p in one.parts_usd))
    for column, contest in enumerate(contests, start=1):
        bars = [one for one in contest.standings if one.parts_usd]
        for number, part in enumerate(parts):
            figure.add_bar(
                y=[one.study for one in bars],
                x=[one.parts_usd.get(part, 0.0) for one in bars],
                name=names.get(part, part),
                legendgroup=part,
                showlegend=column == 1,
                orientation="h",
                marker_color=_COLOURS[number % len(_COLOURS)],
                row=1,
                col=column,
            )
    _style(figure, label("unit_cost_usd"), "")
    studies = sorted({one.study for contest in contests for one in contest.standings})
    height = max(330, 160 + 34 * len(studies))
    figure.update_layout(barmode="stack", height=height, margin={"t": 70, "l": 140})
    figure.update_yaxes(categoryorder="array", categoryarray=studies[::-1])
    return figure


def hover(outcome: Outcome) -> str:
    """What a point says of its design."""
    lines = [f"<b>{outcome.state}</b>, decided at the {outcome.fidelity} level"]
    for metric in METRICS.values():
        record = outcome.evaluation
        value = metric.of(record) if record is not None and metric.short else None
        if value is not None:
            lines.append(f"{metric.axis}: {value:.3g}")
    lines.extend(f"{path}: {shown(path, value)}" for path, value in outcome.values.items())
    lines.extend(escape(reason[:110]) for reason in outcome.reasons[:3])
    return "<br>".join(lines)


def _objective(study: Study, outcome: Outcome, index: int) -> float:
    values = outcome.objectives or ()
    return values[min(index, len(values) - 1)]


def _style(figure: Any, x: str, y: str) -> Any:
    figure.update_layout(
        template="plotly_white",
        height=430,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "v"},
    )
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return figure
