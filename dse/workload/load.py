"""``load_model``: the one way from a name or file to a :class:`~dse.workload.model.Model`."""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dse.errors import InputError
from dse.files import nearest
from dse.schema import digest
from dse.workload.graph import Graph
from dse.workload.layer import Layer, Tensor
from dse.workload.lower import Lowered, UnknownOps, lower
from dse.workload.model import FORMATS, Model
from dse.workload.precision import FORMAT_BITS, Precision, bits_of, parse_precision
from dse.workload.read import parse_proto, read_graph
from dse.workload.zoo import Request, resolve

#: Settings of a name that are no sizes of the graph.
PRECISION_KEYS = ("w", "a", "kv", "method")
#: Files up to this size are lowered once in a process.
REMEMBERED_BYTES = 16 << 20
Bindings = tuple[tuple[str, int | tuple[int, int]], ...]


def load_model(
    path_or_name: str | Path, *, unknown_ops: UnknownOps = "error", **bindings: int
) -> Model:
    """The network called ``path_or_name``, lowered.

    Args:
        path_or_name: a shipped name (``mobilenetv2``) or an .onnx file, each with settings behind
            ``@``: ``mobilenetv2@width=0.75,res=192,w=4,a=8,method=qat,batch=1``. ``width`` picks
            another graph of the family; ``res`` (``192`` or ``96x160``) sets height and width of
            image inputs; ``batch`` the leading axis; ``w a kv method`` the precision; any other
            key binds a symbolic size of the graph.
        unknown_ops: ``error`` refuses an operator without a rule, ``host`` sends it to the host.
        bindings: sizes by symbol, like the settings (they win).

    Raises:
        InputError: anything wrong with the name, the settings or the file, in one line.
    """
    if unknown_ops not in ("error", "host"):
        raise InputError(
            f"unknown_ops={unknown_ops!r}", field="unknown_ops", mend="use error or host"
        )
    request = resolve(path_or_name)
    sizes = _sizes(request, bindings)
    _check_resizable(request, sizes)
    explicit = _explicit(request)
    try:
        data = request.file.read_bytes()
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error})",
            file=request.file,
            mend="check the path",
        ) from None
    lowering = _lowered if len(data) <= REMEMBERED_BYTES else lower_bytes
    bare = lowering(data, str(request.file), tuple(sorted(sizes.items())), unknown_ops)
    settings = {k: v for k, v in request.settings.items() if k not in PRECISION_KEYS}
    settings |= {k: _shown(v) for k, v in sizes.items()}
    info = request.info
    quality: dict[str, str] = dict(settings)
    if info is not None:
        if info.width is not None:
            quality["width"] = f"{info.width:g}"
        if "res" not in quality and info.resolution is not None:
            quality["res"] = str(info.resolution)
    tail = ",".join(f"{k}={v}" for k, v in (settings | _precision_settings(request)).items())
    return replace(
        bare,
        name=f"{request.stem}@{tail}" if tail else request.stem,
        model=request.stem,
        family=info.family if info else "",
        settings=quality,
        explicit=explicit,
        _cache={},
    )


def _precision_settings(request: Request) -> dict[str, str]:
    return {k: v for k, v in request.settings.items() if k in PRECISION_KEYS}


def _shown(value: int | tuple[int, int]) -> str:
    return str(value) if isinstance(value, int) else f"{value[0]}x{value[1]}"


def _sizes(request: Request, bindings: Mapping[str, int]) -> dict[str, int | tuple[int, int]]:
    sizes: dict[str, int | tuple[int, int]] = {}
    for key, text in request.settings.items():
        if key in PRECISION_KEYS or key == "width":
            continue
        if key == "res" and (pair := re.fullmatch(r"(\d+)x(\d+)", text)):
            sizes[key] = (int(pair[1]), int(pair[2]))
        elif re.fullmatch(r"-?\d+", text):
            sizes[key] = int(text)
        else:
            known = ("width", "res", "batch", *PRECISION_KEYS)
            raise InputError(
                f"{key}={text} sets nothing",
                field=key,
                mend=f"use {', '.join(known)}, or a symbol of the graph with a whole number"
                + nearest(key, list(known)),
            )
    for key, value in bindings.items():
        if isinstance(value, bool) or not isinstance(value, (int, tuple)):
            raise InputError(
                f"{key}={value!r} is not a whole number", field=key, mend=f"write {key}=224"
            )
        sizes[key] = value
    if request.info is None and "width" in request.settings:
        raise InputError(
            "width belongs to shipped networks", field="width", mend="leave it out for a file"
        )
    return sizes


def _check_resizable(request: Request, sizes: Mapping[str, int | tuple[int, int]]) -> None:
    info = request.info
    if info is None or "res" not in sizes or info.resizable:
        return
    if info.resolution is not None and sizes["res"] in (
        info.resolution,
        (info.resolution, info.resolution),
    ):
        return
    raise InputError(
        f"{request.stem!r} has a fixed input of {info.resolution or 'its own'} size",
        file=request.file,
        field="res",
        mend="leave res out, or export the network at the wanted resolution",
    )


def _explicit(request: Request) -> Precision | None:
    """The precision written into the name; ``a`` follows ``w`` upward to 8 bit if left out."""
    given = _precision_settings(request)
    if not given:
        return None
    weights = _format(given.get("w", "8"), "w")
    wide = weights if not weights.startswith("int") or bits_of(weights) > 8 else "int8"
    activations = _format(given["a"], "a") if "a" in given else wide
    method = given.get("method", "")
    if method not in ("", "ptq", "qat"):
        raise InputError(f"unknown method {method!r}", field="method", mend="use ptq or qat")
    name = f"w{weights.removeprefix('int')}a{activations.removeprefix('int')}"
    precision = parse_precision(weights if weights == "fp32" == activations else name)
    if method == "qat":
        precision = replace(precision, method="qat")
    return replace(precision, kv=_format(given["kv"], "kv")) if "kv" in given else precision


