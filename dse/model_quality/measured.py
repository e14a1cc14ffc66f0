"""Measures what quantization costs the user's own model: the file itself, run both ways here."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from dse.errors import InputError, RunError
from dse.files import is_file, regular
from dse.model_quality.quantize import Calibration, Scheme, quantize
from dse.model_quality.results import MeasuredOutput, MeasuredQuality, QualityReport, read_report
from dse.model_quality.samples import Array, Sample, load_samples, samples_digest
from dse.schema import digest
from dse.workload.precision import parse_precision
from dse.workload.zoo import resolve

#: Normal quantile of the one-sided 90 % limit.
Z90 = 1.2816
#: From this size the last axis of an output of rank three is a vocabulary.
VOCABULARY = 1000
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def measure_quality(
    model: str | Path,
    inputs: str | Path,
    precisions: Sequence[str] = ("w8a8",),
    *,
    evaluate: str | Path | None = None,
    labels: str | Path | None = None,
    dynamic: bool = False,
    calibration: Calibration = "minmax",
    group: int = 0,
    cache: str | Path | None = None,
) -> QualityReport:
    """Quantize ``model`` and compare it with itself.

    Args:
        model: an ONNX file with its weights (settings behind ``@`` do not matter here).
        inputs: calibration inputs, see :func:`~dse.model_quality.samples.load_samples`.
        precisions: such as ``w8a8``, ``w8a16``, ``w4a8``, ``w4afp16`` (weights only).
        evaluate: inputs to compare with; without, the second half of ``inputs``, which is then
            left out of calibration.
        labels: an .npy with the right class of every evaluation input (of every input, if
            ``evaluate`` is left out): then the accuracy of both is measured.
        dynamic, calibration, group: see :class:`~dse.model_quality.quantize.Scheme`.
        cache: an earlier report; results of the same model, inputs and scheme are taken from it.

    Raises:
        InputError: a file that cannot be used, with what to do.
        RunError: onnxruntime fails to quantize or to run the model.
    """
    path = resolve(model).file
    sha, beside = _check_weights(path)
    schemes = [Scheme(parse_precision(p), dynamic, calibration, group) for p in precisions]
    session = _session(path, path)
    wanted = {item.name: (item.shape, _dtype(item, path)) for item in session.get_inputs()}
    calibrating, evaluating, truth = _parts(inputs, evaluate, labels, wanted)
    runtime = _runtime()
    common = {
        "model": [sha, beside],
        "calibrate": samples_digest(calibrating),
        "evaluate": samples_digest(evaluating),
        "labels": None if truth is None else truth.tolist(),
        "runtime": runtime,
    }
    known = _known(cache)
    results: list[MeasuredQuality] = []
    reference: list[list[Array]] | None = None
    for scheme in schemes:
        identity = digest({**common, "precision": scheme.precision.name, "scheme": scheme.name})
        if identity in known:
            results.append(known[identity])
            continue
        names = [item.name for item in session.get_outputs()]
        if reference is None:
            reference = _outputs(session, evaluating, path)
            _check_finite(names, reference, path)
        with tempfile.TemporaryDirectory() as folder:
            file = quantize(path, scheme, calibrating, Path(folder))
            found = _outputs(_session(file, path), evaluating, path)
        results.append(_compared(scheme, identity, names, reference, found, truth))
    used = f"{Path(inputs).name}, {len(calibrating)} to calibrate, {len(evaluating)} to evaluate"
    if evaluate is not None:
        used += f" from {Path(evaluate).name}"
    return QualityReport(
        model=path.name,
        model_sha256=sha,
        inputs=used,
        runtime=runtime,
        results=tuple(results),
    )


def _known(cache: str | Path | None) -> dict[str, MeasuredQuality]:
    if cache is None or not Path(cache).is_file():
        return {}
    return {result.identity: result for result in read_report(cache).results}


def _runtime() -> str:
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def _check_weights(path: Path) -> tuple[str, str]:
    """Digests of a file that has float weights of its own, and of those stored beside it.

    Raises:
        InputError: missing, no ONNX, without weights, or quantized already.
    """
    try:
        data = regular(path).read_bytes()
        proto = onnx.load_model_from_string(data)
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error})", file=path, mend="check the path"
        ) from None
    except Exception:
        raise InputError("the file is no ONNX model", file=path, mend="export it again") from None
    operators = {node.op_type for node in proto.graph.node}
    if "DequantizeLinear" in operators or any(op.startswith("QLinear") for op in operators):
        raise InputError(
            "the model is quantized already",
            file=path,
            field="FILE",
            mend="give the float model it was made from",
        )
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    if not any(len(t.dims) >= 2 and t.data_type in floats for t in proto.graph.initializer):
        raise InputError(
            "the file has no weights, so nothing can be measured on it",
            file=path,
            mend="export the trained model with its weights; shipped networks have none",
        )
    found = hashlib.sha256()
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                beside = path.parent / entry.value
                try:
                    found.update(beside.read_bytes() if is_file(beside) else b"")
                except OSError as error:
                    raise InputError(
                        f"the file cannot be read ({error.strerror or error})",
                        file=beside,
                        mend=f"{path.name} keeps weights in it: make it readable",
                    ) from None
    return hashlib.sha256(data).hexdigest(), found.hexdigest()


def _session(file: Path, model: Path) -> Any:
    """A session that runs QuantizeLinear and DequantizeLinear as written.

    Without graph optimization, so that no integer kernel of this very processor (some of which
    saturate) stands in for the arithmetic of a chip.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(
            f"onnxruntime cannot load it ({_first(error)})",
            file=model,
            mend="check it with onnx.checker, or use published quality",
        ) from None


