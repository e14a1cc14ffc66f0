"""A chip laid out for reading: every number of ``dse show CHIP``, as plain data."""

from __future__ import annotations

from typing import Any

from dse.hardware.area import AreaNode
from dse.hardware.chip import SCOPES, Chip, CoreKind
from dse.hardware.cost import own_dies_usd
from dse.hardware.spec import ChipSpec
from dse.hardware.widths import width_rows, widths_of


def area_by_scope(chip: Chip) -> dict[str, float]:
    """Area of each scope, mm2 (memory and module add none to the die)."""
    return {scope: chip.area.scope_mm2(scope) for scope in SCOPES}


def static_by_scope(chip: Chip, state: str = "active") -> dict[str, float]:
    """Static power of each scope in a state (``active``, ``idle``, ``gated``), W, cores counted.

    Each scope contains the ones before it; ``module`` adds the converter's losses at that load.
    """
    own = dict.fromkeys(SCOPES, 0.0)
    for part in chip.static:
        times = len(chip.cores_of(part)) or 1
        own[part.scope] += times * float(getattr(part, f"{state}_w"))
    npu, die = own["npu"], own["npu"] + own["die"]
    whole = die + own["die_dram"]
    return {"npu": npu, "die": die, "die_dram": whole, "module": chip.pmic.input_w(whole)}


def chip_table(chip: Chip) -> dict[str, Any]:
    """Everything worth showing of a chip, JSON-ready, SI units in the names."""
    spec: ChipSpec = chip.spec
    native = spec.native_pair.replace("x", ".")
    macs = chip.cores * spec.macs_per_cycle
    peak = macs * chip.f_hz
    power = peak * chip.prices[f"mac.{native}"]
    kinds = [_kind_row(chip, kind) for kind in chip.kinds]
    if kinds:
        macs, peak, power = (
            sum(row[name] for row in kinds)
            for name in ("macs_per_cycle", "peak_macs_per_s", "peak_mac_power_w")
        )
    return {
        "schema_version": spec.schema_version,
        "name": chip.name,
        "template": chip.template,
        "description": spec.description,
        "node_nm": chip.node_nm,
        "f_hz": chip.f_hz,
        "voltage_v": chip.voltage_v,
        "sram_voltage_v": chip.sram_voltage_v,
        "junction_c": chip.junction_c,
        "cores": chip.cores,
        "native_precision": chip.native_precision,
        "macs_per_cycle": macs,
        "peak_macs_per_s": peak,
        "peak_mac_power_w": power,
        **({"kinds": kinds} if kinds else {}),
        "array": {
            "axes": [{"size": axis.size, "dims": list(axis.dims)} for axis in chip.array.axes],
            "dataflows": list(chip.array.dataflows),
            "formats": dict(spec.array.formats),
            "depthwise": chip.array.depthwise,
            "align": dict(chip.array.align),
        },
        "buffer_bytes": chip.buffer.capacity_bytes,
        "widths": width_rows(spec),
        "links": {
            name: {
                "bytes_per_s": link.bytes_per_s,
                "peak_bytes_per_s": link.peak_bytes_per_s,
                "capacity_bytes": link.capacity_bytes,
            }
            for name, link in chip.links.items()
        },
        "area_mm2": chip.area_mm2,
        "area_by_scope_mm2": area_by_scope(chip),
        "area": [_area_row(path, node) for path, node in chip.area.walk()],
        "static": [
            {
                "component": part.component,
                "scope": part.scope,
                "instances": len(chip.cores_of(part)) or 1,
                "active_w": part.active_w,
                "idle_w": part.idle_w,
                "gated_w": part.gated_w,
                "wake_s": part.wake_s,
                "wake_j": part.wake_j,
            }
            for part in chip.static
        ],
        "static_by_scope_w": {
            state: static_by_scope(chip, state) for state in ("active", "idle", "gated")
        },
        "prices_j": dict(chip.prices),
        "sources": {path: source.model_dump() for path, source in spec.sources.items()},
        "ranges": {path: item.model_dump() for path, item in spec.ranges.items()},
        "digest": chip.digest,
    }


def _kind_row(chip: Chip, kind: CoreKind) -> dict[str, Any]:
    """What sets one kind of core apart: its size, clock, rail, area, leakage and main prices.

    ``area_mm2`` is of all its cores, ``die_cost_usd`` what a good die would cost less without them
    and the empty space and pads around them.
    """
    view, first = kind.chip, kind is chip.kinds[0]
    native = view.spec.native_pair
    macs = view.cores * view.spec.macs_per_cycle
    peak = macs * view.f_hz
    npu = next(part for part in view.area.parts if part.name == "npu")
    shared = ("l2", "other_cores", *(other.name for other in chip.kinds))
    area = sum(part.total_mm2 for part in npu.parts if part.name not in shared)
    tech = chip.technology
    die_cost_usd = own_dies_usd(tech, chip) - own_dies_usd(tech, chip, without=kind.name)
    own = [part for part in view.static if part.per_core]
    prices = (f"mac.{native.replace('x', '.')}", "buffer.read_bit", "vector.add", "launch")
    return {
        "name": kind.name,
        "description": chip.spec.description if first else chip.spec.kinds[kind.name].description,
        "cores": list(kind.cores),
        "f_hz": view.f_hz,
        "voltage_v": view.voltage_v,
        "macs_per_cycle": macs,
        "peak_macs_per_s": peak,
        "peak_mac_power_w": peak * view.prices[prices[0]],
        "axes": [{"size": axis.size, "dims": list(axis.dims)} for axis in view.array.axes],
        "formats": dict(view.spec.array.formats),
        "buffer_bytes": view.buffer.capacity_bytes,
        "vector_lanes": widths_of(view.spec).lanes,
        "widths": width_rows(view.spec),
        "area_mm2": area,
        "die_cost_usd": die_cost_usd,
        **{
            f"{state}_w_per_core": sum(float(getattr(part, f"{state}_w")) for part in own)
            for state in ("active", "idle", "gated")
        },
        "prices_j": {name: view.prices[name] for name in prices},
    }


def _area_row(path: str, node: AreaNode) -> dict[str, object]:
    return {
        "block": path,
        "scope": node.scope,
        "own_mm2": node.own_mm2,
        "total_mm2": node.total_mm2,
    }
