"""What the command line said that was not so, or said with a traceback."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from dse.apps import load_app
from dse.cli import _system_fault
from dse.errors import InputError
from dse.evaluation.design import Design, resolve_design
from dse.hardware import load_spec
from dse.hardware.library import list_chips
from dse.mapping.tools.compiling import Announced
from dse.printing import si
from tests.cli.conftest import Run
from tests.cli.test_bad_input import CHIP, refused


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9996, "1 W"),
        (999.6e-6, "1 mW"),
        (0.9994, "999 mW"),
        (999.6, "1 kW"),
        (12.34e-3, "12.3 mW"),
        (1e15, "1,000 TW"),
        (2.5e18, "2,500,000 TW"),
        (-0.9996, "-1 W"),
        (0.0, "0 W"),
        (1e-18, "1e-18 W"),
    ],
)
def test_three_digits_are_no_power_of_ten(value: float, text: str) -> None:
    assert si(value, "W") == text


@pytest.mark.parametrize("value", ["[]", "{}", "[mcu_npu]", "3"])
def test_a_template_that_is_no_name(run: Run, tmp_path: Path, value: str) -> None:
    (tmp_path / "mine.yaml").write_text(
        CHIP.replace("template: conv_core", f"template: {value}", 1)
    )
    done = run("simulate", "resnet8", "--chip", "mine.yaml")
    refused(done, "mine.yaml", "template", "conv_core")


LONG = "x" * 300


@pytest.mark.parametrize("name", [LONG, f"{LONG}.onnx", f"{LONG}/net.onnx", f"{LONG}@res=96"])
def test_a_name_longer_than_any_file_s(run: Run, name: str) -> None:
    done = run("simulate", name, "--chip", "edge_vision")
    refused(done)
    assert len(done.err) < 6000
    assert "traceback" not in done.err.lower()


@pytest.mark.parametrize(
    "command",
    [
        ("simulate", "resnet8", "--chip", LONG),
        ("show", LONG),
        ("map", "resnet8", "--chip", "edge_vision", "--pin", LONG),
        ("explore", LONG, "--out", "out"),
        ("report", LONG, "--out", "out"),
        ("migrate", LONG),
    ],
)
def test_long_names_elsewhere(run: Run, command: tuple[str, ...]) -> None:
    refused(run(*command))


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, 1), (errno.EIO, 1), (errno.EACCES, 2), (errno.ENAMETOOLONG, 2)],
)
def test_what_the_system_refuses_is_one_line(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _system_fault(OSError(number, os.strerror(number), "a/file")) == code
    told = capsys.readouterr().err
    assert told.startswith("error: a/file: the system refused it (")
    assert told.count("\n") == 1


def test_a_format_of_a_cache_that_is_not_there_is_remarked(run: Run) -> None:
    given = ("simulate", "resnet8", "--chip", "edge_vision", "--fidelity", "roofline", "--json")
    done = run(*given, "--precision", "w8a8-kv4")
    assert done.code == 0
    (note,) = [one for one in json.loads(done.out)["notes"] if "KV" in one]
    assert "int4 for the KV cache changes nothing" in note
    plain = run(*given, "--precision", "w8a8")
    assert not [one for one in json.loads(plain.out)["notes"] if "KV" in one]


class _Loaded:
    """A kernel that takes longer than the patience, loaded or compiled."""

    def __init__(self, heard: Any, compiles: bool) -> None:
        self.heard, self.compiles = heard, compiles
        self.stats = type("Stats", (), {"cache_misses": {}})()

    def typeof_pyval(self, value: object) -> str:
        return type(value).__name__

    def compile(self, signature: object) -> None:
        if self.compiles:
            self.stats.cache_misses[signature] = 1
            assert self.heard.wait(60)

    def __call__(self, value: float) -> float:
        return value


@pytest.mark.parametrize("compiles", [True, False])
def test_what_is_loaded_slowly_is_not_said_to_be_compiled(
    compiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    heard = threading.Event()
    monkeypatch.setattr("dse.mapping.tools.compiling.PATIENCE_S", 0.0)
    monkeypatch.setattr("dse.mapping.tools.compiling._announce", heard.set)
    assert Announced(abs, _Loaded(heard, compiles), None)(3.0) == 3.0  # type: ignore[arg-type]
    assert heard.is_set() == compiles


@pytest.mark.parametrize(
    ("path", "value", "holds"),
    [
        ("scheduler", "fifo", lambda app: app.scheduler == "fifo"),
        ("partition", True, lambda app: app.partition),
        ("horizon_s", 2.5, lambda app: app.horizon_s == 2.5),
        ("budgets.module_power_w", 0.5, lambda app: app.budgets.module_power_w == 0.5),
        ("environment.ambient_c", 31, lambda app: app.environment.ambient_c == 31),
    ],
)
def test_what_an_app_s_file_may_say_a_setting_may(path: str, value: Any, holds: Any) -> None:
    found = resolve_design(Design("wearable_kws", "wearable_npu", {f"app.{path}": value}, 0))
    assert holds(found.app)
    assert found.app != load_app("wearable_kws")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("scheduler", "lottery", ("app.scheduler", "edf")),
        ("budgets.volume", -1, ("app.budgets.volume", "give 1 to")),
        ("budgets.colour", 1, ("app.budgets.colour", "unknown field")),
        ("nothing", 1, ("scheduler", "budgets.NAME")),
    ],
)
def test_faults_in_them_are_named(path: str, value: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as fault:
        resolve_design(Design("wearable_kws", "wearable_npu", {f"app.{path}": value}, 0))
    for word in words:
        assert word in fault.value.describe()


def test_the_temperature_of_a_play_is_in_the_record(run: Run) -> None:
    done = run(
        *("simulate", "wearable_kws", "--chip", "wearable_npu", "--json"),
        *("--set", "chip.power.thermal.resistance_k_per_w=40"),
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["junction_c"] >= 25.0


#: Figures in a description, and how many operations a second each stands for.
FIGURE = re.compile(r"([\d,.]+) (TOPS|GOPS)( fp16)?")


@pytest.mark.parametrize("name", [chip.name for chip in list_chips()])
def test_a_chip_does_what_its_description_says(name: str) -> None:
    """Operations a second that a description claims are those of the resolved arrays.

    Behind ``data sheet says`` stands what the maker claims and the model does not reach.
    """
    spec = load_spec(name)
    every = [spec.of_kind(kind) for kind in spec.kind_names] if spec.kinds else [spec]
    rates = {
        2.0 * one.cores * one.array.rows * one.array.cols * one.array.depth * rate * clock
        for one in every
        for rate in one.array.formats.values()
        if (clock := one.f_hz or spec.f_hz)
    }
    own = re.sub(r"the data sheet says [\d,.]+", "", spec.description)
    for figure, unit, _ in FIGURE.findall(own):
        claimed = float(figure.replace(",", "")) * (1e12 if unit == "TOPS" else 1e9)
        near = min(rates, key=lambda rate: abs(rate - claimed))
        assert near == pytest.approx(claimed, rel=0.05), (name, claimed, sorted(rates))
    for sides in re.findall(r"(?<![\d.])(\d+)x(\d+) ?(?:int8|arrays|MACs|row|PE|vision)", own):
        found = {(one.array.rows, one.array.cols * one.array.depth) for one in every}
        found |= {(a, b) for b, a in found}
        assert (int(sides[0]), int(sides[1])) in found, (name, sides, found)
    for count in re.findall(r"(?<![x\d,])([\d,]+) int8 MACs?(?! each)", own):
        counts = {round(one.macs_per_cycle) for one in every}
        counts |= {round(one.macs_per_cycle) * one.cores for one in every}
        assert int(count.replace(",", "")) in counts, (name, count, counts)
