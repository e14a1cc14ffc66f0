"""``load_model``: the one way from a name or file to a :class:`~dse.workload.model.Model`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dse.errors import InputError
from dse.files import nearest
from dse.migrations import migrate
from dse.registry import cached
from dse.schema import digest, parse_yaml
from dse.workload.graph import Graph
from dse.workload.layer import STORED, Binding, Layer, Tensor
from dse.workload.limits import check_work
from dse.workload.lower import Lowered, UnknownOps, lower
from dse.workload.model import Model
from dse.workload.precision import KEYS as PRECISION_KEYS
from dse.workload.precision import REFINING, Precision, parse_precision, refined, written
from dse.workload.quantization import file_precision
from dse.workload.read import parse_proto, read_graph
from dse.workload.scales import with_scales
from dse.workload.sources import ON_DISK, ModelFiles
from dse.workload.sparsity import KEYS as SPARSITY_KEYS
from dse.workload.sparsity import parse_sparsity
from dse.workload.zoo import Request, resolve

#: Settings that name a file: precisions by layer, and measured quality.
FILE_KEYS = ("per_layer", "quality")
#: Files up to this size are lowered once in a process.
REMEMBERED_BYTES = 16 << 20
Bindings = tuple[tuple[str, Binding], ...]
#: In a name, what stands behind this means an axis or a tensor, whatever it is called.
BIND = "bind."
#: Settings of a name that an axis may share its name with.
_RESERVED = frozenset({*PRECISION_KEYS, *SPARSITY_KEYS, *FILE_KEYS, "width"})


def load_model(
    path_or_name: str | Path, *, unknown_ops: UnknownOps = "error", **bindings: Binding
) -> Model:
    """:func:`model_of` what is on the disk."""
    return model_of(ON_DISK, path_or_name, unknown_ops=unknown_ops, **bindings)


def model_of(
    files: ModelFiles,
    path_or_name: str | Path,
    /,
    *,
    unknown_ops: UnknownOps = "error",
    **bindings: Binding,
) -> Model:
    """The network called ``path_or_name``, lowered.

    Args:
        files: the files that the name may speak of.
        path_or_name: a shipped name (``mobilenetv2``) or an .onnx file, each with settings behind
            ``@``: ``mobilenetv2@width=0.75,res=192,w=4,a=8,method=qat,batch=1``. ``width`` picks
            another graph of the family; ``res`` (``192`` or ``96x160``) sets height and width of
            image inputs; ``batch`` the leading axis; ``w a kv acc first_last method`` or
            ``precision`` the precision (see :mod:`~dse.workload.precision`); ``sparsity``
            and ``act_density`` the zeros (see :class:`~dse.workload.sparsity.Sparsity`);
            ``per_layer`` a YAML file of precisions by layer (patterns such as ``*/conv1*``: w8a8),
            ``quality`` a file of measured quality; any other key binds a dynamic axis or the value
            of a small input or tensor (see :func:`~dse.workload.binding.bind_inputs`), and so does
            ``bind.KEY`` for an axis that is called as one of these (``bind.w=300``).
        unknown_ops: ``error`` refuses an operator without a rule, ``host`` sends it to the host.
        bindings: axes and values by name, like the settings (they win). Here every name means an
            axis or a tensor.

    Raises:
        InputError: anything wrong with the name, the settings or the file, in one line.
    """
    if unknown_ops not in ("error", "host"):
        raise InputError(
            f"unknown_ops={unknown_ops!r}", field="unknown_ops", mend="use error or host"
        )
    request = resolve(path_or_name, files)
    sizes = bound_sizes(request, bindings)
    _check_resizable(request, sizes)
    explicit = written(request.settings)
    refining = {k: v for k, v in request.settings.items() if k in REFINING}
    refined(Precision(), refining)
    sparsity = parse_sparsity(request.settings)
    data = _content(files, request.file)
    given = tuple(sorted(sizes.items()))
    if len(data) <= REMEMBERED_BYTES:
        bare = _lowered(data, str(request.file), given, repr(given), unknown_ops)
    else:
        bare = lower_bytes(data, str(request.file), given, unknown_ops)
    apart = (*PRECISION_KEYS, *SPARSITY_KEYS)
    settings = {k: v for k, v in request.settings.items() if k not in apart}
    settings |= sparsity.settings
    settings = {k if k in _RESERVED else _key(k): v for k, v in settings.items()}
    settings |= {_key(k): _shown(v) for k, v in sizes.items()}
    if "kv" in request.settings and not bare.cached:
        raise InputError(
            f"{request.stem!r} has no KV cache", file=request.file, field="kv", mend="leave it out"
        )
    info = request.info
    quality: dict[str, str] = dict(settings)
    if info is not None:
        if info.width is not None:
            quality["width"] = f"{info.width:g}"
        if "res" not in quality and info.resolution is not None:
            quality["res"] = str(info.resolution)
    formats = {k: v for k, v in request.settings.items() if k in PRECISION_KEYS}
    tail = ",".join(f"{k}={v}" for k, v in (settings | formats).items())
    return replace(
        bare,
        name=f"{request.stem}@{tail}" if tail else request.stem,
        model=request.stem,
        family=info.family if info else "",
        settings=quality,
        explicit=explicit,
        refining=refining,
        policy=_policy(files, request.settings.get("per_layer")),
        sparsity=sparsity,
        measured=_measured(files, request.settings.get("quality"), data, request.file),
        _cache={},
    )


def _content(files: ModelFiles, file: str | Path) -> bytes:
    try:
        return files.read(str(file))
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error})", file=file, mend="check the path"
        ) from None


def files_of(name: str) -> dict[str, bytes | OSError | InputError]:
    """The files that a model's name speaks of, for :class:`~dse.workload.sources.ReadFiles`.

    Where the name is wrong there are none: :func:`model_of` says what is wrong with it.
    """
    found: dict[str, bytes | OSError | InputError] = {}
    try:
        request = resolve(name)
    except InputError:
        return found
    spoken = (str(request.file), *(request.settings.get(key) for key in FILE_KEYS))
    for file in spoken:
        if not file:
            continue
        try:
            found[file] = ON_DISK.read(file)
        except FileNotFoundError:
            continue
        except (OSError, InputError) as error:
            found[file] = error
    return found


def _policy(files: ModelFiles, file: str | None) -> tuple[tuple[str, Precision], ...]:
    """The patterns of a policy's file with their precisions, in order."""
    if file is None:
        return ()
    try:
        text = _content(files, file).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("the file is not text in UTF-8", file=file, mend="save it so") from None
    data, lines = parse_yaml(text, Path(file))
    if not data:
        raise InputError(
            "no layer is named", file=file, field="per_layer", mend='write "layer1.*": w8a8'
        )
    found = []
    for pattern, text in data.items():
        try:
            found.append((str(pattern), parse_precision(str(text))))
        except InputError as error:
            where = f"line {lines[pattern]}: {pattern}" if pattern in lines else str(pattern)
            raise InputError(error.message, file=file, field=where, mend=error.mend) from None
    return tuple(found)


