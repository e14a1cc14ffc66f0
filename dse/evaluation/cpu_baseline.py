"""The model on this machine's CPU, by onnxruntime: a baseline that anyone can measure."""

from __future__ import annotations

import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import InputError, RunError
from dse.workload import Model, load_model
from dse.workload.layer import Binding
from dse.workload.load import bound_sizes
from dse.workload.zoo import resolve

#: Float weights up to this size are run without ``force``, bytes.
RUNNABLE_BYTES = 2 << 30
#: What onnxruntime appends to the name of a node that it fuses or moves to another layout.
_APPENDED = re.compile(r"(_nchwc|_token_\d+|/?[A-Za-z]+Fusion/?|_fused\w*)+$")


@dataclass(frozen=True)
class CpuProfile:
    """Measured time of one inference.

    Attributes:
        latency_s: median over ``runs``, s; with ``threads`` threads.
        by_operator: (operator of onnxruntime, s, calls), most expensive first.
        by_node: (name of the node as onnxruntime runs it, operator, s, calls), in order of
            execution.
    """

    latency_s: float
    runs: int
    threads: int
    by_operator: tuple[tuple[str, float, int], ...]
    by_node: tuple[tuple[str, str, float, int], ...] = ()

    @property
    def op_total_s(self) -> float:
        return sum(seconds for _, seconds, _ in self.by_operator) or 1.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def by_layer(self, model: Model) -> tuple[dict[str, float], float]:
        """Time of every layer of ``model``, s, and what belongs to none of them.

        A kernel counts for the layer that one of its nodes lies in; the rest are views, reordered
        layouts and constants.
        """
        owner = {node: layer.name for layer in model.layers for node in layer.nodes}
        found = dict.fromkeys((layer.name for layer in model.layers), 0.0)
        rest = 0.0
        for name, _, seconds, _ in self.by_node:
            bare = _APPENDED.sub("", name)
            layer = owner.get(name) or owner.get(bare)
            if layer is None:
                rest += seconds
            else:
                found[layer] += seconds
        return found, rest


def profile_cpu(
    name: str, runs: int, bindings: Mapping[str, Binding], *, force: bool = False
) -> CpuProfile:
    """Run the model ``runs`` times after one warm-up, on zeros-free random inputs.

    A shipped network has no weights: its kernels then work on constants, which takes the same time.

    Raises:
        InputError: no runs, a model above :data:`RUNNABLE_BYTES` without ``force``, sizes that
            the file cannot take, or onnxruntime cannot load the file.
        RunError: the model fails while running.
    """
    if runs < 1:
        raise InputError(f"{runs} runs", field="runs", mend="give 1 or more")
    request = resolve(name)
    model = load_model(name, unknown_ops="error", **bindings)
    stored = 4 * model.parameters
    if stored > RUNNABLE_BYTES and not force:
        raise InputError(
            f"its weights take {stored / 2**30:.1f} GiB in memory as floats",
            file=request.file,
            mend="add --force to run it all the same, or see `dse simulate`, which needs none",
        )
    sizes = bound_sizes(request, bindings)
    source = _bound(request.file, sizes)
    with tempfile.TemporaryDirectory() as folder:
        return _profiled(source, request.file, runs, sizes, Path(folder))


def _bound(file: Path, sizes: Mapping[str, Binding]) -> str | bytes:
    """The file, or its bytes with the sizes and values that the user bound made fixed.

    Where only symbols are bound the file stays as it is: its inputs are then made of that size.
    """
    import onnx

    from dse.workload.axes import open_axes
    from dse.workload.binding import bind_inputs
    from dse.workload.control import TRIPS

    bare = onnx.load(str(file), load_external_data=False)
    symbols = {axis.symbol for axis in open_axes(bare.graph.input) if axis.named}
    wanted = {name: value for name, value in sizes.items() if not name.endswith(TRIPS)}
    if symbols >= set(wanted):
        return str(file)
    proto = onnx.load(str(file))
    if bind_inputs(proto, str(file), wanted).factor > 1:
        raise InputError(
            "the file has a fixed batch of 1, so the CPU cannot run more at once",
            file=file,
            field="batch",
            mend="leave batch out, or export the network with a symbolic batch",
        )
    return bytes(proto.SerializeToString())


