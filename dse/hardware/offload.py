"""What lies between a device and a data-centre chip, and on what terms that chip is shared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetLink:
    """The network between a device and a data centre, as one device sees it.

    ``up_bytes_per_s`` and ``down_bytes_per_s`` are what an app gets of it (goodput), ``rtt_s`` the
    round trip of an empty packet. ``device_j_per_bit`` is spent by the device's radio or port for
    each bit sent or received, ``network_j_per_bit`` by everything beyond. ``idle_w`` keeps the
    radio on the network. ``availability`` is the share of requests that get an answer.
    """

    name: str
    up_bytes_per_s: float
    down_bytes_per_s: float
    rtt_s: float
    device_j_per_bit: float
    network_j_per_bit: float
    idle_w: float = 0.0
    availability: float = 1.0


@dataclass(frozen=True, slots=True)
class CloudTerms:
    """How a data-centre chip is shared by many devices.

    The chip is busy for the share ``utilization`` of its time, so a device that occupies it for a
    second pays for ``1 / utilization`` seconds of it. ``batch`` requests of different users are
    served at once. ``server_w`` and ``server_cost_usd`` are the rest of the server for each chip,
    ``pue`` what the building draws for each watt in it; ``lifetime_years`` spreads cost and
    embodied carbon of the chip, ``volume`` its one-time cost; ``electricity_usd_per_kwh`` and
    ``grid`` are where it stands.
    """

    utilization: float
    batch: int
    server_w: float
    server_cost_usd: float
    pue: float
    lifetime_years: float
    volume: float
    electricity_usd_per_kwh: float
    grid: str
