"""From a chip spec and a technology to the priced chip that is mapped and simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dse.errors import ImpossibleChipError, InputError
from dse.hardware.area import AreaNode
from dse.hardware.chip import (
    Array,
    Axis,
    Buffer,
    Chip,
    Compression,
    Host,
    Legality,
    Overheads,
    Pmic,
    Registers,
    Sparsity,
    StaticPower,
    VectorUnit,
)
from dse.hardware.dynamics import core_network, lower_points, thermal
from dse.hardware.floorplan import chip_area
from dse.hardware.formats import served_pairs
from dse.hardware.library import apply_values, load_spec
from dse.hardware.links import check_nvm, links
from dse.hardware.mixed import mixed
from dse.hardware.placing import PlacementSpec
from dse.hardware.prices import GROUP_SCOPE, HostClock, action_prices, scopes
from dse.hardware.reach import within_reach
from dse.hardware.sections import ArraySpec
from dse.hardware.spec import ChipSpec
from dse.hardware.starting import class_figures, identity, operators_of, split_of, starts
from dse.hardware.static import static_power
from dse.hardware.widths import Widths, width_numbers, widths_of
from dse.schema import digest
from dse.technology import FloorFacts, OperatingPoint, Technology, load_technology

#: Load of the converter, as shares of its rating, at which its curve is kept.
_PMIC_SHARES = (1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.2)


def load_chip(
    path_or_name: str | Path,
    node: str | int | None = None,
    *,
    technology: Technology | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Chip:
    """A chip ready for use.

    Args:
        path_or_name: a YAML file, or the name of a shipped chip or template.
        node: another node than the file's, such as ``"7nm"``. A clock that the file states and this
            node cannot reach is lowered to what it reaches, with a note on the chip.
        technology: defaults to the nominal one.
        overrides: field path (``buffer.bytes``; a leading ``chip.`` is allowed) to value.

    Raises:
        InputError: unknown chip, a fault in the file or the overrides, or a frequency in the
            overrides that the node cannot reach (the error gives the reachable one).
    """
    return chip_at(load_spec(path_or_name), node, overrides, technology)


def chip_at(
    spec: ChipSpec,
    node: str | int | None = None,
    overrides: Mapping[str, object] | None = None,
    technology: Technology | None = None,
) -> Chip:
    """The chip of a spec at another node and with overrides; as :func:`load_chip`, without files.

    Raises:
        InputError: as there.
    """
    values = {path.removeprefix("chip."): value for path, value in (overrides or {}).items()}
    spec = apply_values(spec, node, values)
    notes: tuple[str, ...] = ()
    if node is not None:
        tech = technology or load_technology()
        tech.known_nodes.parse(spec.node)  # a fault of the argument, not of the file
        spec, notes = within_reach(spec, tech, tuple(values))
    return resolve(spec, technology, notes)


def resolve(
    spec: ChipSpec, technology: Technology | None = None, notes: tuple[str, ...] = ()
) -> Chip:
    """``spec`` priced against ``technology`` (the nominal one by default)."""
    tech = technology if technology is not None else load_technology()
    try:
        return _resolve(spec, tech, notes)
    except InputError as error:
        if error.file is None and spec.origin is not None:
            raise type(error)(
                error.message, file=spec.origin, field=error.field, mend=error.mend
            ) from None
        raise


def operating_point(spec: ChipSpec, tech: Technology) -> OperatingPoint[float]:
    """Frequency, rails and leakage factors of the spec at its node."""
    return tech.operating_point(
        spec.node_nm,
        f_hz=spec.f_hz,
        voltage_v=spec.voltage_v,
        sram_voltage_v=spec.sram_voltage_v,
        guard_band=spec.guard_band,
        junction_c=spec.junction_c,
        vt=spec.vt,
        corner=spec.corner,
        sram_rail=spec.sram_rail,
        speed_factor=spec.speed_factor,
        sram_assist=spec.sram_assist,
    )


def _resolve(spec: ChipSpec, tech: Technology, notes: tuple[str, ...]) -> Chip:
    check_names(spec, tech)
    area = chip_area(tech, spec.node_nm, spec, tech.floor(spec.node_nm))
    ratios = measured_ratios(spec, tech)

    def one(of: ChipSpec, seen: AreaNode) -> Chip:
        return _resolve_equal(of, tech, notes, seen, ratios)

    chip = mixed(spec, tech, area, spec_digest(spec, tech), one) if spec.kinds else one(spec, area)
    points = lower_points(spec, chip, lambda lower: _resolve(lower, tech, notes))
    return replace(chip, dvfs=points) if points else chip


def _resolve_equal(
    spec: ChipSpec,
    tech: Technology,
    notes: tuple[str, ...],
    area: AreaNode,
    ratios: Mapping[str, float],
) -> Chip:
    """A chip all of whose cores are equal, with its floorplan and measured energy ratios."""
    node = spec.node_nm
    point = operating_point(spec, tech)
    floor = tech.floor(node)
    host = host_clock(spec, tech, floor)
    start = starts(spec.overhead, tech, point.f_hz, host.f_hz)
    prices = action_prices(tech, point, spec, area, host, start.launch_cycles)
    for group, ratio in ratios.items():
        for action in prices:
            if action.partition(".")[0] == group:
                prices[action] *= ratio
    rates, width = array_rates(spec.array), widths_of(spec)

    def statics(at: OperatingPoint[float], with_: ChipSpec) -> tuple[StaticPower, ...]:
        return static_power(tech, at, with_, area, floor, host, prices)

    return Chip(
        name=spec.name,
        template=spec.template,
        node_nm=node,
        f_hz=point.f_hz,
        voltage_v=point.voltage_v,
        sram_voltage_v=point.sram_voltage_v,
        junction_c=spec.junction_c,
        native_precision=spec.native_precision,
        cores=spec.cores,
        array=_array(spec.array, rates, width.accumulators),
        buffer=_buffer(spec, width),
        vector=VectorUnit(
            {name: r * width.lanes for name, r in spec.vector.ops_per_lane_cycle.items()},
            spec.vector.wide_factor,
            spec.vector.fused,
            spec.vector.native_bits,
        ),
        links=links(spec, tech, point.f_hz),
        overheads=Overheads(
            start.launch_cycles,
            spec.dma.descriptor_cycles,
            spec.dma.channels,
            start.invoke_s,
            float(spec.dma.max_descriptor_bytes),
            start.token_s,
            start.crossing_s,
            start.prefetches,
            operators_of(spec.overhead),
            split_of(spec.overhead),
        ),
        host=Host(spec.host.core, host.ops_per_s, host.macs_per_s),
        prices=prices,
        action_scope=scopes(prices, flash=spec.nvm.channels > 0),
        static=statics(point, spec),
        pmic=_pmic(floor, spec.power.pmic_rated_w),
        area=area,
        dram_capacity_bytes=float(spec.dram.capacity_bytes),
        power_gating=spec.power.gating,
        digest=spec_digest(spec, tech),
        spec=spec,
        technology=tech,
        notes=notes,
        legality=_legality(spec),
        placement=spec.placement.placement(),
        execution=spec.execution,
        thermal=thermal(spec, tech, point, statics),
        network=core_network(spec, tech, point.f_hz, prices),
        arbitration=spec.dram.arbitration,
    )


def _buffer(spec: ChipSpec, width: Widths) -> Buffer:
    return Buffer(
        spec.buffer.bytes,
        width.read,
        width.write,
        spec.buffer.double_buffered,
        spec.buffer.keeps_results,
        _parts(spec),
        spec.buffer.fuses and spec.buffer.keeps_results,
        width.inputs,
        width.weights,
        width.results,
        width.sums,
        width.fill,
        width.fetch,
    )


def check_names(spec: ChipSpec, tech: Technology) -> None:
    """Everything a chip names must be known to the technology.

    Raises:
        InputError: for the first unknown name, with the field that holds it.
    """
    parse = tech.known_nodes.parse
    checks: list[tuple[str, Callable[[], object]]] = [
        ("node", lambda: parse(spec.node)),
        ("die.package", lambda: tech.package_cost_usd(1.0, spec.die.package)),
        ("cost.design_class", lambda: tech.royalty_fraction(spec.cost.design_class)),
        ("host.core", lambda: tech.floor(spec.node_nm).host(spec.host.core)),
    ]
    if spec.die.other_area_node is not None:
        home = spec.die.other_area_node
        checks.append(("die.other_area_node", lambda: parse(home)))
    if spec.dram.channels:
        checks.append(("dram.kind", lambda: tech.dram_at(spec.node_nm, spec.dram.kind)))
    if spec.nvm.bytes:
        checks.append(("nvm.kind", lambda: check_nvm(spec, tech)))
    for field, check in checks:
        try:
            check()
        except InputError as error:
            raise type(error)(error.message, field=field, mend=error.mend) from None


def array_rates(array: ArraySpec) -> dict[str, float]:
    """MACs per unit and cycle of every pair the array can run, implemented or served by another."""
    served = served_pairs(array.formats)
    return {f"{w}x{a}": array.formats[pair] for (w, a), pair in served.items()}


def matmul_rates(array: ArraySpec) -> dict[str, float]:
    """The same of matrix products, where they differ."""
    if array.matmul_rate == 1.0 and not array.matmul_formats:
        return {}
    own = {pair: rate * array.matmul_rate for pair, rate in array.formats.items()}
    own |= array.matmul_formats
    served = served_pairs(array.formats)
    return {f"{w}x{a}": own[pair] for (w, a), pair in served.items()}


def _parts(spec: ChipSpec) -> tuple[float, float, float] | None:
    parts = spec.buffer.parts
    if not parts:
        return None
    w, i, o = (parts.get(name, 1.0) * spec.buffer.bytes for name in ("W", "I", "O"))
    return (w, i, o)


def _legality(spec: ChipSpec) -> Legality:
    legal = spec.legality
    return Legality(
        tuple(sorted(legal.granularity.items())),
        tuple(sorted(legal.min_tile.items())),
        legal.dataflow,
        spec.buffer.bytes / spec.buffer.banks if legal.own_banks else 0.0,
        tuple(sorted(legal.max_tile.items())),
    )


def _sparsity(spec: ArraySpec) -> Sparsity:
    zeros = spec.sparsity
    n, _, m = zeros.pattern.partition(":")
    pattern, both = (int(n), int(m)), zeros.operands == "both"
    return Sparsity(zeros.kind, pattern, zeros.max_speedup, zeros.utilization, both)


def _array(spec: ArraySpec, rates: Mapping[str, float], accumulator_bytes: int) -> Array:
    sides = ((spec.rows, spec.row_dims), (spec.cols, spec.col_dims), (spec.depth, spec.depth_dims))
    axes = tuple(Axis(size, dims) for size, dims in sides if size > 1 or dims)
    preload = spec.rows if spec.preload_cycles is None else spec.preload_cycles
    skew = spec.rows + spec.cols - 2 if spec.fill_drain_cycles is None else spec.fill_drain_cycles
    return Array(
        axes=axes,
        dataflows=spec.dataflows,
        rates=rates,
        preload=spec.preload,
        preload_cycles=preload,
        fill_drain=spec.fill_drain,
        fill_drain_cycles=skew,
        depthwise=spec.depthwise,
        align={str(dim): multiple for dim, multiple in spec.align.items()},
        accumulator_bytes=accumulator_bytes,
        registers=Registers(**spec.registers.model_dump()),
        sparsity=_sparsity(spec),
        compression=Compression(**spec.weight_compression.model_dump()),
        winograd=spec.winograd,
        matmul_rates=matmul_rates(spec),
        strided_rate=spec.strided_rate,
        depthwise_rate=spec.depthwise_rate,
        row_inputs=spec.row_inputs,
    )


def host_clock(spec: ChipSpec, tech: Technology, floor: FloorFacts) -> HostClock:
    """The host at its clock: the spec's, or what the core reaches at nominal voltage.

    Raises:
        InputError: unknown core, or a clock beyond its reach at the node's nominal voltage.
    """
    core = floor.host(spec.host.core)
    reach = tech.operating_point(floor.node_nm, corner=spec.corner).f_hz * core.f_max_ratio
    clock = reach if spec.host.f_hz is None else spec.host.f_hz
    if clock > reach * (1.0 + 1e-9):
        raise ImpossibleChipError(
            f"the host clock of {clock / 1e6:.0f} MHz is out of reach on {floor.node_nm} nm",
            field="host.f_hz",
            mend=f"at most {reach / 1e6:.0f} MHz, or null for that clock",
        )
    return HostClock(core, clock, spec.host.count)


def _pmic(floor: FloorFacts, rated_w: float) -> Pmic:
    loads = tuple(share * rated_w for share in _PMIC_SHARES)
    return Pmic(loads, tuple(floor.pmic_efficiency(load, rated_w) for load in loads))


def measured_ratios(spec: ChipSpec, tech: Technology) -> dict[str, float]:
    """Measured over modelled energy by action group, at the chip's own measured point."""
    measured = spec.measured
    if measured is None:
        return {}
    ratios = dict(measured.energy_ratio)
    if measured.energy_j:
        here = spec.model_dump() | {"measured": None}
        here["node"] = measured.node or spec.node
        here["f_hz"], here["voltage_v"] = measured.f_hz, measured.voltage_v
        reference = ChipSpec.model_validate(here)
        point = operating_point(reference, tech)
        floor = tech.floor(reference.node_nm)
        host = host_clock(reference, tech, floor)
        area: AreaNode = chip_area(tech, reference.node_nm, reference, floor)
        start = starts(reference.overhead, tech, point.f_hz, host.f_hz)
        model = action_prices(tech, point, reference, area, host, start.launch_cycles)
        for action, joules in measured.energy_j.items():
            if not model.get(action):
                raise InputError(
                    f"the chip has no action {action!r}",
                    field=f"measured.energy_j.{action}",
                    mend=f"use one of: {', '.join(sorted(model))}",
                )
            ratios[action.partition(".")[0]] = joules / model[action]
    for group in ratios:
        if group not in GROUP_SCOPE:
            raise InputError(
                f"{group!r} is no group of actions",
                field="measured.energy_ratio",
                mend=f"use one of: {', '.join(GROUP_SCOPE)}",
            )
    return ratios


