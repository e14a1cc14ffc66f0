"""What a study is made of, and in what it differs from what is asked of its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.errors import InputError
from dse.schema import canonical_json, validate
from dse.search.experiment import Experiment
from dse.search.inputs import changed_inputs
from dse.version import model_version, search_version

#: Experiment fields that may change between a run and its continuation.
OPEN_FIELDS = ("trials", "title", "description", "stall", "max_s")
#: Fields of an experiment whose entries are named one by one.
_MAPPINGS = ("parameters", "fixed")
#: Differing fields of an experiment that are named, at most.
_NAMED = 4
#: Digits of a digest that are shown.
_DIGITS = 24
#: Longer values than this are not shown.
_SHORT = 60


@dataclass(frozen=True)
class Differences:
    """In what a study differs from what was asked for; each a text, empty where nothing does.

    ``model`` and ``technology``: then its figures are those of another model. ``search``: then
    other designs would be proposed from here on, though the figures are today's. ``experiment``
    and ``start``: then it is another study. ``inputs``: files of the same names hold other chips,
    apps or models, so that its figures are those of what was there before.
    """

    experiment: str = ""
    start: str = ""
    inputs: str = ""
    model: str = ""
    technology: str = ""
    search: str = ""

    @property
    def why(self) -> str:
        """What differs, in a sentence."""
        parts = [part for part in (self.model, self.technology, self.search) if part]
        made = f"made {' and '.join(parts)}" if parts else ""
        other = [part for part in (self.experiment, self.start) if part]
        if other:
            text = f"the folder holds another experiment: {'; '.join(other)}"
            return f"{text}; it was {made}, too" if made else text
        if self.inputs:
            text = f"the folder holds this experiment with other inputs: {self.inputs}"
            return f"{text}; it was {made}, too" if made else text
        return f"the folder holds this experiment, {made}"

    def ways_on(self, path: Path) -> str:
        """What the user can do now."""
        if self.experiment or self.start:
            return "give another --out folder"
        if self.inputs:
            return (
                "bring back the file as it was, give another --out folder, or begin a new study "
                f"with its best designs with `dse explore FILE --out NEW --warm-start {path}`"
            )
        return (
            f"report it as it is with `dse report {path} --out {path / 'report'}`, begin a new "
            f"study with its best designs with `dse explore FILE --out NEW --warm-start {path}`, "
            "or give another --out folder"
        )


def differences(
    config: Mapping[str, Any],
    experiment: Experiment,
    technology: str,
    start: Sequence[Mapping[str, Any]] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Differences | None:
    """In what a study (its configuration, in the form of today) is another than the one asked for.

    What it is made of is compared, not its identity: the form of an experiment may have changed.

    Args:
        start: None where the study does not say with what it began.
        inputs: digests of the chips, apps and models of now (:mod:`dse.search.inputs`).
    """
    begun = [dict(values) for values in start or ()]
    same_start = start is None or canonical_json(config.get("start", [])) == canonical_json(begun)
    model = _versions("model", config.get("version"), model_version())
    # A study of an early release does not name its search, and is of another model anyway; of one
    # of another model it need not be told, as the search's version counts the model's code, too.
    here = search_version()
    search = "" if model else _versions("search", config.get("search", here), here)
    experiments = _experiments(config.get("experiment"), experiment)
    found = Differences(
        experiment=experiments,
        inputs="" if experiments else changed_inputs(config.get("inputs"), inputs or {}),
        start="" if same_start else "it began with other designs (--warm-start)",
        model=model,
        technology=_data(config, technology),
        search=search,
    )
    return None if found == Differences() else found


def _versions(what: str, there: object, here: str) -> str:
    if there == here:
        return ""
    maker = f"{what} version {there}" if there else f"a {what} version that it does not name"
    return f"by {maker}, this is {here}"


def _data(config: Mapping[str, Any], here: str) -> str:
    there = config.get("technology")
    if there == here or not (there or config.get("version")):  # names neither: said once
        return ""
    data = f"technology data {str(there)[:_DIGITS]}" if there else "data that it does not name"
    return f"with {data}, these are {here[:_DIGITS]}"


def _experiments(there: object, here: Experiment) -> str:
    """The fields in which two experiments differ; empty if in none that counts."""
    try:
        if not isinstance(there, dict):
            raise InputError("none")
        stored = validate(Experiment, there)
    except InputError:
        return "its own cannot be read"
    left = set(OPEN_FIELDS)
    old = _flat(stored.model_dump(mode="json", exclude=left))
    new = _flat(here.model_dump(mode="json", exclude=left))
    differing = [
        name
        for name in dict.fromkeys((*old, *new))
        if name not in old
        or name not in new
        or canonical_json(old[name]) != canonical_json(new[name])
    ]
    named = [_difference(name, old, new) for name in differing[:_NAMED]]
    more = len(differing) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in content.items():
        if name in _MAPPINGS and isinstance(value, Mapping):
            out.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            out[name] = value
    return out


def _difference(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if name not in new:
        return f"{name} (only there)"
    if name not in old:
        return f"{name} (only here)"
    there, here = canonical_json(old[name]), canonical_json(new[name])
    if max(len(there), len(here)) > _SHORT:
        return name
    return f"{name} ({there} there, {here} here)"
