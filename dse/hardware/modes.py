"""How a chip changes while it runs: sleep states, operating points, temperature, core network.

Records only; :mod:`dse.hardware.dynamics` resolves them from a chip spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: Junction temperatures between which the technology is known, C.
COLDEST_C, HOTTEST_C = -40.0, 125.0

Governor = Literal["fixed", "race_to_idle", "deadline_aware"]
Arbitration = Literal["processor_sharing", "fcfs", "round_robin"]


@dataclass(frozen=True, slots=True)
class SleepState:
    """A state below idle: its power, and what entering and leaving it takes.

    While a part enters it still draws the power of the state above, and ``entry_j`` is spread over
    ``entry_s`` (which must be above 0 if ``entry_j`` is); ``wake_j`` is spread over ``wake_s`` on
    top of the idle power.
    """

    name: str
    power_w: float
    entry_s: float = 0.0
    entry_j: float = 0.0
    wake_s: float = 0.0
    wake_j: float = 0.0


@dataclass(frozen=True)
class Thermal:
    """One thermal resistance and one capacitance between junction and ambient.

    ``C dT/dt = P_die - (T - ambient) / R``. ``scale`` gives the static power of each component at
    the temperatures ``grid_c``, relative to the temperature the chip was resolved at. Temperature
    and leakage are brought up to date every ``tick_s``; at ``limit_c`` the chip goes one operating
    point down, ``hysteresis_k`` below it one up again.
    """

    resistance_k_per_w: float
    capacitance_j_per_k: float
    ambient_c: float
    start_c: float
    limit_c: float
    hysteresis_k: float
    tick_s: float
    grid_c: tuple[float, ...]
    scale: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class CoreNetwork:
    """What joins the cores to each other and to the memories, which sit at core 0.

    Each link of a ring or mesh (and the one bus) carries ``bytes_per_s``; a hop takes ``hop_s`` and
    ``hop_j_per_bit``. Cores are dealt out evenly over ``chiplets`` dies; between the first die and
    each other one runs a link of ``die_bytes_per_s``, ``die_s`` and ``die_j_per_bit``. With
    ``private`` memories each die has an equal share of the DRAM channels to itself.
    """

    topology: Literal["bus", "ring", "mesh"]
    bytes_per_s: float
    hop_s: float
    hop_j_per_bit: float
    chiplets: int = 1
    die_bytes_per_s: float = 0.0
    die_s: float = 0.0
    die_j_per_bit: float = 0.0
    private: bool = False
