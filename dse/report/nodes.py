"""The process nodes as one picture: energy, speed, density and cost from 28 to 2 nm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dse.errors import InputError

#: Panels: title, and the columns of the node table drawn in it with their names.
PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "energy of an int8 MAC (pJ)",
        (
            ("int8_mac_pj_at_nominal", "at nominal voltage"),
            ("int8_mac_pj_at_equal_f", "at an equal clock"),
        ),
    ),
    ("clock (Hz)", (("f_at_nominal_hz", "at nominal voltage"), ("f_max_hz", "at most"))),
    (
        "density per mm²",
        (("logic_mgates_per_mm2", "logic, Mgates"), ("sram_mib_per_mm2", "SRAM, MiB")),
    ),
    ("wafer (USD)", (("wafer_usd", "wafer"),)),
)


def plot_nodes(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Write the rows of the node table as an HTML page of plots.

    Raises:
        InputError: the file does not end in .html, or cannot be written.
    """
    from plotly.subplots import make_subplots

    target = Path(path)
    if target.suffix != ".html":
        raise InputError("not an .html file", file=path, field="--plot", mend="name it so")
    figure = make_subplots(rows=2, cols=2, subplot_titles=[title for title, _ in PANELS])
    names = [f"{row['node_nm']} nm" for row in rows]
    for number, (_, columns) in enumerate(PANELS):
        for key, label in columns:
            figure.add_scatter(
                x=names,
                y=[row[key] for row in rows],
                name=label,
                mode="lines+markers",
                row=number // 2 + 1,
                col=number % 2 + 1,
            )
    figure.update_yaxes(type="log")
    figure.update_layout(template="plotly_white", height=760, width=1150)
    try:
        figure.write_html(target)
    except OSError as error:
        raise InputError(
            f"the plot cannot be written ({error.strerror})", file=path, mend="give another file"
        ) from None
