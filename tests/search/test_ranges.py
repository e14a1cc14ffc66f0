"""Every number of every file has a range with its ground, and nothing else is a number."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from dse.apps import load_app
from dse.errors import InputError
from dse.files import shipped_folder
from dse.hardware.library import load_spec
from dse.hardware.platform import load_platform_spec, shipped_platforms
from dse.ranges import Limits
from dse.schema import read_yaml, validate
from dse.search import load_experiment
from dse.search.schemas import SCHEMAS, file_schema, number_fields

Leaf = tuple[str, Any, Limits | None]


def leaves(kind: Any, path: str, limits: Limits | None = None) -> Iterator[Leaf]:
    """Each numeric leaf of a type: where it stands, its type, and its limits if it has some."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            own = next((item for item in field.metadata if isinstance(item, Limits)), None)
            whole = Annotated[field.annotation, own] if own else field.annotation
            yield from leaves(whole, f"{path}.{name}")
        return
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        own = next((item for item in inner[1:] if isinstance(item, Limits)), None)
        if own is not None:
            yield path, kind, own
            return
        yield from leaves(inner[0], path)
    elif origin is Literal:
        return
    elif origin in (Union, types.UnionType, tuple, list, dict):
        for part in inner:
            yield from leaves(part, path if origin in (Union, types.UnionType) else f"{path}.*")
    elif kind in (int, float):
        yield path, kind, None


LEAVES = {(path, str(kind)): (path, kind, limits) for name, model in SCHEMAS.items()
          for path, kind, limits in leaves(model, name)}  # fmt: skip


def test_the_walk_finds_the_numbers() -> None:
    paths = {path for path, _ in LEAVES}
    assert len(paths) > 150
    assert {
        "chip.f_hz",
        "chip.array.formats.*",
        "chip.kinds.*.cores",
        "chip.power.dvfs.points.*",
        "chip.measured.energy_j.*",
        "platform.cloud.utilization",
        "app.streams.*.rate_range_hz.*",
        "app.budgets.volumes.*",
        "experiment.parameters.*.ladder.*",
        "experiment.constraints.*.max",
    } <= paths


@pytest.mark.parametrize("leaf", LEAVES.values(), ids=lambda leaf: leaf[0])
def test_each_number_has_a_range_with_its_ground(leaf: Leaf) -> None:
    path, kind, limits = leaf
    assert limits is not None, f"{path} takes any number; give it a type of dse.ranges"
    assert math.isfinite(limits.low)
    assert math.isfinite(limits.high)
    assert limits.low < limits.high
    assert limits.ground
    assert "; " not in limits.ground, "errors part message and mend there"
    reader = TypeAdapter(kind)
    takes_truth = "bool" in str(kind)
    bad: list[object] = [math.nan, math.inf, -math.inf, 1e308, -1e308, 10**400]
    bad += [] if takes_truth else [True, False]
    bad += [-1, -1e-9] if limits.low >= 0 else []
    for value in bad:
        with pytest.raises(ValidationError):
            reader.validate_python(value)
    for value in (limits.high, limits.low):
        if value == limits.low and limits.above:
            with pytest.raises(ValidationError):
                reader.validate_python(value)
        else:
            assert reader.validate_python(value) == value


def shipped() -> list[tuple[Path, Any]]:
    chips, experiments = shipped_folder("hwconfigs"), shipped_folder("experiments")
    studies = [p for p in experiments.rglob("*.yaml") if "parameters:" in p.read_text("utf-8")]
    return [
        *((path, load_spec) for path in sorted(chips.glob("*.yaml"))),
        *((path, load_spec) for path in sorted((chips / "templates").glob("*.yaml"))),
        *((path, load_platform_spec) for path in shipped_platforms().values()),
        *((path, load_app) for path in sorted((experiments / "apps").glob("*.yaml"))),
        *((path, load_experiment) for path in sorted(studies)),
    ]


@pytest.mark.parametrize(("path", "load"), shipped(), ids=lambda one: getattr(one, "stem", ""))
def test_what_ships_lies_within(path: Path, load: Any) -> None:
    assert load(path)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schema_shows_range_and_ground(kind: str) -> None:
    """What is a number in the JSON schema has both limits, and a ground beside them."""
    schema = file_schema(kind)

    def check(node: Any, limited: bool) -> None:
        if isinstance(node, list):
            for part in node:
                check(part, limited)
        if not isinstance(node, dict):
            return
        here = limited or ("maximum" in node and bool(node["description"]))
        if node.get("type") in ("number", "integer") and not {"const", "enum"} & set(node):
            assert here, node
        for key, part in node.items():
            if key != "default":
                check(part, here)

    check(schema, False)
    assert number_fields(schema)
    json.dumps(schema, allow_nan=False)


def test_the_table_names_fields_as_files_do() -> None:
    found = {one.field: one for one in number_fields(file_schema("chip"))}
    clock = found["f_hz"]
    assert (clock.low, clock.high, clock.unit) == (1e3, 1e11, "Hz")
    assert "array.formats.*" in found
    assert found["buffer.bytes"].range == "1 to 68,719,476,736"
    with pytest.raises(InputError, match="did you mean chip"):
        file_schema("chp")


CHIP = {"name": "x", "f_hz": 1e8}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("f_hz", True, ("f_hz", "true is no number", "1,000 to 1e+11 Hz")),
        ("array.formats", {"int8": True}, ("array.formats.int8", "no number")),
        ("power.other_w", 1e30, ("power.other_w", "1e+30 W", "20 kW", "0 to 100,000 W")),
        ("noc.mm", 1e308, ("noc.mm", "wafer", "0.001 to 300 mm")),
        ("f_hz", 1e-30, ("f_hz", "1e-30 Hz", "give 1,000 to")),
        ("cores", 10**400, ("cores", "over 300 digits")),
        ("power.dvfs.points", (True,), ("power.dvfs.points.0", "no number")),
        ("vector.ops_per_lane_cycle.relu", math.nan, ("vector.ops_per_lane_cycle.relu", "nan")),
    ],
)
def test_errors_name_field_ground_and_range(
    path: str, value: object, words: tuple[str, ...]
) -> None:
    spec = load_spec("edge_vision")
    with pytest.raises(InputError) as fault:
        spec.with_values({path: value})
    for word in words:
        assert word in fault.value.describe()


@pytest.mark.parametrize("kind", ["app", "experiment", "platform"])
def test_the_other_files_say_it_too(kind: str) -> None:
    files = {
        "app": shipped_folder("experiments") / "apps" / "phone.yaml",
        "experiment": shipped_folder("experiments") / "factory_module.yaml",
        "platform": next(iter(shipped_platforms().values())),
    }
    fields = {
        "app": ("horizon_s", 1e9),
        "experiment": ("trials", 0),
        "platform": ("link", {"rtt_s": -1}),
    }
    data, _ = read_yaml(files[kind])
    name, value = fields[kind]
    if isinstance(value, dict):
        data[name].update(value)
    else:
        data[name] = value
    with pytest.raises(InputError, match="out of range"):
        validate(SCHEMAS[kind], data)
