"""Pairs in which one fact changes, ours against silicon.

    python experiments/pairs/one_fact.py [--pair ID ...] [--json FILE] [--fidelity analytic]

For every row of ``pairs.yaml``: the measured factor (time of the slow side over that of the fast
one), ours, and how far ours is off (the larger over the smaller); then the median of each pair and
of all rows. A side that cannot run on its chip is told as such and counts as off by any factor.

It runs on an older commit, too (``PYTHONPATH`` of its checkout): what the chip files of ``chips/``
say in fields that came later is left out there, so that the older defaults speak.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from ruamel.yaml import YAML

from dse.errors import DseError, InputError
from dse.evaluation import Terms, evaluate_model, model_at
from dse.hardware.resolve import load_chip
from dse.validation.predict import with_classes

HERE = Path(__file__).resolve().parent
Fidelity = Literal["analytic", "simulate"]
#: Fields of chip files that older commits do not know.
LATER: Mapping[str, tuple[str, ...]] = {"overhead": ("runtime", "runtime_without")}
#: What an older commit must not be given as null.
ONCE_STATED: Mapping[str, tuple[str, ...]] = {"overhead": ("launch_cycles", "invoke_s")}


@dataclass(frozen=True)
class Side:
    """One of the two: a network on a chip.

    ``without``: chips whose measurements the costs of the runtime class must not know. In a pair
    both sides leave out both, or each would be told something of its own by the other.
    """

    chip: str
    model: str
    precision: str | None = None
    cores: int = 1
    batch: int = 1
    classes: int | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A measured factor: ``slow_s`` and ``fast_s`` are seconds of an image."""

    slow: Side
    fast: Side
    slow_s: float
    fast_s: float
    note: str = ""

    @property
    def factor(self) -> float:
        return self.slow_s / self.fast_s


@dataclass(frozen=True)
class Pair:
    """Rows in which the same fact changes."""

    id: str
    fact: str
    source: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Judged:
    """A row with ours; ``ours`` None: a side does not run, for the reason in ``note``."""

    pair: str
    row: Row
    ours: float | None
    slow_s: float | None
    fast_s: float | None
    note: str

    @property
    def off(self) -> float:
        """How many times ours is too large or too small."""
        if self.ours is None:
            return math.inf
        ratio = self.ours / self.row.factor
        return max(ratio, 1.0 / ratio)


def read_pairs(path: Path = HERE / "pairs.yaml") -> tuple[Pair, ...]:
    """The pairs of a file; a row says what its two sides share, or each of them for itself."""
    return tuple(_pair(data) for data in YAML(typ="safe").load(path)["pairs"])


def _pair(data: Mapping[str, Any]) -> Pair:
    rows = []
    for row in data["rows"]:
        own = {
            k: v for k, v in row.items() if k not in ("slow", "fast", "slow_s", "fast_s", "note")
        }
        shared = {"without": tuple(data["without"])} if "without" in data else {}
        sides = [Side(**(shared | own | data[s] | row.get(s, {}))) for s in ("slow", "fast")]
        slow, fast = sides
        rows.append(Row(slow, fast, row["slow_s"], row["fast_s"], row.get("note", "")))
    return Pair(data["id"], data["fact"], data["source"], tuple(rows), data.get("note", ""))


def chip_file(name: str) -> str:
    """A shipped chip's name, or the path of one of ``chips/``."""
    return str(HERE / name) if name.endswith(".yaml") else name


def image_s(side: Side, fidelity: Fidelity) -> tuple[float | None, str]:
    """Seconds of an image, or None and why there is none."""
    try:
        chip = _chip(side.chip, side.without)
        sizes = {"batch": side.batch} if side.batch > 1 else None
        made = model_at(side.model, side.precision, chip, bindings=sizes)
        if side.classes is not None:
            made = with_classes(made, side.classes)
        terms = Terms(objective="latency", cores=side.cores)
        found = evaluate_model(made, chip, fidelity, terms)
    except DseError as error:
        return None, str(error)
    if found.latency_s is None:
        return None, "; ".join(found.reasons)
    return found.latency_s / side.batch, ""


