"""Section ``blind``: chips written from the docs, and predicted before they were compared."""

from __future__ import annotations

from dse.validation import published
from dse.validation.measured import sample_of
from dse.validation.null_models import CHIP_MODELS, NETWORK_MODELS, predictions
from dse.validation.predict import missing, predict
from dse.validation.record import Row, Section, median_error


def blind() -> Section:
    """Latency now, with what was said before the figure was read in the note.

    The null models are fitted on the rows of the section ``shipped``, chips that were known before.
    """
    rows: list[Row] = []
    said: list[float] = []
    for item in published.blinds():
        why = missing(item.case)
        ours = None if why else predict(item.case).latency_s
        first = f"predicted {item.predicted_s:.4g} s before the figure was read"
        note = "; ".join(text for text in (first, item.note, why) if text)
        name = f"{item.model} on {item.chip}"
        rows.append(Row(name, "latency s", item.latency_s, ours, "judged", item.kind, note))
        said.append(item.predicted_s / item.latency_s)
    notes = [f"as predicted then: median absolute error {median_error(said):.0%}"]
    for chip in dict.fromkeys(item.chip for item in published.blinds()):
        ratios = [r for r, item in zip(said, published.blinds(), strict=True) if item.chip == chip]
        notes.append(f"{chip}, as predicted then: {median_error(ratios):.0%} of {len(ratios)} rows")
    return Section("blind", tuple(rows), _nulls(), notes=tuple(notes))


def _nulls() -> dict[str, float]:
    """Median error on the blind rows of null models that know only the other chips."""
    known = [
        sample_of(item.case, item.family, item.latency_s)
        for item in published.silicon().rows
        if not missing(item.case)
    ]
    new = [
        sample_of(item.case, "blind", item.latency_s)
        for item in published.blinds()
        if not missing(item.case)
    ]
    found = {}
    for name, (terms, least) in (NETWORK_MODELS | CHIP_MODELS).items():
        guessed = predictions([*known, *new], terms, least, family_out=True)[len(known) :]
        ratios = [g / s.latency_s for g, s in zip(guessed, new, strict=True) if g is not None]
        error = median_error(ratios)
        if error is not None:
            found[f"{name}, family out"] = error
    return found
