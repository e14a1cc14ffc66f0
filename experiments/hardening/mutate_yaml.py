"""Damaged chip, platform, app, experiment and policy files by the thousand: read, or refused.

Run ``python experiments/hardening/mutate_yaml.py [--count 10000] [--seed 1] [--keep FOLDER]``.
Every shipped file is changed in its bytes or in its values (other kinds, sizes, names, keys left
out, put in, moved), read in a process apart, and every 20th that reads is used: a chip simulates a
small network, an app is played, an experiment is checked value by value. A process may take 10 s of
processor time and 1 GB more than it has. The counts of what came of them are printed; the exit code
is 1 if anything was neither read nor refused in one line with its mend.
"""

from __future__ import annotations

import copy
import random
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from harness import arguments, end, judged, report
from mutate_onnx import mutated_bytes

import dse
from dse.apps.scenario import APP_FOLDER
from dse.errors import DseError, InputError
from dse.search.resolved import check_experiment

ROOT = Path(__file__).resolve().parents[2]
#: What may come of a file.
GOOD = ("read", "refused", "used")
#: Values put in place of others.
HOSTILE: tuple[Any, ...] = (
    *(True, False, None, "", "x", " ", "1", "1e9", "nan", "~", "7nm", "w8a8", "\x00", "é" * 300),
    *(0, 1, -1, 3, 7, 64, 2**31, 2**63, 10**30, 10**400, 0.5, -0.5, 1e-30, 1e30, 1e-320, 1e308),
    *(float("nan"), float("inf"), float("-inf")),
    *([], {}, [[]], [1], [None], {"x": 1}, ["C", "K"], "../../etc/passwd", "/dev/zero", "a" * 5000),
)
#: Networks and chips that use what is read; small, so that a case is quick.
NETWORK, CHIP = "ad_autoencoder", "wearable_npu"


class File(NamedTuple):
    """A kind of file (``chip``, ``platform``, ``app``, ``experiment``), and its text."""

    kind: str
    data: bytes


class Case(NamedTuple):
    """A damaged file, and whether it is used besides being read."""

    file: File
    used: bool


def main() -> None:
    parser = arguments(__doc__, 10_000)
    parser.add_argument("--use-every", type=int, default=20, help="0: none")
    parser.add_argument("--keep", type=Path, help="folder for files that were neither")
    chosen = parser.parse_args()
    dse.simulate(NETWORK, CHIP)  # the kernels are compiled once, in front of all children

    def keep(index: int, case: Case) -> None:
        if chosen.keep:
            chosen.keep.mkdir(parents=True, exist_ok=True)
            name = f"{chosen.seed}_{index}_{case.file.kind}.yaml"
            (chosen.keep / name).write_bytes(case.file.data)

    with tempfile.TemporaryDirectory() as folder:
        some = cases(chosen.count, chosen.seed, chosen.use_every)
        counts = report(judged(some, partial(read, Path(folder)), GOOD), GOOD, keep)
    end(counts, GOOD)


def seeds() -> list[File]:
    """What is damaged: every shipped file."""
    folders = {
        "chip": (ROOT / "hwconfigs", "*.yaml"),
        "platform": (ROOT / "hwconfigs" / "platforms", "*.yaml"),
        "app": (ROOT / APP_FOLDER, "*.yaml"),
        "experiment": (ROOT / "experiments", "*.yaml"),
    }
    return [
        File(kind, path.read_bytes())
        for kind, (folder, pattern) in folders.items()
        for path in sorted(folder.glob(pattern))
    ]


def cases(count: int, seed: int, use_every: int) -> Iterator[tuple[int, Case]]:
    """Damaged files with their numbers; each depends on its number and the seed alone."""
    kinds: dict[str, list[File]] = {}
    for file in seeds():
        kinds.setdefault(file.kind, []).append(file)
    for index in range(count):
        rng = random.Random(f"{seed}:{index}")
        file = rng.choice(kinds[rng.choice(sorted(kinds))])
        change = mutated_bytes if rng.random() < 0.25 else mutated_values
        used = bool(use_every) and index % use_every == 0
        yield index, Case(file._replace(data=change(file.data, rng)), used)


