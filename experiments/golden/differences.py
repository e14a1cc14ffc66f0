"""What differs between two golden corpora: leaf by leaf, and grouped by what moved first.

Records are computed from one another: facts give chips, chips and models give networks, and so on.
The *cause* of a record that moved is what moved first among those it was computed from; if none of
them did, it is the first of its own stages (lowering, mapping, traffic, time, energy ...) that did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

#: Names, not numbers of the model: identity, version, environment, times, places of files.
LEFT_OUT = frozenset(
    {
        "identity", "digest", "technology", "version", "environment", "schema_version", "files",
        "elapsed_s", "level_s", "seconds", "out",
    }
)  # fmt: skip
#: What names an item of a list.
LABELS = ("name", "task", "chain", "item", "block", "component", "stream", "metric", "op")
#: Stages of a computation in their order, and the leaves that belong to each.
STAGES = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("lowering", r"^(op|kind|dims|macs|bits|parameters|\w*weight_bytes|nodes_by_fate|[wio]_)"),
        ("mapping", r"^(tiles|spatial|dataflow|order|homes|fused|unit|legality|held)"),
        ("cycles and traffic", r"(cycles|bytes|lanes|passes)"),
        ("prices", r"^(prices_j|static|links|area|cost_per)"),
        ("time", r"(latency|_s$|per_s|utilization|losses|isolated|missed|completed|dropped)"),
        ("energy and power", r"(energy|_j$|_w$|power|battery|junction)"),
        ("cost, area, carbon", r"(usd|area|carbon|volume|yield)"),
        ("quality", r"(quality|drop|metric)"),
    )
)
OTHER = "other results"
#: Causes that a label names before it only counts them.
MOST_TOLD = 3


@dataclass(frozen=True)
class Move:
    """One leaf of one record with another value. ``metric`` is its path without list labels."""

    id: str
    path: str
    metric: str
    before: Any
    after: Any

    @property
    def is_number(self) -> bool:
        return _is_number(self.before) or _is_number(self.after)

    @property
    def ratio(self) -> float | None:
        """After by before; None where either is no number or before is zero."""
        if _is_number(self.before) and _is_number(self.after) and self.before:
            return float(self.after) / float(self.before)
        return None


@dataclass(frozen=True)
class Differences:
    """Two corpora against each other.

    ``moved`` are numbers (and numbers that came or went with a record on both sides), ``words``
    texts and verdicts. ``added`` and ``gone`` are whole records, ``fields_added`` and
    ``fields_gone`` leaves of records that both have, counted by metric.
    """

    records: int
    moved: tuple[Move, ...]
    words: tuple[Move, ...]
    added: tuple[str, ...]
    gone: tuple[str, ...]
    fields_added: Mapping[str, int]
    fields_gone: Mapping[str, int]

    @property
    def equal(self) -> bool:
        """Whether every number of the first corpus is in the second, by ``==``."""
        return not (self.moved or self.gone or self.fields_gone)


@dataclass(frozen=True)
class Cause:
    """Records that moved for one reason, as far as the order of computation tells."""

    label: str
    ids: tuple[str, ...]
    moves: tuple[Move, ...]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every leaf of a record with its path; an item of a list is ``[label]``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in LEFT_OUT:
                yield from leaves(item, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        seen: dict[str, int] = {}
        for place, item in enumerate(value):
            label = _label(item) if isinstance(item, Mapping) else str(place)
            seen[label] = seen.get(label, 0) + 1
            again = f"#{seen[label]}" if seen[label] > 1 else ""
            yield from leaves(item, (*path, f"[{label}{again}]"))
    else:
        yield path, value


def _label(item: Mapping[str, Any]) -> str:
    return next((str(item[key]) for key in LABELS if isinstance(item.get(key), str)), "")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compare(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> Differences:
    """Every leaf of both corpora (records by id) against the other's."""
    moved: list[Move] = []
    words: list[Move] = []
    came: dict[str, int] = {}
    went: dict[str, int] = {}
    for name in sorted(before.keys() & after.keys()):
        old = dict(leaves(before[name]["record"]))
        new = dict(leaves(after[name]["record"]))
        verdict_turned = ("refused",) in old.keys() ^ new.keys()
        for path, value in old.items():
            if path not in new:
                if not verdict_turned:
                    _count(went, path)
            elif value != new[path]:
                one = Move(name, ".".join(path), _metric(path), value, new[path])
                (moved if one.is_number else words).append(one)
        for path in new.keys() - old.keys():
            if not verdict_turned:
                _count(came, path)
        if verdict_turned:
            told = old.get(("refused",)), new.get(("refused",))
            moved.append(Move(name, "refused", "refused", *told))
    gone, added = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    return Differences(
        len(before.keys() | after.keys()), tuple(moved), tuple(words), tuple(added), tuple(gone),
        dict(sorted(came.items())), dict(sorted(went.items())),
    )  # fmt: skip


