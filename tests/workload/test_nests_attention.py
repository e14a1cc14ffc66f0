"""Nests of attention and recurrent operators, executed, against ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from . import interpreter
from .graphs import graph, weight
from .test_nests import FEW, close, lowered, nests


@st.composite
def heads(draw: Any) -> dict[str, int]:
    shared, group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return {
        "batch": draw(st.integers(1, 2)),
        "heads": shared * group,
        "shared": shared,
        "queries": draw(st.integers(1, 4)),
        "new": draw(st.integers(1, 5)),
        "past": draw(st.integers(0, 4)),
        "width": draw(st.integers(1, 3)) * 2,
        "value": draw(st.integers(1, 5)),
    }


@FEW
@given(h=heads(), flat=st.booleans(), mask=st.booleans())
def test_attention_of_opset_23(h: dict[str, int], flat: bool, mask: bool) -> None:
    """With and without a cache and a mask, operands of rank 3 and 4, shared keys and values."""
    b, keys = h["batch"], h["past"] + h["new"]
    q = weight(b, h["heads"], h["queries"], h["width"])
    k = weight(b, h["shared"], keys, h["width"], seed=1)
    v = weight(b, h["shared"], keys, h["value"], seed=2)
    added = weight(h["queries"], keys, seed=3)
    old, new = slice(0, h["past"]), slice(h["past"], keys)

    def form(array: np.ndarray) -> np.ndarray:
        if not flat:
            return np.ascontiguousarray(array)
        joined: np.ndarray = np.ascontiguousarray(array.transpose(0, 2, 1, 3))
        return joined.reshape(b, array.shape[2], -1)

    feeds = {"q": form(q), "k": form(k[:, :, new]), "v": form(v[:, :, new])}
    names = ["q", "k", "v", "m" if mask else ""]
    outputs = ["y"]
    if mask:
        feeds["m"] = added
    if h["past"]:
        feeds |= {"pk": k[:, :, old].copy(), "pv": v[:, :, old].copy()}
        names += ["pk", "pv"]
        outputs += ["present_k", "present_v"]
    attrs: dict[str, Any] = {"q_num_heads": h["heads"], "kv_num_heads": h["shared"]} if flat else {}
    node = helper.make_node("Attention", names, outputs, **attrs)
    model = graph([node], {n: x.shape for n, x in feeds.items()}, outputs, opset=23)
    low = lowered(model)
    ours = interpreter.attention(nests(low), q, k, v, h["width"] ** -0.5, added if mask else 0.0)
    theirs = interpreter.run(model, feeds)
    close(form(ours), theirs[0])
    for name, result in zip(outputs, theirs, strict=True):
        assert low.tensors[name].shape == result.shape


@FEW
@given(h=heads(), packed=st.booleans())
def test_group_query_attention(h: dict[str, int], packed: bool) -> None:
    """A decoding step or a prompt, the cache grown by the new keys; heads packed or apart."""
    b, width, past = 1, 8, h["past"]
    new = 1 if past else h["new"]
    keys = past + new
    q = weight(b, h["heads"], new, width)
    k = weight(b, h["shared"], keys, width, seed=1)
    v = weight(b, h["shared"], keys, width, seed=2)

    def flat(array: np.ndarray) -> np.ndarray:
        joined: np.ndarray = np.ascontiguousarray(array.transpose(0, 2, 1, 3))
        return joined.reshape(b, array.shape[2], -1)

    apart = {"q": flat(q), "k": flat(k[:, :, past:]), "v": flat(v[:, :, past:])}
    feeds = {"q": np.concatenate(list(apart.values()), axis=-1)} if packed else apart
    feeds |= {"past_k": k[:, :, :past].copy(), "past_v": v[:, :, :past].copy()}
    stored = {
        "ends": np.full(b, keys - 1, np.int32),
        "total": np.array(keys, np.int32),
    }
    outputs = ["y", "present_k", "present_v"]
    node = helper.make_node(
        "GroupQueryAttention",
        ["q", "" if packed else "k", "" if packed else "v", "past_k", "past_v", "ends", "total"],
        outputs,
        domain="com.microsoft",
        num_heads=h["heads"],
        kv_num_heads=h["shared"],
    )
    model = graph([node], {n: x.shape for n, x in feeds.items()}, outputs, stored)
    low = lowered(model)
    mask = np.where(np.arange(keys)[None] > past + np.arange(new)[:, None], -1e9, 0.0)
    ours = interpreter.attention(nests(low), q, k, v, width**-0.5, mask)
    theirs = interpreter.run(model, feeds)
    close(flat(ours), theirs[0])
    for name, result in zip(outputs, theirs, strict=True):
        assert low.tensors[name].shape == result.shape


@FEW
@given(h=heads(), bias=st.booleans(), mask=st.booleans())
def test_multi_head_attention(h: dict[str, int], bias: bool, mask: bool) -> None:
    b, n, width, past = h["batch"], h["heads"], h["width"], h["past"]
    keys = past + h["new"]
    q = weight(b, n, h["queries"], width)
    k, v = (weight(b, n, keys, width, seed=s) for s in (1, 2))
    added = weight(1, n, h["queries"], keys, seed=3)
    biases = weight(3, n, width, seed=4) * float(bias)

    def flat(array: np.ndarray) -> np.ndarray:
        joined: np.ndarray = np.ascontiguousarray(array.transpose(0, 2, 1, 3))
        return joined.reshape(b, array.shape[2], -1)

    def shifted(array: np.ndarray, part: int) -> np.ndarray:
        moved: np.ndarray = array - biases[part][None, :, None]
        return moved

    feeds = {
        "q": flat(shifted(q, 0)),
        "k": flat(shifted(k[:, :, past:], 1)),
        "v": flat(shifted(v[:, :, past:], 2)),
    }
    names = ["q", "k", "v", "bias" if bias else "", "", "added" if mask else ""]
    outputs = ["y"]
    if mask:
        feeds["added"] = added
    if past:
        feeds |= {"past_k": k[:, :, :past].copy(), "past_v": v[:, :, :past].copy()}
        names += ["past_k", "past_v"]
        outputs += ["present_k", "present_v"]
    node = helper.make_node(
        "MultiHeadAttention", names, outputs, domain="com.microsoft", num_heads=n
    )
    stored = {"bias": biases.reshape(-1).astype(np.float32)} if bias else {}
    model = graph([node], {x: a.shape for x, a in feeds.items()}, outputs, stored)
    low = lowered(model)
    ours = interpreter.attention(nests(low), q, k, v, width**-0.5, added if mask else 0.0)
    theirs = interpreter.run(model, feeds)
    close(flat(ours), theirs[0])
    for name, result in zip(outputs, theirs, strict=True):
        assert low.tensors[name].shape == result.shape
    assert sum(layer.kind == "vector" for layer in low.layers) == 1 + bias


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


@FEW
@given(
    op=st.sampled_from(["LSTM", "GRU", "RNN"]),
    sizes=st.tuples(*(st.integers(1, 4) for _ in range(4))),
    both=st.booleans(),
)
def test_recurrent(op: str, sizes: tuple[int, int, int, int], both: bool) -> None:
    """Gates by the two nests, the state's nest one step at a time; cells in NumPy."""
    steps, batch, width, hidden = sizes
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    directions = 2 if both else 1
    w = weight(directions, gates * hidden, width)
    r = weight(directions, gates * hidden, hidden, seed=1)
    x = weight(steps, batch, width, seed=2)
    more: dict[str, Any] = {"linear_before_reset": 1} if op == "GRU" else {}
    node = helper.make_node(
        op,
        ["x", "w", "r"],
        ["y"],
        hidden_size=hidden,
        direction="bidirectional" if both else "forward",
        **more,
    )
    model = graph([node], {"x": x.shape}, ["y"], {"w": w, "r": r})
    first, second = nests(lowered(model))
    assert steps == second.B
    turned = np.stack([x, x[::-1]])[:directions]  # each direction reads in its own order
    i = turned.reshape(directions, steps * batch, width).transpose(0, 2, 1)
    moved = interpreter.execute(first, i[:, None, :, None, :], w[..., None, None])
    moved = moved[:, 0, :, 0].transpose(0, 2, 1).reshape(directions, steps, batch, gates, hidden)
    h, c = (np.zeros((directions, batch, hidden)) for _ in range(2))
    done = []
    for step in range(steps):
        one = replace(second, B=1)
        state = interpreter.execute(one, h.transpose(0, 2, 1)[:, None, :, None], r[..., None, None])
        state = state[:, 0, :, 0].transpose(0, 2, 1).reshape(directions, batch, gates, hidden)
        total = moved[:, step] + state
        if op == "LSTM":
            gate_i, gate_o, gate_f = (sigmoid(total[:, :, n]) for n in range(3))
            c = gate_f * c + gate_i * np.tanh(total[:, :, 3])
            h = gate_o * np.tanh(c)
        elif op == "GRU":
            z, reset = (sigmoid(total[:, :, n]) for n in range(2))
            candidate = np.tanh(moved[:, step, :, 2] + reset * state[:, :, 2])
            h = (1 - z) * candidate + z * h
        else:
            h = np.tanh(total[:, :, 0])
        done.append(h)
    ours = np.stack(done, axis=1)
    if both:
        ours[1] = ours[1, ::-1]
    close(ours.transpose(1, 0, 2, 3), interpreter.run(model, {"x": x})[0])
