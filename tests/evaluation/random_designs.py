"""Random valid designs, and what must hold of every one of them.

A design is a shipped chip or a template with a few fields turned within its own ranges, at a random
node and clock, and one of a few small networks. :func:`checked` holds it against

* **levels**: roofline <= analytic in time and energy, and a model alone plays as it is added up;
* **node**: at the next finer node, the same mapping and the same clocks take no more dynamic energy
  in any group of actions, no more leakage, and no more at the module's supply;
* **channels**: twice the DRAM channels are never slower, where the mapper is asked for time;
* **money**: a unit is cheaper at a larger volume, and its parts add up.

What is left out, and why, stands in :data:`LEFT_OUT`.

    python -m tests.evaluation.random_designs --count 60 --out table.csv
"""

from __future__ import annotations

import argparse
import csv
import functools
import math
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dse.errors import ImpossibleChipError, InputError, UnmappableError
from dse.evaluation.core_choice import mapped_model
from dse.evaluation.model_run import evaluate_model
from dse.evaluation.terms import Terms
from dse.files import shipped_folder
from dse.hardware import load_spec, unit_cost
from dse.hardware.chip import Chip
from dse.hardware.resolve import operating_point, resolve
from dse.hardware.spec import ChipSpec
from dse.mapping import Program, map_layer, price
from dse.mapping.ir.schedule import link_rates, unroll
from dse.technology import load_technology
from dse.workload import Workload, load_model
from dse.workload.layer import Layer

TECH = load_technology()
MODELS = ("resnet8", "dscnn_kws", "ad_autoencoder", "wakeword_1d_dscnn", "mobilenetv1_w0.25")
#: What is not asked of a design, by what it would otherwise be.
LEFT_OUT = {
    "node: host clock": "a host clock that a file leaves open is what the node reaches; a faster "
    "host draws more while it starts layers, so the clock of the coarser node is given to both",
    "node: mapping": "for energy times delay the mapper may take more energy for less time, so the "
    "mapping is the coarser node's",
    "node: nvm": "a node without the memory has it on a second die, behind a link",
    "node: always_on": "the always-on domain and its oscillators are the floor's figures, which "
    "rise by microwatts with leakier transistors",
    "node: pads": "PHYs, pads and PLLs do not follow logic: their figures are tables by node",
    "node: dram_controller": "its area is a table by node in two digits, which round up to 5 % "
    "against the density of the logic that it is made of",
    "node: buffer_leakage": "periphery of ports wider than their banks leaks as logic does, whose "
    "leakage by node is a table in two digits: within 1 %",
    "levels: waiting cores": "analytic gates cores that wait at once and for free, a play after a "
    "while: of chips with several cores it may lie below, by less than 2 %",
    "channels: networks": "a layer alone is never slower; of a network a memory plan within 2 % of "
    "what must move or work is not refined further (SETTLED of dse.mapping.network.choose)",
    "channels: other objectives": "more channels draw more power, against which the mapper weighs "
    "time; with the objective latency there is nothing to weigh",
}
#: Static parts that are tables of the floor, see LEFT_OUT.
TABLES = ("always_on", "pll", "io", "phy_idle", "dram_background")
EXACT = 1e-9
#: Share by which the leakage of macros may rise, see LEFT_OUT.
MACRO = 0.01
#: Share by which a network's plan may be off, see LEFT_OUT; and which layers are looked at alone.
SETTLED, SAMPLED = 0.02, 4


@dataclass(frozen=True)
class Design:
    """A random design: what was drawn."""

    seed: int
    chip: str
    node: int
    model: str
    values: Mapping[str, Any]
    spec: ChipSpec = field(repr=False, compare=False)


@dataclass(frozen=True)
class Checked:
    """A design with what came out of it, and what did not hold."""

    design: Design
    latency_s: float
    energy_j: float
    area_mm2: float
    unit_cost_usd: float
    faults: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        one = self.design
        values = " ".join(f"{path}={value}" for path, value in one.values.items())
        return {
            "seed": one.seed, "chip": one.chip, "node_nm": one.node, "model": one.model,
            "values": values, "latency_ms": f"{1e3 * self.latency_s:.4g}",
            "energy_mj": f"{1e3 * self.energy_j:.4g}", "area_mm2": f"{self.area_mm2:.4g}",
            "unit_cost_usd": f"{self.unit_cost_usd:.4g}", "faults": "; ".join(self.faults),
        }  # fmt: skip


