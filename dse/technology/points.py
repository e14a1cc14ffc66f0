"""From a requested frequency or voltage to an operating point."""

from __future__ import annotations

from dse.errors import ImpossibleChipError, InputError
from dse.technology.device import SRAM_RAILS, DeviceModel, OperatingPoint, Rail


def solve_point(
    device: DeviceModel,
    node: int,
    *,
    f_hz: float | None,
    voltage_v: float | None,
    sram_voltage_v: float | None,
    guard_band: float | None,
    junction_c: float,
    vt: str,
    corner: str,
    sram_rail: str,
    speed_factor: float,
    sram_assist: bool,
) -> OperatingPoint[float]:
    """The lowest voltages that reach a frequency, or the frequency that a voltage allows.

    Raises:
        InputError: a rail below its minimum or above its maximum, or a frequency out of reach.
    """
    guard = device.guard_band if guard_band is None else guard_band
    logic, sram = device.rails(node, guard, junction_c, vt, corner, speed_factor)
    sram_min = sram_floor(device, node, sram_assist)
    shared = _is_shared(sram_rail)
    low = max(device.logic_vmin[node], sram_min) if shared else device.logic_vmin[node]
    high = device.max_v[node]
    if sram_voltage_v is not None:
        _check_volts(node, sram_voltage_v, sram_min, high, "sram_voltage_v")
        if shared and voltage_v is not None and voltage_v != sram_voltage_v:
            raise InputError(
                "a shared rail cannot carry two voltages",
                field="sram_voltage_v",
                mend="drop sram_voltage_v or set sram_rail to split",
            )
        if shared:
            voltage_v = sram_voltage_v
    if voltage_v is not None:
        volts = float(voltage_v)
        _check_volts(node, volts, low, high, "voltage_v")
    elif f_hz is None:
        volts = max(device.nominal_v[node], low)
    else:
        volts = _lowest(logic, sram if shared else None, float(f_hz), low, high, node)
    if shared:
        sram_volts = volts
    elif sram_voltage_v is not None:
        sram_volts = float(sram_voltage_v)
    else:
        wanted = logic.hz(volts) if f_hz is None else float(f_hz)
        top = min(wanted, sram.hz(high))
        sram_volts = max(sram.volts(top, sram_min, high), sram_min)
    reach = min(logic.hz(volts), sram.hz(sram_volts))
    if f_hz is None:
        hz = reach
    else:
        hz = float(f_hz)
        if hz <= 0.0:
            raise InputError(
                f"the frequency {hz:g} Hz is not positive", field="f_hz", mend="above 0 Hz"
            )
        if hz > reach * (1.0 + 1e-6):
            raise ImpossibleChipError(
                f"{_mhz(hz)} is out of reach at {volts:.3f} V on {node} nm",
                field="f_hz",
                mend=f"at most {reach / 1e6:.0f} MHz at this voltage, or raise the voltage",
            )
    return OperatingPoint(
        node_nm=node,
        f_hz=hz,
        voltage_v=volts,
        sram_voltage_v=sram_volts,
        guard_band=guard,
        junction_c=junction_c,
        vt=vt,
        corner=corner,
        sram_rail=sram_rail,
        logic_leakage_factor=device.leakage_factor(node, volts, junction_c, vt, corner),
        sram_leakage_factor=device.leakage_factor(
            node, sram_volts, junction_c, vt, corner, device.sram_flavour_share
        ),
        sram_retention_factor=device.retention_factor(node, junction_c, vt, corner),
    )


def sram_floor(device: DeviceModel, node: int, sram_assist: bool) -> float:
    """Lowest voltage (V) of 6T arrays, with or without assist circuits."""
    floor = device.sram_vmin[node]
    return max(device.logic_vmin[node], floor - device.sram_assist) if sram_assist else floor


def _is_shared(sram_rail: str) -> bool:
    if sram_rail not in SRAM_RAILS:
        raise InputError(
            f"unknown SRAM rail {sram_rail!r}",
            field="sram_rail",
            mend=f"one of {', '.join(SRAM_RAILS)}",
        )
    return sram_rail == "shared"


def _check_volts(node: int, volts: float, low: float, high: float, field: str) -> None:
    if not low - 1e-9 <= volts <= high + 1e-9:
        raise ImpossibleChipError(
            f"{volts:g} V is outside the rail's range on {node} nm",
            field=field,
            mend=f"from {low:g} to {high:g} V (a split SRAM rail lowers the logic minimum)",
        )


def highest_hz(logic: Rail, sram: Rail | None, high: float) -> float:
    """The frequency (Hz) that the rails reach at ``high`` volts; ``sram`` None on a split rail."""
    return logic.hz(high) if sram is None else min(logic.hz(high), sram.hz(high))


def _mhz(hz: float) -> str:
    """A clock for a message; a slip of the unit does not fill the screen."""
    return f"{hz / 1e6:.0f} MHz" if hz < 1e13 else f"{hz:g} Hz"


def _check_reach(logic: Rail, sram: Rail | None, hz: float, high: float, node: int) -> None:
    reach = highest_hz(logic, sram, high)
    if hz > reach * (1.0 + 1e-9):
        raise ImpossibleChipError(
            f"{_mhz(hz)} is out of reach on {node} nm",
            field="f_hz",
            mend=f"at most {reach / 1e6:.0f} MHz at the maximum of {high:g} V",
        )


def _lowest(logic: Rail, sram: Rail | None, hz: float, low: float, high: float, node: int) -> float:
    if hz <= 0.0:
        raise InputError(
            f"the frequency {hz:g} Hz is not positive", field="f_hz", mend="above 0 Hz"
        )
    _check_reach(logic, sram, hz, high, node)
    volts = logic.volts(hz, low, high)
    return volts if sram is None else max(volts, sram.volts(hz, low, high))
