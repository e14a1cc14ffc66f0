"""Laying commits out, running a benchmark of them, and what the command says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import CannotLayOut, Checkout, laid_out
from compare import BODIES, chosen, listed, measure, play, report
from verdicts import Run, judged

ROOT = Path(__file__).resolve().parents[2]
KNOWN = ["map-layers", "map-deit", "load-resnet50"]


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, tagged ``one`` and ``two``, and an uncommitted change."""
    folder = tmp_path / "repository"
    (folder / "dse").mkdir(parents=True)
    git(folder, "init", "-q")
    for word in ("one", "two"):
        (folder / "dse" / "__init__.py").write_text(f"WORD = {word!r}\n")
        (folder / "dse" / "gone.py").write_text("")
        (folder / ".gitignore").write_text("*.log\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", word)
        git(folder, "tag", word)
    (folder / "dse" / "__init__.py").write_text("WORD = 'three'\n")
    (folder / "dse" / "new.py").write_text("")
    (folder / "dse" / "scrap.log").write_text("")
    (folder / "dse" / "gone.py").unlink()
    return folder


def word(checkout: Checkout) -> str:
    return (checkout.folder / "dse" / "__init__.py").read_text().split("'")[1]


def test_revisions_and_folders_are_laid_out_and_removed(repository: Path) -> None:
    with laid_out(("one", str(repository)), repository) as (a, b):
        assert (word(a), word(b)) == ("one", "three")
        assert a.label.startswith("one (")
        assert b.label.endswith("and 3 changed files)")
        names = {path.name for path in (b.folder / "dse").iterdir()}
        assert names == {"__init__.py", "new.py"}
        assert a.kernels != b.kernels
        folders = [a.folder, b.folder]
    assert not any(folder.exists() for folder in folders)
    assert not folders[0].parents[1].exists()


def test_a_commit_and_itself_have_a_folder_each(repository: Path) -> None:
    with laid_out(("two", "two"), repository) as (a, b):
        assert a.folder != b.folder
        assert word(a) == word(b) == "two"


