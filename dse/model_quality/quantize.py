"""Quantizing a model file with onnxruntime, for measuring what that costs in quality.

Activations are quantized by onnxruntime's static quantizer (QuantizeLinear and DequantizeLinear
around every tensor, ranges from calibration inputs) or its dynamic one. Scales per channel need
opset 13: an older model is converted first, and quantized per tensor where that fails. Weights
below 8 bit, for which it has no kernels, are rounded beforehand: symmetric, one scale per output
channel, or per group of input channels of a matrix.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnx.version_converter
from onnx import numpy_helper

from dse.errors import InputError, RunError
from dse.model_quality.calibration import entropy_ranges
from dse.model_quality.samples import Array, Sample
from dse.workload.precision import Precision, bits_of

Calibration = Literal["minmax", "entropy", "percentile"]
#: Operators with weights, and the axis of their output channels in the weights.
WEIGHTED = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
#: Activation formats that onnxruntime quantizes.
STATIC = ("int8", "int16")
_FLOATS = ("fp16", "bf16", "fp32")
#: First opset whose QuantizeLinear has scales per channel.
CHANNELS = 13


@dataclass(frozen=True)
class Scheme:
    """How to quantize.

    Attributes:
        precision: integer weights of 2 to 8 bit (16 with 16-bit activations); activations of 8 or
            16 bit, or a float format, which leaves them as they are (weights only).
        dynamic: ranges of activations found while running, not by calibration (8 bit only).
        calibration: how ranges follow from calibration inputs: all that occurs (``minmax``), by
            least divergence (``entropy``, see :mod:`dse.model_quality.calibration`; 8 bit only),
            or all but one in 100,000 of the largest magnitudes (``percentile``).
        group: input channels that share a scale of weights below 8 bit in a matrix; 0 for all.
    """

    precision: Precision
    dynamic: bool = False
    calibration: Calibration = "minmax"
    group: int = 0

    def __post_init__(self) -> None:
        w, a = self.precision.weights, self.precision.activations
        known = w.startswith("int") and (bits_of(w) <= 8 or w == a == "int16")
        if not known or a not in (*STATIC, *_FLOATS) or (self.dynamic and a != "int8"):
            how = "dynamically " if self.dynamic else ""
            raise InputError(
                f"onnxruntime cannot quantize {how}to {self.precision.name}",
                field="--precision",
                mend="use weights of 2 to 8 bit with activations of 8 or 16 bit (8 if dynamic) or "
                "left in fp16: w8a8, w4a8, w8a16, w4afp16",
            )
        if self.calibration == "entropy" and a == "int16":
            raise InputError(
                f"entropy calibration chooses among {2**8} levels, {self.precision.name} has more",
                field="--calibration",
                mend="use minmax or percentile with 16-bit activations",
            )
        if self.precision.ends is not None or self.group < 0:
            raise InputError(
                "wide ends and negative groups are not measured",
                field="--precision",
                mend="leave them out",
            )

    @property
    def name(self) -> str:
        """In a few words."""
        bits = bits_of(self.precision.weights)
        parts = []
        if self.precision.activations in _FLOATS:
            parts.append("weights only")
        else:
            # Reports of releases whose entropy was minmax in truth name it "entropy" alone.
            ranges = "entropy (KL)" if self.calibration == "entropy" else self.calibration
            parts.append("dynamic" if self.dynamic else f"static QDQ, {ranges}")
        per = f"groups of {self.group}" if self.group else "channels"
        parts.append(f"{bits}-bit weights by {per}")
        return ", ".join(parts)


def quantize(model: Path, scheme: Scheme, samples: Sequence[Sample], folder: Path) -> Path:
    """The quantized file, written into ``folder``.

    Raises:
        InputError: a tensor whose range over the samples is not finite.
        RunError: onnxruntime cannot quantize the model.
    """
    floats = scheme.precision.activations in _FLOATS
    with _quiet():
        prepared, by_channel = _modern(model, folder, convert=not floats)
        bits = bits_of(scheme.precision.weights)
        if bits < 8 or floats:
            proto = onnx.load(str(prepared))
            round_weights(proto, bits, scheme.group)
            prepared = folder / "rounded.onnx"
            onnx.save(proto, str(prepared))
        if floats:
            return prepared
        target = folder / "quantized.onnx"
        try:
            _by_onnxruntime(prepared, target, scheme, samples, by_channel)
        except InputError:
            raise
        except Exception as error:
            text = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise RunError(f"onnxruntime cannot quantize it ({text})", file=model) from None
    _check_scales(target, model)
    return target


def _by_onnxruntime(
    prepared: Path, target: Path, scheme: Scheme, samples: Sequence[Sample], by_channel: bool
) -> None:
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )

    if scheme.dynamic:
        quantize_dynamic(str(prepared), str(target), per_channel=by_channel)
        return
    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.MinMax,  # but for the ranges below
        "percentile": CalibrationMethod.Percentile,
    }
    options: dict[str, Any] = {"WeightSymmetric": True}
    if scheme.calibration == "entropy":
        ranges = entropy_ranges(prepared, samples)
        options["TensorQuantOverrides"] = {
            name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
            for name, (low, high) in ranges.items()
        }
    wide = scheme.precision.activations == "int16"
    quantize_static(
        str(prepared),
        str(target),
        _Reader(samples),
        quant_format=QuantFormat.QDQ,
        per_channel=by_channel,
        activation_type=QuantType.QUInt16 if wide else QuantType.QUInt8,
        weight_type=QuantType.QInt16 if bits_of(scheme.precision.weights) > 8 else QuantType.QInt8,
        calibrate_method=methods[scheme.calibration],
        extra_options=options,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings and progress that onnxruntime's quantizer logs and prints."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(invalid="ignore"):
            yield
    finally:
        root.setLevel(level)


def _check_scales(quantized: Path, model: Path) -> None:
    """Refuses ranges without an end: everything that is rounded on them would be nothing.

    Raises:
        InputError: naming the tensor.
    """
    proto = onnx.load(str(quantized))
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[1] in stored:
            scale = numpy_helper.to_array(stored[node.input[1]])
            if not np.all(np.isfinite(scale)):
                raise InputError(
                    f"{node.input[0]!r} is not finite over the calibration inputs",
                    file=model,
                    field="--inputs",
                    mend="give inputs of the range that it was trained on, or finite masks",
                )


def _modern(model: Path, folder: Path, *, convert: bool) -> tuple[Path, bool]:
    """The prepared model, of an opset that has scales per channel, or False with it.

    Args:
        convert: weights alone need no such opset.
    """
    if not convert:
        return _prepared(model, folder), True
    proto = onnx.load(str(model))
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), CHANNELS)
    if opset >= CHANNELS:
        return _prepared(model, folder), True
    target = folder / "converted.onnx"
    try:
        onnx.save(onnx.version_converter.convert_version(proto, CHANNELS), str(target))
        _loads(target)
    except Exception:  # an operator without a way up: its scales are per tensor then
        return _prepared(model, folder), False
    return _prepared(target, folder), True


def _loads(file: Path) -> None:
    """That onnxruntime takes the file."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _prepared(model: Path, folder: Path) -> Path:
    """The model with shapes inferred and normalizations folded, where onnxruntime can do that."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = folder / "prepared.onnx"
    try:
        quant_pre_process(str(model), str(target), skip_symbolic_shape=True)
    except Exception:  # it is an improvement only; the quantizer takes the file as it is
        return model
    return target


class _Reader:
    """Calibration inputs in the form that onnxruntime asks for."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._left: Iterator[Sample] = iter(samples)

    def get_next(self) -> Sample | None:
        return next(self._left, None)


