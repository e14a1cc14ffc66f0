"""Every record prints on one screen, and as a table in a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dse
from dse.mapping import map_layer
from dse.mapping.path.chain import item
from dse.printing import COLUMNS, LINES, Printed, as_html, as_text, cell, setting, si

#: A network of many layers and long names, a chip with notes, records of each kind.
RECORDS: dict[str, Callable[[], object]] = {
    "model": lambda: dse.load_model("resnet50"),
    "chip": lambda: dse.load_chip("edge_vision"),
    "listing": lambda: dse.list_models(),
    "nodes": lambda: dse.nodes(volumes=[1e6]),
    "shown": lambda: dse.show("7nm"),
    "layer": lambda: dse.map_layer(dse.load_model("resnet8").layers[0], dse.load_chip("gap9")),
    "network": lambda: dse.map_network("resnet18", "edge_vision"),
    "chips": lambda: dse.map_chips(dse.load_model("resnet8"), [dse.load_chip("gap9")] * 60),
    "record": lambda: dse.simulate("resnet50", "edge_vision", "analytic"),
    "app": lambda: dse.simulate("wearable_kws", "edge_vision", "analytic"),
    "uncertainty": lambda: dse.uncertainty("resnet8", "edge_vision", 2),
    "search": lambda: dse.explore("factory_module", trials=4),
    "validation": lambda: dse.validate("technology"),
    "quality": lambda: dse.quality("resnet50", precisions=["w8a8", "w4a8"]),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_prints_on_one_screen(kind: str) -> None:
    record = RECORDS[kind]()
    assert isinstance(record, Printed)
    for text in (repr(record), str(record)):
        lines = text.splitlines()
        assert 2 <= len(lines) <= LINES
        assert max(map(len, lines)) <= COLUMNS
        assert " object at 0x" not in text
    page = record._repr_html_()
    assert page.count("<table") == page.count("</table>") >= 1
    assert page.count("<td>") == page.count("</td>")


@pytest.mark.parametrize("kind", [kind for kind in RECORDS if kind not in ("model", "chip")])
def test_a_record_is_data(kind: str) -> None:
    record: dse.Listing = RECORDS[kind]()  # type: ignore[assignment]
    assert json.loads(json.dumps(record.to_dict(), allow_nan=False))
    rows = record.table()
    assert rows
    assert all(isinstance(row, dict) for row in rows)


def test_rows_left_out_are_counted() -> None:
    rows = [{"n": n, "square": n * n} for n in range(200)]
    text = as_text("numbers", {"count": 200}, rows)
    shown = len(text.splitlines()) - 4
    assert f"... {200 - shown} more rows" in text
    assert "100 more rows" in as_html("numbers", {}, rows)


def test_nothing_breaks_the_screen() -> None:
    figures = {"word" * 9: "x" * 500, "two": "one\nanother", **{str(n): n for n in range(90)}}
    rows = [{f"column{n}": "y" * 70 for n in range(30)}]
    lines = as_text("t" * 300, figures, rows).splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    assert "<b>" not in as_html("<b>", {"<b>": "<b>"}, [{"<b>": "<b>"}])


def test_numbers_are_short() -> None:
    assert [si(v, "W") for v in (None, 0.0, 1.5e-3, 2e12)] == ["-", "0 W", "1.5 mW", "2 TW"]
    assert [cell(v) for v in (None, True, 1 / 3, 1e6, 12345, "x")] == [
        "-", "yes", "0.333", "1.000e+06", "12345", "x",
    ]  # fmt: skip
    assert setting("chip.f_hz", 8e8) == "800 MHz"
    assert setting("chip.buffer.bytes", 1 << 20) == "1 MiB"


def test_many_chips_are_those_of_the_mapper_one_by_one() -> None:
    model = dse.load_model("resnet8")
    chips = [dse.load_chip("gap9"), dse.load_chip("edge_vision", f_hz=4e8)]
    found = dse.map_chips(model, chips, "latency", precision="w8a8", exact=True)
    assert [row["chip"] for row in found.table()] == ["gap9", "edge_vision"]
    layers = dict(zip(found.layers, found.latency_s.T[1], strict=True))
    for layer in model.at("w8a8").layers:
        if layer.name in layers and layer.kind == "compute":
            made = map_layer(layer, chips[1], "latency", l2_room_bytes=0.0, uneven=False)
            one = item((made,), chips[1])
            alone = one.own_s + one.first_s
            assert layers[layer.name] == pytest.approx(alone, rel=1e-9)
    assert np.isfinite(found.network_energy_j).all()


def test_names_and_objects_give_the_same(tmp_path: Path) -> None:
    model, chip = dse.load_model("resnet8"), dse.load_chip("edge_vision", node="7nm")
    named = dse.simulate("resnet8", "edge_vision", settings={"chip.node": "7nm"})
    assert dse.simulate(model, chip) == named
    assert dse.map_network(model, chip).evaluation.latency_s == pytest.approx(
        dse.simulate(model, chip, "analytic").latency_s
    )
    app = dse.load_app("wearable_kws")
    paths: dict[str, Any] = {
        "app.keyword.rate_hz": 5.0,
        "model.presence.precision": "w8a16",
        "chip.f_hz": 4e8,
    }
    one = dse.simulate("wearable_kws", "gap9", "analytic", settings=paths)
    other = dse.simulate(app, dse.load_chip("gap9"),
                         "analytic", settings=paths)  # fmt: skip
    assert [row.rate_hz for row in one.tasks] == [row.rate_hz for row in other.tasks]
    assert one.tasks == other.tasks
    file = tmp_path / "trace.json"
    dse.simulate(app, "gap9", trace=str(file))
    assert json.loads(file.read_text(encoding="utf-8"))


def test_options_are_refused_where_they_mean_nothing() -> None:
    for options in ({"kind": "x"}, {"cores": 2}, {"legal": True}, {"volume": 1e6}):
        with pytest.raises(dse.InputError) as raised:
            dse.simulate("wearable_kws", "gap9", **options)
        assert raised.value.field == next(iter(options))
    for name, value in (("seed", -1), ("volume", 0.0), ("cores", 0), ("objective", "speed")):
        with pytest.raises(dse.InputError) as raised:
            dse.simulate("resnet8", "gap9", **{name: value})  # type: ignore[arg-type]
        assert raised.value.field == name
    with pytest.raises(dse.InputError, match="only a simulation"):
        dse.simulate("resnet8", "gap9", "analytic", trace="t.json")


def test_cores_split_a_layer() -> None:
    chip = dse.load_chip("mediatek_7nm_apu")
    one, two = (dse.simulate("resnet18", chip, "analytic", cores=cores) for cores in (1, 2))
    assert (two.latency_s or 0.0) < (one.latency_s or 0.0)
    layer = dse.load_model("resnet18").at("w8a8").layers[0]
    whole, halves = (dse.map_layer(layer, chip, "latency", cores=cores) for cores in (1, 2))
    assert halves.latency_s < whole.latency_s
