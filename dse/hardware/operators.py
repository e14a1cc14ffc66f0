"""Operators that a vendor's software runs on its accelerator; all others go to the host.

``data/operators.json`` holds a list for each software, of ONNX operators (those of other formats
under the name that ONNX has for them), with version and source. A list knows names only: what a
vendor refuses by size, stride or axis stays on the accelerator here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Literal

from pydantic import Field, field_validator, model_validator

from dse.files import nearest
from dse.registry import cached
from dse.schema import Strict, distinct


class OperatorList(Strict):
    """What one version of a vendor's software runs on the accelerator.

    ``split``: what it runs on several cores at once, of a network that it is asked to split; null:
    all of them. ``split_source`` says how that is known.
    """

    about: str = Field(min_length=1)
    status: Literal["read", "recalled", "assumed"]
    source: str = Field(min_length=1)
    operators: tuple[str, ...] = Field(min_length=1)
    split: tuple[str, ...] | None = None
    split_source: str | None = None

    @field_validator("operators", "split")
    @classmethod
    def _each_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(sorted(distinct(value)))

    @model_validator(mode="after")
    def _split_is_known(self) -> OperatorList:
        if (self.split is None) != (self.split_source is None):
            raise ValueError("split and split_source go together; give both or none")
        foreign = set(self.split or ()) - set(self.operators)
        if foreign:
            raise ValueError(f"split names {', '.join(sorted(foreign))}, which operators does not")
        return self


class _File(Strict):
    schema_version: Literal[1]
    about: str
    lists: dict[str, OperatorList]


@cached(1)
def operator_lists() -> Mapping[str, OperatorList]:
    """Every list by name."""
    text = resources.files("dse.hardware").joinpath("data/operators.json").read_text("utf-8")
    return _File.model_validate(json.loads(text)).lists


def check_operators(name: str) -> None:
    """Refuse a list that does not exist.

    Raises:
        ValueError: with the names there are.
    """
    known = operator_lists()
    if name not in known:
        raise ValueError(
            f"operators: there is no list {name!r}; "
            f"use one of: {', '.join(known)}{nearest(name, list(known))}"
        )
