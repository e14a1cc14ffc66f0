"""``dse --version`` and ``dse models|chips|nodes|apps|templates|show``."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from dse.cli.output import print_json, print_table, print_tree, si
from dse.errors import InputError
from dse.files import SCHEMA_VERSION, is_file, nearest

if TYPE_CHECKING:
    from dse.workload.layer import Binding


def versions(as_json: bool) -> None:
    """The package's version, and the digests that results, studies and mappings are kept under."""
    from dse.version import __version__, mapper_version, model_version, search_version

    if not as_json:
        print(f"dse {__version__} (model {model_version().partition('+')[2]})")
        return
    print_json(
        {
            "schema_version": SCHEMA_VERSION,
            "version": __version__,
            "model": model_version(),
            "search": search_version(),
            "mapper": mapper_version(),
            "python": platform.python_version(),
        }
    )


def models(as_json: bool) -> None:
    from dse.workload import list_models

    _emit(
        "models",
        [_row(model) for model in list_models()],
        as_json,
        ["name", "task", "parameters", "macs", "stand_in_for", "licence", "description"],
    )


def chips(as_json: bool) -> None:
    from dse.hardware.library import list_chips

    _emit("chips", [_row(chip) for chip in list_chips()], as_json)


def templates(as_json: bool) -> None:
    from dse.hardware.library import list_templates

    _emit("templates", [_row(template) for template in list_templates()], as_json)


def nodes(line: str | None, plot: str | None, volumes: str | None, as_json: bool) -> None:
    from dse.technology import load_technology

    lines = load_technology().lines
    rows = _node_rows()
    if line is not None:
        if line not in lines:
            raise InputError(
                f"unknown line {line!r}",
                field="--line",
                mend=f"use one of: {', '.join(lines)}" + nearest(line, list(lines)),
            )
        rows = [row for row in rows if row["node_nm"] in lines[line].nodes]
    if plot is not None:
        from dse.reports.nodes import plot_nodes

        plot_nodes(rows, plot)
    known = [_row(found) for found in lines.values()]
    asked = volumes is not None
    costs = _costs(volumes or "", [row["node_nm"] for row in rows]) if asked else []
    if as_json:
        content = {"nodes": rows, "lines": known, **({"unit_cost": costs} if asked else {})}
        print_json({"schema_version": SCHEMA_VERSION, **content})
        return
    if costs:
        print("unit cost, USD: 4 TMAC/s of int8 and 4 MiB of SRAM as a small NPU, without DRAM")
        print_table(costs)
    else:
        print("at nominal voltage, and at an equal clock; int8 MAC alone, SRAM of 128 KiB, 60 C")
        print_table([_node_line(row) for row in rows])
    if line is None and not costs:
        print("\nlines (a search can be restricted to one: chip.node: {line: NAME})")
        columns = ["name", "nodes", "date", "note"]
        print_table([{key: found[key] for key in columns} for found in known])
    if plot is not None:
        print(f"\nwritten: {plot}")


def apps(as_json: bool, *, schema: bool = False) -> None:
    from dse.apps import app_schema, list_apps

    if schema:
        print_json(app_schema())
        return
    rows = [
        {
            "name": app.name,
            "title": app.title,
            "domain": app.domain,
            "streams": len(app.streams),
            "module_power_w": app.budgets.module_power_w,
            "unit_cost_usd": app.budgets.unit_cost_usd,
            "volume": app.budgets.volume,
        }
        for app in list_apps()
    ]
    _emit("apps", rows, as_json)


def file_schema(kind: str, as_json: bool) -> None:
    from dse.search.schemas import file_schema as schema_of
    from dse.search.schemas import number_fields

    schema = schema_of(kind)
    if as_json:
        print_json(schema)
        return
    rows = [
        {"field": one.field, "range": one.range, "unit": one.unit, "ground": one.ground}
        for one in number_fields(schema)
    ]
    print_table(rows, title=f"numbers of a file of kind {kind} (*: any key or item)")
    print("\nall fields: --json prints the JSON schema, for editors")


