"""Random command lines by the thousand: exit code 0, 1 or 2, one line of error, within limits.

Run ``python experiments/hardening/command_lines.py [--count 2000] [--seed 1]``. Commands, options
and values (right ones, hostile ones, files that are missing, damaged, folders, devices) are put
together at random and run as ``dse`` would, each in a process apart and an empty folder, with 10 s
of processor time and 1 GB more than the process has. Long commands are kept short (few trials,
small networks). The exit code is 1 if a command ended otherwise than with 0, 1 or 2, wrote a
traceback or more than its one line of error, or wrote on stdout something that is no JSON after
``--json``.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from harness import arguments, end, judged, report

import dse
from dse.cli import main as run_dse
from dse.cli.commands import app

#: What may come of a command line.
GOOD = ("done", "refused", "failed")
#: Values of any option or argument.
VALUES = (
    *("resnet8", "ad_autoencoder", "dscnn_kws", "resnet8@res=16", "resnet8@width=0.5", "none"),
    *("wearable_npu", "conv_core", "ethos_u55_32", "tinyml_kws", "factory_module", "int8", "w4a8"),
    *("7nm", "28", "3", "1", "0", "-1", "1e9", "1e400", "nan", "", " ", "é", "\x00x", "x" * 300),
    *("chip.array.rows=8", "chip.f_hz=1e8", "chip.node=7nm", "chip.array.rows=x", "app.none=1"),
    *("chip.f_hz", "=", "batch=2", "seq=-1", "a.yaml", "bad.yaml", "bad.onnx", "folder", "missing"),
    *("/dev/null", "/proc/self/mem", "out", "edp", "latency", "energy*latency^2", "power_w"),
    *("roofline", "analytic", "simulate", "technology", "area", "chip", "app", "jasm1", "host"),
)
#: Options that would make a command long, with what they are held to.
HELD = {"--trials": ("1", "2", "0", "x"), "--runs": ("1", "0"), "--workers": ("1", "0", "x")}
#: Options that a command always gets: all sections of ``validate`` take a minute.
ALWAYS = {"validate": ("--section", ("technology", "area", "none", ""))}


def main() -> None:
    chosen = arguments(__doc__, 2_000).parse_args()
    dse.simulate("ad_autoencoder", "wearable_npu")  # the kernels are compiled once
    counts = report(judged(cases(chosen.count, chosen.seed), tried, GOOD, batch=1), GOOD)
    end(counts, GOOD)


def cases(count: int, seed: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Command lines with their numbers; each depends on its number and the seed alone."""
    commands: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for index in range(count):
        rng = random.Random(f"{seed}:{index}")
        name = rng.choice(sorted(commands))
        yield index, (name, *_arguments(name, commands[name].params, rng))


def _arguments(name: str, params: list[Any], rng: random.Random) -> list[str]:
    out: list[str] = []
    for param in params:
        if param.param_type_name == "argument":
            if rng.random() < 0.9:
                out += [rng.choice(VALUES) for _ in range(rng.choice((1, 1, 1, 2)))]
        elif param.opts[0] in HELD and (name in ("explore", "sweep", "profile", "map")):
            out += [param.opts[0], rng.choice(HELD[param.opts[0]])]
        elif rng.random() < 0.2:
            out.append(rng.choice(param.opts))
            if not getattr(param, "is_flag", False) and rng.random() < 0.95:
                out.append(_fitting(param, rng))
    if name in ALWAYS:
        option, values = ALWAYS[name]
        out += [option, rng.choice(values)]
    if rng.random() < 0.05:
        out.insert(rng.randrange(len(out) + 1), rng.choice(("--none", "-q", "--", "--help", "-h")))
    return out


def _fitting(param: Any, rng: random.Random) -> str:
    choices = getattr(param.type_descriptor, "choices", None)
    if choices and rng.random() < 0.7:
        return str(rng.choice(list(choices)))
    return rng.choice(VALUES)


def tried(arguments: tuple[str, ...]) -> tuple[str, str]:
    """Runs a command line in an empty folder; what is no error of ours is raised."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with tempfile.TemporaryDirectory() as folder:
        _files(Path(folder))
        os.chdir(folder)
        sys.argv = ["dse", *arguments]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                run_dse()
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
        os.chdir("/")
    said = err.getvalue()
    errors = [line for line in said.splitlines() if line.lower().startswith("error:")]
    told = f"dse {' '.join(map(repr, arguments))}: {code}: {said[-600:]}"
    if code not in (0, 1, 2) or "Traceback" in said:
        return "broken", told
    if code == 0:
        well = _is_json(arguments, out.getvalue())
        return ("done", "") if well else ("no JSON", told)
    if code == 2 and not errors:
        return "no word", told
    return ("refused" if code == 2 else "failed"), told


def _is_json(arguments: tuple[str, ...], text: str) -> bool:
    """Whether stdout is one JSON object, where that was asked for."""
    pairs = zip(("", *arguments), arguments, strict=False)
    taken = _options_with_a_value()  # such an option before --json takes it for its value
    asked = any(word == "--json" and before not in taken for before, word in pairs)
    if not asked or "--help" in arguments or "-h" in arguments:
        return True
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@functools.lru_cache(maxsize=1)
def _options_with_a_value() -> frozenset[str]:
    """Names of the options of all commands that take the word behind them."""
    commands, out = [typer.main.get_command(app)], set[str]()
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        for option in command.params:
            if not getattr(option, "is_flag", True):
                out.update(option.opts)
    return frozenset(out)


def _files(folder: Path) -> None:
    """What some of the names stand for."""
    (folder / "bad.yaml").write_text("a: [1, {b: *c}]\n")
    (folder / "bad.onnx").write_bytes(b"\x08\x07\x12\x04oops")
    (folder / "a.yaml").write_text("template: conv_core\nnode: 7nm\narray: {rows: 8, cols: 8}\n")
    (folder / "folder").mkdir()


if __name__ == "__main__":
    main()
