"""The kinds of files that carry a ``schema_version``, and the steps from each form to the next.

Every kind counts its own versions, from 1: a change in the form of a chip file makes no app file
old. The version of today is not written down a second time: it is one more than there are steps.
A new form is one :class:`Step` at the end of its kind's ``steps``; ``docs/files.md`` says how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dse.migrations.states import with_state

#: The field of every file that says in which form it is.
FIELD = "schema_version"


@dataclass(frozen=True)
class Step:
    """From one form of a kind to the next.

    Attributes:
        change: gives the content in the new form. It gets a copy of its own, may change it, looks
            at nothing else, and takes files that leave out what has a default or comes from a
            template. Its docstring says what changed and why: users see the first line.
        moved: fields that have another path now (``array.rows`` -> ``array.height``, ``*`` for
            every item of a list or every key), so that errors still point at the line in the user's
            file, and comments stay with what they speak of. ``change`` moves the values.
    """

    change: Callable[[dict[str, Any]], dict[str, Any]]
    moved: Mapping[str, str] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """What changed, in a line."""
        return (self.change.__doc__ or self.change.__name__).strip().splitlines()[0]


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        what: how it is called in errors.
        marks: groups of top-level fields; a file that has all of one group is of this kind. They
            hold for all of its forms.
        steps: the first leads from version 1 to 2.
        parts: where files of other kinds stand in it, by path in the form of today.
        required: the tool always wrote the version, so that a file without it is damaged; of the
            other kinds a file that does not say is of version 1.
    """

    what: str
    marks: tuple[tuple[str, ...], ...]
    steps: tuple[Step, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    required: bool = False

    @property
    def current(self) -> int:
        """The version that this release reads and writes."""
        return 1 + len(self.steps)


#: By name. What a file is is found in this order, see :func:`kind_of`.
KINDS: dict[str, Kind] = {
    "study": Kind(
        "a study's configuration",
        (("identity", "experiment"),),
        parts={"experiment": "experiment"},
        required=True,
    ),
    "outcome": Kind(
        "a line of a study's log",
        (("values", "violation"),),
        steps=(Step(with_state),),
        parts={"evaluation": "evaluation"},
        required=True,
    ),
    "progress": Kind("a line of a study's progress", (("hypervolume",),)),
    "storage": Kind("a study's storage", (), parts={"experiment": "experiment"}),
    "evaluation": Kind("the record of a design", (("by_scope",),)),
    "pareto": Kind(
        "a front", (("pareto",),), parts={"pareto.*.evaluation": "evaluation"}, required=True
    ),
    "quality": Kind("a report of measured quality", (("model_sha256",),)),
    "app": Kind("an app", (("streams",),)),
    "platform": Kind("a platform", (("device",),)),
    "experiment": Kind("an experiment", (("parameters",),)),
    "pins": Kind("a file of pins", (("pins",),)),
    "chip": Kind("a chip", (("template",), ("array",), ("buffer", "node"))),
}


def current(kind: str) -> int:
    """The version of ``kind`` that this release writes."""
    return KINDS[kind].current


def kind_of(content: Mapping[str, Any]) -> str | None:
    """What a file is, by its fields; None if it is none of ours."""
    for name, kind in KINDS.items():
        if any(all(field in content for field in group) for group in kind.marks):
            return name
    return None
