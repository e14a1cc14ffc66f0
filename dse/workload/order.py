"""An order of execution, in time that grows with the graph and no faster."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dse.workload.graph import Node


def ordered(nodes: Sequence[Node], given: Collection[str]) -> tuple[tuple[Node, ...], Node | None]:
    """``nodes`` so that each comes behind what it reads, and a node of a cycle if there is one.

    The order is that of sweeps over the list, each of which takes every node whose inputs are
    there: the sweep that takes a node is the latest one of its producers, and the next one if
    that producer stands behind it in the list. So a list in order stays as it is.

    Args:
        nodes: no tensor is written by two of them.
        given: tensors that are there from the start.
    """
    producer = {name: i for i, node in enumerate(nodes) for name in node.outputs if name}
    if _in_order(nodes, producer, given):
        return tuple(nodes), None
    before = [
        {producer[name] for name in node.inputs if name in producer and name not in given}
        for node in nodes
    ]
    readers: list[list[int]] = [[] for _ in nodes]
    for i, reads in enumerate(before):
        for p in reads:
            readers[p].append(i)
    open_reads = [len(reads) for reads in before]
    sweep = [0] * len(nodes)
    ready = [i for i, count in enumerate(open_reads) if not count]
    for i in ready:  # grows while it is walked over
        for reader in readers[i]:
            sweep[reader] = max(sweep[reader], sweep[i] + (i > reader))
            open_reads[reader] -= 1
            if not open_reads[reader]:
                ready.append(reader)
    if len(ready) < len(nodes):
        return (), nodes[_on_cycle(before, open_reads)]
    return tuple(nodes[i] for i in sorted(ready, key=lambda i: (sweep[i], i))), None


def _in_order(nodes: Sequence[Node], produced: Collection[str], given: Collection[str]) -> bool:
    """Whether every node stands behind what it reads, as exporters write them."""
    done: set[str] = set()
    for node in nodes:
        for name in node.inputs:
            if name not in done and name in produced and name not in given:
                return False
        done.update(node.outputs)
    return True


def _on_cycle(before: Sequence[Collection[int]], open_reads: Sequence[int]) -> int:
    """A node on a cycle, found by going backwards from one that was never ready."""
    i = next(i for i, count in enumerate(open_reads) if count)
    seen: set[int] = set()
    while i not in seen:
        seen.add(i)
        i = min(p for p in before[i] if open_reads[p])
    return i