def _metric(path: Sequence[str]) -> str:
    return ".".join(part for part in path if not part.startswith("["))


def _count(counts: dict[str, int], path: Sequence[str]) -> None:
    metric = _metric(path)
    counts[metric] = counts.get(metric, 0) + 1


def causes(found: Differences, records: Mapping[str, Mapping[str, Any]]) -> list[Cause]:
    """What moved, grouped by what moved first; most records first.

    Args:
        found: from :func:`compare`.
        records: of the second corpus, for what each record was computed from.
    """
    by_record: dict[str, list[Move]] = {}
    for move in (*found.moved, *found.words):
        by_record.setdefault(move.id, []).append(move)
    numbers = {move.id for move in found.moved}
    labels: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for name in sorted(numbers, key=lambda one: (SECTION_ORDER.index(_section(one)), one)):
        labels[name] = _cause_of(name, by_record, labels, records)
        groups.setdefault(labels[name], []).append(name)
    made = [
        Cause(label, tuple(ids), tuple(m for i in ids for m in by_record[i] if m.is_number))
        for label, ids in groups.items()
    ]
    return sorted(made, key=lambda cause: -len(cause.ids))


#: Sections from what is computed first to what is computed from all of it.
SECTION_ORDER = (
    "facts", "nodes", "chips", "models", "networks", "apps", "studies", "commands", "validation",
)  # fmt: skip


def _section(name: str) -> str:
    return name.partition("/")[0]


def _cause_of(
    name: str,
    moves: Mapping[str, Sequence[Move]],
    labels: Mapping[str, str],
    records: Mapping[str, Mapping[str, Any]],
) -> str:
    """The label of what moved first for one record; those before it have theirs already."""
    section = _section(name)
    if section == "facts":
        told = ", ".join(f"{m.path} {m.before} -> {m.after}" for m in moves[name][:MOST_TOLD])
        return f"fact {name.partition('/')[2]} ({told})"
    upstream: list[str] = []
    for given in records[name]["inputs"]:
        if given in SECTION_ORDER or given == "all":
            earlier = SECTION_ORDER[: SECTION_ORDER.index(section)] if given == "all" else (given,)
            upstream += [one for one in labels if _section(one) in earlier]
        elif given in labels:
            upstream.append(given)
    # A fact that reaches the record through its chip or models is named by them already.
    nearer = [one for one in upstream if _section(one) != "facts"]
    causes = sorted({labels[one] for one in nearer or _near(name, upstream, records)})
    if len(causes) > MOST_TOLD:
        return f"{', '.join(causes[:MOST_TOLD])} and {len(causes) - MOST_TOLD} more"
    return ", ".join(causes) or f"{_subject(name)}: {stage(moves[name])}"


def _near(
    name: str, facts: Sequence[str], records: Mapping[str, Mapping[str, Any]]
) -> Sequence[str]:
    """Of the facts that moved, those of the record's node and external memory; else all."""
    given = (name, *(one for one in records[name]["inputs"] if one.startswith("chips/")))
    about = [records[one]["record"] for one in given if one in records]
    node = next((one["node_nm"] for one in about if "node_nm" in one), None)
    kind = next((one["listed"]["dram"] for one in about if "listed" in one), None)
    kinds = {one["record"].get("listed", {}).get("dram") for one in records.values()}

    def near(fact: str) -> bool:
        last = fact.rpartition(".")[2]
        if last.isdigit():
            return node is None or last == str(node)
        return kind is None or last not in kinds or last == kind

    return [fact for fact in facts if near(fact)] or facts


def _subject(name: str) -> str:
    """What a record's own cause is called after: its section, and the chip or model itself."""
    section = _section(name)
    return name if section in ("chips", "models") else section


def stage(moves: Sequence[Move]) -> str:
    """The first stage of a computation that has a leaf among ``moves``."""
    for name, pattern in STAGES:
        if any(pattern.search(part) for move in moves for part in move.metric.split(".")):
            return name
    return OTHER


def spread(
    moves: Sequence[Move],
) -> dict[str, tuple[int, float | None, float | None, float | None]]:
    """By metric: how many moved, and the least, median and largest ratio of after to before."""
    found: dict[str, list[Move]] = {}
    for move in moves:
        found.setdefault(move.metric, []).append(move)
    out: dict[str, tuple[int, float | None, float | None, float | None]] = {}
    for metric, group in found.items():
        ratios = [move.ratio for move in group if move.ratio is not None]
        if ratios:
            out[metric] = (len(group), min(ratios), median(ratios), max(ratios))
        else:
            out[metric] = (len(group), None, None, None)
    return out
