"""What imports what in ``dse/``, read from the source: nothing is imported for it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dse"


class Arrow(NamedTuple):
    """One name that a file imports from another, wherever in it: for types and in functions too."""

    source: str
    target: str
    #: None for the module itself.
    name: str | None


@functools.cache
def modules() -> Mapping[str, Path]:
    """Every module of the package by its dotted name; a package's is its ``__init__``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def arrows() -> tuple[Arrow, ...]:
    """All imports between the package's files; ``import_module`` of a full name counts."""
    return tuple(arrow for name, path in modules().items() for arrow in arrows_of(name, path))


def arrows_of(name: str, path: Path) -> Iterator[Arrow]:
    """What one file imports of the package."""
    known = modules()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: the house names modules in full"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield Arrow(name, inner, None)
                elif node.module in known:
                    yield Arrow(name, str(node.module), alias.name)
        elif isinstance(node, ast.Import):
            yield from (Arrow(name, a.name, None) for a in node.names if a.name in known)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            for given in node.args[:1]:
                if isinstance(given, ast.Constant) and given.value in known:
                    yield Arrow(name, str(given.value), None)


def circles(pairs: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """Groups of names of which each leads to each other: Tarjan's components."""
    leads: dict[str, list[str]] = {}
    for source, target in pairs:
        leads.setdefault(source, []).append(target)
        leads.setdefault(target, [])
    found: set[frozenset[str]] = set()
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in leads[name]:
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            at = stack.index(name)
            group = frozenset(stack[at:])
            del stack[at:]
            if len(group) > 1 or name in leads[name]:
                found.add(group)

    for name in leads:
        if name not in number:
            visit(name)
    return found
