"""Zeros in weights and activations: how a network is pruned, and which layers that touches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dse.errors import InputError

#: Settings of a model's name that this module reads.
KEYS = ("sparsity", "act_density")
_PATTERN = re.compile(r"(?P<n>\d{1,2}):(?P<m>\d{1,2})")


@dataclass(frozen=True, slots=True)
class Sparsity:
    """How many weights and activations are not zero.

    Attributes:
        weight_density: share of nonzero weights in the pruned layers, 0 to 1.
        weight_pattern: ``dense``, ``unstructured`` or ``n:m`` (at most n of m neighbours along the
            input channels are nonzero; its density is n/m).
        act_density: share of nonzero activations behind a ReLU, 0 to 1.

    Which layers are pruned: compute layers with stored weights that are not depthwise; with n:m
    those whose input channels are a multiple of m (the rule of structured-sparse tensor units);
    unstructured those that do not read an input of the network (first layers and depthwise ones
    hold few weights and are customarily left alone: Zhu and Gupta, arXiv 1710.01878, recalled).
    """

    weight_density: float = 1.0
    weight_pattern: str = "dense"
    act_density: float = 1.0

    @property
    def dense(self) -> bool:
        return self.weight_pattern == "dense" and self.act_density == 1.0

    @property
    def name(self) -> str:
        """How the weights are pruned, as the setting ``sparsity`` is written; empty if dense."""
        if self.weight_pattern == "unstructured":
            return f"{1.0 - self.weight_density:.6g}"
        return "" if self.weight_pattern == "dense" else self.weight_pattern

    @property
    def settings(self) -> dict[str, str]:
        """The settings that read back as this; none if dense."""
        found = {"sparsity": self.name} if self.name else {}
        return found | ({"act_density": f"{self.act_density:.6g}"} if self.act_density < 1 else {})


#: No zeros that anyone counts on.
DENSE = Sparsity()


def parse_sparsity(settings: Mapping[str, str]) -> Sparsity:
    """The sparsity that a name asks for.

    Args:
        settings: of them ``sparsity`` (``2:4``, or the share of zeros such as ``0.6``) and
            ``act_density`` (share of nonzero activations) are read.

    Raises:
        InputError: a value that is neither; names the setting.
    """
    density, pattern = 1.0, "dense"
    text = settings.get("sparsity", "0")
    if match := _PATTERN.fullmatch(text):
        n, m = int(match["n"]), int(match["m"])
        if not 0 < n <= m:
            raise InputError(
                f"sparsity={text} keeps {n} of {m} weights",
                field="sparsity",
                mend="write n:m with n from 1 to m, such as 2:4",
            )
        density, pattern = n / m, text if n < m else "dense"
    elif text != "dense":
        zeros = _share(text)
        if zeros is None or zeros >= 1:
            raise InputError(
                f"sparsity={text} is no share of zeros",
                field="sparsity",
                mend="write n:m such as 2:4, or a number from 0 to below 1 such as 0.6",
            )
        density, pattern = 1.0 - zeros, "unstructured" if zeros else "dense"
    acts = _share(settings.get("act_density", "1"))
    if not acts:
        raise InputError(
            f"act_density={settings['act_density']} is no share of nonzero activations",
            field="act_density",
            mend="write a number above 0, at most 1, such as 0.5",
        )
    return Sparsity(density, pattern, acts)


def _share(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None
