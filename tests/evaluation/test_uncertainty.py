"""Bands from shared draws."""

from __future__ import annotations

import pytest

import dse
from dse.evaluation import model_uncertainty, probability_better


def spread(node: str, draws: int = 12) -> object:
    chip = dse.load_chip("edge_vision", node=node)
    return model_uncertainty(dse.load_model("resnet8").at("w8a8"), chip, draws)


def test_bands_hold_the_nominal_value_and_repeat() -> None:
    first, again = spread("16nm"), spread("16nm")
    assert first == again
    band = first.bands["energy_j"]  # type: ignore[attr-defined]
    assert band.low < band.high
    assert band.low * 0.7 < band.nominal < band.high * 1.3


def test_shared_draws_are_surer_than_the_bands_overlap() -> None:
    """Bands of neighbouring nodes overlap, yet in almost every world the finer one takes less."""
    coarse, fine = spread("16nm", 24), spread("12nm", 24)
    wide, near = coarse.bands["energy_j"], fine.bands["energy_j"]  # type: ignore[attr-defined]
    assert wide.low < near.high
    chance = probability_better(
        fine.samples["energy_j"],  # type: ignore[attr-defined]
        coarse.samples["energy_j"],  # type: ignore[attr-defined]
    )
    assert chance is not None
    assert chance > 0.9


def test_probability_counts_ties_half_and_skips_unknown() -> None:
    assert probability_better([1.0, 2.0, None], [2.0, 2.0, 1.0]) == pytest.approx(0.75)
    assert probability_better([1.0], [2.0], "maximize") == 0.0
    assert probability_better([None], [1.0]) is None
