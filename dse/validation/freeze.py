"""The parameters of validated chips as frozen at a date, and every change of them since.

A chip whose parameters change after its results were seen may have been turned towards them. So
``data/frozen.yaml`` keeps a digest of every block of every chip that is compared, and each later
change with its date and ground; a test fails on a change that is not in the list. Words (sources,
descriptions), search ranges and prices in money are left out, and so are parameters at their
default, so that a new parameter of the schema changes nothing. Widths count as the numbers that
they come to, whether they follow the array or are fixed; figures of a runtime class and the list of
operators as parameters of the chips that name them. ``legality`` counts: comparisons
take ideal mappings, but a legal one is tried too and taken where it is better.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from dse.hardware.library import load_spec
from dse.hardware.starting import class_figures
from dse.hardware.widths import width_numbers
from dse.schema import Strict
from dse.validation import eyeriss, foretold, peer_data, public, published
from dse.validation.chip_files import chip_file
from dse.validation.published import read_data

#: Blocks that say nothing of time, energy or area.
LEFT_OUT = frozenset(
    ("schema_version", "name", "template", "description", "sources", "ranges", "cost")
)
#: Digits of a block's digest, behind an x (a reader of YAML takes 12e5 for a number).
DIGITS = 8

Text = Annotated[str, Field(min_length=1)]


class Frozen(Strict):
    """A chip as it was at a date: the digest of each block."""

    chip: str
    date: datetime.date
    blocks: dict[str, str]


class Change(Strict):
    """Blocks of a chip that changed (``none`` is the digest of one that is gone), and why."""

    chip: str
    date: datetime.date
    blocks: dict[str, str]
    ground: Text


class Freeze(Strict):
    schema_version: Literal[1]
    chips: tuple[Frozen, ...]
    changes: tuple[Change, ...]


def freeze() -> Freeze:
    return read_data("frozen.yaml", Freeze)


def validated_chips() -> tuple[str, ...]:
    """Names of all chips that some section compares or that were predicted for it, sorted."""
    names = {row.chip for row in published.silicon().rows} | set(foretold.foretold_chips())
    names |= {row.chip for row in published.silicon().area}
    names |= {row.chip for row in published.languages()} | {row.chip for row in published.blinds()}
    for ratio in published.ratios():
        names |= {ratio.over.chip, ratio.under.chip}
    for bracket in published.brackets().rows:
        names |= {case.chip for case in bracket.cases}
    names |= {row.case.chip for row in published.brackets().energies}
    names |= set(public.table_chips())
    return tuple(sorted(names | {eyeriss.published().chip, peer_data.vela().chip}))


def block_digests(chip: str) -> dict[str, str]:
    """Digest of each block of a chip's parameters that is not at its default."""
    spec = load_spec(chip_file(chip))
    data = spec.model_dump(mode="json", exclude_defaults=True)
    data.pop("widths", None)
    for path, width in width_numbers(spec).items():
        block, _, field = path.partition(".")
        data[block].pop(field, None)
        if width:
            data[block][field] = width
    data["overhead"] |= class_figures(spec.overhead)
    return {
        name: "x" + hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:DIGITS]
        for name, value in sorted(data.items())
        if name not in LEFT_OUT
    }


def as_logged(file: Freeze) -> dict[str, dict[str, str]]:
    """Blocks of every chip as frozen, with the logged changes in their order."""
    found = {item.chip: dict(item.blocks) for item in file.chips}
    for change in file.changes:
        blocks = found.setdefault(change.chip, {})
        blocks.update(change.blocks)
        for name, value in change.blocks.items():
            if value == "none":
                del blocks[name]
    return found


def changed_blocks(chip: str, file: Freeze) -> dict[str, str]:
    """Blocks of a chip that differ from the log: now their digest, ``none`` if gone."""
    logged, now = as_logged(file).get(chip, {}), block_digests(chip)
    return {
        name: now.get(name, "none")
        for name in sorted(logged.keys() | now.keys())
        if logged.get(name) != now.get(name)
    }
