"""What must hold of every design, on random ones: 60 in the suite, 5,000 in the long tier."""

from __future__ import annotations

import pytest

from tests.evaluation.random_designs import LEFT_OUT, checked, drawn
from tests.tiers import numbers_of_cases


@numbers_of_cases(60, 5000)
def test_what_must_hold_of_every_design(cases: int) -> None:
    found = [design for seed in range(cases) if (design := checked(seed)) is not None]
    assert len(found) >= 0.9 * cases
    wrong = [f"{one.design}: {fault}" for one in found for fault in one.faults]
    assert not wrong, "\n".join(wrong)


def test_a_seed_is_one_design_and_seeds_differ() -> None:
    assert drawn(3) == drawn(3)
    some = [drawn(seed) for seed in range(40)]
    assert len({one.chip for one in some}) > 15
    assert len({one.node for one in some}) > 6
    assert len({one.model for one in some}) == 5


@pytest.mark.parametrize("what", LEFT_OUT)
def test_what_is_left_out_has_a_reason(what: str) -> None:
    assert what.partition(":")[0] in ("levels", "node", "channels")
    assert len(LEFT_OUT[what]) > 40
