"""The model on this machine's CPU, by onnxruntime: a baseline that anyone can measure."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import InputError, RunError
from dse.workload.zoo import resolve


@dataclass(frozen=True)
class CpuProfile:
    """Measured latency of one inference, s, and time by operator: (operator, s, calls)."""

    latency_s: float
    runs: int
    threads: int
    by_operator: tuple[tuple[str, float, int], ...]

    @property
    def op_total_s(self) -> float:
        return sum(seconds for _, seconds, _ in self.by_operator) or 1.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def profile_cpu(name: str, runs: int, bindings: Mapping[str, int]) -> CpuProfile:
    """Run the model ``runs`` times after one warm-up, on zeros-free random inputs.

    Raises:
        InputError: no runs, or onnxruntime cannot load the file.
        RunError: the model fails while running.
    """
    import onnxruntime as ort

    if runs < 1:
        raise InputError(f"{runs} runs", field="--runs", mend="give 1 or more")
    path = resolve(name).file
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise InputError(
                f"onnxruntime cannot load it ({_first(error)})",
                file=path,
                mend="simulate it instead: `dse simulate` needs no kernels",
            ) from None
        feeds = {item.name: _sample(item, bindings) for item in session.get_inputs()}
        times = []
        try:
            for _ in range(runs + 1):
                started = time.perf_counter()
                session.run(None, feeds)
                times.append(time.perf_counter() - started)
        except Exception as error:
            raise RunError(f"onnxruntime failed ({_first(error)})", file=path) from None
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return CpuProfile(
        statistics.median(times[1:]), runs, _threads(options), _by_operator(events, runs + 1)
    )


def _threads(options: Any) -> int:
    import os

    return int(options.intra_op_num_threads) or os.cpu_count() or 1


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def _sample(item: Any, bindings: Mapping[str, int]) -> Any:
    """A seeded random input; symbolic axes as bound, else 1."""
    if item.type not in _TYPES:
        raise InputError(
            f"input {item.name!r} is a {item.type}", field=item.name, mend="profile a tensor model"
        )
    shape = [axis if isinstance(axis, int) else bindings.get(str(axis), 1) for axis in item.shape]
    kind = _TYPES[item.type]
    rng = np.random.default_rng(0)
    if np.issubdtype(kind, np.floating):
        return rng.standard_normal(shape).astype(kind)
    return rng.integers(0, 2, shape).astype(kind)


def _by_operator(events: list[dict[str, Any]], passes: int) -> tuple[tuple[str, float, int], ...]:
    """Seconds per inference and calls by operator, most expensive first."""
    seconds: dict[str, float] = {}
    calls: dict[str, int] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            op = event["args"].get("op_name", "?")
            seconds[op] = seconds.get(op, 0.0) + event["dur"] * 1e-6 / passes
            calls[op] = calls.get(op, 0) + 1
    order = sorted(seconds, key=lambda op: -seconds[op])
    return tuple((op, seconds[op], round(calls[op] / passes)) for op in order)
