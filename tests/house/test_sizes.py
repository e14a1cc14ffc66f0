"""Functions stay short, or say why they cannot."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.imports import PACKAGE, modules

#: Most lines of a function beside its docstring, and arguments.
LINES, ARGUMENTS = 80, 12
#: Comments within a function that say why it has more.
LONG, MANY = "# In one piece: ", "# So many arguments: "


def functions() -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Every function of the package, with where it is and its text."""
    for path in modules().values():
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                own = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                yield f"{path.relative_to(PACKAGE)}: {node.name}", node, own


def length(node: ast.FunctionDef) -> int:
    first = node.body[0]
    told = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0  # type: ignore[operator]
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1 - told


def test_functions_stay_short_or_say_why() -> None:
    long = {where for where, node, text in functions() if length(node) > LINES and LONG not in text}
    assert long == set()


def test_functions_take_few_arguments_or_say_why() -> None:
    many = set()
    for where, node, text in functions():
        given = node.args
        count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
        if count > ARGUMENTS and MANY not in text and not where.startswith("cli/commands.py"):
            many.add(where)
    assert many == set()
