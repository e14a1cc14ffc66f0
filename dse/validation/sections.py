"""The sections of ``dse validate``."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from dse.errors import InputError
from dse.files import nearest
from dse.technology import technology_checks
from dse.validation import blind, eyeriss, measured, peers, ratios
from dse.validation.record import Kind, Row, Section
from dse.validation.silicon import Progress, silicon_sections
from dse.workload import list_models, load_model


def models() -> Section:
    """MACs and parameters of the zoo against published figures.

    A network that stands in for another has further rows against that one's figures: its size was
    chosen to be near them, so they are not judged.
    """
    rows = []
    for info in list_models():
        model = load_model(info.name)
        counts = {"MACs": float(model.macs), "parameters": float(model.trainable)}
        published = {"MACs": info.published_macs, "parameters": info.published_parameters}
        target = {"MACs": info.target_macs, "parameters": info.target_parameters}
        stands = f"stands in for {info.stand_in_for}: {info.why}"
        for quantity, ours in counts.items():
            if figure := published[quantity]:
                note = info.deviates if abs(ours / figure - 1) > 0.01 else ""
                rows.append(Row(info.name, quantity, figure, ours, "judged", "paper", note))
            if figure := target[quantity]:
                rows.append(Row(info.name, quantity, figure, ours, "fitted", "paper", stands))
    return Section("models", tuple(rows))


def technology() -> Section:
    """Energy, speed and voltage steps against what was published."""
    rows = [
        Row(
            check.item,
            check.quantity,
            check.published,
            check.ours,
            check.role,
            cast(Kind, check.kind),
        )
        for check in technology_checks()
    ]
    return Section("technology", tuple(rows))


#: The public table: the one section that takes minutes, so the last one, and told row by row.
PUBLIC = "silicon"
SECTIONS: dict[str, Callable[[], Section]] = {
    "models": models,
    "technology": technology,
    "area": measured.area,
    "shipped": measured.shipped,
    "blind": blind.blind,
    "differential": ratios.differential,
    "streams": ratios.streams,
    "llm": ratios.llm,
    "energy": measured.energy,
    "eyeriss": eyeriss.eyeriss,
    "peers": peers.peers,
    "bracket": measured.brackets,
}


def run_sections(name: str | None = None, progress: Progress | None = None) -> list[Section]:
    """All sections, or the one called ``name``; ``silicon`` brings its table of grade C along.

    Args:
        name: the section.
        progress: told after each row of the public table how many are done and wanted.

    Raises:
        InputError: there is no such section.
    """
    known = [*SECTIONS, PUBLIC]
    if name is not None and name not in known:
        raise InputError(
            f"unknown section {name!r}",
            field="section",
            mend=f"use one of: {', '.join(known)}{nearest(name, known)}",
        )
    if name == PUBLIC:
        return silicon_sections(progress)
    if name is not None:
        return [SECTIONS[name]()]
    return [*(run() for run in SECTIONS.values()), *silicon_sections(progress)]
