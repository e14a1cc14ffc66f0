"""Number formats by tensor class, in both ways of writing them, and what they change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.errors import InputError
from dse.workload import FORMAT_BITS, Precision, bits_of, load_model, parse_precision

FORMATS = [name for name in FORMAT_BITS if name != "int32"]


@given(
    w=st.sampled_from(FORMATS),
    a=st.sampled_from(FORMATS),
    kv=st.none() | st.sampled_from(FORMATS),
    acc=st.none() | st.integers(8, 64),
    ends=st.none() | st.sampled_from(FORMATS),
    qat=st.booleans(),
)
def test_every_precision_reads_back_in_both_forms(
    w: str, a: str, kv: str | None, acc: int | None, ends: str | None, qat: bool
) -> None:
    integer = w.startswith("int")
    method = ("qat" if qat else "ptq") if integer else "float"
    precision = Precision(w, a, acc, kv, method, ends)  # type: ignore[arg-type]
    assert parse_precision(precision.name) == precision
    parts = {"w": w, "a": a, "kv": kv, "acc": acc, "first_last": ends}
    text = ",".join(f"{k}={v}" for k, v in parts.items() if v is not None)
    assert parse_precision(text + (f",method={method}" if integer else "")) == precision


def test_kv_cache_has_its_own_format() -> None:
    """Halving the cache's width halves what attention reads of it, and nothing else."""
    wide, narrow = (load_model(f"llama3.2_1b_decode@w=4,a=16,kv={kv}").at(None) for kv in (8, 4))
    assert wide.weight_bytes == narrow.weight_bytes
    cached = [n for n, t in wide.tensors.items() if t.role == "kv"]
    assert sum(narrow.tensors[n].bytes for n in cached) * 2 == sum(
        wide.tensors[n].bytes for n in cached
    )
    read = [
        (x.w_bytes, y.w_bytes)
        for x, y in zip(wide.layers, narrow.layers, strict=True)
        if x.w_tensor in cached
    ]
    assert len(read) == 32  # keys and values of 16 layers
    assert all(x == 2 * y > 0 for x, y in read)


def test_partial_sums_take_the_width_that_is_asked_for() -> None:
    for text, bits in (("w8a8", 32), ("w8a16", 48), ("w8a16-acc40", 40), ("w8a8-acc20", 20)):
        workload = load_model("resnet8").at(text)
        assert {x.acc_bits for x in workload.layers if x.nest} == {bits}, text


def test_first_and_last_layers_stay_wide() -> None:
    workload = load_model("resnet50_v1.5@w=4,a=4,first_last=8").at(None)
    products = [x for x in workload.layers if x.nest]
    assert [(x.w_format, x.i_format) for x in (products[0], products[-1])] == [("int8", "int8")] * 2
    assert {(x.w_format, x.i_format) for x in products[1:-1]} == {("int4", "int4")}
    assert products[0].o_format == "int4"
    assert products[-1].o_format == "int8"


def test_ends_of_a_language_model_are_embedding_and_vocabulary() -> None:
    workload = load_model("llama3.2_1b_decode@w=4,a=16,first_last=8").at(None)
    wide = [x for x in workload.layers if x.nest and x.w_format == "int8"]
    assert [x.nest.K for x in wide if x.nest] == [128256]
    assert {x.i_format for x in wide} == {"int16"}  # never narrower than the rest


def test_every_head_of_a_detector_is_an_end() -> None:
    workload = load_model("yolox_s@w=4,a=8,first_last=8").at(None)
    wide = [x.name for x in workload.layers if x.nest and x.w_format == "int8"]
    assert len(wide) == 1 + 3 * 3  # the stem; box, objectness, scores at three scales


def test_a_file_gives_layers_their_precision(tmp_path: Path) -> None:
    policy = tmp_path / "mix.yaml"
    policy.write_text('"layer1.*": w8a8\n"fc/Gemm": w16a16\n')
    workload = load_model(f"resnet50_v1.5@w=4,a=8,per_layer={policy}").at(None)
    for layer in workload.layers:
        if layer.nest:
            expected = "int8" if layer.name.startswith("layer1.") else "int4"
            assert layer.w_format == ("int16" if layer.name == "fc/Gemm" else expected)
    plain = load_model("resnet50_v1.5@w=4,a=8").at(None)
    assert workload.digest != plain.digest
    policy.write_text("conv7*: w8a8\n")
    with pytest.raises(InputError, match=r"per_layer.*conv7\*"):
        load_model(f"resnet50_v1.5@per_layer={policy}").at(None)
    policy.write_text("conv1*: w8a8\nfc*: w1a8\n")
    with pytest.raises(InputError, match=r"line 2: fc\*.*unknown precision"):
        load_model(f"resnet50_v1.5@per_layer={policy}")


def test_settings_of_the_name_refine_the_precision_given_later() -> None:
    model = load_model("llama3.2_1b_decode@kv=4,acc=24")
    assert model.explicit is None
    assert model.at("w8a8").precision == parse_precision("w8a8-kv4-acc24")
    assert model.at("w8a8-kv16").precision.kv == "int16"
    assert model.at(default="w4a16").precision == parse_precision("w4a16-kv4-acc24")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ("w=17", "w"),
        ("a=int1", "a"),
        ("kv=1", "kv"),
        ("kv=4", "kv"),
        ("acc=4", "acc"),
        ("acc=wide", "acc"),
        ("first_last=x", "first_last"),
        ("method=pqt", "method"),
        ("w=fp16,method=qat", "method"),
        ("precision=w8", "precision"),
        ("per_layer=nowhere.yaml", None),
        ("quality=nowhere.json", "quality"),
    ],
)
def test_a_bad_value_is_one_clear_error(settings: str, field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        load_model(f"resnet8@{settings}")
    assert caught.value.field == field
    assert caught.value.mend
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["w4", "int1", "w4a8-fast", "w=4,x=8", "w=4,w=8", "w4a8-kv1", ""])
def test_a_bad_word_is_one_clear_error(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_precision(text)
    assert caught.value.mend


def test_a_policy_that_names_no_layer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text("{}\n")
    with pytest.raises(InputError, match="no layer is named"):
        load_model(f"resnet8@per_layer={path}")


def test_a_cache_format_for_all_networks_leaves_those_without_a_cache_alone() -> None:
    model = load_model("resnet8")
    asked, plain = model.at("w4a8-kv4"), model.at("w4a8")
    assert asked.layers == plain.layers
    assert [note for note in asked.notes if note not in plain.notes]  # and it is said
    assert load_model("whisper_tiny_decoder").at("w4a8-kv4").precision.kv == "int4"


@pytest.mark.parametrize(
    ("name", "bits"), [("w8a8", 32), ("w8a16", 48), ("w4afp16", 32), ("wfp16a8", 32), ("fp32", 32)]
)
def test_partial_sums_of_whole_numbers_above_8_bit_are_wider(name: str, bits: int) -> None:
    sums = {layer.acc_bits for layer in load_model("resnet8").at(name).layers if layer.nest}
    assert sums == {bits}


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_follow_the_format(name: str) -> None:
    workload = load_model("resnet8").at(name)
    stored = [t for t in workload.tensors.values() if t.role == "weight"]
    assert workload.weight_bytes == sum(-(-t.elements * bits_of(name) // 8) for t in stored)
