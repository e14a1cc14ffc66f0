"""The benchmarks of ``compare.py``, one of them in one process: ``python bodies.py NAME``.

``dse`` is whichever commit PYTHONPATH names, so only the public names of the package and the
command line may be used here. Each function prepares (loads, maps something else, so that kernels
and modules are there) and returns the work that is measured; the work returns the numbers that
both commits should agree on. Mapping "from nothing" means chips of a clock or size not seen before
in this process: no cache is emptied, none can help. What is printed is one JSON object; with
``--list`` the names of the benchmarks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import distinct_layers, peak_mb, spent

import dse

Result = dict[str, Any]
Work = Callable[[], Result]
HERE = Path(__file__).resolve().parent
#: Chips on which networks are mapped, each also without its L2.
CHIPS = ("edge_vision", "phone_npu")
CLOCKS_HZ = (5.0e8, 5.1e8)


class Missing(Exception):
    """The commit has no such command, name or file."""


def command(times: int, *arguments: str) -> Work:
    """``python ARGUMENTS`` as whole processes; with ``--json``, what they say is the result."""

    def once() -> Result:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
        last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
        if done.returncode == 2:
            raise Missing(last)
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}: {last}")
        return dict(json.loads(done.stdout)) if "--json" in arguments else {}

    once()  # byte code and kernels are on disk from here on

    def work() -> Result:
        return [once() for _ in range(times)][-1]

    return work


def map_network(name: str) -> Work:
    """A network on chips with and without L2, fused groups and all: mapped from nothing."""
    model = dse.load_model(name)
    warm(name)

    def work() -> Result:
        out: Result = {}
        for chip_name in CHIPS:
            for f_hz in CLOCKS_HZ:
                for memory in ({}, {"l2__bytes": 0}):
                    chip = dse.load_chip(chip_name, f_hz=f_hz, **memory)
                    label = f"{chip_name} {f_hz / 1e6:g} MHz{' without L2' if memory else ''}"
                    out[label] = numbers(dse.simulate(model, chip, "analytic"))
        return out

    return work


def map_layers() -> Work:
    """Distinct layers of three networks, each alone."""
    layers = [
        layer
        for name in ("resnet50_v1.5", "mobilenetv2", "deit_tiny")
        for layer in distinct_layers(dse.load_model(name).at("w8a8"))
    ]
    warm("mobilenetv2")

    def work() -> Result:
        out: Result = {}
        for objective in ("edp", "latency"):
            for clock in range(3):
                for memory in ({}, {"l2__bytes": 0}):
                    chip = dse.load_chip("edge_vision", f_hz=5.0e8 + 1e7 * clock, **memory)
                    made = [dse.map_layer(layer, chip, objective) for layer in layers]
                    key = f"{objective} {chip.f_hz / 1e6:g} MHz{' without L2' if memory else ''}"
                    out[key] = [[one.latency_s, one.energy_j] for one in made]
        return out

    return work


def search(file: str, trials: int) -> Work:
    """Distinct designs through the whole search loop, in this process."""
    file = str(HERE / file)
    dse.explore(file, trials=1, workers=1, seed=1)

    def work() -> Result:
        found = dse.explore(file, trials=trials, workers=1, seed=0).to_dict()
        told = ("designs", "evaluated", "feasible")
        front = sorted(one["objectives"] for one in found["pareto"])
        return {name: found[name] for name in told} | {"front": front}

    return work


def simulate_app() -> Work:
    """A second of a robot's three networks on mapped ground, with other random numbers each."""
    app, chip = dse.load_app("robot_amr"), dse.load_chip("mobile_robot_npu")
    dse.simulate(app, chip, seed=0)

    def work() -> Result:
        return {f"seed {n}": numbers(dse.simulate(app, chip, seed=n)) for n in range(1, 5)}

    return work


def simulate_llm() -> Work:
    """One token of a language model of 7e9 parameters, on mapped ground."""
    model, chip = dse.load_model("qwen2.5_7b_decode"), dse.load_chip("llm_edge_npu")
    dse.simulate(model, chip)

    def work() -> Result:
        volumes = [1e5 * n for n in range(1, 9)]
        return {
            f"volume {volume:g}": numbers(dse.simulate(model, chip, volume=volume))
            for volume in volumes
        }

    return work


def load(name: str, symbol: str, sizes: range) -> Work:
    """Read and lower a network, each time at a size not yet seen."""
    dse.load_model(name, **{symbol: sizes.start - 1})

    def work() -> Result:
        out: Result = {}
        for size in sizes:
            layers = dse.load_model(name, **{symbol: size}).at("w8a8").layers
            out[f"{symbol}={size}"] = [len(layers), sum(layer.o_elements for layer in layers)]
        return out

    return work


def warm(name: str) -> None:
    """Map a network on a chip of another clock, so that nothing is left to load."""
    for memory in ({}, {"l2__bytes": 0}):
        dse.simulate(
            dse.load_model(name), dse.load_chip(CHIPS[0], f_hz=4.0e8, **memory), "analytic"
        )


def numbers(found: Any) -> Result:
    """What both commits should agree on."""
    return {"latency_s": found.latency_s, "energy_j": found.energy_j}


BENCHMARKS: dict[str, Callable[[], Work]] = {
    "start-import": lambda: command(20, "-c", "import dse"),
    "start-help": lambda: command(6, "-m", "dse", "--help"),
    "start-chips": lambda: command(1, "-m", "dse", "chips", "--json"),
    "start-simulate": lambda: command(
        1, "-m", "dse", "simulate", "mobilenetv2", "--chip", "edge_vision", "--json"
    ),
    "map-resnet50": lambda: map_network("resnet50_v1.5"),
    "map-mobilenetv2": lambda: map_network("mobilenetv2"),
    "map-deit": lambda: map_network("deit_tiny"),
    "map-layers": map_layers,
    "design-all": lambda: search("small_space.yaml", 24),
    "design-search": lambda: search("searched_space.yaml", 36),
    "simulate-app": simulate_app,
    "simulate-llm": simulate_llm,
    "load-resnet50": lambda: load("resnet50_v1.5", "batch", range(2, 26)),
    "load-qwen7b": lambda: load("qwen2.5_7b_decode", "past", range(513, 521)),
}


def lacking(error: Exception) -> str:
    """Why the commit has no such thing; empty if it has and something else went wrong."""
    if isinstance(error, Missing):
        return str(error)
    if isinstance(error, AttributeError) and error.obj is dse:
        return f"no dse.{error.name}"
    return error.describe().partition(";")[0] if isinstance(error, dse.InputError) else ""


def main() -> None:
    if sys.argv[1:] == ["--list"]:
        print(*BENCHMARKS)
        return
    try:
        done = spent(BENCHMARKS[sys.argv[1]]())
        told = {"user_s": done.user_s, "system_s": done.system_s, "peak_mb": peak_mb()}
        print(json.dumps(told | {"result": done.result}))
    except Exception as error:
        why = lacking(error)
        if not why:
            raise
        print(json.dumps({"missing": why}))


if __name__ == "__main__":
    main()
