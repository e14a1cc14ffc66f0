"""Families of silicon: every chip that is compared or was fitted on has one place."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dse.errors import InputError
from dse.hardware.runtimes import COSTS, runtime_classes
from dse.validation import freeze
from dse.validation.families import Families, families, family_of, runtime_of_family


def test_every_chip_that_is_compared_is_in_a_family() -> None:
    for chip in freeze.validated_chips():
        assert chip in family_of(chip).chips


def test_every_figure_of_a_runtime_class_is_in_a_family() -> None:
    placed = {name for family in families().values() for name in family.runtime}
    for of in runtime_classes().values():
        for cost in COSTS:
            assert set(getattr(of, cost).estimates) <= placed


def test_sisters_are_one_family() -> None:
    """The pairs that the list is there for: one die or one generation is left out as one."""
    for one, other in (
        ("tda4vm", "am68a"),
        ("rk3588_npu", "rk3562_npu"),
        ("rv1126", "rv1109"),
        ("imx93", "ethos_u55_64"),
        ("sa8775p", "snapdragon_8gen3"),
        ("synaptics_sl1680", "synaptics_sl1640"),
    ):
        assert family_of(one) is family_of(other)
    assert family_of("rv1126") is not family_of("rk3588_npu")
    left = runtime_of_family(family_of("tda4vm"), runtime_classes()["dsp_layer"].layer.estimates)
    assert set(left) == {"tda4vm", "am68a", "am69a"}


def test_an_unknown_chip_is_refused() -> None:
    with pytest.raises(InputError, match="no family"):
        family_of("rk3588")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chips": ("x",)}, "'x' is there twice"),
        ({"id": "a"}, "'a' is there twice"),
        ({"kin": ("c",)}, "no other family 'c'"),
    ],
)
def test_a_member_has_one_place(change: dict[str, object], words: str) -> None:
    first = {"id": "a", "vendor": "v", "reason": "r", "chips": ("x",), "runtime": ()}
    second = {"id": "b", "vendor": "v", "reason": "r", "chips": ("y",), "runtime": ()} | change
    with pytest.raises(ValidationError, match=words):
        Families.model_validate({"schema_version": 1, "families": (first, second)})