def _chip(name: str, without: tuple[str, ...]) -> Any:
    path = chip_file(name)
    try:
        values = {"overhead.runtime_without": list(without)} if without else None
        return load_chip(path, overrides=values)
    except InputError:
        if not name.endswith(".yaml"):
            return load_chip(path)
    return load_chip(_older(Path(path)))


def _older(path: Path) -> str:
    """A copy of a chip file without what older commits do not know."""
    yaml = YAML(typ="safe")
    data = yaml.load(path)
    for block, fields in LATER.items():
        for field in fields:
            data[block].pop(field, None)
            data["sources"].pop(f"{block}.{field}", None)
    for block, fields in ONCE_STATED.items():
        data[block] = {k: v for k, v in data[block].items() if k not in fields or v is not None}
    folder = Path(tempfile.mkdtemp(prefix="pairs_"))
    copy = folder / path.name
    with copy.open("w", encoding="utf-8") as out:
        yaml.dump(data, out)
    return str(copy)


def judge(pairs: Sequence[Pair], fidelity: Fidelity = "simulate") -> Iterator[Judged]:
    """Every row with ours beside it."""
    known: dict[Side, tuple[float | None, str]] = {}
    for pair in pairs:
        for row in pair.rows:
            for side in (row.slow, row.fast):
                if side not in known:
                    known[side] = image_s(side, fidelity)
            (slow, why), (fast, other) = known[row.slow], known[row.fast]
            ours = slow / fast if slow is not None and fast is not None else None
            note = "; ".join(text for text in (row.note, why or other) if text)
            yield Judged(pair.id, row, ours, slow, fast, note)


def medians(judged: Sequence[Judged]) -> dict[str, float]:
    """Median factor off by pair, and of all rows."""
    names = dict.fromkeys(one.pair for one in judged)
    out = {name: median(one.off for one in judged if one.pair == name) for name in names}
    return out | {"all": median(one.off for one in judged)}


def _line(one: Judged) -> str:
    row = one.row
    sides = (
        row.slow.model
        if row.slow.model == row.fast.model
        else f"{row.slow.model} / {row.fast.model}"
    )
    more = [f"{row.slow.classes} classes"] if row.slow.classes else []
    if row.slow.precision and row.slow.precision == row.fast.precision:
        more.append(row.slow.precision)
    if row.slow.batch == row.fast.batch > 1:
        more.append(f"batch {row.slow.batch}")
    name = ", ".join([sides, *more])
    ours = "     -" if one.ours is None else f"{one.ours:6.2f}"
    off = "   -" if one.ours is None else f"{one.off:4.2f}"
    return f"  {row.factor:6.2f} {ours} {off}  {name}{'  (' + one.note + ')' if one.note else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", action="append", help="only this one (several times)")
    parser.add_argument("--fidelity", default="simulate", choices=("analytic", "simulate"))
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    asked = parser.parse_args()
    pairs = [p for p in read_pairs() if not asked.pair or p.id in asked.pair]
    if not pairs:
        raise SystemExit(f"no such pair; one of {', '.join(p.id for p in read_pairs())}")
    found: list[Judged] = []
    for pair in pairs:
        print(f"{pair.id}: {pair.fact}\n  silicon   ours  off")
        for one in judge([pair], asked.fidelity):
            found.append(one)
            print(_line(one), flush=True)
    print("median factor off")
    for name, off in medians(found).items():
        print(f"  {off:6.2f}  {name}")
    if asked.json:
        rows = [asdict(one) | {"off": one.off if one.ours else None} for one in found]
        asked.json.write_text(json.dumps({"rows": rows, "medians": medians(found)}, indent=1))


if __name__ == "__main__":
    main()
