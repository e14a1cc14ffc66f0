"""One published figure beside the model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["judged", "fitted"]


@dataclass(frozen=True)
class CheckRow:
    """One comparison: ``ratio`` is ours over published."""

    item: str
    quantity: str
    published: float
    ours: float
    role: Role
    kind: str
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours over published."""
        return self.ours / self.published

    def to_dict(self) -> dict[str, float | str]:
        """The row of ``dse validate``."""
        return {
            "item": self.item,
            "quantity": self.quantity,
            "published": self.published,
            "ours": self.ours,
            "ratio": self.ratio,
            "role": self.role,
            "kind": self.kind,
            "note": self.note,
        }