def test_nothing_stays_after_an_interrupt(repository: Path) -> None:
    seen: list[Path] = []

    def interrupted() -> None:
        with laid_out(("one", "two"), repository) as (a, _):
            seen.append(a.folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not seen[0].exists()


def test_a_folder_without_git_is_copied(tmp_path: Path) -> None:
    (tmp_path / "plain" / "dse" / "__pycache__").mkdir(parents=True)
    (tmp_path / "plain" / "dse" / "__init__.py").write_text("WORD = 'plain'\n")
    plain = str(tmp_path / "plain")
    with laid_out((plain, plain), tmp_path) as (a, b):
        assert word(a) == word(b) == "plain"
        assert not (a.folder / "dse" / "__pycache__").exists()
        assert a.label == f"{plain} (a folder)"


def test_a_cache_keeps_revisions_and_their_kernels(repository: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with laid_out(("one", "two"), repository, cache) as (a, _):
        a.kernels.mkdir()
    with laid_out(("one", str(repository)), repository, cache) as (again, b):
        assert again == a
        assert again.kernels.is_dir()
        assert cache not in b.folder.parents
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("what", ["nowhere", "--help", "tests"])
def test_what_is_no_commit_is_named(repository: Path, what: str) -> None:
    with (
        pytest.raises(CannotLayOut, match=f"'{what}' is neither"),
        laid_out(("one", what), repository),
    ):
        pass


def test_a_commit_without_the_package_is_named(repository: Path) -> None:
    git(repository, "rm", "-rq", "--cached", "dse")
    git(repository, "commit", "-qm", "bare")
    with (
        pytest.raises(CannotLayOut, match="holds no package dse"),
        laid_out(("HEAD", "one"), repository),
    ):
        pass


def test_a_run_sees_its_own_commit_and_nothing_of_the_users_settings() -> None:
    found = Checkout("x", Path("/tree"), Path("/kernels")).environment(
        {
            "PATH": "/bin",
            "DSE_MAPPING_CACHE": "1",
            "PYTHONPATH": "/else",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_DISABLE_JIT": "1",
            "OMP_NUM_THREADS": "8",
        }
    )
    assert found["PYTHONPATH"] == "/tree"
    assert found["NUMBA_CACHE_DIR"] == "/kernels"
    assert found["PATH"] == "/bin"
    assert found["OMP_NUM_THREADS"] == "1"
    assert not {"DSE_MAPPING_CACHE", "PYTHONDONTWRITEBYTECODE", "NUMBA_DISABLE_JIT"} & set(found)


@pytest.fixture
def body(tmp_path: Path, repository: Path) -> Callable[[str, str], Run]:
    """Runs lines of Python in place of the benchmarks, on commit ``one``."""

    def run(lines: str, name: str) -> Run:
        script = tmp_path / "body.py"
        script.write_text(f"import json, sys, dse\n{lines}\n")
        with laid_out(("one", "two"), repository) as (a, _):
            return play(a, name, script)

    return run


def test_a_run_is_one_process_that_prints_json(body: Callable[[str, str], Run]) -> None:
    lines = "print('noise'); print(json.dumps({'user_s': 2.0, 'result': [sys.argv[1], dse.WORD]}))"
    assert body(lines, "some") == Run(user_s=2.0, result=["some", "one"])


def test_a_run_that_fails_says_why(body: Callable[[str, str], Run]) -> None:
    assert body("raise ValueError('oh')", "some").failed == "ValueError: oh"
    assert body("sys.exit(3)", "some").failed == "exit 3"


def test_runs_are_interleaved_after_one_of_each_that_does_not_count() -> None:
    sides = [Checkout(name, Path(name), Path(name)) for name in ("A", "B")]
    seen: list[str] = []
    said: list[str] = []

    def run(checkout: Checkout, name: str) -> Run:
        seen.append(checkout.label)
        first = seen.count(checkout.label) == 1
        return Run(user_s=100.0 if first else 1.0, result=name)

    row = measure(sides, "some", 3, run, said.append)
    assert "".join(seen) == "ABABBAAB"
    assert (row.pairs, row.a_s, row.most) == (3, 1.0, 1.0)
    assert len(said) == 4


def test_what_a_commit_lacks_is_not_run_again() -> None:
    sides = [Checkout(name, Path(name), Path(name)) for name in ("A", "B")]
    seen: list[str] = []

    def run(checkout: Checkout, _: str) -> Run:
        seen.append(checkout.label)
        return Run(missing="no dse.explore") if checkout.label == "A" else Run(user_s=1.0)

    assert measure(sides, "some", 7, run, lambda _: None).verdict == "not in A: no dse.explore"
    assert seen == ["A", "B"]


def test_benchmarks_are_chosen_by_the_beginning_of_their_names() -> None:
    assert chosen([], KNOWN) == KNOWN
    assert chosen(["map"], KNOWN) == KNOWN[:2]
    assert chosen(["load", "map-d"], KNOWN) == KNOWN[1:]
    with pytest.raises(ValueError, match=r"no benchmark 'x'.*map-layers"):
        chosen(["x"], KNOWN)


def test_the_exit_code_says_whether_b_kept_to_the_limit() -> None:
    one = [Run(user_s=1.0, result=1)] * 7
    slower = judged("slow", one, [Run(user_s=1.2, result=1)] * 7)
    lost = judged("lost", one[:1], [Run(missing="no dse.explore")])
    labels = ("old", "new")
    text, code = report([slower], labels, None)
    assert code == 0
    assert text.startswith("A = old, B = new; user CPU, medians of 7 pairs\n")
    text, code = report([slower], labels, 1.05)
    assert code == 1
    assert text.endswith("over the limit of 1.05: slow, B slower by 20 % to 20 %")
    assert report([slower], labels, 1.25)[1] == 0
    text, code = report([lost], labels, None)
    assert code == 1
    assert text.endswith("could not be measured: lost")


def test_the_benchmarks_cover_start_mapping_design_simulation_and_loading() -> None:
    assert {name.partition("-")[0] for name in listed()} == {
        "start", "map", "design", "simulate", "load",
    }  # fmt: skip


def test_what_the_package_lacks_is_told_from_what_fails() -> None:
    """In a process of its own, as the benchmarks import the package anew."""
    lines = (
        f"import sys; sys.path.insert(0, {str(BODIES.parent)!r})\n"
        "import dse, bodies\n"
        "def said(work):\n"
        "    try: work()\n"
        "    except Exception as error: print(bodies.lacking(error) or '-')\n"
        "said(lambda: dse.walk)\n"
        "said(lambda: bodies.command(1, '-m', 'dse', 'walk'))\n"
        "said(lambda: dse.load_chip('no_chip'))\n"
        "said(lambda: 'text'.walk)\n"
        "said(lambda: bodies.command(1, '-c', '1 / 0'))\n"
    )
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", lines], env=path, capture_output=True, text=True)
    first, second, third, *rest = done.stdout.splitlines()
    assert first == "no dse.walk"
    assert "walk" in second
    assert "no_chip" in third
    assert rest == ["-", "-"]


@pytest.mark.full
def test_this_commit_beside_itself() -> None:
    """The whole way, on the smallest benchmark; how long it takes is not looked at."""
    asked = [
        str(BODIES.with_name("compare.py")),
        ".",
        ".",
        "--pairs",
        "1",
        "--only",
        "start-import",
    ]
    done = subprocess.run([sys.executable, *asked], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "start-import" in done.stdout
    assert "no difference seen" in done.stdout
    assert "DIFFER" not in done.stdout
