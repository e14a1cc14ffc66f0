"""What an error says to do, done: its ``--bind`` options with values, ``--unknown-ops host``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

#: Mends that are followed one after the other.
ROUNDS = 3
#: Readings of a file at most, over all rounds.
TRIES = 60
#: An option as it is printed: its name, and what stands for its values.
_BIND = re.compile(r"--bind (.+?)=((?:VALUE|N|value|\.\.\.)(?:,(?:VALUE|\.\.\.))*)(?=[ ,);]|$)")
_EACH = re.compile(r"--bind (\S+)\.0=N(?:,\S+)?(?:,? (?:one )?for each axis)")
#: What stands for a number is tried as each of these; several numbers as each of the patterns.
_SIZES = (1, 2, 4, 8, 3, 16, 32, 64, 512, 0)
_AXES = 4


@dataclass(frozen=True)
class Step:
    """The options that a file is read with."""

    pairs: tuple[tuple[str, str], ...] = ()
    unknown_ops: Literal["error", "host"] = "error"

    def bound(self) -> dict[str, Any]:
        """The bindings as the command line reads them."""
        if not self.pairs:
            return {}
        from dse.cli.parse import bindings

        return dict(bindings([f"{name}={value}" for name, value in self.pairs]))

    def options(self) -> tuple[str, ...]:
        """The options as they are written."""
        host = ("--unknown-ops host",) if self.unknown_ops == "host" else ()
        return (*(f"--bind {name}={value}" for name, value in self.pairs), *host)


def steps(done: Step, mend: str, path: Path) -> Iterator[Step]:
    """The ways to follow a mend, on top of what is done already; none if it prints no option."""
    if "--unknown-ops host" in mend:
        yield replace(done, unknown_ops="host")
    each = _EACH.search(mend)
    if each:
        for rank in range(1, _AXES + 1):
            for size in (1, 2, 4):
                yield _with(done, {f"{each[1]}.{axis}": str(size) for axis in range(rank)})
        mend = mend[: each.start()] + mend[each.end() :]
    options = [(m[1], m[2].count(",") + 1, "..." in m[2]) for m in _BIND.finditer(mend)]
    named = [option for option in options if option[0] != "name"]
    if len(named) < len(options):
        named += [(name, 1, False) for name in _symbols(path)]
    ways = [named] if len(named) < 2 else [named, *([option] for option in named)]
    for way in ways:
        for values in _choices(way, path):
            yield _with(done, values)


def _with(done: Step, values: dict[str, str]) -> Step:
    return replace(done, pairs=tuple((dict(done.pairs) | values).items()))


def _choices(options: list[tuple[str, int, bool]], path: Path) -> Iterator[dict[str, str]]:
    """Plausible values for the options, one for all and then a few that differ."""
    if not options:
        return
    for size in _SIZES:
        yield {name: ",".join([str(size)] * count) for name, count, _ in options}
    yield {name: ",".join(["-1"] * count) for name, count, _ in options}
    if any(count > 1 for _, count, _ in options):
        yield {n: ",".join(["-1", *["1"] * (count - 1)]) for n, count, _ in options}
        yield {n: ",".join(map(str, range(count))) for n, count, _ in options}
    if len(options) > 1:  # such as start, limit and step
        yield {
            name: ",".join([str((0, 8, 1)[min(i, 2)])] * count)
            for i, (name, count, _) in enumerate(options)
        }


def _symbols(path: Path) -> list[str]:
    """The symbols of a file's inputs: what ``--bind name=value`` means."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    dims = [d for i in model.graph.input for d in i.type.tensor_type.shape.dim]
    return list(dict.fromkeys(d.dim_param for d in dims if d.dim_param))