def _dtype(item: Any, path: Path) -> Any:
    if item.type not in _DTYPES:
        raise InputError(
            f"input {item.name!r} is a {item.type}", file=path, mend="measure a model of tensors"
        )
    return _DTYPES[item.type]


def _parts(
    inputs: str | Path,
    evaluate: str | Path | None,
    labels: str | Path | None,
    wanted: Mapping[str, tuple[Sequence[Any], Any]],
) -> tuple[list[Sample], list[Sample], Array | None]:
    """Samples to calibrate and to evaluate with, and the labels of the latter."""
    samples = load_samples(inputs, wanted)
    if evaluate is not None:
        calibrating, evaluating, skipped = samples, load_samples(evaluate, wanted), 0
    else:
        skipped = len(samples) // 2
        if not skipped:
            raise InputError(
                "one sample cannot serve to calibrate and to evaluate",
                file=inputs,
                mend="give two or more, or others with --eval",
            )
        calibrating, evaluating = samples[:skipped], samples[skipped:]
    if labels is None:
        return calibrating, evaluating, None
    try:
        truth = np.asarray(np.load(labels, allow_pickle=False)).reshape(-1)[skipped:]
    except (OSError, ValueError):
        raise InputError(
            "the labels cannot be read", file=labels, mend="save them with numpy.save"
        ) from None
    if len(truth) != len(evaluating) or not np.issubdtype(truth.dtype, np.integer):
        raise InputError(
            f"{len(truth)} labels of type {truth.dtype} for {len(evaluating)} evaluation inputs",
            file=labels,
            mend="give one whole number for every input",
        )
    return calibrating, evaluating, truth


def _outputs(session: Any, samples: Sequence[Sample], path: Path) -> list[list[Array]]:
    """By sample, all outputs."""
    try:
        return [[np.asarray(o) for o in session.run(None, sample)] for sample in samples]
    except Exception as error:
        raise RunError(f"onnxruntime failed to run it ({_first(error)})", file=path) from None


