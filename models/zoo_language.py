"""Decoder-only language models: a prompt (prefill) and one step over a key-value cache (decode)."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_build import Dim, GraphBuilder
from zoo_transformer import attend, split_heads

#: Tokens of a prompt, and of the cache before a step, unless the user binds others.
PROMPT, CACHED = 128, 512


@dataclass(frozen=True)
class DecoderShape:
    """Sizes of a Llama-like decoder (normalization before, rotary positions, gated MLP).

    Attributes:
        layers: decoder layers.
        width: model width.
        hidden: inner width of the gated MLP.
        heads: query heads.
        kv_heads: key and value heads (divides ``heads``).
        vocabulary: tokens.
        tied: output projection shares the embedding.
        qkv_bias: query, key and value projections have biases.
        head_width: channels of one head.
        tanh_gate: the MLP is gated by GELU (tanh form) instead of SiLU.
    """

    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    qkv_bias: bool = False
    head_width: int = 64
    tanh_gate: bool = False


#: Sizes as the published configurations (config.json of each checkpoint) have them.
QWEN2_05B = DecoderShape(24, 896, 4864, 14, 2, 151936, tied=True, qkv_bias=True)
QWEN25_15B = DecoderShape(28, 1536, 8960, 12, 2, 151936, tied=True, qkv_bias=True, head_width=128)
QWEN25_7B = DecoderShape(28, 3584, 18944, 28, 4, 152064, tied=False, qkv_bias=True, head_width=128)
LLAMA32_1B = DecoderShape(16, 2048, 8192, 32, 8, 128256, tied=True)
LLAMA32_3B = DecoderShape(28, 3072, 8192, 24, 8, 128256, tied=True, head_width=128)
LLAMA31_8B = DecoderShape(32, 4096, 14336, 32, 8, 128256, tied=False, head_width=128)
LLAMA2_7B = DecoderShape(32, 4096, 11008, 32, 32, 32000, tied=False, head_width=128)
TINYLLAMA = DecoderShape(22, 2048, 5632, 32, 4, 32000, tied=False)
PHI3_MINI = DecoderShape(32, 3072, 8192, 32, 32, 32064, tied=False, head_width=96)

DECODERS = {
    "qwen2_0.5b": QWEN2_05B,
    "qwen2.5_1.5b": QWEN25_15B,
    "qwen2.5_7b": QWEN25_7B,
    "llama3.2_1b": LLAMA32_1B,
    "llama3.2_3b": LLAMA32_3B,
    "llama3.1_8b": LLAMA31_8B,
    "llama2_7b": LLAMA2_7B,
    "tinyllama_1.1b": TINYLLAMA,
    "phi3_mini": PHI3_MINI,
}


@dataclass(frozen=True)
class Rotation:
    """Cosine and sine of the rotary positions, (1, tokens, head width / 2) each."""

    cosine: str
    sine: str


def prefill(name: str, shape: DecoderShape) -> GraphBuilder:
    """A prompt of ``seq`` tokens at batch 1: logits of the last one, and the filled cache.

    Inputs: ``tokens`` (1, seq). Outputs: ``logits`` (1, vocabulary); for each layer
    ``present.N.key`` and ``present.N.value`` (1, seq, kv heads, head width).
    """
    g = GraphBuilder(name, {"seq": PROMPT})
    tokens = g.input("tokens", (1, "seq"), integer=True)
    seq = g.size_of(tokens, 1)
    mask = g.sized("causal_mask", [seq, seq])
    rotation = rotations(g, shape.head_width, seq)
    x, table = _embedded(g, shape, tokens)
    for index in range(shape.layers):
        with g.within(f"layers.{index}"):
            x = layer(g, shape, x, rotation, index, mask=mask, present="seq")
    last = g.op("Slice", [x, g.ints([-1]), g.ints([2**31 - 1]), g.ints([1])], name="last_token")
    _logits(g, shape, last, table)
    return g


def decode(name: str, shape: DecoderShape) -> GraphBuilder:
    """One new token after ``past`` cached ones at batch 1.

    Inputs: ``tokens`` (1, 1) and for each layer ``past.N.key`` and ``past.N.value``
    (1, past, kv heads, head width). Outputs: ``logits`` (1, vocabulary), and what the token adds
    to the cache, ``present.N.key`` and ``present.N.value`` (1, 1, kv heads, head width): the cache
    grows in place.
    """
    g = GraphBuilder(name, {"past": CACHED})
    tokens = g.input("tokens", (1, 1), integer=True)
    rotation = rotations(g, shape.head_width, g.ints([1]))
    x, table = _embedded(g, shape, tokens)
    for index in range(shape.layers):
        dims = (1, "past", shape.kv_heads, shape.head_width)
        cache = tuple(g.input(f"past.{index}.{part}", dims) for part in ("key", "value"))
        with g.within(f"layers.{index}"):
            x = layer(g, shape, x, rotation, index, cache=(cache[0], cache[1]), present=1)
    _logits(g, shape, x, table)
    return g


def rotations(g: GraphBuilder, head_width: int, tokens: str) -> Rotation:
    """The rotation of ``tokens`` (a vector of one number) positions."""
    sizes = [g.ints([1]), tokens, g.ints([head_width // 2])]
    return Rotation(g.sized("rotary.cosine", sizes), g.sized("rotary.sine", sizes))


def _embedded(g: GraphBuilder, shape: DecoderShape, tokens: str) -> tuple[str, str]:
    with g.within("embedding"):
        table = g.weight("weight", shape.vocabulary, shape.width)
        return g.op("Gather", [table, tokens]), table


def _logits(g: GraphBuilder, shape: DecoderShape, x: str, table: str) -> None:
    x = g.reshape(g.rms_norm(x, "norm", shape.width), 1, shape.width)
    with g.within("output"):
        if not shape.tied:
            table = g.weight("weight", shape.vocabulary, shape.width)
        logits = g.op("Gemm", [x, table], name="logits", attrs={"transB": 1})
        g.output(logits, (1, shape.vocabulary))


def layer(
    g: GraphBuilder,
    shape: DecoderShape,
    x: str,
    rotation: Rotation,
    index: int,
    *,
    mask: str | None = None,
    cache: tuple[str, str] | None = None,
    present: Dim | None = None,
) -> str:
    """One decoder layer over ``x (1, tokens, width)``.

    Args:
        index: of the layer, for the names of the cache.
        mask: added to the scores (tokens, tokens + cached).
        cache: keys and values before these tokens, (1, cached, kv heads, head width).
        present: number of these tokens if the new keys and values are outputs of the graph.
    """
    normed = g.rms_norm(x, "input_norm", shape.width)
    with g.within("attn"):
        mixed = attention(g, shape, normed, rotation, index, mask, cache, present)
        x = g.op("Add", [x, g.linear(mixed, "o", _query_width(shape), shape.width, bias=False)])
    normed = g.rms_norm(x, "mlp_norm", shape.width)
    return g.op("Add", [x, gated_mlp(g, shape, normed)])


def _query_width(shape: DecoderShape) -> int:
    return shape.heads * shape.head_width


def attention(
    g: GraphBuilder,
    shape: DecoderShape,
    x: str,
    rotation: Rotation,
    index: int,
    mask: str | None,
    cache: tuple[str, str] | None,
    present: Dim | None,
) -> str:
    """Grouped-query attention, (1, tokens, heads x head width), before the output projection.

    Query heads that share a key-value head are stacked along the token axis, so keys and values
    are never copied. Keys and values are kept token by token, so that the cache grows at its end.
    """
    width, heads, shared = shape.head_width, shape.heads, shape.kv_heads
    bias = shape.qkv_bias
    query = g.linear(x, "q", shape.width, heads * width, bias=bias)
    key = g.linear(x, "k", shape.width, shared * width, bias=bias)
    value = g.linear(x, "v", shape.width, shared * width, bias=bias)
    query, key = rotated(g, query, rotation, heads), rotated(g, key, rotation, shared)
    names = [f"present.{index}.{part}" if present is not None else "" for part in ("key", "value")]
    key = g.reshape(key, 0, 0, shared, width, name=names[0])
    value = g.reshape(value, 0, 0, shared, width, name=names[1])
    if present is not None:
        for tensor in (key, value):
            g.output(tensor, (1, present, shared, width))
    if cache is not None:
        key = g.concat([cache[0], key], axis=1)
        value = g.concat([cache[1], value], axis=1)
    return grouped(g, shape, query, key, value, mask)


def grouped(
    g: GraphBuilder, shape: DecoderShape, query: str, key: str, value: str, mask: str | None = None
) -> str:
    """Attention of ``query (1, tokens, heads x head width)`` over cached keys and values."""
    width, heads, shared = shape.head_width, shape.heads, shape.kv_heads
    query = g.transpose(g.reshape(query, 0, 0, heads, width), 0, 2, 1, 3)
    stacked = g.reshape(query, 0, shared, -1, width)
    scores = g.op("MatMul", [stacked, g.transpose(key, 0, 2, 3, 1)])
    scores = g.op("Mul", [scores, g.number(width**-0.5)])
    if mask is not None:
        scores = g.op("Add", [g.reshape(scores, 0, heads, -1, 0), mask])
    weights = g.op("Softmax", [scores], attrs={"axis": -1})
    if mask is not None:
        weights = g.reshape(weights, 0, shared, -1, 0)
    mixed = g.op("MatMul", [weights, g.transpose(value, 0, 2, 1, 3)])
    mixed = g.transpose(g.reshape(mixed, 0, heads, -1, width), 0, 2, 1, 3)
    return g.reshape(mixed, 0, 0, heads * width)


def rotated(g: GraphBuilder, x: str, rotation: Rotation, heads: int) -> str:
    """``x (1, tokens, heads x head width)`` turned by its positions."""
    reads = [x, rotation.cosine, rotation.sine]
    return g.op("RotaryEmbedding", reads, attrs={"num_heads": heads})


def gated_mlp(g: GraphBuilder, shape: DecoderShape, x: str) -> str:
    """``down(f(gate(x)) * up(x))``."""
    with g.within("mlp"):
        gate = g.linear(x, "gate", shape.width, shape.hidden, bias=False)
        gate = g.gelu(gate, tanh=True) if shape.tanh_gate else g.silu(gate)
        up = g.linear(x, "up", shape.width, shape.hidden, bias=False)
        return g.linear(g.op("Mul", [gate, up]), "down", shape.hidden, shape.width, bias=False)


@dataclass(frozen=True)
class MobileBertShape:
    """Sizes of MobileBERT (arXiv 2004.02984) with its question answering head.

    Attributes:
        layers, width: layers and the width between them.
        inner, heads, hidden: width inside a layer, its heads, inner width of its MLPs.
        stacks: MLPs in a layer.
        vocabulary, embedding, positions: of the word table; three neighbours are joined.
        answers: numbers for each token (start and end of the answer).
    """

    layers: int = 24
    width: int = 512
    inner: int = 128
    heads: int = 4
    hidden: int = 512
    stacks: int = 4
    vocabulary: int = 30522
    embedding: int = 128
    positions: int = 512
    answers: int = 2


def mobilebert(name: str, shape: MobileBertShape, tokens: int) -> GraphBuilder:
    """Answer logits (1, tokens, 2) of ``tokens`` words without padding."""
    g = GraphBuilder(name)
    width = shape.width
    with g.within("embedding"):
        x = _trigrams(g, g.input("tokens", (1, tokens), integer=True), shape, tokens)
        place = g.weight("positions", shape.positions, width)
        place = g.op("Slice", [place, g.ints([0]), g.ints([tokens]), g.ints([0])])
        segment = g.op("Gather", [g.weight("segments", 2, width), g.ints([0])])
        x = g.op("Add", [g.op("Add", [x, place]), segment])
        x = _scaled(g, x, "norm", width)
    for index in range(shape.layers):
        with g.within(f"layers.{index}"):
            x = _bottleneck_layer(g, shape, x)
    g.output(g.linear(x, "answer", width, shape.answers), (1, tokens, shape.answers))
    return g


def _trigrams(g: GraphBuilder, words: str, shape: MobileBertShape, tokens: int) -> str:
    """Each word's embedding between those of its neighbours, times a matrix."""
    table = g.weight("weight", shape.vocabulary, shape.embedding)
    x = g.op("Gather", [table, words])
    after = g.op("Slice", [x, g.ints([1]), g.ints([tokens]), g.ints([1])])
    before = g.op("Slice", [x, g.ints([0]), g.ints([tokens - 1]), g.ints([1])])
    after = g.op("Pad", [after, g.ints([0, 0, 0, 0, 1, 0])])
    before = g.op("Pad", [before, g.ints([0, 1, 0, 0, 0, 0])])
    joined = g.concat([after, x, before], axis=2)
    return g.linear(joined, "project", 3 * shape.embedding, shape.width)


