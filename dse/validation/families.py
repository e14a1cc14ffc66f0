"""Families of silicon: what is left out together when a chip is judged.

One die, or one generation of a vendor's accelerator, is one family. The list is data
(``data/families.yaml``), written before any fit or comparison that uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dse.errors import InputError
from dse.files import nearest
from dse.registry import cached
from dse.schema import Strict
from dse.validation.published import read_data

Text = Annotated[str, Field(min_length=1)]


class Die(Strict):
    """Names under which one die is sold."""

    names: tuple[Text, ...] = Field(min_length=2)
    reason: Text


class Family(Strict):
    """Members of one family.

    ``chips`` are names of chip files, ``runtime`` names of figures of runtime classes that were
    estimated on members, ``kin`` families that share a supplier and differ in silicon.
    """

    id: Text
    vendor: Text
    reason: Text
    chips: tuple[Text, ...]
    runtime: tuple[Text, ...]
    dies: tuple[Die, ...] = ()
    kin: tuple[Text, ...] = ()


class Families(Strict):
    schema_version: Literal[1]
    families: tuple[Family, ...]

    @model_validator(mode="after")
    def _each_once(self) -> Families:
        for what in ("id", "chips", "runtime"):
            seen: set[str] = set()
            for family in self.families:
                said = getattr(family, what)
                for name in (said,) if isinstance(said, str) else said:
                    if name in seen:
                        raise ValueError(f"{what}: {name!r} is there twice; a member has one place")
                    seen.add(name)
        known = {family.id for family in self.families}
        for family in self.families:
            for other in family.kin:
                if other not in known or other == family.id:
                    raise ValueError(f"kin of {family.id}: there is no other family {other!r}")
        return self


@cached(1)
def families() -> Mapping[str, Family]:
    """Every family by its name."""
    return {family.id: family for family in read_data("families.yaml", Families).families}


@cached(1)
def _family_by_chip() -> Mapping[str, str]:
    return {chip: family.id for family in families().values() for chip in family.chips}


def family_of(chip: str) -> Family:
    """The family of a chip.

    Raises:
        InputError: the chip is in no family.
    """
    known = _family_by_chip()
    if chip not in known:
        raise InputError(
            f"{chip!r} is in no family of silicon",
            field="chip",
            mend=f"add it to families.yaml{nearest(chip, list(known))}",
        )
    return families()[known[chip]]


def runtime_of_family(family: Family, estimates: Iterable[str]) -> tuple[str, ...]:
    """Which of the figures of a runtime class were estimated on the family."""
    return tuple(name for name in estimates if name in family.runtime)
