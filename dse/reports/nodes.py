"""The process nodes as one picture: energy, speed, density and cost from 28 to 2 nm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dse.errors import InputError

#: Panels: title with the unit, factor from the table's unit to it, and the columns of the node
#: table drawn in it with their names.
PANELS: tuple[tuple[str, float, tuple[tuple[str, str], ...]], ...] = (
    (
        "energy of an int8 MAC (pJ)",
        1.0,
        (
            ("int8_mac_pj_at_nominal", "at nominal voltage"),
            ("int8_mac_pj_at_equal_f", "at {equal}"),
        ),
    ),
    (
        "clock (GHz)",
        1e-9,
        (("f_at_nominal_hz", "at nominal voltage"), ("f_max_hz", "at the highest voltage")),
    ),
    (
        "SRAM of 128 KiB (pJ a bit)",
        1.0,
        (
            ("sram_128kib_pj_per_bit_at_nominal", "at nominal voltage"),
            ("sram_128kib_pj_per_bit_at_equal_f", "at {equal}"),
        ),
    ),
    (
        "density (per mm²)",
        1.0,
        (("logic_mgates_per_mm2", "logic, Mgates"), ("sram_mib_per_mm2", "SRAM, MiB")),
    ),
    (
        "leakage at 60 C (mW)",
        1e3,
        (
            ("logic_leakage_w_per_mm2_60c", "logic, a mm²"),
            ("sram_leakage_w_per_mib_60c", "SRAM, a MiB"),
        ),
    ),
    ("wafer (thousand USD)", 1e-3, (("wafer_usd", "wafer"),)),
)
_COLOURS = ("#4477aa", "#ee6677")
#: Width and height of a row of panels, pixels.
_SIZE = (1150, 330)


def plot_nodes(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Write the rows of the node table as an HTML page of plots, a legend in each.

    Raises:
        InputError: the file does not end in .html, or cannot be written.
    """
    target = Path(path)
    if target.suffix != ".html":
        raise InputError("not an .html file", file=path, field="--plot", mend="name it so")
    try:
        node_figure(rows).write_html(target)
    except OSError as error:
        raise InputError(
            f"the plot cannot be written ({error.strerror})", file=path, mend="give another file"
        ) from None


def node_figure(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The plots of :data:`PANELS` as one figure, two panels a row."""
    from plotly.subplots import make_subplots

    lines = (len(PANELS) + 1) // 2
    titles = [title for title, _, _ in PANELS]
    gap = 0.28 / lines
    figure = make_subplots(rows=lines, cols=2, subplot_titles=titles, vertical_spacing=gap)
    names = [f"{row['node_nm']} nm" for row in rows]
    equal = f"{rows[0]['equal_f_hz'] / 1e6:.0f} MHz" if rows else ""
    height = (1.0 - gap * (lines - 1)) / lines
    for number, (_, factor, columns) in enumerate(PANELS):
        line, column = divmod(number, 2)
        legend = "legend" if number == 0 else f"legend{number + 1}"
        for key, colour in zip(columns, _COLOURS, strict=False):
            figure.add_scatter(
                x=names,
                y=[row[key[0]] * factor for row in rows],
                name=key[1].format(equal=equal),
                mode="lines+markers",
                marker={"color": colour},
                legend=legend,
                showlegend=len(columns) > 1,
                row=line + 1,
                col=column + 1,
            )
        top = 1.0 - line * (height + gap)
        place = {"x": 0.45 + 0.55 * column, "xanchor": "right", "y": top, "yanchor": "bottom"}
        figure.update_layout({legend: {**place, "orientation": "h", "font": {"size": 11}}})
    figure.update_annotations(xanchor="left", font={"size": 14})
    for number, note in enumerate(figure.layout.annotations):
        note.x = 0.55 * (number % 2)
    figure.update_yaxes(type="log", dtick="D2", tickformat="~g")
    width, row_height = _SIZE
    figure.update_layout(
        template="plotly_white",
        title="Process nodes: typical corner, mixed thresholds, 60 C (dse nodes)",
        height=110 + row_height * lines,
        width=width,
        margin={"t": 90},
    )
    return figure
