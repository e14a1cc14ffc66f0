"""The kinds of cores of a resolved chip: which cores are of which kind, and what each sees."""

from __future__ import annotations

from dse.errors import ImpossibleChipError, InputError
from dse.hardware.chip import Chip, CoreKind


def core_kinds(chip: Chip) -> tuple[CoreKind, ...]:
    """The kinds of cores, in the order of their numbers; of a chip with one kind, itself."""
    return chip.kinds or (CoreKind("", tuple(range(chip.cores)), chip),)


def view_of(chip: Chip, core: int) -> Chip:
    """The chip as core number ``core`` sees it; a chip with one kind of core is its own view."""
    return next((kind.chip for kind in chip.kinds if core in kind.cores), chip)


def one_kind(chip: Chip) -> None:
    """Refuse a chip with several kinds of cores where all must be equal.

    Raises:
        InputError: it has several; networks are mapped onto the view of one.
    """
    if chip.kinds:
        raise InputError(
            f"chip {chip.name} has several kinds of cores "
            f"({', '.join(kind.name for kind in chip.kinds)}), the parts must run on one",
            field="chip",
            mend="give the view of a kind: kind_named(chip, NAME).chip",
        )


def kind_named(chip: Chip, name: str, field: str = "cores") -> CoreKind:
    """The kind called ``name``.

    Raises:
        ImpossibleChipError: no such kind; the error lists those there are.
    """
    for kind in chip.kinds:
        if kind.name == name:
            return kind
    if not chip.kinds:
        raise ImpossibleChipError(
            f"chip {chip.name} has no kind of core {name!r}: its cores are all equal",
            field=field,
            mend=f"number its cores, 0 to {chip.cores - 1}, or take a chip with kinds",
        )
    raise ImpossibleChipError(
        f"chip {chip.name} has no kind of core {name!r}",
        field=field,
        mend="use one of: " + ", ".join(kind.name for kind in chip.kinds),
    )
