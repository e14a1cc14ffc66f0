"""Vision-language-action policies: pi0 and SmolVLA, as prompt (prefill) and one action step.

A call of the policy is the prefill, then ``STEPS`` action steps that refine one chunk of actions.
"""

from __future__ import annotations

from dataclasses import dataclass

from zoo_build import Dim, GraphBuilder
from zoo_language import DecoderShape, Rotation, gated_mlp, grouped, layer, rotated, rotations
from zoo_transformer import EncoderShape, vision_encoder

#: Integration steps of the flow from noise to actions in one call (both policies).
STEPS = 10
#: SigLIP So400m with patches of 14 pixels (arXiv 2303.15343): layers, width, MLP, heads.
SIGLIP = EncoderShape(27, 1152, 4304, 16, gelu="tanh")
SIGLIP_SIZE, SIGLIP_PATCH = 224, 14


@dataclass(frozen=True)
class PolicyShape:
    """A vision-language model with a smaller action expert that reads its cache.

    Attributes:
        vision, size, patch: image encoder, height and width of its images, its patches.
        squeeze: side of the squares of patches that become one token.
        views: camera images.
        text: tokens of the instruction.
        language: the language model; ``expert``: the action expert (same layers and heads).
        state, actions, chunk: numbers of the robot's state and of one action; actions in a chunk.
        state_first: the state is a token of the prompt (else of the action step).
        cross: every second layer of the expert attends to the prompt only, through keys and values
            that it projects again.
    """

    vision: EncoderShape
    size: int
    patch: int
    squeeze: int
    views: int
    text: int
    language: DecoderShape
    expert: DecoderShape
    state: int = 32
    actions: int = 32
    chunk: int = 50
    state_first: bool = False
    cross: bool = False

    @property
    def view_tokens(self) -> int:
        """Tokens of one camera image."""
        return (self.size // self.patch // self.squeeze) ** 2

    @property
    def prompt(self) -> int:
        """Tokens in front of the actions."""
        return self.views * self.view_tokens + self.text + (1 if self.state_first else 0)


#: pi0 (arXiv 2410.24164): PaliGemma 3B (SigLIP and Gemma 2B) and an expert of 0.3 B.
PI0 = PolicyShape(
    vision=SIGLIP,
    size=SIGLIP_SIZE,
    patch=SIGLIP_PATCH,
    squeeze=1,
    views=3,
    text=48,
    language=DecoderShape(18, 2048, 16384, 8, 1, 257152, tied=True, head_width=256, tanh_gate=True),
    expert=DecoderShape(18, 1024, 4096, 8, 1, 0, tied=True, head_width=256, tanh_gate=True),
)
#: SmolVLA 450M (arXiv 2506.01844): the lower 16 layers of SmolVLM2 500M and an expert of 3/4 width.
SMOLVLA = PolicyShape(
    vision=EncoderShape(12, 768, 3072, 12, gelu="tanh"),
    size=512,
    patch=16,
    squeeze=4,
    views=2,
    text=48,
    language=DecoderShape(16, 960, 2560, 15, 5, 49280, tied=True),
    expert=DecoderShape(16, 720, 2048, 15, 5, 0, tied=True),
    state_first=True,
    cross=True,
)


def image_encoder(name: str) -> GraphBuilder:
    """SigLIP So400m without its pooling head: an image to 256 features of 1152 channels."""
    g = GraphBuilder(name)
    image = g.input("image", (1, 3, SIGLIP_SIZE, SIGLIP_SIZE))
    x = vision_encoder(g, image, SIGLIP, SIGLIP_SIZE, SIGLIP_PATCH)
    g.output(x, (1, (SIGLIP_SIZE // SIGLIP_PATCH) ** 2, SIGLIP.width))
    return g


def prefill(name: str, shape: PolicyShape) -> GraphBuilder:
    """Camera images, instruction and perhaps state to the keys and values of every layer.

    Outputs ``present.N.key/value`` (1, prompt, kv heads, head width), and ``features`` of the last
    layer as the published code computes them.
    """
    g = GraphBuilder(name)
    language = shape.language
    parts = [_views(g, shape), _instruction(g, shape)]
    if shape.state_first:
        parts.append(g.linear(g.input("state", (1, 1, shape.state)), "state", 32, language.width))
    x = g.concat(parts, axis=1)
    rotation = rotations(g, language.head_width, g.ints([shape.prompt]))
    for index in range(language.layers):
        with g.within(f"layers.{index}"):
            x = layer(g, language, x, rotation, index, present=shape.prompt)
    g.output(g.rms_norm(x, "norm", language.width), (1, shape.prompt, language.width))
    return g


def _views(g: GraphBuilder, shape: PolicyShape) -> str:
    """Camera images as tokens, (1, views x view tokens, language width)."""
    images = g.input("images", (shape.views, 3, shape.size, shape.size))
    x = vision_encoder(g, images, shape.vision, shape.size, shape.patch)
    width, side = shape.vision.width, shape.squeeze
    if side > 1:  # squares of patches side by side in the channels
        rows = shape.size // shape.patch // side
        x = g.reshape(x, shape.views * rows, side, rows, side * width)
        x = g.reshape(g.transpose(x, 0, 2, 1, 3), shape.views, rows * rows, side * side * width)
    with g.within("connector"):
        wide = shape.language.width
        x = g.linear(x, "project", width * side * side, wide, bias=not shape.cross)
        return g.reshape(x, 1, shape.views * shape.view_tokens, wide)


def _instruction(g: GraphBuilder, shape: PolicyShape) -> str:
    """Embedded words, scaled by the root of the width as Gemma and SmolVLA have it."""
    width = shape.language.width
    with g.within("embedding"):
        tokens = g.input("tokens", (1, shape.text), integer=True)
        x = g.op("Gather", [g.weight("weight", shape.language.vocabulary, width), tokens])
        return g.op("Mul", [x, g.number(width**0.5)])


def action_step(name: str, shape: PolicyShape) -> GraphBuilder:
    """One integration step: the chunk moves along the velocity that the expert predicts.

    Inputs: ``noisy`` (1, chunk, actions), ``time`` (1, 1, expert width: the embedded time),
    ``state`` if it is not in the prompt, and ``past.N.key/value`` (1, past, kv heads, head width).
    Output: ``actions`` (1, chunk, actions).
    """
    g = GraphBuilder(name, {"past": shape.prompt})
    expert, width = shape.expert, shape.expert.width
    noisy = g.input("noisy", (1, shape.chunk, shape.actions))
    x = _timed_actions(g, shape, noisy)
    mask = None
    if not shape.state_first:
        state = g.linear(g.input("state", (1, 1, shape.state)), "state", shape.state, width)
        x = g.concat([state, x], axis=1)
    tokens = shape.chunk + (0 if shape.state_first else 1)
    cache = [
        tuple(g.input(f"past.{index}.{part}", _cached(shape, "past")) for part in ("key", "value"))
        for index in range(expert.layers)
    ]
    if not shape.state_first:  # the state does not look at the actions
        total = g.op("Add", [g.size_of(cache[0][0], 1), g.ints([tokens])])
        mask = g.sized("block_mask", [g.ints([tokens]), total])
    rotation = rotations(g, expert.head_width, g.ints([tokens]))
    for index, (keys, values) in enumerate(cache):
        with g.within(f"layers.{index}"):
            if shape.cross and index % 2:
                x = _cross_layer(g, shape, x, rotation, (keys, values))
            else:
                x = layer(g, expert, x, rotation, index, mask=mask, cache=(keys, values))
    x = g.rms_norm(x, "norm", width)
    if not shape.state_first:
        x = g.op("Slice", [x, g.ints([1]), g.ints([tokens]), g.ints([1])], name="without_state")
    velocity = g.linear(x, "action_out", width, shape.actions)
    step = g.op("Mul", [velocity, g.number(-1 / STEPS)])
    g.output(g.op("Add", [noisy, step], name="actions"), (1, shape.chunk, shape.actions))
    return g


def _cached(shape: PolicyShape, past: Dim) -> tuple[Dim, ...]:
    return (1, past, shape.language.kv_heads, shape.language.head_width)


def _timed_actions(g: GraphBuilder, shape: PolicyShape, noisy: str) -> str:
    """Actions and time through two products, (1, chunk, expert width)."""
    width = shape.expert.width
    x = g.linear(noisy, "action_in", shape.actions, width)
    time = g.input("time", (1, 1, width))
    time = g.op("Expand", [time, g.ints([1, shape.chunk, width])])
    x = g.concat([x, time], axis=2)
    with g.within("action_time"):
        x = g.silu(g.linear(x, "up", 2 * width, width))
        return g.linear(x, "down", width, width)


def _cross_layer(
    g: GraphBuilder, shape: PolicyShape, x: str, rotation: Rotation, cache: tuple[str, str]
) -> str:
    """A layer of the expert whose keys and values are projections of the prompt's."""
    expert = shape.expert
    heads, shared, width = expert.heads, expert.kv_heads, expert.head_width
    normed = g.rms_norm(x, "input_norm", expert.width)
    with g.within("attn"):
        query = g.linear(normed, "q", expert.width, heads * width, bias=False)
        query = rotated(g, query, rotation, heads)
        key, value = (
            _projected(g, kept, part, shared, width) for part, kept in zip("kv", cache, strict=True)
        )
        mixed = grouped(g, expert, query, key, value)
        x = g.op("Add", [x, g.linear(mixed, "o", heads * width, expert.width, bias=False)])
    return g.op("Add", [x, gated_mlp(g, expert, g.rms_norm(x, "mlp_norm", expert.width))])


def _projected(g: GraphBuilder, kept: str, part: str, shared: int, width: int) -> str:
    """Cached keys or values (1, past, shared, width) times a square matrix."""
    flat = g.reshape(kept, 0, 0, shared * width)
    flat = g.linear(flat, part, shared * width, shared * width, bias=False)
    return g.reshape(flat, 0, 0, shared, width)
