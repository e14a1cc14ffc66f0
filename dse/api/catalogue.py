"""What ships: models, chips, templates, nodes and apps; and one of them in full."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.api.loading import has_settings, is_app
from dse.api.options import UnknownOps
from dse.errors import InputError
from dse.files import SCHEMA_VERSION, is_file, nearest, shipped_folder
from dse.printing import Printed

if TYPE_CHECKING:
    from dse.workload.layer import Binding


@dataclass(frozen=True, repr=False)
class Listing(Printed):
    """What ships of one kind: ``kind`` in the plural, and a row for each."""

    kind: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The first field of each row: the names that the load functions take."""
        return tuple(str(next(iter(row.values()))) for row in self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``; the rows under their kind."""
        return {"schema_version": SCHEMA_VERSION, self.kind: self.table()}

    def table(self) -> list[dict[str, Any]]:
        """The rows as plain mappings."""
        return [dict(row) for row in self.rows]

    def _title(self) -> str:
        return f"{len(self.rows)} {self.kind}"


def list_models() -> Listing:
    """The shipped networks: task, parameters, MACs, licence, source."""
    from dse.workload import list_models as found

    return Listing("models", tuple(map(_row, found())))


def list_chips() -> Listing:
    """The shipped chips: template, node, clock (Hz), cores, MACs per cycle, formats."""
    from dse.hardware import list_chips as found

    return Listing("chips", tuple(map(_row, found())))


def list_templates() -> Listing:
    """The families of chips, with the ranges that a search may turn."""
    from dse.hardware import list_templates as found

    return Listing("templates", tuple(map(_row, found())))


def list_apps() -> Listing:
    """The shipped applications: streams, power (W) and unit cost (USD) allowed, volume (units)."""
    from dse.apps import list_apps as found

    rows = (
        {
            "name": app.name,
            "title": app.title,
            "domain": app.domain,
            "streams": len(app.streams),
            "module_power_w": app.budgets.module_power_w,
            "unit_cost_usd": app.budgets.unit_cost_usd,
            "volume": app.budgets.volume,
        }
        for app in found()
    )
    return Listing("apps", tuple(rows))


def app_schema() -> dict[str, Any]:
    """The JSON schema of app files, for editors."""
    from dse.apps import app_schema as schema

    return schema()


def file_schema(kind: str) -> dict[str, Any]:
    """The JSON schema of a kind of file, with range, unit and ground of every number.

    Args:
        kind: ``app``, ``chip``, ``experiment`` or ``platform``.

    Raises:
        InputError: no such kind.
    """
    from dse.search.schemas import file_schema as schema_of

    return schema_of(kind)


def file_numbers(kind: str) -> Listing:
    """The numbers of a kind of file by field, with range, unit and the ground of the range.

    Args:
        kind: ``app``, ``chip``, ``experiment`` or ``platform``.

    Raises:
        InputError: no such kind.
    """
    from dse.search.schemas import number_fields

    rows = (
        {"field": one.field, "range": one.range, "unit": one.unit, "ground": one.ground}
        for one in number_fields(file_schema(kind))
    )
    return Listing("numbers", tuple(rows))


@dataclass(frozen=True, repr=False)
class NodeTable(Printed):
    """The process nodes, the production lines, and the unit cost of one small die if asked for.

    ``rows``: by node, energies in pJ, clocks in Hz, areas, leakage and cost by the names of their
    columns; ``lines``: dated sets of nodes; ``unit_cost``: by volume and node, USD.
    """

    rows: tuple[Mapping[str, Any], ...]
    lines: tuple[Mapping[str, Any], ...]
    unit_cost: tuple[Mapping[str, Any], ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version``."""
        asked = {} if self.unit_cost is None else {"unit_cost": list(self.unit_cost)}
        found = {"nodes": self.table(), "lines": list(self.lines), **asked}
        return {"schema_version": SCHEMA_VERSION, **found}

    def table(self) -> list[dict[str, Any]]:
        """One row per node."""
        return [dict(row) for row in self.rows]

    def _title(self) -> str:
        return f"{len(self.rows)} process nodes"


def nodes(
    line: str | None = None, *, volumes: Sequence[float] | None = None, plot: str | None = None
) -> NodeTable:
    """The process nodes with energy, speed, area, leakage and cost.

    Args:
        line: only the nodes of a production line, such as ``jasm1``.
        volumes: also the unit cost of one small die by node at these volumes, units.
        plot: an HTML file for plots of them.

    Raises:
        InputError: unknown line, a volume that is none, or a file that cannot be written.
    """
    from dse.technology import load_technology

    lines = load_technology().lines
    rows = _node_rows()
    if line is not None:
        if line not in lines:
            raise InputError(
                f"unknown line {line!r}",
                field="line",
                mend=f"use one of: {', '.join(lines)}" + nearest(line, list(lines)),
            )
        rows = [row for row in rows if row["node_nm"] in lines[line].nodes]
    if plot is not None:
        from dse.reports.nodes import plot_nodes

        plot_nodes(rows, plot)
    costs = None
    if volumes is not None:
        costs = tuple(_costs(volumes, [row["node_nm"] for row in rows]))
    return NodeTable(tuple(rows), tuple(map(_row, lines.values())), costs)


@dataclass(frozen=True, repr=False)
class Shown(Printed):
    """One model, chip, platform, node, app or template in full: ``content`` by name.

    ``layers`` are those of a model, ``facts`` those of an app or a node with their sources.
    """

    kind: str
    content: Mapping[str, Any]
    layers: tuple[Mapping[str, Any], ...] = ()
    facts: tuple[Mapping[str, Any], ...] = ()
    _has: tuple[str, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready mapping with ``schema_version`` and ``kind``."""
        rows = {name: list(getattr(self, name)) for name in self._has}
        return {"schema_version": SCHEMA_VERSION, "kind": self.kind, **self.content, **rows}

    def table(self) -> list[dict[str, Any]]:
        """The layers, else the facts."""
        return [dict(row) for row in self.layers or self.facts]

    def _title(self) -> str:
        return f"{self.kind} {self.content.get('name', '')}".rstrip()

    def _figures(self) -> Mapping[str, Any]:
        plain = (str, int, float, bool)
        return {k: v for k, v in self.content.items() if isinstance(v, plain) and k != "name"}


def show(
    name: str,
    *,
    unknown_ops: UnknownOps = "error",
    bindings: Mapping[str, Binding] | None = None,
) -> Shown:
    """The first kind of thing that ``name`` is: app, platform, chip, template, node, model.

    Args:
        name: a shipped name, a file, or a node such as ``7nm``.
        unknown_ops, bindings: of a model, see :func:`dse.load_model`.

    Raises:
        InputError: nothing is called so, or a fault in its file.
    """
    found = None
    if not has_settings(name) and not bindings:
        found = _app(name) or _platform(name) or _chip(name) or _template(name) or _node(name)
    try:
        content = dict(found or _model(name, bindings or {}, unknown_ops))
    except InputError as error:
        near = nearest(name, _names()) if error.message.startswith("unknown model") else ""
        if not near:
            raise
        raise InputError(
            f"nothing that ships is called {name!r}",
            mend="see dse models, chips, templates, nodes or apps" + near,
        ) from None
    kind = content.pop("kind")
    rows = {key: tuple(content.pop(key)) for key in ("layers", "facts") if key in content}
    return Shown(kind, content, **rows, _has=tuple(rows))


def _row(record: Any) -> dict[str, Any]:
    """A catalogue entry as a plain mapping."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        row = dataclasses.asdict(record)
        return {key: str(v) if isinstance(v, Path) else v for key, v in row.items()}
    return dict(record.model_dump(mode="json")) if hasattr(record, "model_dump") else dict(record)


def _names() -> list[str]:
    """The names of everything that :func:`show` knows."""
    from dse.hardware.platform import shipped_platforms

    listed = (list_models(), list_chips(), list_templates(), list_apps())
    return [*(name for found in listed for name in found.names), *shipped_platforms()]


def _app(name: str) -> dict[str, Any] | None:
    from dse.apps import figures, load_app

    shipped = is_file(shipped_folder("experiments") / "apps" / f"{name}.yaml")
    if not shipped and not (is_app(name) and _has_streams(name)):
        return None
    app = load_app(name)
    facts = [dataclasses.asdict(figure) for figure in figures(app)]
    return {"kind": "app", **app.model_dump(mode="json"), "facts": facts}


def _has_streams(path: str) -> bool:
    """Whether a YAML file is an app's."""
    from dse.migrations import kind_of
    from dse.schema import read_yaml

    return kind_of(read_yaml(path)[0]) == "app"


def _platform(name: str) -> dict[str, Any] | None:
    from dse.hardware.platform import load_platform_spec, platform_file

    path = platform_file(name)
    if path is None:
        return None
    return {"kind": "platform", **load_platform_spec(path).model_dump(mode="json")}


def _chip(name: str) -> dict[str, Any] | None:
    from dse.hardware import chip_table, load_chip

    if name not in list_chips().names and not name.endswith((".yaml", ".yml")):
        return None
    return {"kind": "chip", **chip_table(load_chip(name))}


def _template(name: str) -> dict[str, Any] | None:
    from dse.hardware import load_template

    if name not in list_templates().names:
        return None
    # A template's own ``kind`` names its cores; here the word says what is shown.
    return {**load_template(name), "kind": "template"}


def _node(name: str) -> dict[str, Any] | None:
    from dse.technology import load_technology, parse_node

    if not name.lower().removesuffix("nm").replace(".", "", 1).isdigit():
        return None
    node = parse_node(name)
    technology = load_technology()
    rows = [row for row in _node_rows() if row["node_nm"] == node]
    every = {*technology.nodes, *technology.validation_nodes}
    facts = [f for f in map(_row, technology.facts()) if not _of_another_node(f, node, every)]
    return {"kind": "node", **(rows[0] if rows else {"name": f"{node}nm"}), "facts": facts}


def _of_another_node(fact: dict[str, Any], node: int, every: set[int]) -> bool:
    """Whether a fact belongs to one node, and that is not ``node``."""
    last = str(fact["path"]).rpartition(".")[2]
    return last.isdigit() and int(last) in every and int(last) != node


def _node_rows() -> list[dict[str, Any]]:
    from dse.technology import load_technology, node_table

    return [{"name": f"{row['node_nm']}nm", **row} for row in node_table(load_technology())]


def _costs(volumes: Sequence[float], sizes: list[int]) -> Iterator[dict[str, Any]]:
    """The same small die at every node, with the parts of its unit cost, by volume."""
    from dse.technology import load_technology
    from dse.technology.table import unit_cost_by_node

    for volume in volumes:
        if not 0 < volume < float("inf"):
            raise InputError(f"{volume:g} is no volume", field="volumes", mend="give units above 0")
        found = unit_cost_by_node(
            load_technology(), volume, macs_per_s=4e12, sram_bytes=4 * 2**20, nodes=tuple(sizes)
        )
        cheapest = min(found, key=lambda cost: cost.total_usd).node_nm
        for cost in sorted(found, key=lambda c: -c.node_nm):
            parts = {k: v for k, v in _row(cost).items() if k.endswith(("_usd", "_per_unit"))}
            yield {
                "volume": volume,
                "node": f"{cost.node_nm}nm",
                "unit_cost_usd": cost.total_usd,
                "cheapest": cost.node_nm == cheapest,
                **{name: value for name, value in parts.items() if name != "unit_cost_usd"},
            }


def _model(name: str, bindings: Mapping[str, Binding], unknown_ops: UnknownOps) -> dict[str, Any]:
    from dse.model_quality import quality
    from dse.workload import layer_table, load_model

    model = load_model(name, unknown_ops=unknown_ops, **bindings)
    workload = model.at(None)
    fates: dict[str, int] = {}
    for fate in workload.fates.values():
        fates[fate] = fates.get(fate, 0) + 1
    found = quality(workload.family, workload.settings, workload.precision)
    about = next((row for row in list_models() if row["name"] == workload.model), {})
    kept = ("task", "source", "licence", "stand_in_for", "stand_in_why")
    return {
        "kind": "model",
        "name": workload.name,
        **{key: about[key] for key in kept if about.get(key)},
        "family": workload.family,
        "precision": workload.precision.name,
        "sparsity": workload.sparsity.name or "dense",
        "quality": found.to_dict() if found else "unknown",
        "macs": workload.macs,
        "parameters": workload.parameters,
        "weight_bytes": workload.weight_bytes,
        "stored_bytes": workload.stored_bytes,
        "kv_bytes": sum(t.bytes for t in workload.tensors.values() if t.role == "kv"),
        "inputs": {n: list(workload.tensors[n].shape) for n in workload.inputs},
        "outputs": {n: list(workload.tensors[n].shape) for n in workload.outputs},
        "nodes_by_fate": fates,
        "remarks": list(model.remarks),
        "layers": layer_table(workload),
    }
