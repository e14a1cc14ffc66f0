"""Section ``silicon``: measured latencies of public networks, each family of chips left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dse.errors import InputError
from dse.evaluation import Terms, evaluate_model, model_at
from dse.hardware.chip import Chip
from dse.hardware.library import load_spec
from dse.hardware.resolve import load_chip
from dse.registry import cached
from dse.validation.chip_files import chip_file
from dse.validation.families import families, family_of
from dse.validation.leaving import left_out_of
from dse.validation.predict import with_classes
from dse.validation.public import Public, all_rows, left_out, table_chips, without_copies
from dse.validation.record import Row, Section
from dse.validation.table_fits import NULLS, Facts, bands, null_times, score
from dse.workload.layer import Workload

#: Called after each row with the number of rows done and wanted.
Progress = Callable[[int, int], None]
#: Blocks of a chip file that say nothing of time.
TIMELESS = ("node", "die", "power", "cost", "junction_c", "vt", "voltage_v", "description")
#: Factor beyond which the order of two networks is a matter of the chips and not of noise.
ORDER_FACTOR = 1.3
NEAR = 0.15


@dataclass(frozen=True)
class Judged:
    """A measured row with ours (s; None: does not run, see ``why``) and what null models know."""

    row: Public
    family: str
    grade: str
    ours_s: float | None
    why: str
    facts: Facts | None
    network: tuple[float, ...]

    @property
    def ratio(self) -> float | None:
        return None if self.ours_s is None else self.ours_s / self.row.seconds


def grade_of(row: Public) -> str:
    """The worse of the grades of the chip's facts and of the measurement: A, B or C."""
    return max(table_chips()[row.chip].grade, row.quality[0])


def judge(row: Public) -> Judged:
    """One row: the chip without its family's fits, the network, and what is said of it."""
    family, grade = family_of(row.chip).id, grade_of(row)
    try:
        chip = _chip(row.chip, row.set)
        sizes = {"batch": row.batch} if row.batch > 1 else None
        work = model_at(row.model, row.precision, chip, bindings=sizes)
    except InputError as error:
        return Judged(row, family, grade, None, error.message, None, ())
    if row.classes is not None:
        work = with_classes(work, row.classes)
    record = evaluate_model(work, chip, "simulate", Terms(objective="latency", cores=row.cores))
    facts = facts_of(work, chip, family, row)
    network = (float(work.macs), float(work.weight_bytes), facts.layers)
    why = "; ".join(record.reasons)
    return Judged(row, family, grade, record.latency_s, why, facts, network)


@cached(64)
def _chip(name: str, conditions: tuple[tuple[str, Any], ...]) -> Chip:
    left = left_out_of(name, dict(conditions))
    return load_chip(chip_file(name), overrides=left.values)


def facts_of(work: Workload, chip: Chip, family: str, row: Public) -> Facts:
    """What a null model may know: counts of the network over rates of the chip."""
    home = next(x for name in ("dram", "nvm", "l2") if (x := chip.links[name]).bytes_per_s)
    peak = chip.array.macs_per_cycle * chip.f_hz * row.cores
    rates = chip.array.rates
    layers = [layer for layer in work.layers if layer.kind != "movement"]
    compute = weights = activations = roofline = 0.0
    for layer in layers:
        rate = rates.get(f"{layer.w_format}x{layer.i_format}") or min(rates.values())
        own = layer.macs / (peak * rate)
        held = 0.0 if layer.w_is_activation else layer.w_bytes
        moved = (layer.i_bytes + layer.o_bytes) / home.bytes_per_s
        compute += own
        weights += held / home.bytes_per_s
        activations += moved
        roofline += max(own, held / home.bytes_per_s + moved)
    return Facts(family, row.seconds, compute, weights, activations, float(len(layers)), roofline)


def silicon_sections(
    progress: Progress | None = None, rows: Sequence[Public] | None = None
) -> list[Section]:
    """The table of chips of grade A and B, and that of grade C.

    Args:
        progress: told after each row.
        rows: other rows than those of the data files.
    """
    kept, copies = without_copies(all_rows() if rows is None else tuple(rows))
    found = []
    for number, row in enumerate(kept, start=1):
        found.append(judge(row))
        if progress is not None:
            progress(number, len(kept))
    good = [item for item in found if item.grade in ("A", "B")]
    weak = [item for item in found if item.grade == "C"]
    return [_section("silicon", good, (), copies), _section("silicon_c", weak, good, copies)]


