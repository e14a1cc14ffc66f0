"""Rows that a designer wants to see: nodes side by side, and nodes by unit cost at a volume."""

from __future__ import annotations

from dse.technology.cost import UnitCost
from dse.technology.technology import Technology

_MIB = float(1 << 20)


def node_table(
    technology: Technology, f_hz: float = 400e6, nodes: tuple[int, ...] | None = None
) -> list[dict[str, float]]:
    """Each node at its nominal voltage and, for a fair comparison, at one frequency.

    Keys carry their units. ``nan`` stands where a node cannot reach ``f_hz``.

    Args:
        technology: nominal or drawn.
        f_hz: the common frequency (Hz) of the equal-frequency columns.
        nodes: which nodes (nm); the designable ones by default.
    """
    return [_row(technology, node, f_hz) for node in nodes or technology.nodes]


def _row(technology: Technology, node: int, f_hz: float) -> dict[str, float]:
    nominal = technology.operating_point(node)
    row: dict[str, float] = {
        "node_nm": node,
        "nominal_v": nominal.voltage_v,
        "f_at_nominal_hz": nominal.f_hz,
        "f_max_hz": technology.f_max_hz(node, technology.device.max_v[node]),
        "int8_mac_pj_at_nominal": technology.mac_energy_j(nominal, "int8", "int8") * 1e12,
        "equal_f_hz": f_hz,
        "voltage_at_equal_f_v": float("nan"),
        "int8_mac_pj_at_equal_f": float("nan"),
        "sram_128kib_pj_per_bit_at_equal_f": float("nan"),
    }
    if f_hz <= row["f_max_hz"]:
        equal = technology.operating_point(node, f_hz=f_hz, sram_rail="split")
        row["voltage_at_equal_f_v"] = equal.voltage_v
        row["int8_mac_pj_at_equal_f"] = technology.mac_energy_j(equal, "int8", "int8") * 1e12
        row["sram_128kib_pj_per_bit_at_equal_f"] = (
            technology.sram_energy_j_per_bit(equal, 131072.0) * 1e12
        )
    row |= {
        "sram_128kib_pj_per_bit_at_nominal": technology.sram_energy_j_per_bit(nominal, 131072.0)
        * 1e12,
        "logic_mgates_per_mm2": 1e-6 / technology.logic_area_mm2(node, 1.0),
        "sram_mib_per_mm2": 1.0 / technology.sram_area_mm2(node, _MIB, 128, 8),
        "logic_leakage_w_per_mm2_60c": technology.logic_leakage_w_per_mm2(nominal),
        "sram_leakage_w_per_mib_60c": technology.sram_leakage_w_per_bit(nominal) * 8.0 * _MIB,
        "wafer_usd": technology.cost.wafer_usd[node],
        "defects_per_cm2": technology.cost.d0[node],
        "design_full_soc_usd": technology.cost.design_musd[node] * 1e6,
        "nre_small_npu_usd": technology.nre_usd(node, 10.0, "small_npu"),
        "carbon_kg_per_cm2_taiwan": technology.carbon.per_cm2_kg(node, "taiwan"),
    }
    return row


def equal_work_area_mm2(
    technology: Technology,
    node: int,
    macs_per_s: float,
    sram_bytes: float,
    fixed_mm2: float = 1.5,
    overhead: float = 1.6,
) -> float:
    """Area (mm2) of a small NPU die that does the same work at any node, at nominal voltage.

    Args:
        technology: the technology.
        node: in nm.
        macs_per_s: int8 peak MAC rate; the array has macs_per_s / f MACs.
        sram_bytes: on-chip memory.
        fixed_mm2: pads, PLL and analog, which do not scale.
        overhead: control, buffers, vector unit and fabric as a multiple of the MACs' area.
    """
    macs = macs_per_s / technology.operating_point(node).f_hz
    logic = macs * technology.mac_area_mm2(node, "int8", "int8") * (1.0 + overhead)
    memory = technology.sram_area_mm2(node, sram_bytes, 128, max(1, int(sram_bytes // 32768)))
    white = technology.floor(node).die_white_space
    return (logic + memory + fixed_mm2) / (1.0 - white)


def unit_cost_by_node(
    technology: Technology,
    volume: float,
    *,
    macs_per_s: float,
    sram_bytes: float,
    package: str = "fccsp",
    design_class: str = "small_npu",
    nodes: tuple[int, ...] | None = None,
) -> list[UnitCost]:
    """Cost of the same work at each node at a volume, all parts shown, cheapest first."""
    rows = [
        technology.unit_cost(
            node,
            equal_work_area_mm2(technology, node, macs_per_s, sram_bytes),
            volume,
            package=package,
            design_class=design_class,
        )
        for node in nodes or technology.nodes
    ]
    return sorted(rows, key=lambda row: row.total_usd)
