"""Scenario files: what they may say, where every figure comes from, and the schema for editors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.apps import Request, Stream, app_schema, figures, list_apps
from dse.apps.scenario import SCHEMA_FILE, App
from dse.apps.stated import UNSTATED
from dse.errors import ImpossibleChipError, InputError
from dse.files import shipped_folder
from dse.schema import validate
from dse.workload.zoo import list_models

APPS = {app.name: app for app in list_apps()}


def app(**changes: Any) -> dict[str, Any]:
    """A valid app as plain data, with some fields changed."""
    streams = [
        {"id": "see", "model": "resnet8", "rate_hz": 5, "deadline_s": 0.1},
        {"id": "name", "model": "resnet8", "after": "see", "probability": 0.5},
    ]
    return {"name": "x", "streams": streams, **changes}


def stream(**changes: Any) -> dict[str, Any]:
    return {"id": "s", "model": "resnet8", "rate_hz": 1, **changes}


def test_the_committed_schema_is_today_s() -> None:
    path = shipped_folder("experiments") / "apps" / SCHEMA_FILE
    assert json.loads(path.read_text(encoding="utf-8")) == app_schema(), (
        "write it again: dse apps --schema > experiments/apps/app.schema.json"
    )


@pytest.mark.parametrize("name", APPS)
def test_every_figure_has_a_source_and_a_status(name: str) -> None:
    found = figures(APPS[name])
    assert len(found) > 8
    assert [figure.path for figure in found if figure.status == UNSTATED] == []
    assert all(figure.source for figure in found)


@pytest.mark.parametrize("name", APPS)
def test_every_stream_names_a_shipped_graph(name: str) -> None:
    known = {model.name for model in list_models()}
    for one in APPS[name].streams:
        parts = [part.model for part in one.request.parts] if one.request else ["{model}"]
        for model in one.choices or (one.model,):
            wanted = {part.replace("{model}", model).partition("@")[0] for part in parts}
            assert wanted <= known, wanted - known


def test_names_are_those_of_the_files() -> None:
    folder = shipped_folder("experiments") / "apps"
    assert sorted(APPS) == sorted(path.stem for path in folder.glob("*.yaml"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"streams": [stream(deadline_range_s=[2, 1])]}, "deadline_range_s"),
        ({"streams": [stream(model="a", choices=["b", "c"])]}, "choices"),
        ({"streams": [stream(placement="moon")]}, "placement"),
        ({"streams": [stream(model="")]}, "runs nothing"),
        ({"streams": [stream(quality={"metric": "top1"})]}, "min_ratio"),
        ({"streams": [stream(quality={"metric": "beauty", "min_value": 1})]}, "beauty"),
        ({"streams": [stream(request={"prefill": "a"})]}, "incomplete"),
        (
            {"streams": [stream(request={"stages": [{"model": "a"}], "prefill": "b"})]},
            "one of the two",
        ),
        ({"chains": [{"id": "c", "streams": ["see", "nme"], "deadline_s": 1}]}, "did you mean"),
        ({"chains": [{"id": "c", "streams": ["name", "see"], "deadline_s": 1}]}, "begins"),
        ({"budgets": {"min_hours": 2}}, "battery_wh"),
        ({"environment": {"ambient_c": 90, "max_junction_c": 80}}, "ambient"),
        ({"privacy": {"may_leave": "everything"}}, "privacy"),
        ({"streams": [stream(rate_range_hz=[2, 4])]}, "within 2 to 4"),
        ({"streams": [stream(cores=[])]}, "cores names none"),
        ({"streams": [stream(cores=[-1])]}, "counted from 0"),
        ({"streams": [stream(cores=[1, 1])]}, "names one twice"),
        ({"streams": [stream(cores=[True])]}, "True is no core"),
        (
            {"streams": [stream(rate_hz=None, arrivals={"times_s": [0]}, rate_range_hz=[1, 2])]},
            "rate_range_hz needs a rate_hz",
        ),
        ({"streams": [stream(cores=[0, "all"])]}, "'all' is no core"),
        ({"streams": [stream(cores="two words")]}, "'two words' is no core"),
        ({"streams": [stream(cores=None)]}, "None is no core"),
        ({"streams": [stream(pipeline=2, split=True)]}, "one of the two"),
        ({"streams": [stream(pipeline=2, placement="cloud")]}, "runs on the device"),
        ({"streams": [stream(pipeline=1)]}, "pipeline"),
        ({"streams": [stream(arrivals={"times_s": [0.1]})]}, "exactly one"),
        ({"streams": [stream(rate_hz=None, arrivals={})]}, "arrivals hold nothing"),
        ({"streams": [stream(rate_hz=None, arrivals={"times_s": [0.2, 0.1]})]}, "times_s[1]"),
        (
            {"streams": [stream(rate_hz=None, arrivals={"times_s": [-0.2]})]},
            "from the start of the play",
        ),
        (
            {"streams": [stream(rate_hz=None, jitter_s=0.1, arrivals={"times_s": [0.2]})]},
            "jitter_s is of periodic",
        ),
        ({"streams": [stream(release="poisson", jitter_s=0.1)]}, "no poisson"),
        ({"sources": {"streams.sea.rate_hz": {"status": "read", "source": "x"}}}, "streams.sea"),
        ({"sources": {"budget": {"status": "read", "source": "x"}}}, "'budget'"),
        (
            {
                "streams": [
                    stream(
                        quality={
                            "metric": "top1",
                            "min_value": 1,
                            "figures": [
                                {
                                    "precision": "w9b9",
                                    "float_value": 1,
                                    "source": "x",
                                    "status": "read",
                                }
                            ],
                        }
                    )
                ]
            },
            "w9b9",
        ),
    ],
)
def test_faults_say_what_to_mend(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as fault:
        validate(App, app(**changes))
    assert words in fault.value.describe()


def test_privacy_as_text_lets_nothing_out() -> None:
    plain = validate(App, app(privacy="it stays here"))
    assert plain.rule.may_leave == "none"
    assert plain.rule.text == "it stays here"
    own = stream(id="a", privacy={"may_leave": "features"})
    mixed = validate(App, app(streams=[stream(), own], privacy={"may_leave": "all"}))
    assert [mixed.privacy_of(one).may_leave for one in mixed.streams] == ["all", "features"]


@given(st.integers(2, 400))
def test_a_prompt_gives_the_first_token(tokens: int) -> None:
    request = Request(prefill="p", decode="d", output_tokens=tokens)
    assert [part.repeat for part in request.parts] == [1, tokens - 1]
    assert request.repeats_after_first == tokens - 1


def test_a_request_is_due_when_its_limits_add_up() -> None:
    limits = {"prefill": "p", "decode": "d", "output_tokens": 11, "ttft_s": 0.5, "tpot_s": 0.1}
    asked = Stream.model_validate(stream(model="", request=limits))
    assert asked.due_s == pytest.approx(0.5 + 10 * 0.1)
    own = Stream.model_validate(stream(model="", request=limits, deadline_s=2.0))
    assert own.due_s == 2.0
    assert Stream.model_validate(stream()).due_s is None


@pytest.mark.parametrize(
    ("cores", "split", "taken", "together"),
    [
        ("all", False, (0, 1, 2, 3), False),
        ("split", False, (0, 1, 2, 3), True),
        ((3, 1), False, (3, 1), False),
        ((1, 3), True, (1, 3), True),
        (2, False, (2,), False),
    ],
)
def test_cores_of_a_stream(cores: Any, split: bool, taken: tuple[int, ...], together: bool) -> None:
    one = Stream.model_validate(stream(cores=cores, split=split))
    assert one.cores_of(4) == taken
    assert one.together is together


def test_cores_by_the_name_of_their_kind() -> None:
    kinds = {"big": (0, 1, 2), "small": (3,)}
    named = {
        words: Stream.model_validate(stream(cores=words)).cores_of(4, kinds)
        for words in ("all", "big", "small", ("small", "big"), ("small", 1), ("big", 2))
    }
    assert named == {
        "all": (0, 1, 2, 3),
        "big": (0, 1, 2),
        "small": (3,),
        ("small", "big"): (3, 0, 1, 2),
        ("small", 1): (3, 1),
        ("big", 2): (0, 1, 2),
    }


@pytest.mark.parametrize(
    ("cores", "kinds", "words"),
    [
        ((1, 9), None, "core 9, the chip has 4; use cores 0 to 3"),
        ("small", None, "equal cores"),
        ("smal", {"big": (0,), "small": (1,)}, "use big or small"),
    ],
)
def test_a_core_that_the_chip_lacks_is_refused(cores: Any, kinds: Any, words: str) -> None:
    """It was core 0 once, without a word."""
    with pytest.raises(ImpossibleChipError) as fault:
        Stream.model_validate(stream(cores=cores)).cores_of(4, kinds)
    assert words in fault.value.describe()
    assert fault.value.field == "app.s.cores"
