"""Make a folder of the files of one landed version, with what that version read in them.

``python tests/compat/freeze.py SOURCES NAME`` with the package of that version on the path: takes
the YAML files of the folder SOURCES (as written by hand), lets the tool make a study, its report,
a mirror and a quality report of them, and writes what it read to ``expected.json``. Run it for
every release in which a form changed, and never again for a folder that is there: what is in it
is what users have on their disks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WRITTEN = ("chip.yaml", "family.yaml", "app.yaml", "platform.yaml", "experiment.yaml", "pins.yaml")
STUDY = "study_experiment.yaml"


def freeze(sources: Path, out: Path) -> None:
    """Write the folder ``out``."""
    out.mkdir(parents=True)
    for name in (*WRITTEN, STUDY):
        shutil.copyfile(sources / name, out / name)
    os.chdir(out)
    _run("explore", STUDY, "--out", "study", "--workers", "1", "--storage", "storage.journal")
    _run("report", "study", "--out", "report", "--no-feedback")
    Path("report/report.html").unlink()  # megabytes, and nothing reads it back
    _quality(Path("quality.json"))
    _without_the_machine(Path("study/study.json"))
    Path("expected.json").write_text(json.dumps(expected(), indent=1) + "\n", encoding="utf-8")


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dse", *arguments], check=True)


def _without_the_machine(config: Path) -> None:
    """The file says on what system the study ran; which one that was concerns nobody."""
    content = json.loads(config.read_text(encoding="utf-8"))
    content["environment"]["platform"] = "Linux"
    config.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _quality(path: Path) -> None:
    """A quality report of a made-up network: only its form matters."""
    from dse.model_quality.results import MeasuredOutput, MeasuredQuality, QualityReport

    output = MeasuredOutput(name="y", shape=(4,), sqnr_db=31.5, cosine=0.999, cosine_p10=0.998)
    result = MeasuredQuality(
        precision="w8a8",
        scheme="static",
        identity="0" * 64,
        metric="cosine",
        float_value=1.0,
        value=0.999,
        value_p90=0.998,
        samples=32,
        outputs=(output,),
    )
    QualityReport(
        model="net.onnx",
        model_sha256="0" * 64,
        inputs="net.npz",
        runtime="made up",
        results=(result,),
    ).write(path)


def expected() -> dict[str, Any]:
    """What this version reads in the files of the working folder."""
    from dse.reports import read_study

    study = read_study("study")
    return {
        "read": {name: read(name) for name in (*WRITTEN, "quality.json")},
        "study": {
            "made_by": list(study.made_by),
            "experiment": study.experiment.model_dump(mode="json"),
            "designs": [_design(outcome.to_dict()) for outcome in study.outcomes],
            "front": [outcome.values for outcome in study.front],
            "progress": list(study.progress),
            "effort": study.effort.to_dict(),
        },
    }


def _design(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What was decided of a design, as JSON has it; the records are in the log itself."""
    whole = json.loads(json.dumps(outcome))
    return {name: value for name, value in whole.items() if name != "evaluation"}


def read(name: str) -> dict[str, Any]:
    """One file of the working folder by the function that the tool itself reads it with."""
    from dse.apps import load_app
    from dse.hardware.library import load_spec
    from dse.hardware.platform import load_platform_spec
    from dse.mapping import load_pins
    from dse.model_quality.results import read_report
    from dse.search import load_experiment

    if name == "pins.yaml":
        return {"pins": [pin.model_dump(mode="json") for pin in load_pins(name).pins]}
    readers: dict[str, Any] = {
        "chip.yaml": load_spec,
        "family.yaml": load_spec,
        "app.yaml": load_app,
        "platform.yaml": lambda path: load_platform_spec(Path(path)),
        "experiment.yaml": load_experiment,
        "quality.json": read_report,
    }
    found: dict[str, Any] = readers[name](name).model_dump(mode="json")
    return found


if __name__ == "__main__":
    freeze(Path(sys.argv[1]).resolve(), HERE / sys.argv[2])
