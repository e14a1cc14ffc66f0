"""Voltage, frequency and leakage of the logic and SRAM rails.

Drive law (transregional alpha-power): with x = V (1 - guard band),

    f = K s^beta g(x),   g(x) = softplus(x)^alpha / x,
    softplus(x) = w ln(1 + exp((x - Vt)/w)),   w = alpha n kT/q

so that g tends to (x - Vt)^alpha / x above threshold and to exp((x - Vt)/(n kT/q)) below it.
s is the chain of foundry speed claims; beta is the share of a claim that arrives, computed from
the arithmetic-energy tables at 45 and 7 nm and used for switched capacitance (C = s^-beta) and for
speed alike. K is the geometric mean over the NPU clocks marked as fitted in the data.

Leakage power of a rail: P = P0 (V/V0) exp(dibl (V - V0)/(n kT0/q)) exp(-dVt/(n kT0/q))
2^((T - 25)/doubling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dse.errors import InputError
from dse.technology.facts import FactBase

FloatArray = npt.NDArray[np.float64]
N = TypeVar("N", float, FloatArray)

_K_OVER_Q = 8.617333e-5
_T_REFERENCE = 60.0
_T_LEAKAGE = 25.0
SRAM_RAILS = ("shared", "split")


@dataclass(frozen=True)
class OperatingPoint(Generic[N]):
    """Where a block runs: frequency, rails and the leakage that goes with them.

    ``logic_leakage_factor`` and ``sram_leakage_factor`` multiply the 25 C, .8 V
    densities; ``sram_retention_factor`` the retention powers. Scalars, or arrays of one shape
    when made by ``Technology.operating_points``.
    """

    node_nm: int
    f_hz: N
    voltage_v: N
    sram_voltage_v: N
    guard_band: float
    junction_c: float
    vt: str
    corner: str
    sram_rail: str
    logic_leakage_factor: N
    sram_leakage_factor: N
    sram_retention_factor: float


@dataclass(frozen=True)
class Rail:
    """The drive law of one rail under fixed conditions: f = scale g(V (1 - guard))."""

    scale: float
    vt: float
    alpha: float
    width: float
    guard: float

    def hz(self, voltage: N) -> N:
        """Highest frequency (Hz) at a rail voltage (V)."""
        x = voltage * (1.0 - self.guard)
        if isinstance(x, float):
            soft = self.width * _log1pexp((x - self.vt) / self.width)
            return self.scale * math.pow(soft, self.alpha) / x
        soft_array = self.width * np.logaddexp(0.0, (x - self.vt) / self.width)
        many: FloatArray = self.scale * soft_array**self.alpha / x
        return many

    def volts(self, hz: float, low: float, high: float) -> float:
        """Lowest voltage within [low, high] that reaches ``hz``; the caller checks ``high``."""
        if self.hz(low) >= hz:
            return low
        target = math.log(hz / self.scale)
        keep = 1.0 - self.guard
        lo, hi = low * keep, high * keep
        x = min(max(self.vt + 0.15, lo), hi)
        for _ in range(60):
            u = (x - self.vt) / self.width
            soft = _log1pexp(u)
            gap = self.alpha * math.log(self.width * soft) - math.log(x) - target
            if gap < 0.0:
                lo = x
            else:
                hi = x
            slope = self.alpha / (self.width * soft * (1.0 + math.exp(-u))) - 1.0 / x
            step = gap / slope
            nxt = x - step
            if not lo < nxt < hi:
                nxt = 0.5 * (lo + hi)
            if abs(nxt - x) < 1e-10:
                x = nxt
                break
            x = nxt
        return x / keep


class DeviceModel:
    """Supplies, thresholds, speed and leakage of every node."""

    def __init__(self, facts: FactBase) -> None:
        self.nominal_v = facts.series("nodes", "nominal_voltage_v")
        self.max_v = facts.series("nodes", "max_voltage_v")
        self.logic_vmin = facts.series("nodes", "logic_vmin_v")
        self.sram_vmin = facts.series("nodes", "sram_vmin_v")
        self.chain = facts.series("nodes", "speed_chain")
        self.transistor = facts.labels("nodes", "transistor")
        self.alpha = facts.number("device", "alpha")
        self.n = facts.number("device", "subthreshold_n")
        planar = facts.number("device", "vt_planar_v")
        finfet = facts.number("device", "vt_finfet_v")
        self.vt = {
            node: max(planar, finfet) if kind == "planar" else finfet
            for node, kind in self.transistor.items()
        }
        self.sram_vt_offset = facts.number("device", "sram_vt_offset_v")
        self.sram_headroom = facts.number("device", "sram_speed_headroom")
        self.guard_band = facts.number("device", "guard_band")
        self.vt_per_c = facts.number("device", "vt_mv_per_c") * 1e-3
        self.mobility = facts.number("device", "mobility_exponent")
        self.corners = facts.table("device", "corner_vt_shift_v")
        self.flavours = facts.table("device", "flavour_vt_shift_v")
        self.doubling = facts.table("device", "leakage_doubling_c")
        self.dibl = facts.table("device", "dibl")
        self.leakage_v = facts.number("device", "leakage_reference_v")
        self.sram_flavour_share = facts.number("device", "sram_flavour_share")
        self.sram_assist = facts.number("device", "sram_assist_v")
        self.claims_exponent = claims_exponent(facts)
        share = self.claims_exponent
        self.realised = {node: math.pow(gain, share) for node, gain in self.chain.items()}
        self.capacitance = {node: 1.0 / gain for node, gain in self.realised.items()}
        self.anchors = [tuple(row) for row in facts.value("device", "frequency_anchors")]
        self._scale = 1.0
        implied = [
            float(hz) / self.rail(int(node), guard_band=float(guard)).hz(float(volts))
            for _, node, volts, hz, guard, fitted in self.anchors
            if fitted
        ]
        mean = math.exp(sum(math.log(value) for value in implied) / len(implied))
        self._scale = mean * facts.number("device", "frequency_factor")
        self._rails: dict[tuple[object, ...], tuple[Rail, Rail]] = {}

    def rail(
        self,
        node: int,
        *,
        guard_band: float,
        junction_c: float = _T_REFERENCE,
        vt: str = "mixed",
        corner: str = "tt",
        speed_factor: float = 1.0,
        sram: bool = False,
    ) -> Rail:
        """The drive law of one rail of a node under stated conditions."""
        threshold = (
            self.vt[node]
            + self.flavours[vt]
            + self.corners[corner]
            + self.vt_per_c * (junction_c - _T_REFERENCE)
        )
        kelvin = junction_c + 273.15
        drive = (kelvin / (_T_REFERENCE + 273.15)) ** -self.mobility
        scale = self._scale * self.realised[node] * drive * speed_factor
        if sram:
            threshold += self.sram_vt_offset
            scale *= self.sram_headroom
        width = self.alpha * self.n * _K_OVER_Q * kelvin
        return Rail(scale, threshold, self.alpha, width, guard_band)

    def rails(
        self,
        node: int,
        guard_band: float,
        junction_c: float,
        vt: str,
        corner: str,
        speed_factor: float,
    ) -> tuple[Rail, Rail]:
        """Logic and SRAM rail, checked and remembered."""
        key = (node, guard_band, junction_c, vt, corner, speed_factor)
        found = self._rails.get(key)
        if found is None:
            self._check(guard_band, junction_c, vt, corner, speed_factor)
            logic, sram = (
                self.rail(
                    node,
                    guard_band=guard_band,
                    junction_c=junction_c,
                    vt=vt,
                    corner=corner,
                    speed_factor=speed_factor,
                    sram=is_sram,
                )
                for is_sram in (False, True)
            )
            if len(self._rails) > 4096:
                self._rails.clear()
            found = self._rails[key] = (logic, sram)
        return found

    def leakage_factor(
        self, node: int, voltage: N, junction_c: float, vt: str, corner: str, share: float = 1.0
    ) -> N:
        """Leakage power against the 25 C, .8 V, mixed-threshold value of the node."""
        kind = self.transistor[node]
        swing = self.n * _K_OVER_Q * (_T_LEAKAGE + 273.15)
        reference = self.leakage_v
        shift = self.flavours[vt] * share + self.corners[corner]
        hotter = math.pow(2.0, (junction_c - _T_LEAKAGE) / float(self.doubling[kind]))
        fixed = math.exp(-shift / swing) * hotter
        rate = float(self.dibl[kind]) / swing
        if isinstance(voltage, float):
            return fixed * voltage / reference * math.exp(rate * (voltage - reference))
        many: FloatArray = fixed * voltage / reference * np.exp(rate * (voltage - reference))
        return many

    def retention_factor(self, node: int, junction_c: float, vt: str, corner: str) -> float:
        """Retention power against its 25 C mixed-threshold value."""
        return self.leakage_factor(
            node, self.leakage_v, junction_c, vt, corner, self.sram_flavour_share
        )

    def _check(
        self, guard_band: float, junction_c: float, vt: str, corner: str, speed_factor: float
    ) -> None:
        if not 0.0 <= guard_band < 0.3:
            raise InputError(
                f"guard band {guard_band:g} is out of range",
                field="guard_band",
                mend="a fraction of the voltage from 0 to 0.3",
            )
        if not -40.0 <= junction_c <= 150.0:
            raise InputError(
                f"junction temperature {junction_c:g} C is out of range",
                field="junction_c",
                mend="from -40 to 150 C",
            )
        if vt not in self.flavours:
            raise InputError(
                f"unknown threshold flavour {vt!r}",
                field="vt",
                mend=f"one of {', '.join(self.flavours)}",
            )
        if corner not in self.corners:
            raise InputError(
                f"unknown corner {corner!r}",
                field="corner",
                mend=f"one of {', '.join(self.corners)}",
            )
        if not 0.2 <= speed_factor <= 5.0:
            raise InputError(
                f"speed factor {speed_factor:g} is out of range",
                field="speed_factor",
                mend="from 0.2 to 5 (1 is an ordinary NPU pipeline)",
            )


def claims_exponent(facts: FactBase) -> float:
    """Share (as an exponent) of the foundry speed claims that the arithmetic tables confirm.

    beta = ln(R / (V45/V7)^2) / ln(s7/s45) with R the geometric mean of the 45 nm to 7 nm energy
    ratios of eight arithmetic operations (Horowitz, Jouppi), s the claims chain.
    """
    ratios: list[float] = []
    for name in ("int_mult_pj", "int_add_pj"):
        table = facts.table("datapath", name)
        ratios += [table["45"][bits] / table["7"][bits] for bits in ("8", "32")]
    for name in ("fp_mult_pj", "fp_add_pj"):
        table = facts.table("datapath", name)
        ratios += [table[fmt]["45"] / table[fmt]["7"] for fmt in ("fp16", "fp32")]
    volts = facts.table("datapath", "anchor_voltage_v")
    chain = facts.series("nodes", "speed_chain")
    mean = sum(math.log(ratio) for ratio in ratios) / len(ratios)
    mean -= 2.0 * math.log(volts["45"] / volts["7"])
    share = mean / math.log(chain[7] / chain[45])
    return share * facts.number("device", "claims_factor")


def _log1pexp(u: float) -> float:
    return u + math.log1p(math.exp(-u)) if u > 0.0 else math.log1p(math.exp(u))
