"""Public networks as users' exporters write them, against counts made by another's code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from pydantic import Field

from dse.files import shipped_folder
from dse.schema import Strict, read_yaml, validate
from dse.workload import load_model
from dse.workload.layer import Binding

FOLDER = shipped_folder("models") / "public"
#: Elements that a real tensor may have to be a constant and no weight: nine anchors.
CONSTANT = 36
#: What an exporter leaves of the machine that it ran on.
TRACES = re.compile(rb"site-packages|/home/|/ro[o]t/|/tmp/|/usr/|\w\.py\b|File \"")
REALS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")


class PublicModel(Strict):
    """One entry of the manifest."""

    name: str
    task: str
    source: str
    licence: str
    exporter: str
    opset: int
    bindings: dict[str, int | list[int]]
    macs: int = Field(gt=0)
    method: str
    folded: int = 0
    differs: str = ""
    reduced: str = ""
    bytes: int

    @property
    def bound(self) -> dict[str, Binding]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in self.bindings.items()}

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.onnx"


class PublicManifest(Strict):
    """``models/public/manifest.yaml``."""

    schema_version: int
    models: list[PublicModel]


def _manifest() -> list[PublicModel]:
    data, lines = read_yaml(FOLDER / "manifest.yaml")
    return validate(PublicManifest, data, file=FOLDER / "manifest.yaml", lines=lines).models


MODELS = _manifest()


@pytest.mark.parametrize("public", MODELS, ids=[m.name for m in MODELS])
def test_macs_are_those_of_an_independent_count(public: PublicModel) -> None:
    model = load_model(public.file, unknown_ops="error", **public.bound)
    assert model.macs == pytest.approx(public.macs - public.folded, rel=1e-3)
    assert bool(public.folded) == bool(public.differs)


def test_the_collection_is_broad() -> None:
    assert len(MODELS) >= 20
    assert {m.name for m in MODELS} == {p.stem for p in FOLDER.glob("*.onnx")}
    for word in ("dynamo", "TorchScript"):
        assert sum(word in m.exporter for m in MODELS) >= 5
    assert {m.licence for m in MODELS} <= {"Apache-2.0", "BSD-3-Clause", "MIT"}


def test_files_are_small() -> None:
    sizes = [m.file.stat().st_size for m in MODELS]
    assert sizes == [m.bytes for m in MODELS]
    assert max(sizes) < 300_000
    assert sum(sizes) < 4_000_000


@pytest.mark.parametrize("public", MODELS, ids=[m.name for m in MODELS])
def test_no_weights_and_no_traces_of_a_machine(public: PublicModel) -> None:
    data = public.file.read_bytes()
    found = TRACES.search(data)
    assert found is None, found
    model = onnx.ModelProto.FromString(data)
    assert not model.metadata_props
    assert not model.functions
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            assert not tensor.raw_data
        elif onnx.TensorProto.DataType.Name(tensor.data_type) in REALS:
            assert onnx.numpy_helper.to_array(tensor).size <= CONSTANT, tensor.name


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Stored tensors of a graph and of all bodies inside it; nothing in it is described."""
    assert not graph.doc_string
    assert not graph.metadata_props
    yield from graph.initializer
    for node in graph.node:
        assert not node.doc_string
        assert not node.metadata_props
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
