"""The differences of two corpora in words: a table for a terminal, a section of the changelog."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from differences import Cause, Differences, spread

HEADING = "### Numbers that changed"
#: Metrics of a cause that a table names; the rest are counted.
ROWS = 14
EXAMPLES = 3
#: Metrics that a reader of the changelog looks for first.
HEADLINES = (
    "latency_s", "energy_j", "average_power_w", "area_mm2", "unit_cost_usd", "carbon_kg", "macs",
    "quality", "ours", "value",
)  # fmt: skip


def report(
    found: Differences, grouped: Sequence[Cause], records: Mapping[str, Mapping[str, Any]]
) -> str:
    """What differs, cause by cause, as text."""
    lines = [f"{found.records} records compared"]
    totals = _by_section(records)
    for cause in grouped:
        lines += ["", f"cause: {cause.label}", f"  moved: {_sections(cause.ids, totals)}"]
        lines += [f"  {line}" for line in _table(cause)]
        lines += [f"  such as {one}" for one in cause.ids[:EXAMPLES]]
    lines += _listed("words that changed", sorted({f"{m.id}: {m.path}: {m.before!r} -> {m.after!r}"
                                                   for m in found.words}))  # fmt: skip
    lines += _listed("records added", found.added)
    lines += _listed("records gone", found.gone)
    lines += _listed("fields added", (f"{k} ({n})" for k, n in found.fields_added.items()))
    lines += _listed("fields gone", (f"{k} ({n})" for k, n in found.fields_gone.items()))
    verdict = "equal: every number of the first is in the second" if found.equal else (
        f"{len(found.moved)} numbers moved in {len({m.id for m in found.moved})} records, "
        f"{len(found.gone)} records and {len(found.fields_gone)} kinds of fields gone"
    )  # fmt: skip
    return "\n".join([*lines, "", verdict])


def _table(cause: Cause) -> list[str]:
    told = _ranked(cause)
    width = max((len(metric) for metric, *_ in told[:ROWS]), default=0)
    lines = [f"{'metric':{width}}  {'moved':>6}  after / before: least  median  largest"]
    for metric, count, least, middle, most in told[:ROWS]:
        if least is None:
            example = next(m for m in cause.moves if m.metric == metric)
            lines.append(f"{metric:{width}}  {count:6d}  {example.before!r} -> {example.after!r}")
        else:
            lines.append(f"{metric:{width}}  {count:6d}  {least:.4g}  {middle:.4g}  {most:.4g}")
    if len(told) > ROWS:
        lines.append(f"and {len(told) - ROWS} more metrics")
    return lines


def _ranked(cause: Cause) -> list[tuple[str, int, float | None, float | None, float | None]]:
    """Metrics with their spread: those of whole records first, then by how many moved."""
    rows = [(metric, *numbers) for metric, numbers in spread(cause.moves).items()]
    return sorted(rows, key=lambda row: (_place(row[0]), row[0].count("."), -row[1], row[0]))


def _place(metric: str) -> int:
    return HEADLINES.index(metric) if metric in HEADLINES else len(HEADLINES)


def _listed(title: str, items: Iterable[str]) -> list[str]:
    listed = list(items)
    if not listed:
        return []
    more = [f"  and {len(listed) - ROWS} more"] if len(listed) > ROWS else []
    return ["", f"{title}: {len(listed)}", *(f"  {one}" for one in listed[:ROWS]), *more]


def _by_section(ids: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in ids:
        section = one.partition("/")[0]
        counts[section] = counts.get(section, 0) + 1
    return counts


def _sections(ids: Sequence[str], totals: Mapping[str, int]) -> str:
    return ", ".join(f"{n} of {totals[name]} {name}" for name, n in _by_section(ids).items())


def _short(label: str) -> str:
    """A cause of many parts by its first ones, each once."""
    parts = list(dict.fromkeys(label.split(", ")))
    more = f" and {len(parts) - EXAMPLES} more" if len(parts) > EXAMPLES else ""
    return ", ".join(parts[:EXAMPLES]) + more


def _groups(fields: Iterable[str]) -> str:
    """Fields, or of many the parts of a record that they are in, with their number."""
    names = list(fields)
    if len(names) <= ROWS:
        return ", ".join(names)
    counts = Counter(name.partition(".")[0] for name in names)
    told = [f"{name} ({count})" if count > 1 else name for name, count in counts.most_common(ROWS)]
    more = f" and {len(counts) - ROWS} more" if len(counts) > ROWS else ""
    return ", ".join(told) + more


def section(
    found: Differences, grouped: Sequence[Cause], records: Mapping[str, Mapping[str, Any]]
) -> str:
    """The changelog's section, as Markdown."""
    totals = _by_section(records)
    lines = [HEADING, ""]
    if found.equal:
        lines.append(f"None: all numbers of {found.records} golden records are as they were.")
    for cause in grouped:
        told = [row for row in _ranked(cause) if row[0] in HEADLINES and row[2] is not None]
        moved = "; ".join(
            f"`{metric}` x {least:.3g} to {most:.3g} (median {middle:.3g}, {count} values)"
            for metric, count, least, middle, most in told
        )
        where = _sections(cause.ids, totals)
        lines.append(f"- {_short(cause.label)}: {where}{'. ' + moved if moved else ''}.")
    if found.gone:
        lines.append(
            f"- Gone: {len(found.gone)} records, such as {', '.join(found.gone[:EXAMPLES])}."
        )
    if found.fields_gone:
        lines.append(f"- Fields gone: {_groups(found.fields_gone)}.")
    if found.added or found.fields_added:
        fields = f"; fields: {_groups(found.fields_added)}" if found.fields_added else ""
        lines.append(f"- Added: {len(found.added)} records{fields}.")
    return "\n".join(lines)


def changelog(
    text: str,
    found: Differences,
    grouped: Sequence[Cause],
    records: Mapping[str, Mapping[str, Any]],
) -> str:
    """The changelog with the section of its newest entry replaced, or added at that entry's end.

    Raises:
        ValueError: the text has no entry (a line that begins with ``## ``).
    """
    starts = [match.start() for match in re.finditer(r"^## ", text, re.M)]
    if not starts:
        raise ValueError(
            "the changelog has no entry; begin one with a line such as `## Unreleased`"
        )
    end = starts[1] if len(starts) > 1 else len(text)
    entry = text[starts[0] : end]
    entry = re.sub(rf"^{re.escape(HEADING)}\n.*?(?=^###? |\Z)", "", entry, flags=re.M | re.S)
    entry = f"{entry.rstrip()}\n\n{section(found, grouped, records)}\n"
    gap = "\n" if end < len(text) else ""
    return text[: starts[0]] + entry + gap + text[end:]