def stated(spec: ChipSpec) -> dict[str, Any]:
    """The values of a chip as plain data, by which two chips are the same: each width the number
    that it comes to, whether it follows the array or is fixed. Fields that came later are no part
    of it where not set; what a runtime class and operators say is."""
    later = {"execution"} if spec.execution == "layerwise" else set()
    data = spec.model_dump(mode="json", exclude={"widths"} | later)
    _enter_widths(data, spec)
    data["overhead"] = identity(spec.overhead)
    if not spec.array.matmul_formats:
        del data["array"]["matmul_formats"]
    if spec.dram.system_bytes is None:
        del data["dram"]["system_bytes"]
    if not spec.nvm.channels:
        del data["nvm"]["channels"], data["nvm"]["burst_bytes"]
    if spec.placement == PlacementSpec():
        del data["placement"]
    for name, kind in data["kinds"].items():
        del kind["widths"]
        _enter_widths(kind, spec.of_kind(name))
        kind["overhead"] |= class_figures(spec.of_kind(name).overhead)
    return data


def _enter_widths(data: dict[str, Any], spec: ChipSpec) -> None:
    for path, value in width_numbers(spec).items():
        block, _, field = path.partition(".")
        data[block].pop(field, None)
        if value:
            data[block][field] = value


def spec_digest(spec: ChipSpec, tech: Technology) -> str:
    """Identity of a chip: its values (not its words) and the technology."""
    data = stated(spec)
    for name in ("description", "sources", "ranges", "schema_version"):
        del data[name]
    if spec.kinds:
        for kind in data["kinds"].values():
            kind.pop("description")
        data["kind_order"] = list(spec.kinds)
    return digest({"chip": data, "technology": tech.digest})
