"""``dse --version`` and ``dse models|chips|nodes|apps|templates|show``."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import dse
from dse.api.options import UnknownOps
from dse.cli.output import print_json, print_table, print_tree
from dse.cli.parse import bindings
from dse.errors import InputError
from dse.files import SCHEMA_VERSION
from dse.printing import si

#: Columns of ``dse models`` for a person.
MODEL_COLUMNS = (
    "name", "task", "parameters", "macs", "stand_in_for", "licence", "description",
)  # fmt: skip


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


def listing(what: str, as_json: bool) -> None:
    """``dse models``, ``chips``, ``templates`` or ``apps``."""
    lists = {
        "models": dse.list_models,
        "chips": dse.list_chips,
        "templates": dse.list_templates,
        "apps": dse.list_apps,
    }
    found = lists[what]()
    if as_json:
        print_json(found.to_dict())
        return
    print_table(found.table(), MODEL_COLUMNS if what == "models" else None)


def schema() -> None:
    """The JSON schema of app files."""
    print_json(dse.app_schema())


def file_schema(kind: str, as_json: bool) -> None:
    """The numbers of a kind of file, or all of its fields."""
    if as_json:
        print_json(dse.file_schema(kind))
        return
    rows = dse.file_numbers(kind).table()
    print_table(rows, title=f"numbers of a file of kind {kind} (*: any key or item)")
    print("\nall fields: --json prints the JSON schema, for editors")


def nodes(line: str | None, plot: str | None, volumes: str | None, as_json: bool) -> None:
    """The node table, or the unit cost by node."""
    asked = None if volumes is None else _volumes(volumes)
    found = dse.nodes(line, volumes=asked, plot=plot)
    if as_json:
        print_json(found.to_dict())
        return
    if found.unit_cost:
        print("unit cost, USD: 4 TMAC/s of int8 and 4 MiB of SRAM as a small NPU, without DRAM")
        print_table(found.unit_cost)
    else:
        print("at nominal voltage, and at an equal clock; int8 MAC alone, SRAM of 128 KiB, 60 C")
        print_table([_node_line(row) for row in found.table()])
    if line is None and not found.unit_cost:
        print("\nlines (a search can be restricted to one: chip.node: {line: NAME})")
        columns = ["name", "nodes", "date", "note"]
        print_table([{key: row[key] for key in columns} for row in found.lines])
    if plot is not None:
        print(f"\nwritten: {plot}")


def _volumes(text: str) -> list[float]:
    """``1e5,1e6`` as numbers."""
    out = []
    for part in text.split(","):
        try:
            out.append(float(part))
        except ValueError:
            raise InputError(
                f"{part!r} is no volume", field="--volumes", mend="write 1e5,1e6,1e7"
            ) from None
    return out


def show(name: str, bind: Sequence[str], unknown_ops: UnknownOps, as_json: bool) -> None:
    """One thing in full: a tree, then the table of its layers or facts."""
    found = dse.show(name, unknown_ops=unknown_ops, bindings=bindings(bind))
    if as_json:
        print_json(found.to_dict())
        return
    print_tree({"schema_version": SCHEMA_VERSION, "kind": found.kind, **found.content})
    for rows in (found.layers, found.facts):
        if rows:
            print()
            print_table(rows)


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
