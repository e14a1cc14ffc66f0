"""The kernels that networks need, compiled or loaded ahead of the first layer."""

from __future__ import annotations

from dse.mapping.cost import outer_tiles
from dse.mapping.path import shortest
from dse.mapping.search import evaluated, kernel, levels
from dse.mapping.tools.compiling import COMPILED


def warm_up() -> None:
    """Compile all that networks need, or load it from Numba's disk cache (seconds when it is cold).

    Call it where a wait can be announced, and before workers that would each compile it; otherwise
    the first compute layer pays for it. Kernels of arrays with registers are compiled when one is
    mapped.
    """
    if COMPILED:
        for run, module in (
            (kernel.search, kernel),
            (levels.search_levels, levels),
            (outer_tiles.find_entries, outer_tiles),
            (evaluated.evaluate_tiles, evaluated),
            (shortest.shortest, shortest),
        ):
            run.compile(f"({module.SIGNATURE})")
