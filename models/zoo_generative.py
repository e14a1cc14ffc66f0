"""Stable Diffusion 1.5: one step of its UNet, its text encoder and its image decoder."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_build import GraphBuilder
from zoo_transformer import EncoderShape, attend, encoder, split_heads

#: Text encoder (CLIP ViT-L/14): layers, width, MLP, heads; vocabulary and tokens of a prompt.
TEXT_ENCODER = EncoderShape(12, 768, 3072, 12, gelu="quick")
VOCABULARY, PROMPT = 49408, 77
#: Groups of every normalization.
GROUPS = 32


@dataclass(frozen=True)
class UnetShape:
    """Sizes of the UNet (unet/config.json of the checkpoint).

    Attributes:
        size: height and width of the latent image (image size / 8).
        latent: its channels.
        channels: of each level; all levels but the last attend to the text.
        blocks: residual blocks of a level on the way down (one more on the way up).
        heads: of every attention.
        context: width of the text states.
    """

    size: int = 64
    latent: int = 4
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    blocks: int = 2
    heads: int = 8
    context: int = 768

    @property
    def embedding(self) -> int:
        """Width of the embedded time step."""
        return 4 * self.channels[0]


def text_encoder(name: str) -> GraphBuilder:
    """A prompt of 77 tokens to states (1, 77, 768)."""
    g = GraphBuilder(name)
    width = TEXT_ENCODER.width
    with g.within("embedding"):
        tokens = g.input("tokens", (1, PROMPT), integer=True)
        x = g.op("Gather", [g.weight("weight", VOCABULARY, width), tokens])
        x = g.op("Add", [x, g.weight("positions", PROMPT, width)])
    mask = g.weight("causal_mask", PROMPT, PROMPT, trainable=False)
    g.output(encoder(g, x, TEXT_ENCODER, mask), (1, PROMPT, width))
    return g


def unet_step(name: str, shape: UnetShape) -> GraphBuilder:
    """The noise in a latent image at a time step, given the text states; one pass, no guidance.

    Inputs: ``latent`` (1, 4, size, size), ``timestep`` (1, 1), ``states`` (1, 77, 768). Classifier
    free guidance runs it twice a step.
    """
    g = GraphBuilder(name)
    first = shape.channels[0]
    dims = (1, shape.latent, shape.size, shape.size)
    x = g.conv(g.input("latent", dims), "first", shape.latent, first, (3, 3))
    states = g.input("states", (1, PROMPT, shape.context))
    time = _time(g, shape)
    skips = [(x, first)]
    size, width = shape.size, first
    for level, channels in enumerate(shape.channels):
        attends = level + 1 < len(shape.channels)
        for block in range(shape.blocks):
            with g.within(f"down.{level}.{block}"):
                x = residual(g, x, width, channels, size, time, shape.embedding)
                width = channels
                if attends:
                    x = _text_attention(g, x, states, width, size, shape)
            skips.append((x, width))
        if attends:
            x = g.conv(x, f"down.{level}.half", width, width, (3, 3), stride=2, padding=(1, 1))
            size //= 2
            skips.append((x, width))
    with g.within("middle"):
        with g.within("0"):
            x = residual(g, x, width, width, size, time, shape.embedding)
            x = _text_attention(g, x, states, width, size, shape)
        with g.within("1"):
            x = residual(g, x, width, width, size, time, shape.embedding)
    for level in reversed(range(len(shape.channels))):
        channels = shape.channels[level]
        for block in range(shape.blocks + 1):
            skip, extra = skips.pop()
            with g.within(f"up.{level}.{block}"):
                joined = g.concat([x, skip], axis=1)
                x = residual(g, joined, width + extra, channels, size, time, shape.embedding)
                width = channels
                if level + 1 < len(shape.channels):
                    x = _text_attention(g, x, states, width, size, shape)
        if level:
            size *= 2
            with g.within(f"up.{level}"):
                x = doubled(g, x, width)
    x = g.silu(normed(g, x, "last_norm", width, size))
    g.output(g.conv(x, "last", width, shape.latent, (3, 3)), dims)
    return g


def _time(g: GraphBuilder, shape: UnetShape) -> str:
    """Sines and cosines of the time step through two products, (1, embedding), behind SiLU."""
    first, embedding = shape.channels[0], shape.embedding
    with g.within("time"):
        step = g.input("timestep", (1, 1))
        angles = g.op("Mul", [step, g.weight("rates", 1, first // 2, trainable=False)])
        waves = g.concat([g.op("Cos", [angles]), g.op("Sin", [angles])], axis=1)
        hidden = g.silu(g.linear(waves, "up", first, embedding))
        return g.silu(g.linear(hidden, "down", embedding, embedding))


def residual(
    g: GraphBuilder,
    x: str,
    inputs: int,
    outputs: int,
    size: int,
    time: str | None = None,
    embedding: int = 0,
) -> str:
    """Two normalized 3x3 convolutions of ``x (1, inputs, size, size)`` with a shortcut.

    ``time`` (1, embedding), if given, is added between them.
    """
    y = normed(g, x, "norm1", inputs, size)
    y = g.conv(g.silu(y), "conv1", inputs, outputs, (3, 3))
    if time is not None:
        shift = g.reshape(g.linear(time, "time", embedding, outputs), 1, outputs, 1, 1)
        y = g.op("Add", [y, shift])
    y = g.silu(normed(g, y, "norm2", outputs, size))
    y = g.conv(y, "conv2", outputs, outputs, (3, 3))
    if inputs != outputs:
        x = g.conv(x, "shortcut", inputs, outputs, (1, 1))
    return g.op("Add", [x, y])


def normed(g: GraphBuilder, x: str, name: str, channels: int, size: int) -> str:
    """``x (1, channels, size, size)`` normalized in groups."""
    return g.group_norm(x, name, (1, channels, size, size), GROUPS)


def doubled(g: GraphBuilder, x: str, channels: int) -> str:
    """Nearest upsampling by two and a 3x3 convolution."""
    scales = g.numbers([1.0, 1.0, 2.0, 2.0])
    x = g.op("Resize", [x, "", scales], attrs={"mode": "nearest"})
    return g.conv(x, "double", channels, channels, (3, 3))


def _text_attention(
    g: GraphBuilder, x: str, states: str, width: int, size: int, shape: UnetShape
) -> str:
    """A transformer block over the pixels of ``x (1, width, size, size)``, with a shortcut."""
    with g.within("text"):
        y = g.conv(normed(g, x, "norm", width, size), "in", width, width, (1, 1))
        y = g.transpose(g.reshape(y, 1, width, size * size), 0, 2, 1)
        y = g.op("Add", [y, _attention(g, y, None, width, shape, "self")])
        y = g.op("Add", [y, _attention(g, y, states, width, shape, "cross")])
        y = g.op("Add", [y, _gated(g, g.layer_norm(y, "mlp_norm", width), width)])
        y = g.reshape(g.transpose(y, 0, 2, 1), 1, width, size, size)
        return g.op("Add", [x, g.conv(y, "out", width, width, (1, 1))])


def _attention(
    g: GraphBuilder, x: str, states: str | None, width: int, shape: UnetShape, kind: str
) -> str:
    x = g.layer_norm(x, f"{kind}_norm", width)
    head_width = width // shape.heads
    source, inputs = (x, width) if states is None else (states, shape.context)
    with g.within(kind):
        parts = [g.linear(x, "q", width, width, bias=False)]
        parts += [g.linear(source, part, inputs, width, bias=False) for part in ("k", "v")]
        apart = [split_heads(g, part, shape.heads, head_width) for part in parts]
        return g.linear(attend(g, apart, head_width), "o", width, width)


def _gated(g: GraphBuilder, x: str, width: int) -> str:
    """GEGLU: half of a wide product gates the other half."""
    with g.within("mlp"):
        half, gate = g.split(g.linear(x, "up", width, 8 * width), (4 * width, 4 * width))
        return g.linear(g.op("Mul", [half, g.gelu(gate)]), "down", 4 * width, width)


#: Channels of the image decoder from the latent image outward (vae/config.json).
DECODER_CHANNELS = (512, 512, 256, 128)


def image_decoder(name: str, size: int = 64, latent: int = 4) -> GraphBuilder:
    """A latent image (1, 4, size, size) to an image (1, 3, 8 size, 8 size)."""
    g = GraphBuilder(name)
    width = DECODER_CHANNELS[0]
    x = g.input("latent", (1, latent, size, size))
    x = g.conv(g.conv(x, "scale", latent, latent, (1, 1)), "first", latent, width, (3, 3))
    with g.within("middle.0"):
        x = residual(g, x, width, width, size)
    x = _pixel_attention(g, x, width, size)
    with g.within("middle.1"):
        x = residual(g, x, width, width, size)
    for level, channels in enumerate(DECODER_CHANNELS):
        for block in range(3):
            with g.within(f"up.{level}.{block}"):
                x = residual(g, x, width, channels, size)
                width = channels
        if level + 1 < len(DECODER_CHANNELS):
            with g.within(f"up.{level}"):
                x = doubled(g, x, width)
            size *= 2
    x = g.silu(normed(g, x, "last_norm", width, size))
    g.output(g.conv(x, "last", width, 3, (3, 3)), (1, 3, size, size))
    return g


def _pixel_attention(g: GraphBuilder, x: str, width: int, size: int) -> str:
    """One head over all pixels, with a shortcut."""
    with g.within("middle.attn"):
        y = g.reshape(normed(g, x, "norm", width, size), 1, width, size * size)
        y = g.transpose(y, 0, 2, 1)
        parts = [split_heads(g, g.linear(y, part, width, width), 1, width) for part in "qkv"]
        y = g.linear(attend(g, parts, width), "o", width, width)
        return g.op("Add", [x, g.reshape(g.transpose(y, 0, 2, 1), 1, width, size, size)])