def _scaled(g: GraphBuilder, x: str, name: str, width: int) -> str:
    """Gain and shift without statistics, MobileBERT's normalization."""
    with g.within(name):
        return g.op("Add", [g.op("Mul", [x, g.weight("weight", width)]), g.weight("bias", width)])


def _bottleneck_layer(g: GraphBuilder, shape: MobileBertShape, x: str) -> str:
    """Narrow, attend, several MLPs, widen; queries and keys share one narrowed input."""
    width, inner = shape.width, shape.inner
    narrow = _scaled(g, g.linear(x, "narrow", width, inner), "narrow_norm", inner)
    shared = _scaled(g, g.linear(x, "shared", width, inner), "shared_norm", inner)
    with g.within("attn"):
        head_width = inner // shape.heads
        parts = [
            split_heads(g, g.linear(source, part, inputs, inner), shape.heads, head_width)
            for part, source, inputs in (
                ("q", shared, inner),
                ("k", shared, inner),
                ("v", x, width),
            )
        ]
        y = g.linear(attend(g, parts, head_width), "o", inner, inner)
        y = _scaled(g, g.op("Add", [y, narrow]), "norm", inner)
    for index in range(shape.stacks):
        with g.within(f"mlp.{index}"):
            hidden = g.op("Relu", [g.linear(y, "up", inner, shape.hidden)])
            hidden = g.linear(hidden, "down", shape.hidden, inner)
            y = _scaled(g, g.op("Add", [hidden, y]), "norm", inner)
    return _scaled(g, g.op("Add", [g.linear(y, "widen", inner, width), x]), "norm", width)
