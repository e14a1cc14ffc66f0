"""Published figures against the model, each marked fitted or judged. The error is what it is."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dse.technology.checks_physical import area_checks, memory_checks, outside_checks
from dse.technology.checks_row import CheckRow
from dse.technology.device import Rail
from dse.technology.facts import DATA_FOLDER, FactFile
from dse.technology.shipped import load_technology
from dse.technology.technology import Technology


def technology_checks(technology: Technology | None = None) -> list[CheckRow]:
    """All comparisons of the technology section (nominal facts unless told otherwise)."""
    tech = technology or load_technology()
    facts = _published()
    rows: list[CheckRow] = []
    for part in (
        _iso_speed,
        _irds_and_ibm,
        _dvfs,
        _frequencies,
        _voltage_scaling,
        _arithmetic,
        memory_checks,
        area_checks,
        outside_checks,
        _chart,
    ):
        rows += part(tech, facts)
    return rows


def _published() -> dict[str, Any]:
    raw = json.loads((DATA_FOLDER / "checks.json").read_text(encoding="utf-8"))
    content = FactFile.model_validate(raw)
    return {name: fact.model_dump()["value"] for name, fact in content.facts.items()}


def _rail(tech: Technology, node: int) -> Rail:
    return tech.device.rail(node, guard_band=tech.device.guard_band)


def _switch(tech: Technology, node: int, volts: float) -> float:
    """Relative switching energy C V^2 of a node's logic."""
    return tech.device.capacitance[node] * volts**2


def power_at_equal_speed(tech: Technology, old: int, new: int) -> float:
    """Power left when the old node's nominal frequency is kept on the new node."""
    nominal = tech.device.nominal_v[old]
    hz = _rail(tech, old).hz(nominal)
    volts = _rail(tech, new).volts(hz, 0.1, 1.5)
    return _switch(tech, new, volts) / _switch(tech, old, nominal)


def speed_at_equal_power(tech: Technology, old: int, new: int) -> tuple[float, float]:
    """(speed gain, energy per operation left) at the old node's nominal power f C V^2."""
    nominal = tech.device.nominal_v[old]
    power = _rail(tech, old).hz(nominal) * _switch(tech, old, nominal)
    rail = _rail(tech, new)
    low, high = 0.1, 2.0
    for _ in range(80):
        mid = 0.5 * (low + high)
        if rail.hz(mid) * _switch(tech, new, mid) < power:
            low = mid
        else:
            high = mid
    gain = rail.hz(high) / _rail(tech, old).hz(nominal)
    return gain, _switch(tech, new, high) / _switch(tech, old, nominal)


