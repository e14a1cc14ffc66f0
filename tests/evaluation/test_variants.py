"""Every variant of a network is a parameter of a stream."""

from __future__ import annotations

from dse.apps import load_app
from dse.evaluation import stream_workloads
from dse.hardware.resolve import load_chip
from dse.workload import Workload


def at(**settings: object) -> Workload:
    """The network of the first stream of a shipped app with ``settings``."""
    app = load_app("factory_inspection")
    stream = app.streams[0].id
    chosen = {f"{stream}.{key}": value for key, value in settings.items()}
    return stream_workloads(app, load_chip("edge_vision"), chosen)[stream]  # type: ignore[arg-type]


def test_settings_reach_the_layers() -> None:
    plain = at(name="mobilenetv2")
    assert at(name="mobilenetv2", sparsity=None, kv_bits=None).digest == plain.digest
    pruned = at(name="mobilenetv2", sparsity="2:4", act_density=0.5)
    assert {x.weight_pattern for x in pruned.layers} == {"dense", "2:4"}
    assert min(x.input_density for x in pruned.layers) == 0.5
    narrow = at(name="mobilenetv2", w_bits=4, a_bits=4, first_last=8, acc_bits=24)
    products = [x for x in narrow.layers if x.nest]
    assert [x.w_format for x in (products[0], products[1], products[-1])] == [
        "int8",
        "int4",
        "int8",
    ]
    assert {x.acc_bits for x in products} == {24}


def test_single_widths_refine_a_named_precision() -> None:
    """``precision`` is the base that ``w_bits`` and the like change, whoever gave it."""
    found = at(name="mobilenetv2", precision="w8a16-qat", w_bits=4).precision
    assert (found.weights, found.activations, found.method) == ("int4", "int16", "qat")
    cached = at(name="llama3.2_1b_decode", precision="w4a16", kv_bits=8).precision
    assert cached.name == "w4a16-kv8"