def _row(record: Any) -> dict[str, Any]:
    """A catalogue entry as a plain mapping."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return dataclasses.asdict(record)
    return dict(record.model_dump(mode="json")) if hasattr(record, "model_dump") else dict(record)


def _emit(
    key: str, rows: list[dict[str, Any]], as_json: bool, columns: list[str] | None = None
) -> None:
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, key: rows})
        return
    known = [name for name in columns or [] if rows and name in rows[0]]
    print_table(rows, known or None)


def show(
    name: str, bind: Sequence[str], unknown_ops: Literal["error", "host"], as_json: bool
) -> None:
    """The first kind of thing that ``name`` is: app, platform, chip, template, node, model."""
    from dse.cli.parse import bindings, has_settings

    sizes = bindings(bind)
    found = None
    if not has_settings(name) and not sizes:
        found = _app(name) or _platform(name) or _chip(name) or _template(name) or _node(name)
    try:
        content = {"schema_version": SCHEMA_VERSION, **(found or _model(name, sizes, unknown_ops))}
    except InputError as error:
        near = nearest(name, _names()) if error.message.startswith("unknown model") else ""
        if not near:
            raise
        raise InputError(
            f"nothing that ships is called {name!r}",
            mend="see dse models, chips, templates, nodes or apps" + near,
        ) from None
    if as_json:
        print_json(content)
        return
    layers = content.pop("layers", None)
    facts = content.pop("facts", None)
    print_tree(content)
    for rows in (layers, facts):
        if rows:
            print()
            print_table(rows)


def _names() -> list[str]:
    """The names of everything that ``dse show`` knows."""
    from dse.apps import list_apps
    from dse.hardware.library import list_chips, list_templates
    from dse.hardware.platform import shipped_platforms
    from dse.workload import list_models

    listed = (*list_models(), *list_chips(), *list_templates(), *list_apps())
    return [*(str(_row(found)["name"]) for found in listed), *shipped_platforms()]


def _app(name: str) -> dict[str, Any] | None:
    from dse.apps import figures, load_app
    from dse.cli.parse import is_app
    from dse.files import shipped_folder

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
    from dse.hardware.library import list_chips
    from dse.hardware.resolve import load_chip
    from dse.hardware.table import chip_table

    if name not in {chip.name for chip in list_chips()} and not name.endswith((".yaml", ".yml")):
        return None
    return {"kind": "chip", **chip_table(load_chip(name))}


def _template(name: str) -> dict[str, Any] | None:
    from dse.hardware.library import list_templates, load_template

    if name not in {template.name for template in list_templates()}:
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


def _of_another_node(fact: dict[str, Any], node: int, nodes: set[int]) -> bool:
    """Whether a fact belongs to one node, and that is not ``node``."""
    last = str(fact["path"]).rpartition(".")[2]
    return last.isdigit() and int(last) in nodes and int(last) != node


def _node_rows() -> list[dict[str, Any]]:
    from dse.technology import load_technology

    return [{"name": f"{row['node_nm']}nm", **row} for row in load_technology().node_table()]


def _costs(volumes: str, nodes: list[int]) -> list[dict[str, Any]]:
    """The same small die at every node, with the parts of its unit cost, by volume."""
    from dse.technology import load_technology
    from dse.technology.table import unit_cost_by_node

    out: list[dict[str, Any]] = []
    for text in volumes.split(","):
        try:
            volume = float(text)
        except ValueError:
            volume = 0.0
        if not 0 < volume < float("inf"):
            raise InputError(f"{text!r} is no volume", field="--volumes", mend="write 1e5,1e6,1e7")
        found = unit_cost_by_node(
            load_technology(), volume, macs_per_s=4e12, sram_bytes=4 * 2**20, nodes=tuple(nodes)
        )
        cheapest = min(found, key=lambda cost: cost.total_usd).node_nm
        for cost in sorted(found, key=lambda c: -c.node_nm):
            parts = {k: v for k, v in _row(cost).items() if k.endswith(("_usd", "_per_unit"))}
            out.append(
                {
                    "volume": volume,
                    "node": f"{cost.node_nm}nm",
                    "unit_cost_usd": cost.total_usd,
                    "cheapest": cost.node_nm == cheapest,
                    **{name: value for name, value in parts.items() if name != "unit_cost_usd"},
                }
            )
    return out


def _node_line(row: dict[str, Any]) -> dict[str, Any]:
    """A row of ``dse nodes`` for a person."""
    return {
        "node": row["name"],
        "V": row["nominal_v"],
        "clock": si(row["f_at_nominal_hz"], "Hz"),
        "max": si(row["f_max_hz"], "Hz"),
        "MAC": si(row["int8_mac_pj_at_nominal"] * 1e-12, "J"),
        "SRAM/bit": si(row["sram_128kib_pj_per_bit_at_nominal"] * 1e-12, "J"),
        "equal clock": si(row["equal_f_hz"], "Hz"),
        "at V": row["voltage_at_equal_f_v"],
        "its MAC": si(row["int8_mac_pj_at_equal_f"] * 1e-12, "J"),
        "Mgate/mm2": row["logic_mgates_per_mm2"],
        "MiB/mm2": row["sram_mib_per_mm2"],
        "leak/mm2": si(row["logic_leakage_w_per_mm2_60c"], "W"),
        "wafer USD": f"{row['wafer_usd']:,.0f}",
        "D0/cm2": row["defects_per_cm2"],
        "full SoC design": f"{row['design_full_soc_usd'] / 1e6:,.0f} M USD",
    }


def _model(
    name: str, sizes: Mapping[str, Binding], unknown_ops: Literal["error", "host"]
) -> dict[str, Any]:
    from dse.model_quality import quality
    from dse.workload import layer_table, list_models, load_model

    model = load_model(name, unknown_ops=unknown_ops, **sizes)
    workload = model.at(None)
    fates: dict[str, int] = {}
    for fate in workload.fates.values():
        fates[fate] = fates.get(fate, 0) + 1
    found = quality(workload.family, workload.settings, workload.precision)
    about = next((_row(info) for info in list_models() if info.name == workload.model), {})
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
