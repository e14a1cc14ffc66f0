"""Plots: no colour means two things, and clocks, energies and money are in the unit they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dse.errors import InputError
from dse.evaluation import Evaluation
from dse.reports.nodes import PANELS, node_figure, plot_nodes
from dse.reports.plots import stack_plot
from dse.search import Outcome
from dse.technology import load_technology, node_table

#: A front of the first release.
STORED = Path(__file__).resolve().parents[1] / "compat" / "8677067" / "report" / "pareto.json"


def outcome(parts: dict[str, float]) -> Outcome:
    (first, *_) = json.loads(STORED.read_text())["pareto"]
    record = replace(Evaluation.from_dict(first["evaluation"]), energy_breakdown_j=parts)
    return Outcome({}, "simulate", "feasible", True, 0.0, (1.0,), (), "k", record)


def test_many_parts_keep_their_colours_apart_and_their_sum() -> None:
    parts = {f"part{n}": float(n + 1) for n in range(24)}
    bars = stack_plot([("one", outcome(parts))], "energy_breakdown_j", "J", {"part23": "big"}).data
    colours = [bar.marker.color for bar in bars]
    assert len(set(colours)) == len(colours)
    assert sum(bar.x[0] for bar in bars) == pytest.approx(sum(parts.values()))
    assert bars[0].name == "big"
    assert bars[-1].name == f"{24 - len(bars) + 1} smaller parts"
    assert bars[-1].x[0] == pytest.approx(sum(sorted(parts.values())[: 24 - len(bars) + 1]))


def test_few_parts_are_all_shown() -> None:
    bars = stack_plot([("one", outcome({"a": 1.0, "b": 2.0}))], "energy_breakdown_j", "J").data
    assert [bar.name for bar in bars] == ["b", "a"]


def test_the_nodes_in_the_units_of_their_titles() -> None:
    rows = node_table(load_technology())
    figure = node_figure(rows)
    titles = [note.text for note in figure.layout.annotations]
    assert titles == [title for title, _, _ in PANELS]
    clocks = [trace for trace in figure.data if trace.legend == "legend2"]
    assert clocks[0].y[0] == pytest.approx(rows[0]["f_at_nominal_hz"] / 1e9)
    legends: dict[str, list[str]] = {}
    for trace in figure.data:
        legends.setdefault(trace.legend, []).append(trace.name)
    assert all(len(set(names)) == len(names) for names in legends.values())
    assert "at 400 MHz" in legends["legend"]


def test_only_html(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.html"):
        plot_nodes(node_table(load_technology()), tmp_path / "nodes.png")
