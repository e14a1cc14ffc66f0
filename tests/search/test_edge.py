"""Files are read at the edge, once: no file is looked at while designs are evaluated."""

from __future__ import annotations

import builtins
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dse.errors import InputError
from dse.evaluation import FIDELITIES, Design, evaluate_app, read_inputs, resolve_design
from dse.evaluation.inputs import Value
from dse.mapping import warm_up
from dse.search import load_experiment, resolve_experiment
from dse.search.candidate import bound_of, evaluate_candidate
from dse.search.space import Space

#: What Python itself reads when a module or a compiled kernel is first used.
CODE = (".py", ".pyc", ".so", ".nbi", ".nbc")
#: How files are looked at, by module.
LOOKS = (
    (builtins, ("open",)),
    (io, ("open",)),
    (os, ("open", "stat", "lstat", "scandir", "listdir", "readlink")),
)


@contextmanager
def no_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, whoever looks at a file fails."""

    def failing(look: Callable[..., Any]) -> Callable[..., Any]:
        def fail(path: Any = ".", *rest: Any, **named: Any) -> Any:
            text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
            assert text.endswith(CODE), f"{look.__name__} of {path!r} while designs are evaluated"
            return look(path, *rest, **named)

        return fail

    with monkeypatch.context() as patch:
        for module, names in LOOKS:
            for name in names:
                patch.setattr(module, name, failing(getattr(module, name)))
        yield


def test_the_guard_sees_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__).with_name("no_such.yaml")
    looks: tuple[Callable[[], Any], ...] = (
        path.read_text,
        path.read_bytes,
        path.is_file,
        path.exists,
        path.resolve,
        path.stat,
        path.open,
        lambda: list(path.parent.glob("*.yaml")),
        lambda: os.path.isfile(path),
    )
    with no_files(monkeypatch):
        for look in looks:
            with pytest.raises(AssertionError, match="while designs are evaluated"):
                look()


@pytest.mark.parametrize("name", ["factory_module", "edge_or_cloud"])
def test_no_file_is_looked_at_while_designs_are_evaluated(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm_up()
    experiment = load_experiment(name)
    found = resolve_experiment(experiment)
    space = Space(experiment)
    designs = [space.values(point) for point in space.spread(6, seed=2)]
    with no_files(monkeypatch):
        bounds = [bound_of(found, values) for values in designs]
        outcomes = [evaluate_candidate(found, values) for values in designs[:2]]
        parts = found.design(designs[0])
        levels = [
            evaluate_app(parts.app, parts.workloads, parts.chip, level)[0] for level in FIDELITIES
        ]
    assert len({outcome.identity for outcome in outcomes}) == 2
    assert all(bound.losses is not None for bound in bounds)
    assert [level.fidelity for level in levels] == list(FIDELITIES)


def test_all_networks_that_designs_may_name_are_read(tmp_path: Path) -> None:
    """Each name at each width is a file of its own, and so are precisions by layer."""
    policy = tmp_path / "mix.yaml"
    policy.write_text("'*': w8a8\n")
    choices: dict[str, Sequence[Value]] = {
        "model.presence.name": ("mobilenetv2", "none_of_this_name"),
        "model.presence.width": (0.5, 0.75),
        "model.keyword.per_layer": (str(policy),),
    }
    found = read_inputs("wearable_kws", "edge_vision", choices)
    assert {Path(path).name for path in found.models.content} == {
        "dscnn_kws.onnx",
        "mix.yaml",
        "mobilenetv1_vww.onnx",
        "mobilenetv2.onnx",
        "mobilenetv2_w0.5.onnx",
        "mobilenetv2_w0.75.onnx",
    }


def test_what_was_read_holds_whatever_becomes_of_the_files(tmp_path: Path) -> None:
    """A search goes on with what it began with; the next one reads anew."""
    policy = tmp_path / "mix.yaml"
    name = "model.keyword.per_layer"
    policy.write_text("'*': w8a8\n")
    design = Design("wearable_kws", "edge_vision", {name: str(policy)})
    found = read_inputs("wearable_kws", "edge_vision", {name: (str(policy),)})
    before = resolve_design(design, found)
    policy.write_text("'*': w4a8-qat\n")
    assert resolve_design(design, found).identity == before.identity
    assert resolve_design(design).identity != before.identity
    policy.unlink()
    assert resolve_design(design, found).identity == before.identity
    with pytest.raises(InputError, match="cannot be read"):
        resolve_design(design)


COUNT = """
import collections, json, pathlib, sys
read = collections.Counter()
for name in ("read_text", "read_bytes"):
    def counted(self, *rest, look=getattr(pathlib.Path, name), **named):
        read[self.name] += self.suffix in (".yaml", ".onnx")
        return look(self, *rest, **named)
    setattr(pathlib.Path, name, counted)
import dse
from dse.workload import load
lowered = collections.Counter()
plain = load.lower_bytes
def counting(data, file, *rest, **named):
    lowered[pathlib.Path(file).name] += 1
    return plain(data, file, *rest, **named)
load.lower_bytes = counting
done = dse.explore(sys.argv[1], out=sys.argv[2], workers=1)
print(json.dumps([len(done.outcomes), +read, lowered]))
"""
SEARCH = """
schema_version: 1
name: once
app: wearable_kws
chip: edge_vision
parameters:
  chip.node: {choices: [16nm, 7nm]}
  chip.buffer.bytes: {ladder: [262144, 524288, 1048576]}
objectives: [{metric: average_power_w}]
fidelity: analytic
sampler: grid
"""


def test_each_file_is_read_once_in_a_search(tmp_path: Path) -> None:
    (tmp_path / "once.yaml").write_text(SEARCH)
    arguments = [str(tmp_path / "once.yaml"), str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *arguments], capture_output=True, text=True, check=True
    )
    designs, read, lowered = json.loads(done.stdout.splitlines()[-1])
    assert designs == 6
    wanted = {"once.yaml", "wearable_kws.yaml", "edge_vision.yaml"}
    assert wanted < set(read)
    assert any(file.endswith(".onnx") for file in read)
    assert set(read.values()) == {1}
    assert set(lowered.values()) == {1}
