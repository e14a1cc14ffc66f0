"""``dse map``: legal or ideal, where the time goes, a layer's nest, pins that cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

WIDE = ("--set", "chip.array.rows=64", "--set", "chip.array.cols=64", "--no-fuse")


def test_legal_and_ideal_are_named(run: Run) -> None:
    found = {}
    for flag in ("--legal", "--ideal"):
        data = run("map", "resnet8", "--chip", "ethos_u55_128", flag, "--json").json
        rows = [row for row in data["layers"] if row["macs"]]
        assert {row["legality"] for row in rows} == {flag[2:]}
        assert data["legality"] == flag[2:]
        found[flag] = data["latency_s"] * data["energy_j"]
    assert (
        found["--ideal"] <= found["--legal"] * 1.02
    )  # module energy, not the mapper's, is printed
    text = run("map", "resnet8", "--chip", "ethos_u55_128", "--legal").out
    assert "mapping: legal, as the compiler can express it" in text
    text = run("map", "resnet8", "--chip", "edge_vision").out
    assert "mapping: ideal; the chip does not say what its compiler can express" in text
    refused = run("map", "resnet8", "--chip", "edge_vision", "--legal")
    assert refused.code == 2
    assert "says nothing of what its compiler can express" in refused.err


def test_what_is_proven_is_said(run: Run) -> None:
    text = run("map", "resnet8", "--chip", "rk3588_npu").out
    line = next(line for line in text.splitlines() if line.startswith("  proven: "))
    assert "within" in line or "optimal" in line
    assert "layers alone" in line
    data = run("map", "resnet8", "--chip", "rk3588_npu", "--json").json
    whole, layers = data["certificate"], data["layer_certificates"]
    assert whole["objective"] == "edp"
    assert 0.0 < whole["bound"] <= whole["value"]
    assert set(layers) == {row["name"] for row in data["layers"] if row["macs"]}
    assert all(0.0 < one["bound"] <= one["value"] for one in layers.values())


def test_why_says_where_the_time_of_every_layer_goes(run: Run) -> None:
    lines = run("map", "mobilenetv2", "--chip", "edge_vision", *WIDE, "--why").out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("layer"))
    assert lines[at].split("|")[1].split() == ["peak", "lanes", "passes", "waits", "bottleneck"]
    first = lines[at + 1]
    assert first.startswith("features.0.0/Conv")
    assert first.endswith("compute")
    shares = [float(part) for part in first.split("|")[1].split()[:4]]
    assert sum(shares) == pytest.approx(100.0, abs=0.3)
    assert lines[at + 2].startswith("    6.8% of peak; lost: 90% idle lanes, as it fills 7.0%")
    text = "\n".join(lines)
    assert "every channel by itself" in text
    assert "the network: MACs at peak for 5." in text


def test_one_layer_is_explained_down_to_its_cause(run: Run) -> None:
    name = "features.1.conv.0.0/Conv"
    text = run("map", "mobilenetv2", "--chip", "edge_vision", *WIDE, "--explain", name).out
    for part in (
        "mapping: ideal",
        "homes: W dram",
        "across the edge of the buffer: W in",
        "buffer tile G:",
        "(ws: weights stay): G:16 FX:3 in parallel, 48 units",
        "the whole layer:",
        "what is listed runs side by side:",
        "in the network:",
        "bottleneck compute; 1.2% of peak; lost:",
    ):
        assert part in text, part


def test_a_group_says_that_one_block_is_shown(run: Run) -> None:
    data = run("map", "mobilenetv2", "--chip", "edge_vision", "--json").json
    name = next(row["name"] for row in data["layers"] if row["fused"])
    text = run("map", "mobilenetv2", "--chip", "edge_vision", "--explain", name).out
    assert "rows; one block:" in text
    assert "this layer's share of the group's steps" in text


@pytest.mark.parametrize(
    ("pin", "words"),
    [
        ("layer: 'features.3.first*'\n    tiles: {K: 64, C: 32, OY: 8, OX: 8}",
         "overflow level buffer: the smallest, K:64 C:32 OY:8 OX:8, needs"),
        ("op: Conv\n    homes: {W: nvm}", "level nvm, which edge_vision does not have"),
        ("op: Conv\n    homes: {I: buffer}", "the memory plan shares out"),
        ("op: Conv\n    dataflow: os", "dataflow os: edge_vision runs ws"),
        ("layer: 'features.1.first*'\n    tiles: {C: 16}\n    order: O",
         "order O: none of its innermost tile loops is cut"),
        ("op: Conv\n    tiles: {K: 999}", "tile K: 999 is not in 1 to 16"),
    ],
)  # fmt: skip
def test_a_pin_that_cannot_be_kept_says_why(run: Run, tmp_path: Path, pin: str, words: str) -> None:
    file = tmp_path / "pins.yaml"
    file.write_text(f"schema_version: 1\npins:\n  - {pin}\n")
    small = ("--set", "chip.buffer.bytes=16384")
    found = run("map", "resnet8", "--chip", "edge_vision", *small, "--pin", str(file))
    assert found.code != 0
    assert words in found.err
    assert "Traceback" not in found.err


SMALL = ("--chip", "edge_vision", "--set", "chip.buffer.bytes=65536")


def test_all_mappings_of_a_layer_that_none_beats(run: Run) -> None:
    rows = run("map", "resnet8", *SMALL, "--json").json["layers"]
    name = next(row["name"] for row in rows if row["op"] == "Conv")
    points = run("map", "resnet8", *SMALL, "--front", name, "--json").json["points"]
    assert len(points) > 2
    costs = [(p["latency_s"], p["energy_j"], p["schedule"]["footprint_bytes"]) for p in points]
    assert costs == sorted(costs)
    for one in costs:
        others = [c for c in costs if c is not one]
        assert not any(all(a <= b for a, b in zip(c, one, strict=True)) for c in others)
    text = run("map", "resnet8", *SMALL, "--front", name).out
    assert f"{len(points)} mappings" in text
    refused = run("map", "resnet8", *SMALL, "--front", name + "x")
    assert (refused.code, name in refused.err) == (2, True)


def test_a_network_over_all_cores(run: Run) -> None:
    given = ("map", "resnet8", "--chip", "edge_vision", "--set", "chip.cores=4", "--pipeline")
    data = run(*given, "--json").json
    stages = data["stages"]
    assert sum(stage["layers"] for stage in stages) == len(data["layers"])
    assert 1 < data["cores"] == sum(stage["cores"] for stage in stages) <= 4
    slowest = max(stage["seconds"] for stage in stages)
    assert data["throughput_per_s"] <= 1.0 / slowest
    text = run(*given).out
    assert f"in {len(stages)} stages over the cores of edge_vision" in text
    refused = run(*given, "--set", "chip.buffer.bytes=1024")
    assert "buffer.bytes" in refused.err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--pipeline", "--why"), "--pipeline knows no --why"),
        (("--pipeline", "--legal"), "--pipeline knows no --legal"),
        (("--pipeline", "--front", "a"), "--front knows no --pipeline"),
        (("--front", "a", "--cores", "2"), "--front knows no --cores"),
        (("--front", "a", "--objective", "energy"), "--front knows no --objective"),
    ],
)
def test_options_that_mean_nothing_together(run: Run, options: tuple[str, ...], named: str) -> None:
    refused = run("map", "resnet8", "--chip", "edge_vision", *options)
    assert refused.code == 2
    assert named in refused.err