def _measured(files: ModelFiles, file: str | None, data: bytes, model: Path) -> str:
    """Digest of a file of measured quality, which is part of what a design is.

    Raises:
        InputError: it cannot be read, or was measured on another model.
    """
    if file is None:
        return ""
    mend = f"make it with `dse quality {model.name} --inputs DATA.npz --out FILE`"
    try:
        text = files.read(file)
        measured = migrate("quality", json.loads(text), file=file).get("model_sha256", "")
    except OSError as error:
        why = f"the file cannot be read ({error.strerror or error})"
        raise InputError(why, file=file, field="quality", mend=mend) from None
    except (ValueError, AttributeError, TypeError):
        why = "the file is no report of `dse quality`"
        raise InputError(why, file=file, field="quality", mend=mend) from None
    if measured != hashlib.sha256(data).hexdigest():
        why = f"the quality was measured on another file than {model.name}"
        raise InputError(why, file=file, field="quality", mend=mend)
    return hashlib.sha256(text).hexdigest()


def _key(name: str) -> str:
    """How the binding of an axis is written in a name, so that no other setting is meant."""
    bare = name.removeprefix(BIND)
    return BIND + bare if bare in _RESERVED else bare


def _shown(value: Binding) -> str:
    return "x".join(str(item).lower() for item in _items(value))


def _plain(value: Binding) -> Binding:
    """``value`` with 1 for true."""
    numbers = tuple(int(item) if isinstance(item, bool) else item for item in _items(value))
    return numbers if isinstance(value, tuple) else numbers[0]


def _items(value: Binding) -> tuple[int | float, ...]:
    return value if isinstance(value, tuple) else (value,)


