"""The networks that are written operator by operator (no torch needed), by name in the manifest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import zoo_audio as audio
import zoo_generative as generative
import zoo_language as language
import zoo_policy as policy
from zoo_build import GraphBuilder

Writer = Callable[[str], GraphBuilder]


def _decoders() -> dict[str, Writer]:
    found: dict[str, Writer] = {}
    for stem, shape in language.DECODERS.items():
        found[f"{stem}_prefill"] = partial(language.prefill, shape=shape)
        found[f"{stem}_decode"] = partial(language.decode, shape=shape)
    return found


def _whisper() -> dict[str, Writer]:
    """The encoder of the smallest one is exported from transformers (``zoo_catalog.py``)."""
    found: dict[str, Writer] = {}
    for size, shape in audio.WHISPER.items():
        if size != "tiny":
            found[f"whisper_{size}_encoder"] = partial(audio.whisper_encoder, shape=shape)
        found[f"whisper_{size}_cross_kv"] = partial(audio.whisper_cross_kv, shape=shape)
        found[f"whisper_{size}_decoder"] = partial(audio.whisper_decoder, shape=shape)
    return found


def _policies() -> dict[str, Writer]:
    found: dict[str, Writer] = {}
    for stem, shape in (("pi0", policy.PI0), ("smolvla", policy.SMOLVLA)):
        found[f"{stem}_prefill"] = partial(policy.prefill, shape=shape)
        found[f"{stem}_action_step"] = partial(policy.action_step, shape=shape)
    return found


#: Builds the graph of that name.
WRITTEN: dict[str, Writer] = {
    **_decoders(),
    "mobilebert_384": partial(language.mobilebert, shape=language.MobileBertShape(), tokens=384),
    **_whisper(),
    "emformer_asr_standin": partial(audio.streaming_recognizer, shape=audio.StreamShape()),
    "tts_small": partial(audio.text_to_speech, shape=audio.SpeechShape()),
    "wakeword_1d_dscnn": audio.wakeword,
    "siglip_so400m": policy.image_encoder,
    **_policies(),
    "sd15_text_encoder": generative.text_encoder,
    "sd15_unet_step": partial(generative.unet_step, shape=generative.UnetShape()),
    "sd15_vae_decoder": generative.image_decoder,
}
