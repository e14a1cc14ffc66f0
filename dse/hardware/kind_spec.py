"""Further kinds of cores in a chip file: what each changes against the cores of the chip itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from dse.ranges import CoreCount, Hertz, Speed, Volt
from dse.schema import Strict

#: Blocks that a kind of core may change; the rest of a chip is shared by all its cores.
KIND_SECTIONS = ("array", "buffer", "vector", "widths", "dma", "overhead", "legality")
#: Plain fields that a kind may change; null follows the chip.
KIND_VALUES = ("f_hz", "voltage_v", "sram_voltage_v", "vt", "speed_factor", "native_precision")
#: Mappings that are given as a whole: what is written of them leaves nothing of the chip's own.
REPLACED_WHOLE = ("formats", "matmul_formats", "align", "energy_j", "energy_ratio")
#: Words that an app's ``cores`` means otherwise, and blocks of the floorplan.
RESERVED = (
    *("all", "split"),
    *("array", "accumulators", "buffer", "vector", "control", "noc", "l2", "other_cores"),
    *("npu", "die", "host", "dram_phy", "dram_controller", "nvm", "pll", "always_on"),
    *("other_logic", "io_ring", "die_links"),
)


class KindSpec(Strict):
    """``cores`` equal cores of another kind: the chip's own core but for what is written here.

    A block (``array``, ``buffer``, ``vector``, ``widths``, ``dma``, ``overhead``, ``legality``)
    holds the fields that differ; formats are replaced whole. Widths that are null follow the kind's
    own array. ``f_hz``: a clock of its own, on a rail of its own whose voltage follows; null is the
    clock of the chip. L2, NVM, DRAM, host, network and the rest of the die are shared with all
    other cores.
    """

    cores: CoreCount = 1
    description: str = ""
    f_hz: Hertz | None = None
    voltage_v: Volt | None = None
    sram_voltage_v: Volt | None = None
    vt: str | None = None
    speed_factor: Speed | None = None
    native_precision: str | None = None
    array: dict[str, Any] = Field(default_factory=dict)
    buffer: dict[str, Any] = Field(default_factory=dict)
    vector: dict[str, Any] = Field(default_factory=dict)
    widths: dict[str, Any] = Field(default_factory=dict)
    dma: dict[str, Any] = Field(default_factory=dict)
    overhead: dict[str, Any] = Field(default_factory=dict)
    legality: dict[str, Any] = Field(default_factory=dict)

    @property
    def own_point(self) -> bool:
        """Whether it has a clock and a rail of its own."""
        return self.f_hz is not None or self.voltage_v is not None


def combine(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings merged, the second one winning; formats and lists are replaced whole."""
    out: dict[str, Any] = dict(base)
    for key, value in over.items():
        old = out.get(key)
        if key in REPLACED_WHOLE:
            out[key] = value
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            out[key] = combine(old, value)
        else:
            out[key] = value
    return out


def kind_data(chip: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The values of a chip all of whose cores are of one of its kinds, from those of the chip.

    Args:
        chip: a whole chip spec as plain data.
        name: of a further kind, or of the chip's own cores.
    """
    out = {key: value for key, value in chip.items() if key != "kinds"}
    out |= {"sources": {}, "ranges": {}}
    # The network and the operating points are of the chip as a whole.
    out["noc"] = {**chip["noc"], "topology": "none", "chiplets": 1}
    out["power"] = {**chip["power"], "dvfs": {}}
    if name == chip["kind"]:
        return out
    kind = chip["kinds"][name]
    out |= {"kind": name, "cores": kind["cores"]}
    if kind["f_hz"] is not None or kind["voltage_v"] is not None:  # a point of its own
        out |= {"f_hz": None, "voltage_v": None, "sram_voltage_v": None}
    out |= {key: kind[key] for key in KIND_VALUES if kind[key] is not None}
    for section in KIND_SECTIONS:
        out[section] = combine(out[section], kind[section])
    return out