def _iso_speed(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    for step, old, new, left in facts["iso_speed"]:
        ours = power_at_equal_speed(tech, old, new)
        yield CheckRow(
            f"iso-speed {step}",
            "power left at equal speed",
            left,
            ours,
            "judged",
            "vendor estimate",
        )


def _irds_and_ibm(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    table = facts["irds"]
    pairs = [*itertools.pairwise(table), (table[0], table[-1])]
    for (old, v_old, e_old), (new, v_new, e_new) in pairs:
        ours = _switch(tech, old, v_old) / _switch(tech, new, v_new)
        yield CheckRow(f"IRDS {old}->{new}", "CV2 ratio", e_old / e_new, ours, "judged", "tool")
    ibm = facts["ibm_2_vs_7"]
    gain, _ = speed_at_equal_power(tech, 7, 2)
    kind = "vendor estimate"
    yield CheckRow(
        "IBM 2 vs 7", "speed at equal power", ibm["speed_at_equal_power"], gain, "judged", kind
    )
    left = power_at_equal_speed(tech, 7, 2)
    yield CheckRow(
        "IBM 2 vs 7", "power at equal speed", ibm["power_at_equal_speed"], left, "judged", kind
    )


def fit_threshold(tech: Technology, tables: list[list[list[float]]]) -> float:
    """Threshold (V) of least squared ln-frequency error over tables, each with its own scale."""
    grid = np.linspace(0.2, 0.75, 276)
    total = np.zeros_like(grid)
    for table in tables:
        errors = np.array([_curve_errors(tech, table, float(vt)) for vt in grid])
        total += (errors**2).mean(axis=1)
    return float(grid[int(np.argmin(total))])


def _curve(tech: Technology, vt: float) -> Rail:
    sample = _rail(tech, 16)
    return Rail(1.0, vt, sample.alpha, sample.width, sample.guard)


def _curve_errors(tech: Technology, table: list[list[float]], vt: float) -> list[float]:
    rail = _curve(tech, vt)
    logs = [math.log(mhz / rail.hz(float(volts))) for mhz, volts in table]
    mean = sum(logs) / len(logs)
    return [value - mean for value in logs]


def _dvfs(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    """Each product's own f(V) predicted with the threshold fitted on the others of its kind."""
    products: dict[str, Any] = facts["dvfs"]
    for name, product in products.items():
        chip = name.split()[0]
        others = [
            row["mhz_v"]
            for other, row in products.items()
            if row["kind"] == product["kind"] and other.split()[0] != chip
        ]
        vt = fit_threshold(tech, others)
        rail = _curve(tech, vt)
        (f_low, v_low), (f_high, v_high) = product["mhz_v"][0], product["mhz_v"][-1]
        errors = _curve_errors(tech, product["mhz_v"], vt)
        rms = math.sqrt(sum(value**2 for value in errors) / len(errors))
        yield CheckRow(
            f"DVFS {name} ({product['node']}), left out",
            f"f({v_high:g} V)/f({v_low:g} V)",
            f_high / f_low,
            rail.hz(float(v_high)) / rail.hz(float(v_low)),
            "judged",
            "silicon",
            f"threshold {vt:.3f} V from the other chips; rms {100 * rms:.1f} % over the table",
        )


def _frequencies(tech: Technology, _facts: dict[str, Any]) -> Iterator[CheckRow]:
    for name, node, volts, hz, guard, fitted in tech.device.anchors:
        ours = tech.device.rail(int(node), guard_band=float(guard)).hz(float(volts))
        yield CheckRow(
            f"clock {name} ({node} nm, {volts} V)",
            "Hz",
            float(hz),
            ours,
            "fitted" if fitted else "judged",
            "vendor estimate" if "synthesis" in str(name) else "silicon",
        )


def _voltage_scaling(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    keller = facts["keller"]
    (v_high, v_low), (low_tops, high_tops) = keller["v"], keller["tops_w"]
    yield CheckRow(
        "Keller 5 nm",
        "energy .67 V / .46 V",
        high_tops / low_tops,
        (v_high / v_low) ** 2,
        "judged",
        "silicon",
        "different layers at the two points",
    )
    for fmt, key in (("int8", "int8_pj_046"), ("int4", "int4_pj_046")):
        ours = tech.datapath.mac_c(5, fmt, fmt, 24) * v_low**2 * 1e12
        yield CheckRow(
            f"Keller 5 nm {fmt} .46 V",
            "pJ per MAC; published is the whole accelerator, ours the bare MAC",
            keller[key],
            ours,
            "judged",
            "silicon",
            "ours should stay below",
        )
    top = facts["bm1384"][0]
    for volts, joules in facts["bm1384"][1:]:
        yield CheckRow(
            f"BM1384 28 nm {volts} V",
            "energy against .8 V",
            joules / top[1],
            (volts / top[0]) ** 2,
            "judged",
            "silicon",
        )


def _arithmetic(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    c = tech.device.capacitance
    a53 = facts["a53_ceff"]
    yield CheckRow(
        "A53 28 -> 12 nm", "switched capacitance", a53["12"] / a53["28"], c[12] / c[28], "judged",
        "silicon",
    )  # fmt: skip
    volts = tech.device.nominal_v
    for node, published in facts["eco_chip_logic"].items():
        ours = _switch(tech, int(node), volts[int(node)]) / _switch(tech, 7, volts[7])
        yield CheckRow(f"ECO-CHIP {node} / 7", "logic energy", published, ours, "judged", "tool")
    low, high = facts["fp8_ratio"]
    point = tech.operating_point(16)
    base = tech.mac_energy_j(point, "int8", "int8")
    for fmt, published, role in (
        ("fp8", math.sqrt(low * high), "fitted"),
        ("fp16", facts["fp16_ratio"], "judged"),
    ):
        yield CheckRow(
            f"{fmt} / int8 MAC",
            "energy",
            float(published),
            tech.mac_energy_j(point, fmt, fmt) / base,
            "fitted" if role == "fitted" else "judged",
            "paper" if role == "fitted" else "silicon",
            f"published range {low}-{high}"
            if role == "fitted"
            else "published is a whole NPU, whose memories and control dilute the ratio",
        )


def _chart(tech: Technology, facts: dict[str, Any]) -> list[CheckRow]:
    """The 40 to 3 nm chart in its readings: same speed, same power, lowest voltage."""
    published = float(facts["chart_40_3"])
    _, at_power = speed_at_equal_power(tech, 40, 3)
    nominal = _switch(tech, 40, tech.device.nominal_v[40])
    readings = {
        "at equal speed": power_at_equal_speed(tech, 40, 3),
        "at equal power": at_power,
        "at the lowest logic voltage": _switch(tech, 3, tech.device.logic_vmin[3]) / nominal,
        "at the lowest SRAM voltage": _switch(tech, 3, tech.device.sram_vmin[3]) / nominal,
    }
    closest = min(readings, key=lambda name: abs(math.log(readings[name] / published)))
    return [
        CheckRow(
            "chart 40 -> 3 nm (1/40)",
            f"energy left {name}",
            published,
            ours,
            "judged",
            "paper",
            "closest reading" if name == closest else "",
        )
        for name, ours in readings.items()
    ]
