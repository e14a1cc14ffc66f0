"""``dse map``: the layer table of a model on a chip, or the loop nest of one layer."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dse
from dse.cli.layer_tables import layer_table, shortened
from dse.cli.output import print_json, print_table
from dse.cli.runs import ModelRequest, headline
from dse.errors import InputError
from dse.files import SCHEMA_VERSION
from dse.printing import si

if TYPE_CHECKING:
    from dse import Chip, Evaluation, NetworkMapping


def map_model(
    request: ModelRequest,
    objective: str,
    explain: str | None,
    as_json: bool,
    *,
    pin: str | None = None,
    fuse: bool = True,
    legal: bool = False,
    why: bool = False,
    cores: int = 1,
) -> None:
    """Print the layer table, or with ``explain`` one layer's loop nest.

    Args:
        request: model, chip and overrides.
        objective: what the mapper minimises.
        explain: name of a layer.
        as_json: one JSON object instead.
        pin: file of mappings or constraints that layers must keep to.
        fuse: whether groups of layers may run fused.
        legal: whether mappings keep to what the chip's compiler can express.
        why: in place of the mappings, where the time of each layer goes.
        cores: over which a layer is split.
    """
    made = dse.map_network(
        request.model(),
        request.chip,
        objective,
        precision=request.precision,
        cores=cores,
        kind=request.kind,
        fuse=fuse,
        legal=legal,
        pins=pin,
        settings=request.settings,
    )
    if explain is not None:
        _explain(made, explain, as_json)
        return
    record = made.evaluation
    if as_json:
        print_json(made.to_dict())
        return
    headline(record)
    print(f"  mapping: {_legality(made.program.legality, made.chip)}")
    print(f"  proven: {made.proven}")
    if why:
        reasons(record)
    else:
        proven = {name: str(one) for name, one in made.layer_certificates.items()}
        layer_table(record, proven)


def map_otherwise(
    request: ModelRequest,
    objective: str,
    front: str | None,
    as_json: bool,
    *,
    legal: bool,
    others: Mapping[str, object],
) -> None:
    """Print the mappings of a layer that no other beats, or a network laid out over all cores.

    Args:
        front: name of that layer.
        others: options that mean nothing here, by name, and whether they were given.
    """
    what = "--pipeline" if front is None else "--front"
    more = {"--legal": legal} if front is None else {"--objective": objective != "edp"}
    for name, given in {**others, **more}.items():
        if given and name != what:
            raise InputError(f"{what} knows no {name}", field=name, mend="leave one of them out")
    same: dict[str, Any] = {
        "precision": request.precision, "kind": request.kind, "settings": request.settings,
    }  # fmt: skip
    made: Any
    if front is None:
        made = dse.map_pipeline(request.model(), request.chip, objective, **same)
    else:
        made = dse.map_front(request.model(), request.chip, front, legal=legal, **same)
    if as_json:
        print_json(made.to_dict())
        return
    print(made._title())
    for name, figure in made._figures().items():
        print(f"  {name}: {figure}")
    print_table(made._rows())


def _explain(made: NetworkMapping, layer: str, as_json: bool) -> None:
    """One layer: its schedule, or its loop nest and what becomes of it in the network."""
    if as_json:
        found = {"layer": asdict(made.layer(layer)), "notes": list(made.workload_notes)}
        print_json({"schema_version": SCHEMA_VERSION, **found})
        return
    nest = made.loop_nest(layer)
    if made.evaluation.core_kind:
        print(f"on the {made.evaluation.core_kind} cores of {made.evaluation.chip}")
    print(nest)
    row = made.in_network(layer)
    seconds = si(row.latency_s, "s")
    print(f"in the network: {seconds}, bottleneck {row.bottleneck}; {row.why}")
    for note in made.workload_notes:
        print(f"note: {note}")


def _legality(legality: str, chip: Chip) -> str:
    if legality == "legal":
        return "legal, as the compiler can express it"
    if chip.legality.stated:
        return "ideal; --legal keeps to what the compiler can express"
    return "ideal; the chip does not say what its compiler can express"


def reasons(record: Evaluation) -> None:
    """Where the time of each layer goes, and why it runs below the peak of the array."""
    rows = [row for row in record.layers if row.name not in ("static", "idle")]
    total = sum(row.latency_s for row in record.layers)
    print(f"\n{'':<34} {'share':>6} | of the layer's time, %")
    print(f"{'layer':<34} {'of time':>6}| peak lanes passes waits   bottleneck")
    for row in rows:
        waits = sum(v for name, v in row.losses.items() if name not in ("lanes", "passes"))
        split_s = (row.losses.get("lanes", 0.0), row.losses.get("passes", 0.0), waits)
        parts = (row.utilization, *split_s) if row.macs else ()
        split = " ".join(f"{100.0 * share:5.1f}" for share in parts) or "    -"
        share = row.latency_s / total if total else 0.0
        print(f"{shortened(row.name, 34):<34} {share:6.1%} |{split:<23}   {row.bottleneck}")
        print(textwrap.fill(row.why, 100, initial_indent="    ", subsequent_indent="    "))
    macs = sum(row.utilization * row.latency_s for row in rows)
    lost_s: dict[str, float] = {}
    for row in rows:
        for name, part in row.losses.items() or [("layers without MACs", 1.0)]:
            lost_s[name] = lost_s.get(name, 0.0) + part * row.latency_s
    named = sorted(lost_s.items(), key=lambda part: -part[1])
    texts = {"lanes": "idle lanes", "passes": "array passes"}
    lost = ", ".join(
        f"{seconds / total:.0%} {texts.get(name, name)}"
        for name, seconds in named
        if seconds >= 0.005 * total
    )
    print(f"\nthe network: MACs at peak for {macs / total:.1%} of its time; lost to {lost}")
    print(
        "lanes: units of the array without a MAC while it works; passes: loading what stays in it,"
    )
    print("filling and draining it; all others: waiting")