def _format(text: str, key: str) -> str:
    name = f"int{text}" if text.isdigit() else text
    if name not in FORMAT_BITS:
        raise InputError(
            f"{key}={text} is no number format",
            field=key,
            mend=f"use 2, 4, 8, 16 or one of: {', '.join(FORMAT_BITS)}",
        )
    return name


@functools.lru_cache(maxsize=64)
def _lowered(data: bytes, file: str, sizes: Bindings, unknown_ops: UnknownOps) -> Model:
    """:func:`lower_bytes`, remembered."""
    return lower_bytes(data, file, sizes, unknown_ops)


def lower_bytes(
    data: bytes, file: str, sizes: Bindings = (), unknown_ops: UnknownOps = "error"
) -> Model:
    """The model of a file's bytes, without what its name adds.

    Raises:
        InputError: as :func:`load_model`.
    """
    proto = parse_proto(data, file)
    graph, factor, remarks = read_graph(proto, file, dict(sizes))
    lowered = lower(graph, unknown_ops)
    if factor > 1:
        lowered = _batched(lowered, factor)
    formats, native = _quantization(graph, lowered)
    stored = ("weight", "bias", "table")
    identity = {
        "file": hashlib.sha256(data).hexdigest(),
        "sizes": dict(sizes),
        "unknown_ops": unknown_ops,
    }
    return Model(
        name="",
        model="",
        family="",
        settings={},
        layers=lowered.layers,
        tensors=dict(lowered.tensors),
        inputs=lowered.inputs,
        outputs=lowered.outputs,
        parameters=sum(t.elements for t in lowered.tensors.values() if t.role in stored),
        trainable=_trainable(graph, lowered),
        fates=dict(lowered.fates),
        digest=digest(identity),
        native=native,
        formats=formats,
        prescribed=lowered.prescribed,
        remarks=remarks,
    )


def _trainable(graph: Graph, lowered: Lowered) -> int:
    """Parameters as published: stored operands, and scale and shift of every normalization.

    Stored tensors are counted where a layer reads them, before normalizations are folded.
    """
    names = {n for n, t in lowered.tensors.items() if t.role in ("weight", "bias", "table")}
    for node in graph.nodes:
        if node.op == "BatchNormalization":
            names.update(n for n in node.inputs[1:3] if graph.is_const(n))
        elif node.op in ("Add", "Sub", "Mul", "Div") and lowered.fates[node.name] == "folded":
            names.update(n for n in node.inputs if graph.is_const(n))
    return sum(graph.size(n) for n in names if n in graph.shapes and graph.size(n) > 1)


def _batched(lowered: Lowered, factor: int) -> Lowered:
    """The layers of ``factor`` inferences at once: everything but stored tensors grows."""

    def grown(layer: Layer) -> Layer:
        nest = layer.nest
        if nest is not None and layer.w_is_activation:
            nest = replace(nest, G=nest.G * factor)
        elif nest is not None:
            nest = replace(nest, B=nest.B * factor)
        return replace(
            layer,
            nest=nest,
            w_elements=layer.w_elements * (factor if layer.w_is_activation else 1),
            i_elements=layer.i_elements * factor,
            o_elements=layer.o_elements * factor,
            side_elements=layer.side_elements * factor,
            vector_ops=tuple((f, n * factor) for f, n in layer.vector_ops),
        )

    def larger(tensor: Tensor) -> Tensor:
        if tensor.role in ("weight", "bias", "table"):
            return tensor
        shape = tensor.shape or (1,)
        return replace(tensor, shape=(shape[0] * factor, *shape[1:]))

    return replace(
        lowered,
        layers=tuple(grown(layer) for layer in lowered.layers),
        tensors={n: larger(t) for n, t in lowered.tensors.items()},
    )


def _quantization(graph: Graph, lowered: Lowered) -> tuple[dict[str, str], Precision | None]:
    """Formats by tensor of a quantized graph, and the precision they amount to."""
    formats: dict[str, str] = {}
    for name in lowered.tensors:
        if (own := FORMATS.get(graph.types.get(name, 0))) and graph.producers.get(name, None):
            formats[name] = own
    for name in [n for n, t in lowered.tensors.items() if t.role in ("weight", "bias", "table")]:
        node = graph.producers.get(name)
        while node is not None and node.op != "DequantizeLinear" and node.inputs:
            node = graph.producers.get(node.inputs[0])
        source = node.inputs[0] if node is not None and node.inputs else name
        if (own := FORMATS.get(graph.types.get(source, 0))) is not None:
            formats[name] = own
    for node in graph.nodes:
        if node.op != "QuantizeLinear" or node.inputs[0] not in lowered.tensors:
            continue
        if (own := FORMATS.get(graph.types.get(node.outputs[0], 0))) is not None:
            formats[node.inputs[0]] = own
    if not formats:
        return {}, None
    weights = [f for n, f in formats.items() if lowered.tensors[n].role == "weight"]
    others = [f for n, f in formats.items() if lowered.tensors[n].role not in ("weight", "bias")]
    base = Precision()
    native = replace(
        base,
        weights=_usual(weights, base.weights),
        activations=_usual(others, base.activations),
    )
    return formats, native


def _usual(formats: list[str], default: str) -> str:
    return Counter(formats).most_common(1)[0][0] if formats else default