def _check_finite(names: Sequence[str], runs: Sequence[Sequence[Array]], path: Path) -> None:
    """Refuses a float model whose results are no numbers: nothing could agree with them."""
    for run in runs:
        for name, output in zip(names, run, strict=True):
            if np.issubdtype(output.dtype, np.floating) and not np.all(np.isfinite(output)):
                raise InputError(
                    f"the float model gives infinite or undefined numbers in {name!r}",
                    file=path,
                    field="--inputs",
                    mend="give inputs of the range that it was trained on",
                )


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _compared(
    scheme: Scheme,
    identity: str,
    names: Sequence[str],
    reference: Sequence[Sequence[Array]],
    found: Sequence[Sequence[Array]],
    truth: Array | None,
) -> MeasuredQuality:
    outputs = [
        compare_output(name, [r[i] for r in reference], [f[i] for f in found])
        for i, name in enumerate(names)
    ]
    count = len(reference)
    classes = [i for i, output in enumerate(outputs) if output.agreement is not None]
    if classes and truth is not None:
        before, after = (
            np.array([_answers(run[classes[0]]).reshape(-1)[-1] for run in runs]) == truth
            for runs in (reference, found)
        )
        lost, won = int(np.sum(before & ~after)), int(np.sum(~before & after))
        right = 100.0 * float(np.mean(before))
        limit = right - 100.0 * (upper_share(lost, count) - won / count)
        summary = ("top1", right, 100.0 * float(np.mean(after)), limit)
    elif classes:
        agreement = outputs[classes[0]].agreement or 0.0
        answers = count * _answers(reference[0][classes[0]]).size
        missed = round(answers * (1.0 - agreement / 100.0))
        limit = 100.0 * (1.0 - upper_share(missed, answers))
        summary = ("agreement", 100.0, agreement, limit)
    elif truth is not None:
        raise InputError(
            "labels were given, but no output has scores of classes",
            field="--labels",
            mend="leave them out",
        )
    else:
        worst = min(outputs, key=lambda o: o.cosine_p10)
        summary = ("cosine", 1.0, worst.cosine, worst.cosine_p10)
    metric, float_value, value, value_p90 = summary
    return MeasuredQuality(
        precision=scheme.precision.name,
        scheme=scheme.name,
        identity=identity,
        metric=metric,
        float_value=float_value,
        value=value,
        value_p90=min(value, value_p90),
        samples=count,
        outputs=tuple(outputs),
    )


def compare_output(name: str, reference: Sequence[Array], found: Sequence[Array]) -> MeasuredOutput:
    """One output of both models over all inputs; numbers of ``found`` that are none count as 0."""
    found = [np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0) for x in found]
    signal = noise = 0.0
    cosines = []
    for exact, near in zip(reference, found, strict=True):
        a, b = (np.asarray(x, dtype=np.float64).reshape(-1) for x in (exact, near))
        signal += float(a @ a)
        noise += float((a - b) @ (a - b))
        norms = math.sqrt(float(a @ a) * float(b @ b))
        cosines.append(float(a @ b) / norms if norms else float(not np.any(a - b)))
    agreement = None
    if _has_classes(reference[0]):
        equal = [_answers(a) == _answers(b) for a, b in zip(reference, found, strict=True)]
        agreement = 100.0 * float(np.mean(equal))
    sqnr = None if noise == 0 else 10.0 * math.log10(signal / noise) if signal else -math.inf
    ordered = sorted(cosines)
    return MeasuredOutput(
        name=name,
        shape=tuple(reference[0].shape),
        sqnr_db=None if sqnr is None or not math.isfinite(sqnr) else sqnr,
        cosine=float(np.mean(cosines)),
        cosine_p10=ordered[len(ordered) // 10],
        agreement=agreement,
    )


def _has_classes(output: Array) -> bool:
    """Scores of classes: two axes, or three with a vocabulary as the last."""
    if not np.issubdtype(output.dtype, np.floating):
        return False
    if output.ndim == 2:
        return bool(output.shape[1] > 1)
    return output.ndim == 3 and bool(output.shape[2] >= VOCABULARY)


def _answers(output: Array) -> Array:
    found: Array = np.argmax(output, axis=-1)
    return found


def upper_share(hits: int, count: int) -> float:
    """Upper limit of a share at 90 % confidence, one-sided (Wilson 1927)."""
    p, z2 = hits / count, Z90**2
    middle = p + z2 / (2 * count)
    half = Z90 * math.sqrt(p * (1 - p) / count + z2 / (4 * count * count))
    return min(1.0, (middle + half) / (1 + z2 / count))
