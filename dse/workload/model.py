"""A network at fixed shapes, ready to take any precision."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dse.errors import InputError
from dse.files import nearest
from dse.printing import Printed, si
from dse.schema import digest
from dse.workload.ends import ends_of
from dse.workload.layer import Layer, Tensor, Workload
from dse.workload.precision import (
    KEYS,
    Precision,
    accumulator_bits,
    bits_of,
    parse_precision,
    refined,
)
from dse.workload.sparsity import DENSE, Sparsity
from dse.workload.zeros import pruned_layers, rectified_layers


@dataclass(frozen=True, repr=False)
class Model(Printed):
    """A network whose layers are known; only number formats are open.

    Attributes:
        name: canonical, with the settings that were given.
        model: bare name or file stem.
        family, settings: key for published quality, and what belongs to it (width, res).
        layers: at the default precision.
        tensors: every tensor named by a layer, at the default precision.
        inputs, outputs: names of tensors.
        parameters: stored weights, biases and table entries, with normalizations folded.
        trainable: parameters as published counts have them: scale and shift of normalizations
            counted, running statistics not.
        macs: multiply-accumulates of one inference.
        fates: of every node of the file; see :class:`~dse.workload.layer.Workload`.
        digest: identity of graph and bindings.
        explicit: precision given with the name, if any; ``refining`` is what the name says of KV
            cache, partial sums and ends, whatever the precision of the rest.
        policy: precisions of layers by pattern of their name, in the order of the policy's file.
        native: precision of a quantized file, if it is one; ``formats`` are its tensors'.
        beside: formats of scales and zero points that the file stores beside its weights, which no
            precision changes.
        sparsity: zeros in weights and activations that :meth:`at` applies.
        measured: digest of the file of measured quality that the name points to, if any.
        remarks: defaults that were taken, such as a symbol bound to 1, and branches.
    """

    name: str
    model: str
    family: str
    settings: Mapping[str, str]
    layers: tuple[Layer, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: int
    trainable: int
    fates: Mapping[str, str]
    digest: str
    explicit: Precision | None = None
    refining: Mapping[str, str] = field(default_factory=dict)
    policy: tuple[tuple[str, Precision], ...] = ()
    native: Precision | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    prescribed: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    sparsity: Sparsity = DENSE
    measured: str = ""
    remarks: tuple[str, ...] = ()
    _cache: dict[object, Workload] = field(default_factory=dict, compare=False, repr=False)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    def table(self) -> list[dict[str, object]]:
        """One row per layer at the precision in force; see :func:`dse.workload.layer_table`."""
        from dse.workload.table import layer_table

        return layer_table(self.at())

    def _title(self) -> str:
        return f"model {self.name}: {len(self.layers)} layers"

    def _figures(self) -> Mapping[str, object]:
        shapes = {
            name: "x".join(map(str, self.tensors[name].shape))
            for name in (*self.inputs, *self.outputs)[:8]
        }
        return {
            "MACs": si(float(self.macs), "").strip(),
            "parameters": si(float(self.parameters), "").strip(),
            "precision": self.precision().name,
            "inputs": {name: shapes[name] for name in self.inputs if name in shapes},
            "outputs": {name: shapes[name] for name in self.outputs if name in shapes},
            **({"remarks": len(self.remarks)} if self.remarks else {}),
        }

    def precision(self, default: Precision | str | None = None) -> Precision:
        """The precision in force: of the name, else of the file, else ``default``, else w8a8."""
        chosen = self.explicit or self.native or _parsed(default) or Precision()
        return self._refined(chosen)

    @property
    def cached(self) -> bool:
        """Whether there is a KV cache."""
        return any(tensor.role == "kv" for tensor in self.tensors.values())

    def _refined(self, precision: Precision) -> Precision:
        """``precision`` with what the name decides; of a KV cache only where there is one."""
        chosen = refined(precision, self.refining)
        return chosen if chosen.kv is None or self.cached else replace(chosen, kv=None)

    def at(
        self,
        precision: Precision | str | None = None,
        per_layer: Mapping[str, Precision | str] | None = None,
        *,
        default: Precision | str | None = None,
    ) -> Workload:
        """The workload at ``precision``; with None at :meth:`precision`.

        Args:
            precision: of all layers; given here it also overrides formats stored in the file. What
                it leaves open of KV cache, partial sums and ends, the name decides.
            per_layer: other precisions of single layers, by layer name (first and last at
                ``w8a8``, say). A layer's input keeps the format its producer writes.
            default: instead of w8a8, where neither argument, name nor file say anything.

        Raises:
            InputError: unknown precision or layer.
        """
        given = _parsed(precision)
        chosen = self.precision(default) if given is None else self._refined(given)
        from_file = given is None and self.explicit is None and self.native is not None
        single = self._by_policy()
        single |= {name: _parsed(p) or chosen for name, p in (per_layer or {}).items()}
        idle = given.kv if given is not None and not self.cached else None
        key = (chosen, from_file, tuple(sorted(single.items(), key=lambda item: item[0])), idle)
        if key not in self._cache:
            made = self._applied(chosen, from_file, single)
            if idle is not None:
                why = f"{idle} for the KV cache changes nothing: the network has none"
                made = replace(made, notes=(*made.notes, why))
            self._cache[key] = made
        return self._cache[key]

    def _by_policy(self) -> dict[str, Precision]:
        """The precision of every layer that a pattern of :attr:`policy` means; the last one wins.

        Raises:
            InputError: a pattern that means no layer.
        """
        found: dict[str, Precision] = {}
        for pattern, precision in self.policy:
            names = [x.name for x in self.layers if fnmatch.fnmatchcase(x.name, pattern)]
            if not names:
                raise InputError(
                    f"no layer of {self.name!r} is called {pattern!r}",
                    field="per_layer",
                    mend=f"see `dse show {self.model}` for the names",
                )
            found |= dict.fromkeys(names, precision)
        return found

    def _applied(
        self, precision: Precision, from_file: bool, single: Mapping[str, Precision]
    ) -> Workload:
        known = {layer.name for layer in self.layers}
        for name in single:
            if name not in known:
                raise InputError(
                    f"no layer of {self.name!r} is called {name!r}",
                    field="per_layer",
                    mend=f"see `dse show {self.model}`{nearest(name, sorted(known))}",
                )
        formats = self._tensor_formats(precision, from_file, single)
        tensors = {n: replace(t, format=formats[n]) for n, t in self.tensors.items()}
        layers = tuple(
            _formatted(layer, formats, single.get(layer.name, precision)) for layer in self.layers
        )
        extra = ",".join(f"{n}={p.name}" for n, p in sorted(single.items()))
        shown = precision.name if not extra else f"{precision.name}[{extra}]"
        identity: dict[str, object] = {
            "graph": self.digest,
            "precision": [
                precision.weights,
                precision.activations,
                precision.accumulator_bits,
                precision.kv_format,
                precision.method,
                from_file,
            ],
            "per_layer": {n: [p.weights, p.activations, p.method] for n, p in single.items()},
        }
        if precision.ends is not None:
            identity["ends"] = precision.ends
        if self.measured:
            identity["measured"] = self.measured
        if not self.sparsity.dense:
            layers = self._pruned(layers)
            identity["sparsity"] = [self.sparsity.name, self.sparsity.act_density]
        settings = dict(self.settings)
        if single:
            settings["per_layer"] = "+".join(sorted({p.name for p in single.values()}))
        return Workload(
            name=_with_precision(self.name, precision, shown),
            model=self.model,
            layers=layers,
            tensors=tensors,
            inputs=self.inputs,
            outputs=self.outputs,
            parameters=self.parameters,
            precision=precision,
            fates=self.fates,
            digest=digest(identity),
            family=self.family,
            settings=settings,
            sparsity=self.sparsity,
            notes=self.remarks,
        )

    def _pruned(self, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        """``layers`` with the zeros of :attr:`sparsity`; an error if it touches none of them."""
        wanted = self.sparsity
        pruned = pruned_layers(layers, wanted, self.inputs)
        if wanted.weight_pattern != "dense" and not pruned:
            raise InputError(
                f"sparsity={wanted.name} fits no layer of {self.name!r}",
                field="sparsity",
                mend="leave it out: depthwise and first layers are not pruned, and n:m needs "
                "input channels in multiples of m",
            )
        rectified = rectified_layers(layers) if wanted.act_density < 1 else set()
        if wanted.act_density < 1 and not rectified:
            raise InputError(
                f"no layer of {self.name!r} reads the result of a ReLU",
                field="act_density",
                mend="leave it out: other activations give no zeros",
            )
        return tuple(
            replace(
                layer,
                weight_density=wanted.weight_density if layer.name in pruned else 1.0,
                weight_pattern=wanted.weight_pattern if layer.name in pruned else "dense",
                input_density=wanted.act_density if layer.name in rectified else 1.0,
            )
            for layer in layers
        )

    def _tensor_formats(
        self, precision: Precision, from_file: bool, single: Mapping[str, Precision]
    ) -> dict[str, str]:
        """Format of every tensor: of the file, else by its role and the layers that touch it."""
        formats: dict[str, str] = {}
        for name, tensor in self.tensors.items():
            if tensor.role in ("weight", "table"):
                formats[name] = precision.weights
            elif tensor.role == "bias":
                formats[name] = "int32" if precision.activations.startswith("int") else "fp32"
            elif tensor.role == "kv":
                formats[name] = precision.kv_format
            else:
                formats[name] = precision.activations
        for layer in self.layers:
            own = single.get(layer.name, precision)
            if layer.kind == "vector" and layer.w_tensor is not None:
                for name in layer.inputs:
                    if self.tensors[name].role == "weight":
                        formats[name] = own.activations
            if layer.name in single:
                if layer.w_tensor is not None and not layer.w_is_activation:
                    formats[layer.w_tensor] = own.weights
                formats.update(dict.fromkeys(layer.outputs, own.activations))
            if layer.w_tensor is not None and layer.name in self.prescribed:
                formats[layer.w_tensor] = self.prescribed[layer.name]
        if from_file:
            kept = {n: f for n, f in self.formats.items() if n in formats}
            if precision.kv is not None:
                kept = {n: f for n, f in kept.items() if self.tensors[n].role != "kv"}
            formats.update(kept)
        if precision.ends is not None:
            for name in ends_of(self.layers, self.tensors):
                formats[name] = max(formats[name], precision.ends, key=bits_of)
        return formats | dict(self.beside)


def _formatted(layer: Layer, formats: Mapping[str, str], precision: Precision) -> Layer:
    """``layer`` with its formats, and the scaling to integers of its results counted.

    Whole sums (``int32``) are written as they are.
    """
    moving = [n for n in layer.inputs if n != layer.w_tensor] or list(layer.inputs)
    i_format = formats[moving[0]] if moving else precision.activations
    w_format = formats[layer.w_tensor] if layer.w_tensor else precision.weights
    o_format = formats[layer.outputs[0]] if layer.outputs else precision.activations
    work = dict(layer.vector_ops)
    if layer.kind == "compute" and o_format.startswith("int") and o_format != "int32":
        work["mul"] = work.get("mul", 0) + layer.o_elements
    bits = precision.accumulator_bits
    if layer.kind == "compute" and precision.acc is None:
        bits = max(bits, accumulator_bits(w_format, i_format))
    return replace(
        layer,
        i_format=i_format,
        w_format=w_format,
        o_format=o_format,
        acc_bits=bits,
        vector_ops=tuple(sorted(work.items())),
    )


def _parsed(precision: Precision | str | None) -> Precision | None:
    if isinstance(precision, str):
        return parse_precision(precision)
    if precision is not None:
        for number_format in (precision.weights, precision.activations, precision.kv_format):
            bits_of(number_format)
    return precision


def _with_precision(name: str, precision: Precision, shown: str) -> str:
    stem, _, tail = name.partition("@")
    parts = [p for p in tail.split(",") if p and p.split("=")[0] not in KEYS]
    parts += [f"w={_short(precision.weights)}", f"a={_short(precision.activations)}"]
    if precision.kv is not None:
        parts.append(f"kv={_short(precision.kv)}")
    if precision.acc is not None:
        parts.append(f"acc={precision.acc}")
    if precision.ends is not None:
        parts.append(f"first_last={_short(precision.ends)}")
    if precision.method == "qat":
        parts.append("method=qat")
    if "[" in shown and not any(p.startswith("per_layer=") for p in parts):
        parts.append(f"layers={shown.partition('[')[2].rstrip(']')}")
    return f"{stem}@{','.join(parts)}"


def _short(number_format: str) -> str:
    return number_format.removeprefix("int")