@functools.lru_cache(maxsize=1)
def chips() -> tuple[str, ...]:
    """Shipped chips and templates that run these networks alone on equal cores."""
    folder = shipped_folder("hwconfigs")
    files = [*folder.glob("*.yaml"), *(folder / "templates").glob("*.yaml")]
    names = sorted({file.stem for file in files})
    return tuple(name for name in names if not load_spec(name).kinds)


@functools.lru_cache(maxsize=16)
def model(name: str) -> Any:
    return load_model(name)


def drawn(seed: int) -> Design:
    """The design of a seed; draws again until it can be built."""
    dice = random.Random(seed)
    for _ in range(200):
        chip, node = dice.choice(chips()), dice.choice(TECH.nodes)
        base, values = load_spec(chip), {}
        for path in dice.sample(sorted(base.ranges), k=min(3, len(base.ranges))):
            found = base.ranges[path]
            if found.choices:
                values[path] = dice.choice(found.choices)
            elif found.low is not None and found.high is not None:
                low, high = math.log(max(found.low, 1e-9)), math.log(max(found.high, 1e-9))
                kind: Any = type(base.value(path) or 0.0)
                values[path] = kind(math.exp(dice.uniform(low, high)))
        values.pop("f_hz", None)
        share = dice.uniform(0.3, 0.95)
        try:
            spec = base.with_values({**values, "node": f"{node}nm"})
            most = operating_point(spec.with_values({"f_hz": None}), TECH).f_hz
            spec = spec.with_values({"f_hz": share * most})
            unit_cost(resolve(spec), 1e6)
        except (InputError, ImpossibleChipError):
            continue
        values |= {"f_hz": f"{share * most:.4g}"}
        return Design(seed, chip, node, dice.choice(MODELS), values, spec)
    raise AssertionError(f"seed {seed} drew nothing that can be built")


def checked(seed: int) -> Checked | None:
    """The design of a seed held against everything; None if its chip cannot run its network."""
    design = drawn(seed)
    chip = resolve(design.spec)
    workload: Workload = model(design.model).at(design.spec.native_precision)
    levels = {
        level: evaluate_model(workload, chip, level, Terms()) for level in ("roofline", "analytic")
    }
    if levels["analytic"].latency_s is None:
        return None
    _, program = mapped_model(workload, chip, "edp", cores=1)
    played = evaluate_model(workload, chip, "simulate", Terms(), program=program)
    faults = [*_levels(levels, played, chip), *_finer(design, chip, program, workload)]
    faults += [*_channels(design, workload), *_money(chip)]
    record = levels["analytic"]
    assert record.energy_j is not None
    assert record.latency_s is not None
    cost = unit_cost(chip, 1e6).unit_cost_usd
    return Checked(design, record.latency_s, record.energy_j, chip.area_mm2, cost, tuple(faults))


def _levels(levels: Mapping[str, Any], played: Any, chip: Chip) -> list[str]:
    out = []
    waits = chip.cores > 1 and chip.power_gating
    for name in ("latency_s", "energy_j"):
        bound, added, real = (
            getattr(record, name) for record in (levels["roofline"], levels["analytic"], played)
        )
        if bound > added * (1.0 + EXACT):
            out.append(f"levels: {name} at the roofline {bound / added - 1.0:+.3%} of analytic")
        least = -0.02 if waits and name == "energy_j" else -1e-6
        if not least <= added / real - 1.0 <= 1e-6:
            out.append(f"levels: {name} analytic {added / real - 1.0:+.4%} of simulate")
    return out