def _section(
    name: str, judged: Sequence[Judged], beside: Sequence[Judged], copies: Sequence[Public]
) -> Section:
    """Rows, summary by family, chips with what was left out, and the noise floor.

    Null models and bands of ``judged`` may be fitted on the rows ``beside`` them, too: those of
    other families.
    """
    told = [item for item in judged if item.facts is not None and item.ratio is not None]
    seen = [*told, *(item for item in beside if item.ratio is not None)]
    facts = [item.facts for item in seen if item.facts is not None]
    ratios = [item.ratio for item in seen if item.ratio is not None]
    names = [item.family for item in seen]
    nulls = {null: said[: len(told)] for null, said in null_times(facts).items()}
    edges = bands(names, ratios)[: len(told)]
    facts, ratios, names = facts[: len(told)], ratios[: len(told)], names[: len(told)]
    extra = {
        id(item): (edges[n], {null: nulls[null][n] for null in NULLS})
        for n, item in enumerate(told)
    }
    rows = tuple(_row(item, *extra.get(id(item), (None, {}))) for item in judged)
    summary = list(_by_family(names, ratios, facts, nulls))
    total = summary[-1] if summary else {}
    found = {null: total.get(f"{null}: median_error") for null in NULLS}
    errors = {null: error for null, error in found.items() if error is not None}
    tables = {
        "families": tuple(summary),
        "chips": tuple(_chips(judged)),
        "noise floor": tuple(noise_floor(judged)),
    }
    notes = [*_notes(told, edges), *_told_beside(judged, copies)]
    return Section(name, rows, errors, notes=tuple(notes), tables=tables)


def _row(item: Judged, band: tuple[float, float] | None, nulls: Mapping[str, float | None]) -> Row:
    row = item.row
    ours = item.ours_s
    details: dict[str, Any] = {
        "family": item.family,
        "chip": row.chip,
        "part": row.part,
        "network": row.model + (f", {row.classes} classes" if row.classes else ""),
        "precision": row.precision,
        "batch": row.batch,
        "cores": row.cores,
        "software": row.software,
        "scope": row.scope,
        "grade": item.grade,
        "source": row.source,
        "low": ours * band[0] if ours is not None and band else None,
        "high": ours * band[1] if ours is not None and band else None,
        **{f"{name} s": value for name, value in nulls.items()},
    }
    batch = f" x{row.batch}" if row.batch > 1 else ""
    note = "; ".join(text for text in (row.note, item.why) if text)
    return Row(
        f"{details['network']}{batch} on {row.part}",
        "latency s",
        row.seconds,
        ours,
        "judged",
        "silicon",
        note,
        details=details,
    )


def _by_family(
    names: Sequence[str],
    ratios: Sequence[float],
    facts: Sequence[Facts],
    nulls: Mapping[str, Sequence[float | None]],
) -> list[dict[str, Any]]:
    """A row for each family and one for all of them, each family with the same weight."""
    out = []
    for family in (*dict.fromkeys(names), None):
        chosen = [n for n, name in enumerate(names) if family in (name, None)]
        own = score([names[n] for n in chosen], [ratios[n] for n in chosen])
        if own is None:
            continue
        line: dict[str, Any] = {"family": family or "all, equal weight", **own.to_dict()}
        for null, said in nulls.items():
            pairs = [(names[n], x / facts[n].measured_s) for n in chosen if (x := said[n])]
            found = score([name for name, _ in pairs], [ratio for _, ratio in pairs])
            line[f"{null}: median_error"] = found.median_error if found else None
        out.append(line)
    return out


