"""A small interpreter of loop nests: what a compute layer means, executed in NumPy.

``execute`` runs the nest literally. The ``*_operands`` functions gather its two operands from the
tensors of the ONNX operator, as the docstrings of the lowering rules say; nothing else of the
operator is looked at, so that a wrong size, stride or group gives wrong numbers or an error.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from dse.workload import LoopNest

Array = np.ndarray


def execute(nest: LoopNest, i: Array, w: Array) -> Array:
    """I[g,b,c,y,x] (with its padding), W[g,k,c,fy,fx] -> O[g,b,k,oy,ox].

    Raises:
        AssertionError: an operand has another size than the nest's indices reach, or the
            multiply-accumulates done differ from ``nest.macs``.
    """
    reach_y = (nest.OY - 1) * nest.stride_y + (nest.FY - 1) * nest.dilation_y + 1
    reach_x = (nest.OX - 1) * nest.stride_x + (nest.FX - 1) * nest.dilation_x + 1
    assert w.shape == (nest.G, nest.K, nest.C, nest.FY, nest.FX)
    assert i.shape[:3] == (nest.G, nest.B, nest.C)
    assert i.shape[3] >= reach_y, "the nest reads below the padded input"
    assert i.shape[4] >= reach_x, "the nest reads beside the padded input"
    out, done = np.zeros((nest.G, nest.B, nest.K, nest.OY, nest.OX)), 0
    for fy, fx in itertools.product(range(nest.FY), range(nest.FX)):
        top, left = fy * nest.dilation_y, fx * nest.dilation_x
        rows = i[:, :, :, top : top + (nest.OY - 1) * nest.stride_y + 1 : nest.stride_y]
        part = rows[..., left : left + (nest.OX - 1) * nest.stride_x + 1 : nest.stride_x]
        out += np.einsum("gbcyx,gkc->gbkyx", part, w[:, :, :, fy, fx])
        done += part.size * nest.K
    assert done == nest.macs
    return out


def convolution(
    nest: LoopNest,
    x: Array,
    w: Array,
    groups: int,
    pads: Sequence[int],
    stride_z: int = 1,
    dilation_z: int = 1,
) -> Array:
    """A convolution over one to three axes by its nest; slices are in B, their taps in C."""
    rank = w.ndim - 2
    padded = np.pad(x, [(0, 0), (0, 0), *((pads[a], pads[a + rank]) for a in range(rank))])
    lead = (1,) * (3 - rank)
    padded = padded.reshape(*padded.shape[:2], *lead, *padded.shape[2:])
    taps = w.reshape(*w.shape[:2], *lead, *w.shape[2:])
    batch, channels, depth = padded.shape[:3]
    fz = taps.shape[2]
    oz = (depth - dilation_z * (fz - 1) - 1) // stride_z + 1
    slices = [[o * stride_z + f * dilation_z for f in range(fz)] for o in range(oz)]
    i = padded[:, :, slices]  # n, c, oz, fz, y, x
    i = i.reshape(batch, groups, channels // groups, oz, fz, *padded.shape[3:])
    i = i.transpose(1, 0, 3, 2, 4, 5, 6).reshape(
        groups, batch * oz, channels // groups * fz, *padded.shape[3:]
    )
    kernel = taps.reshape(groups, -1, taps.shape[1] * fz, *taps.shape[3:])
    o = execute(nest, i, kernel).reshape(groups, batch, oz, nest.K, nest.OY, nest.OX)
    o = o.transpose(1, 0, 3, 2, 4, 5).reshape(batch, groups * nest.K, oz, nest.OY, nest.OX)
    return o.reshape(batch, groups * nest.K, *o.shape[2 + 3 - rank :])


def transposed_convolution(
    nest: LoopNest,
    x: Array,
    w: Array,
    groups: int,
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    sizes: Sequence[int],
) -> Array:
    """A transposed convolution by its nest.

    Each point of the nest is one pair of an input pixel (B, OY, OX) and a tap. A sub-pixel nest
    holds the taps' quotients by the stride in C and FY, FX, their remainders (phases) in K; the
    other one all taps in K. Every point adds to the output pixel ``pixel x stride + tap x
    dilation``, which may be cropped.
    """
    rank = w.ndim - 2
    lead = (1,) * (3 - rank)
    s, d = (*lead, *strides), (*lead, *dilations)
    taps = w.reshape(*w.shape[:2], *lead, *w.shape[2:])
    image = x.reshape(*x.shape[:2], *lead, *x.shape[2:])
    kernel, pixels = taps.shape[2:], image.shape[2:]
    batch, channels, width = x.shape[0], x.shape[1] // groups, w.shape[1]
    exact = all(k % step == 0 for k, step in zip(kernel, s, strict=True))
    phases = s if exact else kernel
    quotients = tuple(k // p for k, p in zip(kernel, phases, strict=True))
    assert groups == nest.G
    assert batch * pixels[0] == nest.B
    assert channels * quotients[0] == nest.C
    assert width * int(np.prod(phases)) == nest.K
    assert pixels[1:] == (nest.OY, nest.OX)
    assert quotients[1:] == (nest.FY, nest.FX)
    full = [(n - 1) * a + (k - 1) * b + 1 for n, a, k, b in zip(pixels, s, kernel, d, strict=True)]
    canvas = np.zeros((batch, groups * width, *(f + 2 for f in full)))
    grouped = image.reshape(batch, groups, channels, *pixels)
    weights = taps.reshape(groups, channels, width, *kernel)
    done = 0
    for tap in itertools.product(*(range(k) for k in kernel)):
        part = np.einsum("bgczyx,gcm->bgmzyx", grouped, weights[..., tap[0], tap[1], tap[2]])
        done += part.size * channels
        where = tuple(
            slice(t * b, t * b + (n - 1) * a + 1, a)
            for t, b, n, a in zip(tap, d, pixels, s, strict=True)
        )
        canvas[(slice(None), slice(None), *where)] += part.reshape(batch, -1, *pixels)
    assert done == nest.macs
    begin = [*(0 for _ in lead), *pads[:rank]]
    ends = [1] * len(lead) + list(sizes)
    cut = tuple(slice(b, b + n) for b, n in zip(begin, ends, strict=True))
    result = np.zeros((batch, groups * width, *ends))
    kept = canvas[(slice(None), slice(None), *cut)]
    result[tuple(slice(0, n) for n in kept.shape)] = kept
    return result.reshape(batch, groups * width, *sizes)


def matrix_product(nest: LoopNest, a: Array, b: Array) -> Array:
    """``a (..., M, C) @ b (..., C, K)``: axes of b's lead are G, those of a's alone B."""
    rank = max(a.ndim, b.ndim) - 2
    a = a.reshape((1,) * (rank + 2 - a.ndim) + a.shape)
    b = b.reshape((1,) * (rank + 2 - b.ndim) + b.shape)
    m, c, k = a.shape[-2], a.shape[-1], b.shape[-1]
    shared = [axis for axis in range(rank) if b.shape[axis] == 1]
    own = [axis for axis in range(rank) if b.shape[axis] != 1]
    lead = tuple(max(p, q) for p, q in zip(a.shape[:-2], b.shape[:-2], strict=True))
    wide = np.broadcast_to(a, (*lead, m, c)).transpose(*own, *shared, rank, rank + 1)
    i = wide.reshape(nest.G, nest.B, m, c).transpose(0, 1, 3, 2)[:, :, :, None, :]
    w = b.reshape(nest.G, c, k).transpose(0, 2, 1)[..., None, None]
    o = execute(nest, i, w)[:, :, :, 0, :].transpose(0, 1, 3, 2)
    o = o.reshape(*(lead[x] for x in own), *(lead[x] for x in shared), m, k)
    order = [*own, *shared]
    return o.transpose(*(order.index(axis) for axis in range(rank)), rank, rank + 1)


def einsum_pair(nest: LoopNest, a: Array, b: Array, terms: tuple[str, str], result: str) -> Array:
    """Two operands of an Einsum: letters of both kept are G, lost ones C, the others OX and K."""
    sizes = dict(zip("".join(terms), (*a.shape, *b.shape), strict=True))
    first, second, kept = set(terms[0]), set(terms[1]), set(result)
    g = sorted(first & second & kept)
    c = sorted((first | second) - kept)
    k = sorted((second - first) & kept)
    x = sorted((first - second) & kept)

    def spread(array: Array, term: str, letters: list[str]) -> Array:
        missing = [letter for letter in letters if letter not in term]
        array = array.reshape(*array.shape, *(1 for _ in missing))
        wide = np.broadcast_to(
            array, (*array.shape[: len(term)], *(sizes[letter] for letter in missing))
        )
        names = [*term, *missing]
        return wide.transpose(tuple(names.index(letter) for letter in letters))

    i = spread(a, terms[0], [*g, *c, *x]).reshape(nest.G, 1, nest.C, 1, nest.OX)
    w = spread(b, terms[1], [*g, *k, *c]).reshape(nest.G, nest.K, nest.C, 1, 1)
    o = execute(nest, i, w).reshape(tuple(sizes[letter] for letter in (*g, *k, *x)))
    names = [*g, *k, *x]
    return o.transpose(tuple(names.index(letter) for letter in result))


def softmax(x: Array) -> Array:
    """Over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def attention(
    products: Sequence[LoopNest],
    q: Array,
    k: Array,
    v: Array,
    scale: float,
    added: Array | float = 0.0,
) -> Array:
    """softmax(Q K^T) V by its two nests; q (b, heads, queries, width), k, v (b, shared, keys, .).

    Heads that share keys and values are rows of one group.
    """
    scores_nest, values_nest = products
    batch, heads, queries, width = q.shape
    shared, keys = k.shape[1], k.shape[2]
    rows = heads // shared * queries
    i = q.reshape(batch * shared, 1, rows, width).transpose(0, 1, 3, 2)[:, :, :, None, :]
    scores = execute(scores_nest, i, k.reshape(batch * shared, keys, width)[..., None, None])
    scores = scores[:, 0, :, 0, :].transpose(0, 2, 1).reshape(batch, heads, queries, keys)
    weights = softmax(scores * scale + added).reshape(batch * shared, 1, rows, keys)
    w = v.reshape(batch * shared, keys, -1).transpose(0, 2, 1)[..., None, None]
    o = execute(values_nest, weights.transpose(0, 1, 3, 2)[:, :, :, None, :], w)
    return o[:, 0, :, 0, :].transpose(0, 2, 1).reshape(batch, heads, queries, -1)


def run(model: object, feeds: dict[str, Array]) -> list[Array]:
    """What ONNX Runtime computes."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    data = model.SerializeToString()  # type: ignore[attr-defined]
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return [np.asarray(result) for result in session.run(None, feeds)]
