"""Published figures of memories, areas, DRAM, carbon and cost against the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from dse.technology.checks_row import CheckRow
from dse.technology.technology import Technology


def memory_checks(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    """SRAM energy against CACTI 7 and the op tables; wires."""
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


def area_checks(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    """Shrinks of whole designs, macro densities and MAC areas."""
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


def outside_checks(tech: Technology, facts: dict[str, Any]) -> Iterator[CheckRow]:
    """DRAM efficiency, carbon and one-time cost."""
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