def round_weights(proto: onnx.ModelProto, bits: int, group: int = 0) -> int:
    """Rounds the weights of ``proto`` to ``bits``, in place; the number of rounded tensors."""
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    axes: dict[str, tuple[int, bool]] = {}
    for node in proto.graph.node:
        if node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in stored:
            axis = WEIGHTED[node.op_type]
            flipped = any(a.name == "transB" and a.i for a in node.attribute)
            axes[node.input[1]] = (0 if flipped else axis, node.op_type in ("Gemm", "MatMul"))
    for name, (axis, matrix) in axes.items():
        array = numpy_helper.to_array(stored[name])
        if array.ndim >= 2 and np.issubdtype(array.dtype, np.floating):
            kept = array.ndim - 1 if matrix and array.ndim > 2 else axis
            rounded = round_array(array, bits, kept, group if matrix and array.ndim == 2 else 0)
            stored[name].CopyFrom(numpy_helper.from_array(rounded, name))
    return len(axes)


def round_array(array: Array, bits: int, axis: int, group: int = 0) -> Array:
    """``array`` on a symmetric grid of ``bits`` with one scale along ``axis`` (and per group).

    The grid has ``2**(bits-1) - 1`` steps to each side of zero.
    """
    moved = np.moveaxis(array, axis, 0)
    rows = moved.reshape(moved.shape[0], -1)
    size = group or rows.shape[1]
    padding = -rows.shape[1] % size
    padded = np.pad(rows, ((0, 0), (0, padding))).reshape(rows.shape[0], -1, size)
    steps = 2 ** (bits - 1) - 1
    scale: Any = np.abs(padded).max(axis=2, keepdims=True) / steps
    scale = np.where(scale > 0, scale, 1.0)
    grid = np.clip(np.round(padded / scale), -steps, steps) * scale
    flat = grid.reshape(rows.shape[0], -1)[:, : rows.shape[1]]
    out: Array = np.moveaxis(flat.reshape(moved.shape), 0, axis).astype(array.dtype)
    return out
