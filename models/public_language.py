"""Public networks for text, speech and both, written by torch's exporter of programs."""

from __future__ import annotations

from collections.abc import Callable

import torch
import transformers as hf
from public_build import Input, Public, image, indices
from public_vision import OneOutput
from torch import nn

#: Layers that are kept of a decoder: the others repeat them.
LAYERS = 2
#: Axes of a language model: their sizes when exported, and when counted.
PREFILL = {"batch": (2, 1), "seq": (7, 64)}
CACHED = {"batch": (2, 1), "seq": (3, 1), "past": (7, 128)}


class Prefill(nn.Module):
    """A language model without a cache."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Logits of all tokens."""
        results = self.network(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        return results.logits


class Cached(nn.Module):
    """A language model with its cache as tensors, the interface of Optimum's exporter."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Logits of the new tokens, and the keys and values of old and new ones."""
        cache = hf.DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        results = self.network(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=True,
        )
        present = [t for layer in cache.layers for t in (layer.keys, layer.values)]
        return (results.logits, *present)


class Encoder(nn.Module):
    """The encoder of Whisper."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.encoder = network.model.encoder

    def forward(self, input_features: torch.Tensor) -> torch.Tensor:
        """States of 30 s of speech."""
        return self.encoder(input_features).last_hidden_state


class Decoder(nn.Module):
    """The decoder of Whisper or T5 over given states of the encoder, without a cache."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Logits of all tokens."""
        results = self.network(decoder_input_ids=ids, encoder_outputs=(states,), use_cache=False)
        return results.logits


def _causal(config: hf.PretrainedConfig) -> nn.Module:
    return hf.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")


def _prefill(of: str, config: hf.PretrainedConfig, reduced: str, **more: object) -> Public:
    given: dict[str, object] = {
        "inputs": {"input_ids": indices("batch", "seq"), "attention_mask": indices("batch", "seq")}
    }
    given |= {"sizes": PREFILL, "reduced": reduced} | more
    build = lambda: Prefill(_causal(config))  # noqa: E731
    return Public("transformers", of, build, task="language", **given)  # type: ignore[arg-type]


def _cached(of: str, config: hf.PretrainedConfig, reduced: str, **more: object) -> Public:
    heads = config.num_key_value_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = Input(("batch", heads, "past", width))
    inputs = {"input_ids": indices("batch", "seq"), "attention_mask": indices("batch", "total")}
    for layer in range(config.num_hidden_layers):
        inputs |= {f"past_key_values.{layer}.{part}": cache for part in ("key", "value")}
    given: dict[str, object] = {"inputs": inputs, "sizes": CACHED | {"total": (10, 129)}}
    given |= {"reduced": reduced} | more
    build = lambda: Cached(_causal(config))  # noqa: E731
    return Public("transformers", of, build, task="language, one token with a cache", **given)  # type: ignore[arg-type]


def _hf(of: str, build: Callable[[], nn.Module], task: str, **more: object) -> Public:
    return Public("transformers", of, build, task=task, **more)  # type: ignore[arg-type]


def _named(network: type, config: hf.PretrainedConfig, *keys: str) -> Callable[[], nn.Module]:
    return lambda: OneOutput(network(config), *keys)


def of_layers(published: int) -> str:
    """What is said of a shortened decoder."""
    return f"{LAYERS} of {published} layers"


QWEN2 = hf.Qwen2Config(
    vocab_size=151936,
    hidden_size=896,
    intermediate_size=4864,
    num_hidden_layers=LAYERS,
    num_attention_heads=14,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)
QWEN3 = hf.Qwen3Config(
    vocab_size=151936,
    hidden_size=1024,
    intermediate_size=3072,
    num_hidden_layers=LAYERS,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    tie_word_embeddings=True,
)
LLAMA3 = hf.LlamaConfig(
    vocab_size=128256,
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=LAYERS,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=64,
    tie_word_embeddings=True,
    max_position_embeddings=131072,
    rope_parameters={
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
)
PHI3 = hf.Phi3Config(num_hidden_layers=LAYERS, pad_token_id=0)
PHI2 = hf.PhiConfig(
    vocab_size=51200,
    hidden_size=2560,
    intermediate_size=10240,
    num_hidden_layers=LAYERS,
    num_attention_heads=32,
    partial_rotary_factor=0.4,
)
GEMMA = hf.GemmaConfig(
    vocab_size=256000,
    hidden_size=2048,
    intermediate_size=16384,
    num_hidden_layers=LAYERS,
    num_attention_heads=8,
    num_key_value_heads=1,
    head_dim=256,
)
GEMMA3 = hf.Gemma3TextConfig(
    vocab_size=262144,
    hidden_size=640,
    intermediate_size=2048,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=1,
    head_dim=256,
    sliding_window=512,
)
MAMBA = hf.MambaConfig(vocab_size=50280, hidden_size=768, state_size=16, num_hidden_layers=LAYERS)
WHISPER = hf.WhisperConfig(
    d_model=384,
    encoder_layers=4,
    decoder_layers=4,
    encoder_attention_heads=6,
    decoder_attention_heads=6,
    encoder_ffn_dim=1536,
    decoder_ffn_dim=1536,
)

TEXT = {"input_ids": indices("batch", "seq"), "attention_mask": indices("batch", "seq")}

LANGUAGE: dict[str, Public] = {
    "hf_qwen2": _prefill("Qwen2ForCausalLM, Qwen2-0.5B", QWEN2, of_layers(24)),
    "hf_qwen2_cached": _cached("Qwen2ForCausalLM, Qwen2-0.5B", QWEN2, of_layers(24)),
    "hf_qwen3": _prefill("Qwen3ForCausalLM, Qwen3-0.6B", QWEN3, of_layers(28)),
    "hf_llama3_cached": _cached("LlamaForCausalLM, Llama-3.2-1B", LLAMA3, of_layers(16)),
    "hf_phi3": _prefill("Phi3ForCausalLM, Phi-3-mini", PHI3, of_layers(32)),
    "hf_phi2_traced": _prefill(
        "PhiForCausalLM, Phi-2", PHI2, of_layers(32), exporter="torchscript", opset=17
    ),
    "hf_gemma": _prefill("GemmaForCausalLM, Gemma-2B", GEMMA, of_layers(18)),
    "hf_gemma3_cached": _cached("Gemma3ForCausalLM, Gemma-3-270M", GEMMA3, "6 of 18 layers"),
    "hf_mamba": _hf(
        "MambaForCausalLM, Mamba-130M",
        lambda: OneOutput(hf.MambaForCausalLM(MAMBA), "logits"),
        "language",
        inputs={"input_ids": indices("batch", 16)},
        sizes={"batch": (2, 1)},
        reduced=f"{of_layers(24)}, 16 tokens (the scan is written out token by token)",
    ),
    "hf_whisper_encoder": _hf(
        "WhisperForConditionalGeneration, tiny, encoder",
        lambda: Encoder(hf.WhisperForConditionalGeneration(WHISPER)),
        "speech",
        inputs={"input_features": Input(("batch", 80, 3000))},
        sizes={"batch": (2, 1)},
    ),
    "hf_whisper_decoder": _hf(
        "WhisperForConditionalGeneration, tiny, decoder",
        lambda: Decoder(hf.WhisperForConditionalGeneration(WHISPER)),
        "speech",
        inputs={"ids": indices("batch", "seq"), "states": Input(("batch", 1500, 384))},
        sizes={"batch": (2, 1), "seq": (7, 32)},
    ),
    "hf_bert_traced": _hf(
        "BertModel, base",
        lambda: OneOutput(
            hf.BertModel(hf.BertConfig(num_hidden_layers=4), add_pooling_layer=False),
            "last_hidden_state",
        ),
        "text encoder",
        inputs=TEXT,
        sizes=PREFILL,
        exporter="torchscript",
        opset=17,
        reduced="4 of 12 layers",
    ),
    "hf_t5_encoder": _hf(
        "T5EncoderModel, small",
        _named(hf.T5EncoderModel, hf.T5Config(), "last_hidden_state"),
        "text encoder",
        inputs=TEXT,
        sizes=PREFILL,
    ),
    "hf_wav2vec2": _hf(
        "Wav2Vec2ForCTC, base",
        lambda: OneOutput(hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config(num_hidden_layers=4)), "logits"),
        "speech",
        inputs={"input_values": Input(("batch", "samples"))},
        sizes={"batch": (2, 1), "samples": (8000, 16000)},
        reduced="4 of 12 layers",
    ),
    "hf_clip": _hf(
        "CLIPVisionModelWithProjection, ViT-B/32",
        lambda: OneOutput(hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig()), "image_embeds"),
        "image encoder",
        inputs={"pixel_values": image(224, 224, "batch")},
        sizes={"batch": (2, 1)},
    ),
}
