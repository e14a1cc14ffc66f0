"""Every model of the onnx package's own suites is lowered or refused in one line; none crashes."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from dse.errors import InputError
from dse.workload import Model, list_models
from dse.workload.load import lower_bytes

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"

FATES = ("compute", "vector", "movement", "host", "folded", "view")

#: Operators that several nodes stand for.
TAKEN_APART = ("If", "Loop", "Scan", "SplitToSequence", "ConcatFromSequence")


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


def _accounted(data: bytes, model: Model) -> bool:
    """Whether every node has exactly one fate, and layers hold every node that is no view."""
    names = Counter(name for layer in model.layers for name in dict.fromkeys(layer.nodes))
    nodes = onnx.ModelProto.FromString(data).graph.node
    work = {n for n, f in model.fates.items() if f in FATES[:4]}
    heads = {layer.nodes[0] for layer in model.layers}
    simple = not any(n.op_type in TAKEN_APART for n in nodes)
    return (
        set(model.fates.values()) <= set(FATES)
        and work == heads
        and set(names) <= set(model.fates)
        and all(n in heads for n, count in names.items() if count > 1)  # operators taken apart
        and (len(model.fates) == len(nodes) if simple else len(model.fates) >= len(nodes))
    )


@pytest.mark.parametrize(("suite", "least"), [("node", 0.93), ("stored", 0.88)])
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
        assert _accounted(data, result), name
    with capsys.disabled():
        print(f"\n{suite}: {dict(counts)}; refused: {dict(refused.most_common())}")
    assert counts["lowered"] >= least * counts["all"]


def test_every_node_of_the_zoo_is_accounted_for_once() -> None:
    """The networks that ship, the nine light ones of the onnx package among them."""
    light = 0
    for info in list_models():
        data = info.file.read_bytes()
        model = _lowered(data, info.name)
        assert isinstance(model, Model), f"{info.name}: {model}"
        assert _accounted(data, model), info.name
        light += "light" in info.file.parts
    assert light == 9