def _profiled(
    source: str | bytes, file: Path, runs: int, sizes: Mapping[str, Binding], folder: Path
) -> CpuProfile:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(
            f"onnxruntime cannot load it ({_first(error)})",
            file=file,
            mend="simulate it instead: `dse simulate` needs no kernels",
        ) from None
    feeds = {item.name: _sample(item, sizes) for item in session.get_inputs()}
    times = []
    try:
        for _ in range(runs + 1):
            started = time.perf_counter()
            session.run(None, feeds)
            times.append(time.perf_counter() - started)
    except Exception as error:
        raise RunError(f"onnxruntime failed ({_first(error)})", file=file) from None
    kernels = kernels_of(Path(session.end_profiling()))
    nodes = _by_node(kernels, runs + 1, _makers(source))
    return CpuProfile(
        statistics.median(times[1:]), runs, _threads(options), _by_operator(nodes), nodes
    )


def kernels_of(profile: Path) -> list[dict[str, Any]]:
    """The kernels that ran, from onnxruntime's profile, a Chrome trace: ``dur`` is in us."""
    events = json.loads(profile.read_text(encoding="utf-8"))
    return [e for e in events if e.get("cat") == "Node" and e["name"].endswith(_KERNEL)]


def _threads(options: Any) -> int:
    return int(options.intra_op_num_threads) or os.cpu_count() or 1


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


_KERNEL = "_kernel_time"
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


def _sample(item: Any, sizes: Mapping[str, Binding]) -> Any:
    """A seeded random input; symbolic axes as bound, else 1."""
    if item.type not in _TYPES:
        raise InputError(
            f"input {item.name!r} is a {item.type}", field=item.name, mend="profile a tensor model"
        )
    bound = {name: size for name, size in sizes.items() if isinstance(size, int)}
    shape = [axis if isinstance(axis, int) else bound.get(str(axis), 1) for axis in item.shape]
    kind = _TYPES[item.type]
    rng = np.random.default_rng(0)
    if np.issubdtype(kind, np.floating):
        return rng.standard_normal(shape).astype(kind)
    return rng.integers(0, 2, shape).astype(kind)


def _makers(source: str | bytes) -> dict[str, str]:
    """The node that makes each tensor: onnxruntime names what it fuses after the tensor made."""
    import onnx

    if isinstance(source, bytes):
        proto = onnx.load_from_string(source)
    else:
        proto = onnx.load(source, load_external_data=False)
    return {name: node.name or name for node in proto.graph.node for name in node.output if name}


def _by_node(
    kernels: list[dict[str, Any]], passes: int, makers: Mapping[str, str]
) -> tuple[tuple[str, str, float, int], ...]:
    """Name, operator, seconds per inference (median, warm-up left out) and calls by node."""
    spent: dict[tuple[str, str], list[float]] = {}
    for event in kernels:
        name = event["name"].removesuffix(_KERNEL)
        key = (makers.get(_APPENDED.sub("", name), name), event["args"].get("op_name", "?"))
        spent.setdefault(key, []).append(event["dur"] * 1e-6)
    found = []
    for (name, op), seconds in spent.items():
        calls = max(1, len(seconds) // passes)
        runs = [sum(seconds[i : i + calls]) for i in range(0, len(seconds), calls)]
        found.append((name, op, statistics.median(runs[1:] or runs), calls))
    return tuple(found)


def _by_operator(
    nodes: tuple[tuple[str, str, float, int], ...],
) -> tuple[tuple[str, float, int], ...]:
    """Seconds per inference and calls by operator, most expensive first."""
    seconds: dict[str, float] = {}
    calls: dict[str, int] = {}
    for _, op, spent, count in nodes:
        seconds[op] = seconds.get(op, 0.0) + spent
        calls[op] = calls.get(op, 0) + count
    order = sorted(seconds, key=lambda op: -seconds[op])
    return tuple((op, seconds[op], calls[op]) for op in order)
