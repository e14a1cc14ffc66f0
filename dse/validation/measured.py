"""Sections of measured chips: ``shipped``, ``area``, ``energy`` and ``bracket``."""

from __future__ import annotations

from collections.abc import Iterator

from dse.hardware.area import AreaNode
from dse.hardware.resolve import load_chip
from dse.validation import published
from dse.validation.null_models import (
    CHIP_MODELS,
    NETWORK_MODELS,
    Sample,
    null_errors,
    predictions,
    rank_correlation,
)
from dse.validation.predict import chip_of, missing, predict, workload_of
from dse.validation.published import Bracket, Case, Measured
from dse.validation.record import Kind, Row, Section, Target, bracket, median_error

#: Families whose median error the issue asks to be half of the best null model's.
HALF_OF_NULL = ("rk3588", "rk3566", "tda4vm", "am68a", "stm32n6")


def shipped() -> Section:
    """Latency of networks on chips as they ship, fits on their own rows included and marked."""
    rows: list[Row] = []
    kept: list[tuple[Measured, float]] = []
    samples: list[Sample] = []
    for item in published.silicon().rows:
        why = missing(item.case)
        record = None if why else predict(item.case)
        ours = record.latency_s if record else None
        note = "; ".join(t for t in (item.note, why, *(record.reasons if record else ())) if t)
        head = f", {item.classes} classes" if item.classes else ""
        name = f"{item.model}{head} on {item.chip}"
        rows.append(Row(name, "latency s", item.latency_s, ours, item.role, item.kind, note))
        if ours is not None:
            kept.append((item, ours))
            samples.append(sample_of(item.case, item.family, item.latency_s))
    nulls = null_errors(samples)
    notes = [
        f"null model {name}: median absolute error {error:.0%}"
        for name, error in sorted(nulls.items(), key=lambda entry: entry[1])
    ]
    targets = list(_family_targets(kept, samples, notes))
    return Section("shipped", tuple(rows), nulls, tuple(targets), tuple(notes))


def sample_of(case: Case, family: str, latency_s: float) -> Sample:
    """A measured latency with what a null model may know of the network and the chip."""
    chip = chip_of(case)
    work = workload_of(case, chip)
    peak = chip.peak_macs_per_s / chip.cores
    home = next(link for name in ("nvm", "dram", "l2") if (link := chip.links[name]).bytes_per_s)
    return Sample(
        family,
        float(work.macs),
        work.weight_bytes,
        latency_s,
        work.macs / peak,
        work.weight_bytes / home.bytes_per_s,
    )


def _family_targets(
    kept: list[tuple[Measured, float]], samples: list[Sample], notes: list[str]
) -> Iterator[Target]:
    """Ours against half of the best null model that knows nothing of the family, on judged rows."""
    chosen = [
        n
        for n, (item, _) in enumerate(kept)
        if item.role == "judged" and item.family in HALF_OF_NULL
    ]
    if not chosen:
        return
    measured = [kept[n][0].latency_s for n in chosen]
    ours = [kept[n][1] for n in chosen]
    best: tuple[float, str, float | None] | None = None
    for name, (terms, least) in (NETWORK_MODELS | CHIP_MODELS).items():
        said = predictions(samples, terms, least, family_out=True)
        guesses = [said[n] for n in chosen]
        if any(guess is None for guess in guesses):
            continue
        known = [guess for guess in guesses if guess is not None]
        error = median_error([g / m for g, m in zip(known, measured, strict=True)])
        rank = rank_correlation(known, measured)
        if error is not None and (best is None or error < best[0]):
            best = (error, name, rank)
    own = median_error([o / m for o, m in zip(ours, measured, strict=True)])
    if best is not None:
        yield Target(
            f"RK, TI, STM32N6: median error, half of {best[1]}, family out", own, best[0] / 2
        )
        rank = rank_correlation(ours, measured)
        if rank is not None and best[2] is not None:
            notes.append(f"RK, TI, STM32N6: rank correlation {rank:.3f}, null model {best[2]:.3f}")
    for family in dict.fromkeys(item.family for item, _ in kept):
        ratios = [o / i.latency_s for i, o in kept if i.family == family and i.role == "judged"]
        error = median_error(ratios)
        if error is not None:
            notes.append(
                f"{family}: median absolute error {error:.0%} of {len(ratios)} judged rows"
            )


