"""The pages in a real browser: they draw, they complain of nothing, and they need no network."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from tests.cli.conftest import Run
from tests.tools import program

pytestmark = pytest.mark.full

FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "disable-dev-shm-usage",
    "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync",
    "window-size=1280,900",
)  # fmt: skip
EXPERIMENT = """
schema_version: 1
name: pages
app: wearable_kws
chip: mcu_mram_npu
parameters:
  chip.node: {ladder: [28nm, 22nm]}
  chip.f_hz: {ladder: [2.5e+7, 5.0e+7]}
  chip.array.cols: {ladder: [8, 16]}
objectives: [{metric: average_power_w}, {metric: unit_cost_usd}]
population: 4
batch: 4
trials: 8
"""
THERE = "return document.readyState === 'complete' && location.href === arguments[0]"
#: All plots of the page, once they are drawn: the marks of each, and whether it has axes.
PLOTS = """
const done = arguments[0];
const plots = () => [...document.querySelectorAll('.js-plotly-plot, .plotly-graph-div')];
const marks = '.scatterlayer .points path, .scatterlayer path.js-line, .barlayer .point path';
const look = () => plots().every(plot => plot._fullLayout && plot.querySelector(marks))
  ? done(plots().map(plot => ({
      points: plot.querySelectorAll('.scatterlayer .points path').length,
      bars: plot.querySelectorAll('.barlayer .point path').length,
      lines: plot.querySelectorAll('.scatterlayer path.js-line').length,
      box: plot.querySelector('svg.main-svg').getBoundingClientRect().width,
    })))
  : setTimeout(look, 50);
look();
"""
TABLES = """
return [...document.querySelectorAll('table')].map(table =>
  [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.trim())));
"""


#: The browser's word that a request leaves.
SENT = "Network.requestWillBeSent"


@dataclass(frozen=True)
class Seen:
    """A page as the browser saw it."""

    errors: list[str]  # of the console
    requests: list[str]  # all but the file itself
    plots: list[dict[str, Any]]
    tables: list[list[list[str]]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A headless Chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = program(["chromium", "chromium-browser"], "chromium")
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = program(["chromedriver"], "chromium-driver")
    home = tmp_path_factory.mktemp("home")
    service = Service(driver, env={**os.environ, "HOME": str(home)})
    with webdriver.Chrome(options=options, service=service) as found:
        found.set_page_load_timeout(600)
        found.set_script_timeout(600)
        yield found


def see(browser: webdriver.Chrome, page: Path) -> Seen:
    """Open a page and wait until all its plots are drawn."""
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what came before
    browser.get(page.as_uri())
    # Being there is not what ``get`` waits for where the machine is slow.
    WebDriverWait(browser, 600).until(lambda it: it.execute_script(THERE, page.as_uri()))
    plots = browser.execute_async_script(PLOTS)
    tables = browser.execute_script(TABLES)
    told = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in told if m["method"] == SENT]
    console = [line["message"] for line in browser.get_log("browser")]
    inside = (page.as_uri(), "data:", "blob:")
    return Seen(console, [url for url in asked if not url.startswith(inside)], plots, tables)


def check(seen: Seen, plots: int) -> None:
    """Nothing in the console, nothing over a network, and so many plots with something in them."""
    assert seen.errors == []
    assert seen.requests == []
    assert len(seen.plots) == plots
    for plot in seen.plots:
        assert plot["points"] + plot["bars"] + plot["lines"] > 0
        assert plot["box"] > 300


def three(value: float) -> str:
    """Three significant digits, as the pages print them."""
    return f"{value:.2e}" if value < 1e-3 else f"{float(f'{value:.3g}'):g}"


def test_a_page_that_complains_and_asks_is_seen(browser: webdriver.Chrome, tmp_path: Path) -> None:
    """The checks of this file find what they look for."""
    page = tmp_path / "bad.html"
    page.write_text("<script>console.error('oh'); new Image().src = 'no.png'; x.y()</script>")
    seen = see(browser, page)
    assert any("oh" in line for line in seen.errors)
    assert any("x is not defined" in line for line in seen.errors)
    assert seen.requests == [(tmp_path / "no.png").as_uri()]
    assert seen.plots == []


@pytest.fixture
def study(run: Run, tmp_path: Path) -> str:
    """All designs of a small space."""
    (tmp_path / "pages.yaml").write_text(EXPERIMENT)
    assert run("sweep", "pages.yaml", "--out", "study", "--workers", "1").code == 0
    return "study"


def test_the_report(browser: webdriver.Chrome, run: Run, study: str, tmp_path: Path) -> None:
    assert run("report", study, "--out", "page", "--workers", "1").code == 0
    found = json.loads((tmp_path / "page" / "pareto.json").read_text())
    front = found["pareto"]
    assert found["designs_evaluated"] == 8
    assert front
    seen = see(browser, tmp_path / "page" / "report.html")
    check(seen, plots=6)
    lines = (tmp_path / "page" / "designs.csv").read_text().splitlines()
    drawn = sum(",impossible," not in line for line in lines[1:])  # what cannot be built is not
    assert 0 < seen.plots[0]["points"] <= drawn <= 8, "a point of the first plot for each design"
    (head, *rows) = next(table for table in seen.tables if table[0][-1] == "equal designs")
    assert len(head) == 2 + 3 + 1
    wanted = {tuple(three(value) for value in one["objectives"].values()) for one in front}
    assert {tuple(row[:2]) for row in rows} == wanted
    assert sum(int(row[-1]) for row in rows) == len(front)


def test_studies_side_by_side(browser: webdriver.Chrome, run: Run, study: str) -> None:
    done = run("sweep", "pages.yaml", "--out", "other", "--line", "jasm1", "--workers", "1")
    assert done.code == 0
    found = run("compare", study, "other", "--html", "side.html", "--json").json["contests"]
    seen = see(browser, Path("side.html").resolve())
    check(seen, plots=1)
    assert len(seen.tables) == len(found)
    for table, contest in zip(seen.tables, found, strict=True):
        assert [row[0] for row in table[1:]] == [one["study"] for one in contest["standings"]]


def test_the_plots_of_nodes(browser: webdriver.Chrome, run: Run) -> None:
    assert run("nodes", "--plot", "nodes.html").code == 0
    seen = see(browser, Path("nodes.html").resolve())
    check(seen, plots=1)
    assert seen.plots[0]["lines"] >= 6


def test_power_over_time(browser: webdriver.Chrome, run: Run) -> None:
    done = run("simulate", "wearable_kws", "--chip", "gap9", "--power-plot", "power.html")
    assert done.code == 0, done.err
    seen = see(browser, Path("power.html").resolve())
    check(seen, plots=1)