def _finer(design: Design, chip: Chip, program: Program, workload: Workload) -> list[str]:
    """The next finer node at the same clocks, with the same mapping."""
    later = [node for node in sorted(TECH.nodes, reverse=True) if node < design.node]
    if not later:
        return []
    host_hz = (
        chip.host.ops_per_s / TECH.floor(design.node).host(chip.spec.host.core).vector_ops_per_cycle
    )
    same = {
        "f_hz": chip.f_hz,
        "host.f_hz": host_hz,
        "die.other_area_node": chip.spec.die.other_area_node or design.spec.node,
    }
    try:
        before = resolve(design.spec.with_values(same))
        after = resolve(before.spec.with_values({"node": f"{later[0]}nm"}))
    except (InputError, ImpossibleChipError):
        return []  # such as a memory that the finer node has no macro of
    out = []
    joules = [_by_group(program, one) for one in (before, after)]
    for group, energy in joules[0].items():
        if group != "nvm" and joules[1][group] > energy * (1.0 + EXACT):
            out.append(
                f"node: {group} energy {joules[1][group] / energy - 1.0:+.3%} at {later[0]} nm"
            )
    leaks = [_leakage(one) for one in (before, after)]
    blocks = {block.name: block.own_mm2 for _, block in before.area.walk()}
    controller = blocks.get("dram_controller", 0.0)
    table = 0.05 * controller / (controller + blocks.get("other_logic", 0.0) or 1.0)
    for part, watts in leaks[0].items():
        slack = {"other_leakage": table, "buffer_leakage": MACRO}.get(part, EXACT)
        if leaks[1][part] > watts * (1.0 + slack):
            out.append(f"node: {part} {leaks[1][part] / watts - 1.0:+.3%} at {later[0]} nm")
    totals = [sum(joules[n].values()) for n in (0, 1)]
    if "nvm" not in joules[0] and not out and totals[1] > totals[0] * (1.0 + EXACT):
        out.append(f"node: dynamic energy {totals[1] / totals[0] - 1.0:+.3%} at {later[0]} nm")
    return out


def _by_group(program: Program, chip: Chip) -> dict[str, float]:
    out: dict[str, float] = {}
    for schedule in program.schedules:
        for action, joules in price(schedule.counts, chip).items():
            group = action.partition(".")[0]
            out[group] = out.get(group, 0.0) + joules
    return out


def _leakage(chip: Chip) -> dict[str, float]:
    return {p.component: p.active_w for p in chip.static if p.component not in TABLES}


def _channels(design: Design, workload: Workload) -> list[str]:
    """Twice the channels of the external memory, for a mapper that is asked for time alone."""
    spec = design.spec
    if not spec.dram.channels or spec.dram.channels > 32:
        return []
    wider = spec.with_values({"dram.channels": 2 * spec.dram.channels})
    narrow, wide = resolve(spec), resolve(wider)
    out = []
    try:
        times = [
            evaluate_model(workload, one, "analytic", Terms(objective="latency")).latency_s
            for one in (narrow, wide)
        ]
    except ImpossibleChipError:  # the wider one is beyond the reticle
        return []
    slower = (times[1] or math.inf) / (times[0] or math.inf) - 1.0
    if not slower <= SETTLED:
        out.append(f"channels: {slower:+.4%} in time of the network with twice as many")
    for layer in [one for one in workload.layers if one.nest is not None][:: max(1, SAMPLED)]:
        alone = [_alone_s(layer, one) for one in (narrow, wide)]
        if alone[1] > alone[0] * (1.0 + EXACT):
            slower = alone[1] / alone[0] - 1.0
            out.append(f"channels: {slower:+.4%} in time of {layer.name} with twice as many")
    return out


def _alone_s(layer: Layer, chip: Chip) -> float:
    """A layer that finds nothing in the buffer, s; infinite if it cannot run."""
    try:
        made = map_layer(layer, chip, "latency")
    except UnmappableError:
        return math.inf
    rates = link_rates(chip)
    return sum(s.count * s.step_s(chip.f_hz, rates) for s in unroll((made,), prefetch=False))


def _money(chip: Chip) -> list[str]:
    few, many = unit_cost(chip, 1e5), unit_cost(chip, 1e7)
    out = []
    if many.unit_cost_usd > few.unit_cost_usd:
        out.append("money: dearer at a larger volume")
    if not math.isclose(few.unit_cost_usd, sum(few.parts_usd.values()), rel_tol=EXACT):
        out.append("money: the parts do not add up")
    return out


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    reader.add_argument("--count", type=int, default=60)
    reader.add_argument("--first", type=int, default=0, help="first seed")
    reader.add_argument("--out", type=Path, default=None, help="a .csv of all designs")
    asked = reader.parse_args()
    rows, flagged = [], 0
    for seed in range(asked.first, asked.first + asked.count):
        found = checked(seed)
        if found is None:
            continue
        rows.append(found.row())
        flagged += bool(found.faults)
        if found.faults:
            print(
                seed,
                found.design.chip,
                found.design.node,
                found.design.model,
                *found.faults,
                sep=" | ",
                flush=True,
            )
    print(f"{len(rows)} designs of {asked.count} seeds run, {flagged} flagged", file=sys.stderr)
    if asked.out is not None and rows:
        with asked.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