def area() -> Section:
    """Die and block areas, and their ratio between nodes."""
    rows = []
    ours: dict[tuple[str, str], float] = {}
    stated: dict[tuple[str, str], float] = {}
    for item in published.silicon().area:
        chip = load_chip(item.chip, node=item.node)
        found = chip.area.scope_mm2(item.block)
        name = f"{item.chip} at {item.node}"
        rows.append(Row(name, f"{item.block} area mm2", item.area_mm2, found, "judged", item.kind))
        ours[item.chip, item.node], stated[item.chip, item.node] = found, item.area_mm2
    targets = [Target(f"{r.item}: area error", abs((r.ratio or 0) - 1), 0.3) for r in rows]
    for name in dict.fromkeys(chip for chip, node in ours if node == "28nm"):
        if (name, "16nm") not in ours:
            continue
        ratio = ours[name, "28nm"] / ours[name, "16nm"]
        want = stated[name, "28nm"] / stated[name, "16nm"]
        kind: Kind = "vendor estimate"
        role = published.silicon().area_ratio_role
        rows.append(Row(f"{name}, 28 over 16 nm", "area ratio", want, ratio, role, kind))
        text = f"{name}: ratio 28 over 16 nm ({role}), error"
        targets.append(Target(text, abs(ratio / want - 1), 0.1))
    for share in published.silicon().shares:
        chip = load_chip(share.chip, node=share.node)
        found = _part(chip.area, share.part) / chip.area.total_mm2
        name = f"{share.chip} at {share.node}: {share.part}"
        rows.append(bracket(name, "share of the die", share.share, found / 2, found * 2, "silicon"))
    return Section("area", tuple(rows), targets=tuple(targets))


def _part(node: AreaNode, name: str) -> float:
    if node.name == name:
        return node.total_mm2
    return sum(_part(part, name) for part in node.parts)


def energy() -> Section:
    """Energy of an inference at its published scope. No chip of unknown node."""
    rows: list[Row] = []
    targets: list[Target] = []
    for item in published.silicon().rows:
        if item.energy_j is None or item.energy_scope is None:
            continue
        record = predict(item.case)
        ours = record.by_scope[item.energy_scope]["energy_j"] if record.feasible else None
        name, quantity = f"{item.model} on {item.chip}", f"energy J, {item.energy_scope}"
        rows.append(Row(name, quantity, item.energy_j, ours, item.role, item.kind, item.note))
        latency = (record.latency_s or 0.0) / item.latency_s
        for what, ratio in (("latency", latency), ("energy", (ours or 0.0) / item.energy_j)):
            targets.append(Target(f"{name}: {what} error", abs(ratio - 1), 0.2))
    for extra in published.brackets().energies:
        record = predict(extra.case)
        ours = record.by_scope[extra.scope]["energy_j"] if record.feasible else None
        name, quantity = f"{extra.case.model} on {extra.case.chip}", f"energy J, {extra.scope}"
        row = Row(name, quantity, extra.energy_j, ours, "judged", extra.kind, extra.note)
        rows.append(row)
        if extra.kind == "silicon":
            factor = max(row.ratio, 1 / row.ratio) if row.ratio else None
            targets.append(Target(f"{name}: energy factor", factor, 1.5))
    return Section("energy", tuple(rows), targets=tuple(targets))


def brackets() -> Section:
    """Chips without enough public parameters: does the figure lie between two of ours?"""
    rows = []
    for item in published.brackets().rows:
        ends = [
            _figure(item, case, level) for case, level in zip(item.cases, item.levels, strict=True)
        ]
        low, high = ends
        if low is None or high is None:
            why = "; ".join(missing(case) for case in item.cases if missing(case))
            rows.append(
                Row(item.item, item.quantity, item.published, None, "bracket", item.kind, why)
            )
            continue
        rows.append(
            bracket(item.item, item.quantity, item.published, low, high, item.kind, item.note)
        )
    return Section("bracket", tuple(rows))


def _figure(item: Bracket, case: Case, level: str) -> float | None:
    if missing(case):
        return None
    record = predict(case, level)  # type: ignore[arg-type]
    if record.reasons or record.latency_s is None:
        return None
    if item.quantity == "latency s":
        return record.latency_s
    if item.quantity == "throughput 1/s":
        return record.throughput_per_s
    joules = record.by_scope[item.scope]["energy_j"]
    if joules is None:
        return None
    return joules if item.quantity == "energy J" else 2.0 * record.macs / joules * 1e-12
