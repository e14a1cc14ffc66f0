"""Fused groups: what they save, what they keep in the buffer, and that everything adds up."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.hardware.chip import LINKS, Chip, Registers
from dse.mapping.fusion.blocks import Blocks, Member
from dse.mapping.fusion.fused import Group
from dse.mapping.fusion.groups import fusable, spans
from dse.mapping.ir.homes import Homes
from dse.mapping.ir.schedule import Program, layer_latencies_s, price, program_latency_s
from dse.mapping.layer.text import explain
from dse.mapping.network.bounds import roofline
from dse.mapping.network.program import layer_rows, map_network, program_energy_j
from dse.simulation.run import simulate_alone
from dse.workload.layer import Layer, Tensor, Workload
from dse.workload.precision import Precision

from .conftest import make_chip, make_layer
from .test_levels import REGISTER_PRICES
from .test_peers import PRICES


def network(layers: list[Layer], inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Workload:
    """A workload of layers made by hand; tensors are sized as their readers or makers say."""
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        if layer.w_tensor and not layer.w_is_activation:
            tensors[layer.w_tensor] = Tensor(layer.w_tensor, (layer.w_elements,), "weight")
        elif layer.w_tensor:
            tensors.setdefault(layer.w_tensor, Tensor(layer.w_tensor, (layer.w_elements,), "input"))
        for name in layer.inputs[:1]:
            tensors.setdefault(name, Tensor(name, (layer.i_elements,), "input"))
        role: Any = "output" if layer.outputs[0] in outputs else "activation"
        tensors[layer.outputs[0]] = Tensor(layer.outputs[0], (layer.o_elements,), role)
    return Workload(
        "net", "net", tuple(layers), tensors, inputs, outputs, 0, Precision(), {}, "digest"
    )


def attention(heads: int = 12, rows: int = 512, depth: int = 64, acc_bits: int = 8) -> Workload:
    """Softmax(Q K) V of ``heads`` heads: ``rows`` queries, as many keys."""
    qk = make_layer(
        "qk", "MatMul", G=heads, K=rows, C=depth, OX=rows, w_tensor="k", w_is_activation=True,
        acc_bits=acc_bits,
    )  # fmt: skip
    scores = heads * rows * rows
    work = (("add", scores), ("div", heads * rows), ("exp", scores), ("mul", scores))
    softmax = Layer(
        "softmax", "Softmax", "vector", ("softmax",), ("s",), ("p",), None,
        i_elements=scores, o_elements=scores, vector_ops=(*work, ("reduce", 2 * scores)),
        row_wise=True,
    )  # fmt: skip
    av = make_layer(
        "av", "MatMul", G=heads, K=depth, C=rows, OX=rows, w_tensor="v", w_is_activation=True,
        acc_bits=acc_bits,
    )  # fmt: skip
    layers = [
        replace(qk, inputs=("q", "k"), outputs=("s",)),
        softmax,
        replace(av, inputs=("p", "v"), outputs=("o",)),
    ]
    return network(layers, ("q", "k", "v"), ("o",))


def chain(sizes: list[tuple[int, int, int, int]], rows: int, residual: bool = False) -> Workload:
    """Convolutions (channels out, taps, stride, depthwise) over ``rows`` x ``rows`` pixels."""
    layers: list[Layer] = []
    channels, now = 8, rows
    for number, (out, taps, stride, depthwise) in enumerate(sizes):
        after = -(-now // stride)
        shape: dict[str, Any] = {"K": out, "C": channels}
        if depthwise:
            shape = {"G": channels, "K": 1, "C": 1}
            out = channels
        layer = make_layer(
            f"conv{number}", OY=after, OX=after, FY=taps, FX=taps, stride_y=stride,
            stride_x=stride, i_elements=channels * now * now,
            vector_ops=(("relu", out * after * after),), **shape,
        )  # fmt: skip
        before = layers[-1].outputs[0] if layers else "image"
        layers.append(replace(layer, inputs=(before,), outputs=(f"t{number}",)))
        channels, now = out, after
    if residual and channels == 8 and now == rows:
        last = layers[-1]
        layers[-1] = replace(
            last, inputs=(*last.inputs, "image"), side_elements=8 * rows * rows,
            vector_ops=(("add", 8 * rows * rows),),
        )  # fmt: skip
    return network(layers, ("image",), (layers[-1].outputs[0],))


def joules(program: Program, chip: Chip, *names: str) -> float:
    found = [made for made in program.schedules if made.layer in names]
    return sum(sum(price(made.counts, chip).values()) for made in found)


@pytest.fixture(scope="module")
def edge256() -> Chip:
    return make_chip(
        accumulator_bytes=0,
        buffer_bytes=256 * 1024,
        double=False,
        dram=12.8e9,
        f_hz=1e9,
        static_w=0.0,
        prices=PRICES,
        lanes=256.0,
    )


def test_attention_fused_on_edge256(edge256: Chip) -> None:
    """12 heads x 512 x 64: half the energy saved; the busiest unit sets the time, not the sum."""
    net = attention()
    apart = map_network(net, edge256, "energy", fuse=False)
    fused = map_network(net, edge256, "energy")
    assert {made.fused for made in fused.schedules} == {"qk .. av"}
    assert joules(fused, edge256, "qk", "av") < 0.5 * joules(apart, edge256, "qk", "av")
    # The scores never leave: Q, K, V come in once, the result goes out once.
    moved = sum(made.counts.get("dram.read_bit", 0.0) for made in fused.schedules) / 8
    assert moved == 3 * 12 * 512 * 64
    written = sum(made.counts.get("dram.write_bit", 0.0) for made in fused.schedules) / 8
    assert written == 12 * 512 * 64
    # Array 2 x 201e6 MACs at 256 a cycle, softmax 13e6 results at 256 a cycle beside it, transfers
    # of a single buffer apart, one block of each unit alone at the end.
    array_s = 2 * 12 * 512 * 512 * 64 / 256 / 1e9
    vector_s = sum(n for _, n in net.layers[1].vector_ops) / 256 / 1e9
    transfers_s = 4 * 12 * 512 * 64 / 12.8e9
    latency = program_latency_s(fused, edge256)
    assert array_s + transfers_s <= latency < array_s + transfers_s + 0.5 * vector_s


def test_attention_waits_for_the_slower_unit() -> None:
    """With a slow vector unit softmax is the time of the group and QK and AV hide behind it."""
    chip = make_chip(16, 16, lanes=8.0, buffer_bytes=256 * 1024, dram=64e9)
    net = attention(heads=4, rows=256, depth=32, acc_bits=32)
    program = map_network(net, chip, "latency")
    vector_s = sum(n for _, n in net.layers[1].vector_ops) / 8 / chip.f_hz
    array_s = 2 * 4 * 256 * 256 * 32 / 256 / chip.f_hz
    assert vector_s > 2 * array_s
    latency = program_latency_s(program, chip)
    assert vector_s < latency < vector_s + 0.5 * array_s
    assert all(row.utilization <= 1.0 for row in layer_rows(program, chip))


@settings(max_examples=60)
@given(
    sizes=st.lists(
        st.tuples(
            st.sampled_from([4, 8, 16]),
            st.sampled_from([1, 3, 5]),
            st.sampled_from([1, 1, 2]),
            st.sampled_from([0, 0, 1]),
        ),
        min_size=2,
        max_size=4,
    ),
    rows=st.integers(8, 33),
    residual=st.booleans(),
    kib=st.sampled_from([3, 6, 16, 64]),
    double=st.booleans(),
    l2=st.booleans(),
    accumulators=st.sampled_from([0, 2048]),
    objective=st.sampled_from(["edp", "latency", "energy"]),
)
def test_fused_networks_add_up(
    sizes: Any, rows: int, residual: bool, kib: int, double: bool, l2: bool, accumulators: int,
    objective: Any,
) -> None:  # fmt: skip
    """Never worse than unfused, never below the roofline; rows, bytes and the play all agree."""
    chip = make_chip(
        8, 8, buffer_bytes=kib * 1024, double=double, accumulator_bytes=accumulators, dram=1e9,
        l2=4e9 if l2 else 0.0, l2_bytes=64 * 1024 if l2 else 0.0,
    )  # fmt: skip
    net = chain(sizes, rows, residual)
    check_program(net, chip, objective)


@settings(max_examples=25)
@given(
    heads=st.integers(1, 4),
    rows=st.integers(3, 40),
    depth=st.sampled_from([4, 16]),
    kib=st.sampled_from([2, 8, 64]),
    lanes=st.sampled_from([1.0, 16.0]),
    double=st.booleans(),
    objective=st.sampled_from(["edp", "latency", "energy"]),
)
def test_fused_attention_adds_up(
    heads: int, rows: int, depth: int, kib: int, lanes: float, double: bool, objective: Any
) -> None:
    chip = make_chip(8, 8, buffer_bytes=kib * 1024, double=double, dram=5e8, lanes=lanes)
    check_program(attention(heads, rows, depth, 32), chip, objective)


def check_program(net: Workload, chip: Chip, objective: Any) -> None:
    apart = map_network(net, chip, objective, fuse=False)
    program = map_network(net, chip, objective)
    latency, energy = program_latency_s(program, chip), program_energy_j(program, chip)
    value = {"edp": latency * energy, "latency": latency, "energy": energy}[objective]
    apart_s, apart_j = program_latency_s(apart, chip), program_energy_j(apart, chip)
    before = {"edp": apart_s * apart_j, "latency": apart_s, "energy": apart_j}[objective]
    assert value <= before * (1 + 1e-9)
    bound = roofline(net, chip)
    assert bound.latency_s <= latency * (1 + 1e-9)
    assert bound.energy_j <= energy * (1 + 1e-9)
    assert sum(layer_latencies_s(program, chip)) + program.invoke_s == pytest.approx(latency)
    assert simulate_alone(chip, program).horizon_s == pytest.approx(latency, rel=1e-9)
    assert sum(made.macs for made in program.schedules) == net.macs
    total = [0.0] * len(LINKS)
    for segment in program.segments:
        for link, amount in enumerate(segment.link_bytes):
            total[link] += segment.count * amount
    for link, name in enumerate(("dram", "l2")):
        bits = sum(
            made.counts.get(f"{name}.{way}_bit", 0.0)
            for made in program.schedules
            for way in ("read", "write")
        )
        assert total[link] * 8 == pytest.approx(bits)
    for row in layer_rows(program, chip):
        assert 0.0 <= row.utilization <= 1.0 + 1e-9
    for made in program.schedules:
        assert (made.fused in explain(made)) or not made.fused


@settings(max_examples=60)
@given(
    shape=st.lists(
        st.tuples(st.sampled_from([1, 2, 3, 5]), st.sampled_from([1, 1, 2])),
        min_size=1,
        max_size=4,
    ),
    rows=st.integers(3, 40),
    bands=st.integers(1, 12),
)
def test_windows_hold_what_a_walk_needs(
    shape: list[tuple[int, int]], rows: int, bands: int
) -> None:
    """A literal walk over the bands of a chain, computing each row once, keeps no more rows."""
    members: list[Member] = []
    count = rows
    for number, (taps, stride) in enumerate(shape):
        after = (count - taps) // stride + 1
        if after < 1:
            return
        layer = make_layer(
            f"c{number}", K=1, C=1, OY=after, FY=taps, stride_y=stride,
            i_elements=count, o_elements=after,
        )  # fmt: skip
        members.append(Member(layer, Homes(), after, taps, stride, number - 1, -1, False))
        count = after
    chip = make_chip(double=False)
    group = Group("g", members, "OY", 1, chip, 1e9)
    blocks = Blocks(1, min(bands, count))
    most = _walk(members, blocks.bands)
    # One byte a row: the windows of all inputs, and the output's own band.
    assert sum(most) <= group.windows_bytes(blocks) + 1e-9


def _walk(members: list[Member], bands: int) -> list[int]:
    """Most rows alive of each member's input, and of the last output, when bands run in turn."""
    made = [0] * (len(members) + 1)  # rows of tensor n that exist so far
    gone = [0] * (len(members) + 1)  # rows that nobody needs any more
    most = [0] * (len(members) + 1)
    last = members[-1].rows
    full = -(-last // bands)
    for end in range(full, last + full, full):
        goals = deque([min(end, last)])
        for member in reversed(members):  # input rows needed for these output rows
            goals.appendleft((goals[0] - 1) * member.stride + member.taps)
        made[0] = goals[0]
        most[0] = max(most[0], made[0] - gone[0])
        for number, member in enumerate(members):
            made[number + 1] = goals[number + 1]
            most[number + 1] = max(most[number + 1], made[number + 1] - gone[number + 1])
            done = made[number + 1] * member.stride  # rows before this are never read again
            gone[number] = max(gone[number], done)
        gone[-1] = made[-1]
    return most


def test_groups_end_where_rows_or_readers_do_not_match() -> None:
    net = chain([(8, 3, 1, 0), (8, 1, 1, 0), (16, 3, 2, 0)], 16)
    found = {(span.first, span.last) for span in spans(net, [Homes()] * 3)}
    assert found == {(0, 1), (0, 2), (1, 2)}
    # A second reader outside the group keeps the first output from being handed on.
    reader = replace(net.layers[2], inputs=("t1", "t0"), side_elements=8 * 256)
    held = net.with_layers((*net.layers[:2], reader))
    assert {(s.first, s.last) for s in spans(held, [Homes()] * 3)} == {(0, 2), (1, 2)}
    # K of the scores comes out of a layer as a whole, not row by row.
    heads = attention(2, 8, 4)
    first = replace(make_layer("kv", "MatMul", K=64, C=4), inputs=("q",), outputs=("k",))
    assert fusable(heads.with_layers((first, *heads.layers))) == {1, 2, 3}
    pool = Layer("pool", "MaxPool", "vector", ("pool",), ("t0",), ("u",), None, o_elements=4)
    assert not list(spans(net.with_layers((net.layers[0], pool)), [Homes()] * 2))


def test_what_may_run_fused_depends_on_the_outputs_too() -> None:
    """Of the very same layers: what leaves the network is not handed on."""
    net = chain([(8, 3, 1, 0), (8, 1, 1, 0)], 16)
    shown = replace(net, outputs=("t0", "t1"))
    assert fusable(net) == {0, 1}
    assert fusable(shown) == set()
    assert fusable(net) == {0, 1}


def test_no_room_or_no_compiler_no_group() -> None:
    chip = make_chip(8, 8, buffer_bytes=64 * 1024)
    net = attention(2, 64, 16, 32)
    assert all(made.fused for made in map_network(net, chip).schedules)
    without = replace(chip, buffer=replace(chip.buffer, fuses=False))
    assert not any(made.fused for made in map_network(net, without).schedules)
    group = Group("g", _members(net), "OX", 2, chip, 64.0)
    assert group.build(Blocks(2, 4), "edp") is None


def test_blocks_use_the_registers_of_the_array() -> None:
    """Every MAC of a fused layer reads its registers, and the buffer far less often than that."""
    plain = make_chip(8, 8, buffer_bytes=64 * 1024, prices=REGISTER_PRICES)
    registers = Registers(W=24, I=12, O=32)
    chip = replace(plain, array=replace(plain.array, registers=registers, dataflows=("rs",)))
    net = chain([(16, 3, 1, 0), (16, 1, 1, 0), (16, 3, 1, 0)], 16)
    (span,) = (s for s in spans(net, [Homes()] * 3) if s.last - s.first == 2)
    found = Group("g", span.members, "OY", 1, chip, 64.0 * 1024).build(Blocks(1, 4), "energy")
    assert found is not None
    for layer, counts in zip(net.layers, found.counts, strict=True):
        assert counts["register.w.read_bit"] + counts["register.i.read_bit"] >= 8 * layer.macs
        assert counts["buffer.read_bit"] < 8 * layer.macs / 8


def _members(net: Workload) -> tuple[Member, ...]:
    (span,) = (s for s in spans(net, [Homes()] * len(net.layers)) if s.last - s.first == 2)
    return span.members