def _chips(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Chips of a table: grade, what of their sizes is assumed, what was left out and taken."""
    out = []
    for chip in dict.fromkeys(item.row.chip for item in judged):
        sources = load_spec(chip_file(chip)).sources
        assumed = [
            path
            for path, source in sources.items()
            if source.status == "assumed" and path.split(".")[0] not in TIMELESS
        ]
        out.append(
            {
                "chip": chip,
                "family": family_of(chip).id,
                "grade": table_chips()[chip].grade,
                "rows": sum(item.row.chip == chip for item in judged),
                "class defaults": ", ".join(assumed),
                "left out": "; ".join(left_out_of(chip).told),
            }
        )
    return out


def noise_floor(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """How far measured times of the same thing lie apart: what no model can be asked to beat.

    ``one die, two names``: the same network, precision and software on a die that is sold under
    two names; ``two versions``: on the same part under another software.
    """
    groups: dict[tuple[Any, ...], list[Judged]] = {}
    for item in judged:
        row = item.row
        how = (row.precision, row.batch, row.cores, row.classes, row.rate)
        key = (row.chip, row.set, how, item.network)
        if item.network:
            groups.setdefault(key, []).append(item)
    apart: dict[str, list[float]] = {"one die, two names": [], "two versions": []}
    for same in groups.values():
        for n, one in enumerate(same):
            for other in same[n + 1 :]:
                ratio = one.row.seconds / other.row.seconds
                if one.row.part != other.row.part:
                    apart["one die, two names"].append(max(ratio, 1 / ratio))
                elif one.row.software != other.row.software:
                    apart["two versions"].append(max(ratio, 1 / ratio))
    out = []
    for what, factors in apart.items():
        if factors:
            ordered = sorted(factors)
            out.append(
                {
                    "what": what,
                    "pairs": len(ordered),
                    "median_factor": ordered[len(ordered) // 2],
                    "worst_factor": ordered[-1],
                    "beyond_2x": sum(f > 2 for f in ordered) / len(ordered),
                }
            )
    return out


def pairs_on_a_chip(told: Sequence[Judged]) -> tuple[list[bool], list[bool]]:
    """Of pairs of networks on one part: is ours within 15 %, and is the order right.

    The second only where the measured times differ by more than 1.3.
    """
    near, order = [], []
    for n, one in enumerate(told):
        for other in told[n + 1 :]:
            a, b = one.row, other.row
            same = (a.part, a.software, a.scope, a.precision, a.batch, a.cores)
            if same != (b.part, b.software, b.scope, b.precision, b.batch, b.cores):
                continue
            if one.ours_s is None or other.ours_s is None:
                continue
            measured, ours = a.seconds / b.seconds, one.ours_s / other.ours_s
            near.append(max(ours / measured, measured / ours) <= 1 + NEAR)
            if max(measured, 1 / measured) > ORDER_FACTOR:
                order.append((measured > 1) == (ours > 1))
    return near, order


def _notes(told: Sequence[Judged], edges: Sequence[tuple[float, float] | None]) -> list[str]:
    notes = []
    inside = [
        band[0] <= 1 / item.ratio <= band[1]
        for item, band in zip(told, edges, strict=True)
        if band is not None and item.ratio
    ]
    if inside:
        notes.append(
            f"bands of 90 %, from the rows of other families: {sum(inside) / len(inside):.0%} of "
            f"{len(inside)} measured times lie inside"
        )
    near, order = pairs_on_a_chip(told)
    if near:
        notes.append(
            f"two networks on one part: {sum(near) / len(near):.0%} of {len(near)} pairs "
            f"within {NEAR:.0%}"
        )
    if order:
        notes.append(
            f"their order, where the measured times differ by more than {ORDER_FACTOR}: "
            f"{sum(order) / len(order):.1%} of {len(order)} right"
        )
    return notes


def _told_beside(judged: Sequence[Judged], copies: Sequence[Public]) -> list[str]:
    """Which rows do not run, are copies, or are in the sources and not in the table."""
    notes = []
    still = [item for item in judged if item.ratio is None]
    if still:
        notes.append(f"rows without a figure of ours: {len(still)}")
    shown = {item.family for item in judged}
    own = [row for row in copies if family_of(row.chip).id in shown]
    if own:
        parts = " and ".join(dict.fromkeys(row.part for row in own))
        notes.append(f"{len(own)} rows left out: {parts} repeats the measurement of its sister")
    notes += [f"{item.rows} rows of the sources left out: {item.reason}" for item in left_out()]
    kin = [
        f"{f.id} with {', '.join(f.kin)}" for f in families().values() if f.kin and f.id in shown
    ]
    if kin:
        notes.append(f"families of one supplier, judged apart: {'; '.join(kin)}")
    return notes
