"""Power over time as a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import InputError
from dse.hardware.chip import SCOPES
from dse.simulation.task import Timeline
from dse.simulation.usage import window_means

#: Most points of a curve; a longer timeline is averaged over equal windows.
_POINTS = 2000
#: Components shown one by one, the largest first; the others together.
_SHOWN = 12
#: A colour for each of them, all different, and one for the others.
_COLOURS = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"),
    *("#dd8452", "#8172b3", "#937860", "#99ddcc", "#f4a6b7", "#5c5c5c"),
)
_OTHERS = "#cccccc"


def power_figure(timeline: Timeline, window_s: float | None = None) -> Any:
    """Power by component (stacked), by module, and clock and temperature where they change.

    Args:
        window_s: power is averaged over windows of this length (1/2000 of the horizon).

    Returns:
        A Plotly figure.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    horizon = timeline.horizon_s
    count = _POINTS if window_s is None else max(1, min(100_000, round(horizon / window_s)))
    borders = np.linspace(0.0, horizon, count + 1)
    edges = np.asarray(timeline.edges_s)
    middle = (borders[:-1] + borders[1:]) / 2.0 * 1e3
    extra = int(len(timeline.clock_hz) > 1) + int(bool(timeline.junction_c))
    figure = make_subplots(
        rows=1 + extra,
        cols=1,
        shared_xaxes=True,
        row_heights=[4.0] + [1.0] * extra,
        vertical_spacing=0.04,
    )
    ranked = sorted(timeline.power_w, key=lambda name: -timeline.energy_j[name])
    ranked = [name for name in ranked if timeline.energy_j[name] > 0.0]
    rest = np.zeros(count)
    for number, name in enumerate(ranked):
        watts = window_means(edges, np.asarray(timeline.power_w[name]), borders)
        if number >= _SHOWN:
            rest = rest + watts
            continue
        label = f"{name} ({timeline.scope_of[name]})"
        _area(figure, go, middle, watts, label, _COLOURS[number])
    if rest.any():
        _area(figure, go, middle, rest, "others", _OTHERS)
    module = window_means(edges, np.asarray(timeline.module_w), borders)
    figure.add_trace(
        go.Scatter(
            x=middle, y=module, name="module, PMIC included", line={"color": "#222", "width": 1.5}
        ),
        row=1,
        col=1,
    )
    figure.update_yaxes(title_text="power (W)", row=1, col=1)
    row = 2
    for pairs, scale, title in (
        (timeline.clock_hz if len(timeline.clock_hz) > 1 else (), 1e-6, "clock (MHz)"),
        (timeline.junction_c, 1.0, "junction (°C)"),
    ):
        if pairs:
            times = [time * 1e3 for time, _ in pairs] + [horizon * 1e3]
            values = [value * scale for _, value in pairs]
            figure.add_trace(
                go.Scatter(x=times, y=[*values, values[-1]], name=title, line={"shape": "hv"}),
                row=row,
                col=1,
            )
            figure.update_yaxes(title_text=title, row=row, col=1)
            row += 1
    figure.update_xaxes(title_text="time (ms)", row=1 + extra, col=1)
    figure.update_layout(title=_title(timeline), template="plotly_white", height=460 + 140 * extra)
    return figure


def write_power_plot(timeline: Timeline, path: str | Path, window_s: float | None = None) -> None:
    """Write :func:`power_figure` as an HTML file that needs no network.

    Raises:
        InputError: the file cannot be written.
    """
    page = power_figure(timeline, window_s).to_html(include_plotlyjs=True, full_html=True)
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the plot cannot be written ({error.strerror})", file=path, mend="give another file"
        ) from None


def _area(figure: Any, go: Any, x: Any, watts: Any, name: str, colour: str) -> None:
    line = {"width": 0.3, "color": colour}
    figure.add_trace(
        go.Scatter(x=x, y=watts, name=name, stackgroup="power", line=line, fillcolor=colour),
        row=1,
        col=1,
    )


def _title(timeline: Timeline) -> str:
    module = SCOPES[-1]
    return (
        f"{timeline.average_power_w[module]:.3g} W on average, "
        f"{timeline.peak_power_w[module]:.3g} W at most over 1 ms (module)"
    )
