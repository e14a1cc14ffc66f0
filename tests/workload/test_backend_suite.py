"""Every model of the onnx package's own suites is lowered or refused in one line; none crashes."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from dse.errors import InputError
from dse.workload import Model
from dse.workload.load import lower_bytes

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"


def node_cases() -> Iterator[tuple[str, bytes]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        for case in collect_testcases(None):
            if case.model is not None:
                yield case.name, case.model.SerializeToString()


def stored_cases() -> Iterator[tuple[str, bytes]]:
    for folder in ("pytorch-converted", "pytorch-operator", "simple"):
        for path in sorted((DATA / folder).glob("*/model.onnx")):
            yield f"{folder}/{path.parent.name}", path.read_bytes()


def _lowered(data: bytes, name: str) -> Model | InputError:
    try:
        return lower_bytes(data, name)
    except InputError as error:
        return error


def _operator(error: InputError) -> str:
    """The operator that a refusal names: one line with ``node 'name' (Operator)`` and a mend."""
    assert "\n" not in str(error)
    assert error.mend
    assert error.field is not None
    assert error.field.startswith("node ")
    return error.field.rpartition("(")[2].rstrip(")")


@pytest.mark.parametrize(("suite", "least"), [("node", 0.85), ("stored", 0.85)])
def test_lowered_or_refused(suite: str, least: float, capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for name, data in node_cases() if suite == "node" else stored_cases():
        counts["all"] += 1
        result = _lowered(data, name)
        if isinstance(result, InputError):
            counts["refused"] += 1
            refused[_operator(result)] += 1
            continue
        counts["lowered"] += 1
        assert set(result.fates.values()) <= {
            "compute",
            "vector",
            "movement",
            "host",
            "folded",
            "view",
        }
    with capsys.disabled():
        print(f"\n{suite}: {dict(counts)}; refused: {dict(refused.most_common())}")
    assert counts["lowered"] >= least * counts["all"]
