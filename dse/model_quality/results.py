"""What a measurement of quality on a model file finds, and the file that keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from dse.errors import InputError
from dse.files import regular
from dse.migrations import migrate
from dse.model_quality.figure import Quality
from dse.model_quality.metrics import METRICS
from dse.printing import Printed
from dse.registry import cached
from dse.schema import validate
from dse.workload.precision import Precision, parse_precision


class MeasuredOutput(BaseModel):
    """One output of the quantized model against the float one, over all evaluation inputs.

    Attributes:
        name: of the output; ``shape`` for one input.
        sqnr_db: power of the float output over that of the difference, dB; None if they are equal
            or the float output is all zero.
        cosine: between both, mean over the inputs; ``cosine_p10`` is what nine of ten reach.
        agreement: percent of equal first answers, for outputs that are scores of classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    shape: tuple[int, ...]
    sqnr_db: float | None
    cosine: float
    cosine_p10: float
    agreement: float | None = None


class MeasuredQuality(BaseModel):
    """The quality of a model file at one precision.

    Attributes:
        precision: canonical name, such as ``w8a8``.
        scheme: how it was quantized.
        identity: digest of everything that decides the result.
        metric: what stands for the whole: ``top1`` with labels, ``agreement`` of the first output
            with classes, else ``cosine`` of the worst output.
        float_value, value: of the float and of the quantized model.
        value_p90: what the loss reaches with a confidence of 90 % (shares), or in nine of ten
            inputs (cosine).
        samples: evaluation inputs.
        outputs: every output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    precision: str
    scheme: str
    identity: str
    metric: str
    float_value: float
    value: float
    value_p90: float
    samples: int
    outputs: tuple[MeasuredOutput, ...]


class QualityReport(Printed, BaseModel):
    """The content of a file of ``dse quality``.

    Attributes:
        model: name of the ONNX file; ``model_sha256`` identifies its bytes.
        inputs: where calibration and evaluation inputs came from.
        runtime: that quantized and ran both models.
        results: by precision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1] = 1
    model: str
    model_sha256: str
    inputs: str
    runtime: str
    results: tuple[MeasuredQuality, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        return self.model_dump(mode="json")

    def table(self) -> list[dict[str, Any]]:
        """One row per precision, in the units of its metric."""
        return [
            result.model_dump(mode="json", exclude={"outputs", "identity"})
            for result in self.results
        ]

    def _title(self) -> str:
        return f"{self.model} on {self.inputs}, by {self.runtime}"

    def write(self, path: str | Path) -> None:
        """Write it as JSON.

        Raises:
            InputError: the path cannot be written.
        """
        text = json.dumps(self.model_dump(mode="json"), indent=2) + "\n"
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"cannot be written ({error.strerror or error})",
                file=path,
                mend="give another path to --out",
            ) from None


def read_report(path: str | Path) -> QualityReport:
    """The report in a file.

    Raises:
        InputError: missing, unreadable, or not a report.
    """
    try:
        text = regular(path).read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error})",
            file=path,
            field="quality",
            mend="make it with `dse quality FILE.onnx --inputs DATA.npz --out FILE`",
        ) from None
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise InputError(
            "the file is no report of `dse quality`",
            file=path,
            field="quality",
            mend="make it with `dse quality FILE.onnx --inputs DATA.npz --out FILE`",
        )
    return validate(QualityReport, migrate("quality", data, file=path), file=path)


def read_quality(path: str | Path, precision: Precision) -> Quality | None:
    """Quality measured at ``precision``; None if the file has none, in the terms of a search.

    Raises:
        InputError: as :func:`read_report`.
    """
    report = _remembered(str(path), Path(path).stat().st_mtime_ns if Path(path).exists() else 0)
    floating = precision.weights == precision.activations == "fp32"
    for result in report.results:
        if floating or _same(parse_precision(result.precision), precision):
            return _as_quality(report, result, floating)
    return None


@cached(64)
def _remembered(path: str, _changed: int) -> QualityReport:
    return read_report(path)


def _same(measured: Precision, wanted: Precision) -> bool:
    """Whether both have the same formats; a KV cache and partial sums were not measured."""
    ends = wanted.ends is None or measured.ends == wanted.ends
    formats = (measured.weights, measured.activations) == (wanted.weights, wanted.activations)
    return ends and formats


def _as_quality(report: QualityReport, result: MeasuredQuality, floating: bool) -> Quality:
    better = METRICS[result.metric].higher_is_better
    sign = 1.0 if better else -1.0
    drop = 0.0 if floating else sign * (result.float_value - result.value)
    p90 = 0.0 if floating else sign * (result.float_value - result.value_p90)
    return Quality(
        metric=result.metric,
        higher_is_better=better,
        float_value=result.float_value,
        drop_median=drop,
        drop_p90=max(drop, p90),
        method="float" if floating else "measured",
        cases=result.samples,
        basis="measured",
        sources=(f"{report.model} on {report.inputs} ({report.runtime}, {result.scheme})",),
        status="measured here",
    )
