"""Networks for speech: Whisper, a streaming recognizer, text to speech, a streaming wake word."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_build import GraphBuilder
from zoo_transformer import EncoderShape, attend, encoder, mlp, split_heads

#: Whisper (arXiv 2212.04356 and its checkpoints): 80 mel bands, 3000 frames of 10 ms.
MELS, FRAMES = 80, 3000
#: Longest text, and tokens of the multilingual vocabulary.
TEXT, VOCABULARY = 448, 51865
WHISPER = {
    "tiny": EncoderShape(4, 384, 1536, 6, key_bias=False),
    "small": EncoderShape(12, 768, 3072, 12, key_bias=False),
}
#: Tokens before a decoding step unless the user binds another number.
WRITTEN_TOKENS = 64


def whisper_encoder(name: str, shape: EncoderShape) -> GraphBuilder:
    """30 s of mel features (1, 80, 3000) to states (1, 1500, width)."""
    g = GraphBuilder(name)
    width, frames = shape.width, FRAMES // 2
    x = g.input("features", (1, MELS, FRAMES))
    x = g.gelu(g.conv(x, "conv1", MELS, width, (3,)))
    x = g.gelu(g.conv(x, "conv2", width, width, (3,), stride=2, padding=(1,)))
    x = g.op("Add", [g.transpose(x, 0, 2, 1), g.weight("positions", frames, width)])
    g.output(encoder(g, x, shape), (1, frames, width))
    return g


def whisper_cross_kv(name: str, shape: EncoderShape) -> GraphBuilder:
    """Once a clip: keys and values of every decoder layer from the states (1, 1500, width)."""
    g = GraphBuilder(name)
    width, frames = shape.width, FRAMES // 2
    states = g.input("states", (1, frames, width))
    dims = (1, frames, shape.heads, width // shape.heads)
    for index in range(shape.layers):
        for part in ("key", "value"):
            with g.within(f"layers.{index}.cross"):
                x = g.linear(states, part, width, width, bias=part == "value")
            g.output(g.reshape(x, *dims, name=f"present_cross.{index}.{part}"), dims)
    return g


def whisper_decoder(name: str, shape: EncoderShape) -> GraphBuilder:
    """One token after ``past`` ones, attending to 1500 states whose keys and values are given.

    Inputs: ``tokens`` and ``position`` (1, 1); for each layer ``past.N.key/value`` (1, past, heads,
    head width) and ``past_cross.N.key/value`` (1, 1500, heads, head width). Outputs: ``logits``
    (1, 51865) and ``present.N.key/value`` (1, 1, heads, head width).
    """
    g = GraphBuilder(name, {"past": WRITTEN_TOKENS})
    width, heads = shape.width, shape.heads
    with g.within("embedding"):
        table = g.weight("weight", VOCABULARY, width)
        positions = g.weight("positions", TEXT, width)
        token = g.op("Gather", [table, g.input("tokens", (1, 1), integer=True)])
        place = g.op("Gather", [positions, g.input("position", (1, 1), integer=True)])
        x = g.op("Add", [token, place])
    for index in range(shape.layers):
        inner, cross = (
            [
                g.input(f"{kind}.{index}.{part}", (1, tokens, heads, width // heads))
                for part in ("key", "value")
            ]
            for kind, tokens in (("past", "past"), ("past_cross", FRAMES // 2))
        )
        with g.within(f"layers.{index}"):
            normed = g.layer_norm(x, "attn_norm", width)
            x = g.op("Add", [x, _cached_attention(g, normed, shape, index, inner)])
            normed = g.layer_norm(x, "cross_norm", width)
            x = g.op("Add", [x, _cross_attention(g, normed, shape, cross)])
            x = g.op("Add", [x, mlp(g, g.layer_norm(x, "mlp_norm", width), shape)])
    x = g.reshape(g.layer_norm(x, "norm", width), 1, width)
    logits = g.op("Gemm", [x, table], name="logits", attrs={"transB": 1})
    g.output(logits, (1, VOCABULARY))
    return g


def _cached_attention(
    g: GraphBuilder, x: str, shape: EncoderShape, index: int, past: list[str]
) -> str:
    heads, head_width = shape.heads, shape.width // shape.heads
    with g.within("attn"):
        query = split_heads(g, g.linear(x, "q", shape.width, shape.width), heads, head_width)
        joined = []
        for part, before in zip(("key", "value"), past, strict=True):
            new = g.linear(x, part, shape.width, shape.width, bias=part == "value")
            new = g.reshape(new, 0, 0, heads, head_width, name=f"present.{index}.{part}")
            g.output(new, (1, 1, heads, head_width))
            joined.append(g.concat([before, new], axis=1))
        return g.linear(attend(g, [query, *joined], head_width), "o", shape.width, shape.width)


def _cross_attention(g: GraphBuilder, x: str, shape: EncoderShape, states: list[str]) -> str:
    head_width = shape.width // shape.heads
    with g.within("cross"):
        query = g.linear(x, "q", shape.width, shape.width)
        query = split_heads(g, query, shape.heads, head_width)
        mixed = attend(g, [query, *states], head_width)
        return g.linear(mixed, "o", shape.width, shape.width)


@dataclass(frozen=True)
class StreamShape:
    """A streaming recognizer that takes ``segment`` steps at once and remembers ``left`` more.

    A step is one frame of ``bands`` mel bands; ``symbols`` are the output classes.
    """

    layers: int = 24
    width: int = 512
    hidden: int = 2048
    heads: int = 8
    bands: int = 80
    segment: int = 128
    left: int = 32
    symbols: int = 1024


def streaming_recognizer(name: str, shape: StreamShape) -> GraphBuilder:
    """One segment of an Emformer-like transducer encoder with its output layer.

    Inputs: ``features`` (1, segment, bands) and for each layer ``past.N.key/value`` of the left
    context (1, past, heads, head width). Outputs: ``logits`` (1, segment, symbols) and the new
    keys and values ``present.N.key/value``.
    """
    g = GraphBuilder(name, {"past": shape.left})
    width, heads, steps = shape.width, shape.heads, shape.segment
    head_width = width // heads
    inner = EncoderShape(shape.layers, width, shape.hidden, heads)
    x = g.input("features", (1, steps, shape.bands))
    x = g.linear(x, "input", shape.bands, width)
    for index in range(shape.layers):
        past = [
            g.input(f"past.{index}.{part}", (1, "past", heads, head_width))
            for part in ("key", "value")
        ]
        with g.within(f"layers.{index}"):
            normed = g.layer_norm(x, "attn_norm", width)
            with g.within("attn"):
                query = split_heads(g, g.linear(normed, "q", width, width), heads, head_width)
                joined = []
                for part, before in zip(("key", "value"), past, strict=True):
                    new = g.linear(normed, part, width, width)
                    new = g.reshape(new, 0, 0, heads, head_width, name=f"present.{index}.{part}")
                    g.output(new, (1, steps, heads, head_width))
                    joined.append(g.concat([before, new], axis=1))
                mixed = g.linear(attend(g, [query, *joined], head_width), "o", width, width)
            x = g.op("Add", [x, mixed])
            x = g.op("Add", [x, mlp(g, g.layer_norm(x, "mlp_norm", width), inner)])
            x = g.layer_norm(x, "norm", width)
    x = g.linear(x, "output", width, shape.symbols)
    g.output(x, (1, steps, shape.symbols))
    return g


@dataclass(frozen=True)
class SpeechShape:
    """FastSpeech 2 (arXiv 2006.04558) and HiFi-GAN V2 (arXiv 2010.05646), 22.05 kHz, hop 256.

    Attributes:
        phonemes, frames: symbols in and mel frames out; 86 frames are one second.
        width, heads, hidden, kernel, layers: of the feed-forward transformer blocks, as many
            before as behind the length regulator.
        variance: channels of the duration, pitch and energy predictors.
        channels: of the vocoder in front of its first stage.
        rates: upsampling of its stages; kernels are twice as wide.
        kernels, dilations: of the residual blocks of each stage.
    """

    phonemes: int = 16
    frames: int = 86
    symbols: int = 80
    bands: int = 80
    width: int = 256
    heads: int = 2
    hidden: int = 1024
    kernel: int = 9
    layers: int = 4
    variance: int = 256
    channels: int = 128
    rates: tuple[int, ...] = (8, 8, 2, 2)
    kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)


def text_to_speech(name: str, shape: SpeechShape) -> GraphBuilder:
    """Phonemes (1, phonemes) to a waveform (1, 1, 256 x frames).

    ``source`` (frames,) says which phoneme each mel frame belongs to (rounded durations).
    """
    g = GraphBuilder(name)
    width = shape.width
    tokens = g.input("phonemes", (1, shape.phonemes), integer=True)
    source = g.input("source", (shape.frames,), integer=True)
    with g.within("embedding"):
        x = g.op("Gather", [g.weight("weight", shape.symbols, width), tokens])
    with g.within("encoder"):
        x = _speech_blocks(g, x, shape, shape.phonemes)
    for kind in ("duration", "pitch", "energy"):
        with g.within(kind):
            g.output(_variance(g, x, shape), (1, shape.phonemes, 1))
    with g.within("prosody"):  # pitch and energy as embeddings of their quantized values
        for kind in ("pitch", "energy"):
            chosen = g.input(f"{kind}_bins", (1, shape.phonemes), integer=True)
            x = g.op("Add", [x, g.op("Gather", [g.weight(kind, 256, width), chosen])])
    x = g.op("Gather", [x, source], name="length_regulator", attrs={"axis": 1})
    with g.within("decoder"):
        x = _speech_blocks(g, x, shape, shape.frames)
    mel = g.transpose(g.linear(x, "mel", width, shape.bands), 0, 2, 1)
    with g.within("vocoder"):
        wave = vocoder(g, mel, shape)
    g.output(wave, (1, 1, shape.frames * 256))
    return g


def _speech_blocks(g: GraphBuilder, x: str, shape: SpeechShape, tokens: int) -> str:
    """Attention, then two convolutions along time; normalization behind each."""
    width, head_width = shape.width, shape.width // shape.heads
    x = g.op("Add", [x, g.weight("positions", tokens, width, trainable=False)])
    for index in range(shape.layers):
        with g.within(f"layers.{index}"):
            parts = [
                split_heads(g, g.linear(x, part, width, width), shape.heads, head_width)
                for part in ("q", "k", "v")
            ]
            mixed = g.linear(attend(g, parts, head_width), "o", width, width)
            x = g.layer_norm(g.op("Add", [x, mixed]), "attn_norm", width)
            y = g.conv(g.transpose(x, 0, 2, 1), "up", width, shape.hidden, (shape.kernel,))
            y = g.conv(g.op("Relu", [y]), "down", shape.hidden, width, (1,))
            x = g.layer_norm(g.op("Add", [x, g.transpose(y, 0, 2, 1)]), "mlp_norm", width)
    return x


def _variance(g: GraphBuilder, x: str, shape: SpeechShape) -> str:
    channels = shape.width
    for index in range(2):
        y = g.conv(g.transpose(x, 0, 2, 1), f"conv{index}", channels, shape.variance, (3,))
        x = g.transpose(g.op("Relu", [y]), 0, 2, 1)
        x, channels = g.layer_norm(x, f"norm{index}", shape.variance), shape.variance
    return g.linear(x, "out", channels, 1)


def vocoder(g: GraphBuilder, mel: str, shape: SpeechShape) -> str:
    """HiFi-GAN generator: mel (1, bands, frames) to a waveform (1, 1, frames x all rates)."""
    channels = shape.channels
    x = g.conv(mel, "first", shape.bands, channels, (7,))
    for stage, rate in enumerate(shape.rates):
        with g.within(f"stages.{stage}"):
            x = _upsampled(g, _leaky(g, x), channels, rate)
            channels //= 2
            branches = [_residual(g, x, channels, k, shape.dilations) for k in shape.kernels]
            x = g.op("Sum", branches)
            x = g.op("Mul", [x, g.number(1 / len(branches))])
    return g.op("Tanh", [g.conv(_leaky(g, x), "last", channels, 1, (7,))])


def _leaky(g: GraphBuilder, x: str) -> str:
    return g.op("LeakyRelu", [x], attrs={"alpha": 0.1})


def _upsampled(g: GraphBuilder, x: str, channels: int, rate: int) -> str:
    with g.within("up"):
        reads = [x, g.weight("weight", channels, channels // 2, 2 * rate)]
        reads.append(g.weight("bias", channels // 2))
        pad = rate // 2
        attrs = {"kernel_shape": [2 * rate], "strides": [rate], "pads": [pad, pad]}
        return g.op("ConvTranspose", reads, attrs=attrs)


def _residual(
    g: GraphBuilder, x: str, channels: int, kernel: int, dilations: tuple[int, ...]
) -> str:
    for dilation in dilations:
        with g.within(f"k{kernel}.d{dilation}"):
            y = g.conv(_leaky(g, x), "a", channels, channels, (kernel,), dilation=dilation)
            y = g.conv(_leaky(g, y), "b", channels, channels, (kernel,))
            x = g.op("Add", [x, y])
    return x


#: (filters, taps in time) of the separable blocks of MLPerf Tiny's streaming wake word network
#: (mlcommons/tiny, benchmark/training/streaming_wakeword/keras_model.py).
WAKEWORD_BLOCKS = ((128, 3), (64, 5), (64, 10), (32, 15))
WAKEWORD_FRAMES, WAKEWORD_BANDS, WAKEWORD_CLASSES = 30, 40, 3


def wakeword(name: str) -> GraphBuilder:
    """1-D depthwise separable network over 30 frames of 40 features; no padding, 3 classes."""
    g = GraphBuilder(name)
    channels = WAKEWORD_BANDS
    x = g.input("features", (1, channels, WAKEWORD_FRAMES))
    for index, (filters, taps) in enumerate(WAKEWORD_BLOCKS):
        with g.within(f"blocks.{index}"):
            x = g.conv(
                x,
                "depthwise",
                channels,
                channels,
                (taps,),
                padding=(0,),
                groups=channels,
                bias=False,
            )
            x = g.conv(x, "pointwise", channels, filters, (1,), bias=False)
            x = g.op("Relu", [g.batch_norm(x, "norm", filters)])
        channels = filters
    with g.within("classifier"):
        flat = g.op("Flatten", [x])
        reads = [flat, g.weight("weight", channels, WAKEWORD_CLASSES)]
        reads.append(g.weight("bias", WAKEWORD_CLASSES))
        g.output(g.op("Gemm", reads), (1, WAKEWORD_CLASSES))
    return g
