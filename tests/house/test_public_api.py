"""``dse`` gives everything: names hold whatever is imported, and the command uses them alone."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dse
from dse.cli.commands import app as command_line

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dse"
PAGE = ROOT / "docs" / "python.md"
NAMES = [name for name in dse.__all__ if name != "__version__"]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(dse, name))]

#: What the command line may know: public names of ``dse``, errors, files and versions, the meaning
#: of options, and how values are written.
OF_THE_CLI = ("dse", "dse.errors", "dse.files", "dse.version", "dse.printing", "dse.api.options")
#: Functions that the contract names for users, besides those of the commands.
CONTRACT = {
    *("map_layer", "map_network", "map_chips", "simulate", "sweep", "explore", "report"),
    *("compare", "explain", "validate", "quality", "profile", "nodes", "migrate"),
    *("load_model", "load_chip", "load_app", "load_platform", "load_experiment", "load_study"),
}
#: Commands by another name than the function that they call.
COMMANDS = {
    "models": "list_models",
    "chips": "list_chips",
    "apps": "list_apps",
    "templates": "list_templates",
    "map": "map_network",
    "schema": "file_schema",
}


def packages() -> set[str]:
    """Modules and packages right below ``dse``."""
    entries = (path for path in PACKAGE.iterdir() if not path.name.startswith("_"))
    return {
        path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").exists()
    }


def test_no_name_is_that_of_a_module() -> None:
    assert not packages() & set(dse.__all__)


def inner() -> list[Path]:
    """Packages below ``dse`` but those whose ``__init__`` exists to import their modules."""
    found = (path.parent for path in PACKAGE.rglob("__init__.py"))
    return sorted(p for p in found if p != PACKAGE and p.parts[-2:] != ("workload", "ops"))


@pytest.mark.parametrize("package", inner(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_package_exports_a_name_of_its_own_module(package: Path) -> None:
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    named: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(goal, ast.Name) and goal.id == "__all__" for goal in node.targets
        ):
            named |= set(ast.literal_eval(node.value))
    modules = {path.stem for path in package.glob("*.py")}
    modules |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert not named & modules


#: Imports every module there is, then takes every public name.
EVERYTHING = """
import importlib, pkgutil, types
import dse
before = {name: getattr(dse, name) for name in NAMES} if EARLY else {}
for found in pkgutil.walk_packages(dse.__path__, "dse."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
for name in dse.__all__:
    value = getattr(dse, name)
    assert not isinstance(value, types.ModuleType), name
    assert callable(value) or name == "__version__", name
    assert before.get(name, value) is value, name
assert dse.nodes().table() and dse.list_chips().names
assert dse.quality("resnet8").table() and dse.validate("technology").table()
print(len(dse.__all__))
"""


@pytest.mark.parametrize("early", [False, True])
def test_names_hold_after_every_module_was_imported(early: bool) -> None:
    code = f"NAMES, EARLY = {NAMES!r}, {early}\n{EVERYTHING}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(dse.__all__)


def test_lists_of_names_agree() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    typed = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    homes = {
        alias.name: (part.module or "").removeprefix("dse.")
        for part in typed.body
        if isinstance(part, ast.ImportFrom)
        for alias in part.names
    }
    at_once = {"__version__", *(n for n in NAMES if n.endswith("Error"))}
    assert homes == dse._HOME
    assert set(homes) | at_once == set(dse.__all__)
    assert dir(dse) == sorted(dse.__all__)
    assert len(set(dse.__all__)) == len(dse.__all__)


def test_the_contract_is_kept() -> None:
    assert set(FUNCTIONS) >= CONTRACT
    for command in command_line.registered_commands:
        name = str(command.name)
        assert COMMANDS.get(name, name) in FUNCTIONS, name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_do(name: str) -> None:
    """Each is typed, and its text names every parameter and the errors of bad input."""
    function = getattr(dse, name)
    text = inspect.getdoc(function) or ""
    parts = inspect.signature(function).parameters
    assert text
    assert function.__annotations__.keys() == {*parts, "return"}
    if "``" not in text or len(parts) > 1:
        told = text.partition("Args:")[2]
        if "Arguments are those of" not in text and len(parts) > 1 and "Args:" in text:
            assert not [part for part in parts if not re.search(rf"\b{part}\b", told)], name
    if parts and name != "is_app":
        assert "Raises:" in text, name


@pytest.mark.parametrize("name", [n for n in NAMES if n[0].isupper() and "Error" not in n])
def test_results_can_be_had_as_data(name: str) -> None:
    """What a function returns has ``to_dict`` and ``table``; what it takes or reports, need not."""
    returned = {
        word
        for function in FUNCTIONS
        for word in re.findall(r"\w+", str(getattr(dse, function).__annotations__["return"]))
    }
    inputs = {"App", "Chip", "Experiment", "Model", "Platform"}
    if name in returned - inputs:
        record = getattr(dse, name)
        assert callable(record.to_dict), name
        assert callable(record.table), name


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "cli").glob("*.py")), ids=lambda path: str(path.name)
)
def test_the_command_line_calls_only_the_public_functions(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.split(".")[0] == "dse"]
            assert modules in ([], ["dse"]), modules
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dse":
            module = str(node.module)
            assert module in OF_THE_CLI or module.startswith("dse.cli"), module
            if module == "dse":
                assert {alias.name for alias in node.names} <= set(dse.__all__)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "dse"
        ):
            assert node.attr in dse.__all__


@pytest.mark.skipif(not PAGE.is_file(), reason="the docs are not installed")
def test_the_page_tells_of_every_name_and_of_no_other() -> None:
    told = set(re.findall(r"\bdse\.(\w+)", PAGE.read_text(encoding="utf-8")))
    assert set(NAMES) - told == set()
    assert told - set(dse.__all__) == set()


@pytest.mark.skipif(not PAGE.is_file(), reason="the docs are not installed")
def test_docs_name_nothing_that_is_not_there() -> None:
    """``dse.x`` on any page is a public name or a package, and ``dse.x(`` a public name."""
    known = packages() | set(dse.__all__)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        assert not set(re.findall(r"(?<![\w./])dse\.([a-z]\w*)\b", text)) - known, page.name
        assert not set(re.findall(r"(?<![\w./])dse\.(\w+)\(", text)) - set(dse.__all__), page.name
