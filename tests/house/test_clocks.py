"""No test asks a clock: what is green on an idle machine is green on a busy one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).resolve().parents[1]
#: Ways to read a clock, to wait for one, or to ask the system how much was used; in strings too,
#: which other processes may run.
CLOCK = re.compile(
    r"\b(?:perf_counter|process_time|thread_time|getrusage|timeit|ru_[a-z]+)(?:_ns)?\b"
    r"|\btime\.(?:time|monotonic|sleep|clock)|\bfrom time import|\bimport (?:\w+, )*time\b"
    r"|\bdatetime\.(?:now|utcnow|today)\b|\bdate\.today\b"
)
#: Settings of hypothesis that a test may repeat, with the only value that they may have.
ONLY = {"deadline": None, "derandomize": True, "database": None}
#: A limit of a process, s, that is there to end a hang and not to judge its speed.
HANGS = 600


def faults(source: str) -> Iterator[str]:
    """What in a test module depends on time."""
    for number, line in enumerate(source.splitlines(), 1):
        if found := CLOCK.search(line):
            yield f"line {number}: a clock: {found.group()}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and measured(node):
            yield f"line {node.lineno}: compares measured times: use the fixture fixed_times"
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            said = ast.unparse(keyword.value)
            if keyword.arg in ONLY and said != str(ONLY[keyword.arg]):
                yield f"line {keyword.lineno}: {keyword.arg}={said}"
            if keyword.arg == "suppress_health_check" and not re.search("too_slow|ROUGH", said):
                yield f"line {keyword.lineno}: without HealthCheck.too_slow, which measures seconds"
            if keyword.arg == "timeout" and not (said.isdigit() and int(said) >= HANGS):
                yield f"line {keyword.lineno}: timeout={said}, less than {HANGS} s"


def measured(function: ast.FunctionDef) -> bool:
    """Whether a test compares what ``dse profile`` measured, without the fixture of fixed times."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    profiles = any(
        ast.unparse(call.func).endswith("profile_cpu")
        or (call.args and ast.unparse(call.args[0]) == "'profile'")
        for call in calls
    )
    above = ast.Gt | ast.Lt | ast.GtE | ast.LtE
    compares = any(
        isinstance(operator, above) and ast.unparse(beside) != "0"
        for node in ast.walk(function)
        if isinstance(node, ast.Compare)
        for operator, beside in zip(node.ops, node.comparators, strict=True)
    ) or any(ast.unparse(call.func).endswith("approx") for call in calls)
    fixed = "fixed_times" in ast.unparse(function)
    return profiles and compares and not fixed


def modules() -> list[Path]:
    return sorted(path for path in TESTS.rglob("*.py") if path != Path(__file__).resolve())


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_module_depends_on_time(path: Path) -> None:
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "start = time.perf_counter()",
        "from time import monotonic",
        "code = 'import resource, time; print(1)'",
        "settings(max_examples=3, deadline=200)",
        "settings(derandomize=False)",
        "settings(suppress_health_check=[HealthCheck.filter_too_much])",
        "subprocess.run(command, timeout=60)",
        "def test_fast():\n    a = run('profile', 'net').json\n    assert a['cpu_s'] > a['rest']",
        "def test_fast():\n    assert profile_cpu('net', 1, {}).latency_s < 1",
    ],
)
def test_what_depends_on_time_is_found(line: str) -> None:
    assert len(list(faults(line))) == 1


def test_what_does_not_is_let_be() -> None:
    lines = (
        "settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])",
        "task = Task(deadline_s=0.1, scheduler='rate-monotonic')",
        "run(command, timeout=900)",
        "def test_ran():\n    assert profile_cpu('net', 1, {}).latency_s > 0",
        "def test_fixed(fixed_times):\n    assert profile_cpu('net', 1, {}).latency_s < 1",
    )
    assert [fault for line in lines for fault in faults(line)] == []


def test_the_profile_of_the_suite_is_in_force() -> None:
    now = settings()
    assert now.deadline is None
    assert now.derandomize
    assert now.database is None
    assert HealthCheck.too_slow in now.suppress_health_check