def parse_binding(text: str) -> Binding | None:
    """What a binding is bound to: a number (``4``, ``-1``, ``0.5``, ``true``) or several (``1x3``,
    ``1,3``); None for any other text."""
    found: list[int | float] = []
    for part in re.split(r"[x,]", text.strip().lower()):
        item = part.strip()
        if item in ("true", "false"):
            found.append(item == "true")
        elif re.fullmatch(r"-?\d{1,15}", item, re.ASCII):
            found.append(int(item))
        elif re.fullmatch(r"-?\d{1,15}(\.\d{1,20})?(e[-+]?\d{1,2})?", item, re.ASCII):
            found.append(float(item))
        else:
            return None
    return found[0] if len(found) == 1 else tuple(found)


def bound_sizes(request: Request, bindings: Mapping[str, Binding]) -> dict[str, Binding]:
    """All bindings of a request: of its name, and those given beside it.

    Raises:
        InputError: a setting that is no number, and means nothing else.
    """
    sizes: dict[str, Binding] = {}
    for key, text in request.settings.items():
        if key in _RESERVED:
            continue
        value = parse_binding(text)
        name = key.removeprefix(BIND)
        if value is not None and name:
            if name != key and name in request.settings and name not in _RESERVED:
                raise InputError(f"{name!r} is bound twice", field=key, mend="keep one")
            sizes[name] = value
        else:
            known = ("width", "res", "batch", *PRECISION_KEYS, *SPARSITY_KEYS, *FILE_KEYS)
            raise InputError(
                f"{key}={text} sets nothing",
                field=key,
                mend=f"use {', '.join(known)}, or a symbol of the graph with a whole number"
                + nearest(key, list(known)),
            )
    for key, value in bindings.items():
        items = _items(value)
        if not items or not all(isinstance(i, (int, float)) for i in items):
            raise InputError(
                f"{key}={value!r} is not a number, nor a tuple of numbers",
                field=key,
                mend=f"write {key}=224",
            )
        sizes[key] = value
    if request.info is None and "width" in request.settings:
        raise InputError(
            "width belongs to shipped networks", field="width", mend="leave it out for a file"
        )
    return sizes


def _check_resizable(request: Request, sizes: Mapping[str, Binding]) -> None:
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


@cached(64)
def _lowered(
    data: bytes, file: str, sizes: Bindings, written: str, unknown_ops: UnknownOps
) -> Model:
    """:func:`lower_bytes`, remembered; as they are written, 1 and ``True`` differ."""
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
    lowered = with_scales(graph, lower(graph, unknown_ops))
    _check_work(lowered, dict(sizes), file)
    if factor > 1:
        lowered = _batched(lowered, factor)
    check_work(file, lowered.layers)
    stored_as = file_precision(graph, lowered)
    stored = [
        t for t in lowered.tensors.values() if t.role in STORED and t.name not in lowered.beside
    ]
    identity = {
        "file": hashlib.sha256(data).hexdigest(),
        "sizes": {name: _plain(value) for name, value in sizes},
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
        parameters=sum(tensor.elements for tensor in stored),
        trainable=_trainable(graph, lowered),
        fates=dict(lowered.fates),
        digest=digest(identity),
        native=stored_as.native,
        formats=stored_as.formats,
        prescribed=lowered.prescribed,
        beside=lowered.beside,
        remarks=(*remarks, *stored_as.remarks, *_nothing(lowered)),
    )


def _nothing(lowered: Lowered) -> tuple[str, ...]:
    """A remark on a network without a layer: what became of its nodes."""
    if lowered.layers:
        return ()
    views = sum(fate == "view" for fate in lowered.fates.values())
    why = "its results follow from stored tensors and shapes, so that nothing is left to run"
    if views:
        why = "its nodes only name the elements of tensors anew"
    return (f"there is no layer: {why}",)


def _check_work(lowered: Lowered, sizes: Mapping[str, Binding], file: str) -> None:
    """Refuses sizes of 0 that leave nothing to compute."""
    zeros = [name for name, value in sizes.items() if value == 0]
    if zeros and not lowered.layers:
        raise InputError(
            f"{zeros[0]}=0 is below 1 and leaves nothing to compute",
            file=file,
            field=zeros[0],
            mend="use 1 or more",
        )


def _trainable(graph: Graph, lowered: Lowered) -> int:
    """Parameters as published: stored operands, and scale and shift of every normalization.

    Stored tensors are counted where a layer reads them, before normalizations are folded.
    """
    names = {n for n, t in lowered.tensors.items() if t.role in STORED} - lowered.beside.keys()
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
        if tensor.role in STORED:
            return tensor
        shape = tensor.shape or (1,)
        return replace(tensor, shape=(shape[0] * factor, *shape[1:]))

    return replace(
        lowered,
        layers=tuple(grown(layer) for layer in lowered.layers),
        tensors={n: larger(t) for n, t in lowered.tensors.items()},
    )
