"""Published figures against the model, each marked fitted or judged. The error is what it is."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dse.technology.device import Rail
from dse.technology.facts import DATA_FOLDER, FactFile
from dse.technology.technology import Technology, load_technology

Role = Literal["judged", "fitted"]


@dataclass(frozen=True)
class CheckRow:
    """One comparison: ``ratio`` is ours over published."""

    item: str
    quantity: str
    published: float
    ours: float
    role: Role
    kind: str
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours over published."""
        return self.ours / self.published

    def to_dict(self) -> dict[str, float | str]:
        """The row of ``dse validate``."""
        return {
            "item": self.item,
            "quantity": self.quantity,
            "published": self.published,
            "ours": self.ours,
            "ratio": self.ratio,
            "role": self.role,
            "kind": self.kind,
            "note": self.note,
        }


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
        _memories,
        _areas,
        _outside,
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


def _memories(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    sram = tech.memory.sram_c
    cacti: dict[str, list[float]] = facts["cacti22_lop"]
    for big in (32768, 131072, 1048576, 4194304):
        yield CheckRow(
            f"CACTI 22 nm {big // 1024} KiB / 8 KiB",
            "read energy, 64 bit",
            cacti[f"{big}x64"][0] / cacti["8192x64"][0],
            sram(22, float(big), 64, False) / sram(22, 8192.0, 64, False),
            "judged",
            "tool",
        )
    for size in (8192, 131072, 1048576):
        yield CheckRow(
            f"CACTI 22 nm {size // 1024} KiB, 128 / 64 bit",
            "energy per bit",
            cacti[f"{size}x128"][0] / cacti[f"{size}x64"][0] / 2.0,
            sram(22, float(size), 128, False) / sram(22, float(size), 64, False),
            "judged",
            "tool",
        )
    yield CheckRow(
        "CACTI 22 nm 1 MiB",
        "mm2",
        cacti["1048576x128"][1],
        tech.sram_area_mm2(22, 1048576.0, 128, 8),
        "judged",
        "tool",
    )
    v7 = tech.device.nominal_v[7]
    for size_text, pj in facts["jouppi_sram_7"].items():
        ours = sram(7, float(size_text), 64, False) * 64.0 * v7**2 * 1e12
        yield CheckRow(
            f"Jouppi 7 nm SRAM {int(size_text) // 1024} KiB",
            "pJ per 64 bit",
            pj,
            ours,
            "judged",
            "paper",
            "the growth with capacity is fitted to this table, the level is not",
        )
    for size_text, fj in facts["dally_sram_14"].items():
        ours = sram(16, float(size_text), 64, False) * 0.8**2 * 1e15
        yield CheckRow("Dally 14 nm SRAM 8 KiB", "fJ per bit", fj, ours, "fitted", "paper")
    for node, volts, fj in facts["wire"]:
        ours = tech.memory.wire_c * volts**2 * 1e15
        yield CheckRow(f"wire {node} nm {volts} V", "fJ per bit mm", fj, ours, "fitted", "paper")


def _areas(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    density, cell = tech.datapath.density, tech.memory.bitcell
    share = facts["nvdla_area"]["sram_share_28"]
    ours = (1.0 - share) * density[28] / density[16] + share * cell[16] / cell[28]
    published = facts["nvdla_area"]["ratio"]
    yield CheckRow("NVDLA 28 -> 16 nm", "area", published, ours, "fitted", "vendor estimate")
    table = facts["sram_density"]
    yield CheckRow(
        "A12 system cache 7 nm",
        "mm2 per MiB",
        table["7_mm2_per_mib"],
        tech.sram_area_mm2(7, 1048576.0, 128, 8),
        "judged",
        "silicon",
    )
    for node, key in ((3, "3_mb_mm2"), (2, "2_mb_mm2")):
        ours = 8.388608 / tech.sram_area_mm2(node, 1048576.0, 128, 1)
        yield CheckRow(f"SRAM {node} nm", "Mb per mm2", table[key], ours, "fitted", "paper")
    logic, bits = density[5] / density[7], cell[7] / cell[5]
    a55 = facts["a55_shrink"]
    ours = 1.0 / ((1.0 - a55["sram_share"]) / logic + a55["sram_share"] / bits)
    yield CheckRow("A55 7 -> 5 nm", "density gain", a55["density"], ours, "judged", "silicon")
    soc = facts["soc_shrink"]
    left = soc["logic"] / logic + soc["sram"] / bits + soc["analog"] / soc["analog_gain"]
    yield CheckRow(
        "model SoC 7 -> 5 nm", "density gain", soc["density"], 1.0 / left, "judged",
        "vendor estimate",
    )  # fmt: skip
    for name, node, key in (("TPUv1", 28, "tpu_mac_mm2"), ("MAGNet", 16, "magnet_mac_mm2")):
        yield CheckRow(
            f"{name} {node} nm",
            "mm2 per int8 MAC; published includes array wiring and buffers, ours is bare",
            facts[key],
            tech.mac_area_mm2(node, "int8", "int8"),
            "judged",
            "silicon" if name == "TPUv1" else "vendor estimate",
        )


def _outside(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    lpddr4 = tech.dram("lpddr4")
    for size, published in facts["lpddr4_pair"].items():
        burst = float(size)
        ours = burst / (burst + lpddr4.turnaround_bytes)
        yield CheckRow(
            f"LPDDR4 {size} B read/write pairs", "share of peak", published, ours, "fitted", "tool"
        )
    low, high = facts["rk3588_stream"]
    yield CheckRow(
        "RK3588 weight stream",
        "share of LPDDR4X peak",
        math.sqrt(low * high),
        tech.dram("lpddr4x").efficiency(4096.0, 0.02),
        "fitted",
        "silicon",
        f"range {low}-{high}",
    )
    for source, published in facts["cpa_7"].items():
        yield CheckRow(
            f"carbon 7 nm, {source}",
            "kg per cm2 (ours on Taiwan's grid)",
            published,
            tech.carbon.per_cm2_kg(7, "taiwan"),
            "judged",
            "tool",
        )
    for node, musd in facts["nre_small"].items():
        ours = (tech.nre_usd(int(node), 10.0) + tech.ip_usd(int(node))) * 1e-6
        yield CheckRow(
            f"small-chip one-time cost {node} nm", "MUSD all in", musd, ours, "judged", "paper"
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