def mutated_values(data: bytes, rng: random.Random) -> bytes:
    """The file with a few values, keys or places changed."""
    tree = yaml.safe_load(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        holders = list(_holders(tree))
        if holders:
            rng.choice(_CHANGES)(rng.choice(holders), rng, holders)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()


def _holders(tree: Any) -> Iterator[Any]:
    """All mappings and lists that hold something."""
    if isinstance(tree, dict | list) and tree:
        yield tree
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _holders(value)


def _key(holder: Any, rng: random.Random) -> Any:
    return rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))


def _value(holder: Any, rng: random.Random, others: list[Any]) -> None:
    if holder:
        holder[_key(holder, rng)] = copy.deepcopy(rng.choice(HOSTILE))


def _times(value: float, factor: float) -> float:
    """The product in the number's own kind; of an integer beyond all floats, itself."""
    try:
        return type(value)(value * factor)
    except (OverflowError, ValueError):
        return value


def _scaled(holder: Any, rng: random.Random, others: list[Any]) -> None:
    for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
        if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            factor = rng.choice((0, -1, 1e-9, 1e-3, 0.3, 3, 1e3, 1e9))
            holder[key] = _times(holder[key], factor)


def _left_out(holder: Any, rng: random.Random, others: list[Any]) -> None:
    if holder:
        del holder[_key(holder, rng)]


def _put_in(holder: Any, rng: random.Random, others: list[Any]) -> None:
    value = copy.deepcopy(rng.choice(HOSTILE))
    if isinstance(holder, dict):
        other = rng.choice(others)
        names = list(other) if isinstance(other, dict) else ["extra"]
        holder[rng.choice([*names, "bytes", "extra", 1, None, "<<"])] = value
    else:
        holder.append(value)


def _renamed(holder: Any, rng: random.Random, others: list[Any]) -> None:
    if isinstance(holder, dict) and holder:
        key = _key(holder, rng)
        holder[rng.choice((f"{key}s", str(key)[:-1], f"{key} ", str(key).upper(), 3))] = holder.pop(
            key
        )


def _moved(holder: Any, rng: random.Random, others: list[Any]) -> None:
    """A value of elsewhere in place of this one."""
    other = rng.choice(others)
    if holder and other:
        holder[_key(holder, rng)] = copy.deepcopy(other[_key(other, rng)])


_CHANGES = (_value, _scaled, _scaled, _scaled, _left_out, _put_in, _renamed, _moved)


def read(folder: Path, case: Case) -> tuple[str, str]:
    """Reads (and uses) a file; what is no error of ours is raised."""
    warnings.simplefilter("ignore")
    path = folder / f"{case.file.kind}.yaml"
    path.write_bytes(case.file.data)
    try:
        _USES[case.file.kind](str(path), case.used)
    except InputError as error:
        line = error.describe()
        well = line.isprintable() and error.mend and len(line) < 4000
        return ("refused" if well else "unclear"), line
    except DseError as error:
        return "used", f"refused: {error}"
    return ("used" if case.used else "read"), ""


def _chip(path: str, used: bool) -> None:
    chip = dse.load_chip(path)
    if used:
        _told(dse.simulate(NETWORK, chip))


def _platform(path: str, used: bool) -> None:
    dse.load_platform(path)


def _app(path: str, used: bool) -> None:
    app = dse.load_app(path)
    if used:
        _told(dse.simulate(app, CHIP, fidelity="roofline"))


def _experiment(path: str, used: bool) -> None:
    experiment = dse.load_experiment(path)
    if used:
        check_experiment(experiment, path)


def _told(record: Any) -> None:
    """A record is printed and finite, or says what is not."""
    record.to_dict()


_USES = {"chip": _chip, "platform": _platform, "app": _app, "experiment": _experiment}


if __name__ == "__main__":
    main()
