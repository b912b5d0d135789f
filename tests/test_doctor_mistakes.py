"""Every mistake of a vocoder or talker that the catalogue has leads to its finding, made by a port that knows nothing
of the doctor; a sound port that computes the same in another way, or less exactly, leads to none. With
`test_doctor_findings.py`, that is every finding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.doctor.unseen.mistake import Mistake
from benchmarks.doctor.unseen.port_talker import Request, TalkerPort
from benchmarks.doctor.unseen.port_vocoder import VocoderPort

import omniggml
from omniggml.doctor.catalogue import CATALOGUE
from shown_findings import LONG, TEXT, Evidence, Given, Shown, check_fault, check_neighbour, choices, edits
from test_doctor_ears import OF_EARS
from test_doctor_findings import SHOWN as ELSEWHERE

C2W = "code2wav"
TABLE, LAYER = f"{C2W}.code_embedding", f"{C2W}.pre_transformer.layers.*"
ATTENTION = f"{LAYER}.self_attn"
NORMS = (f"{LAYER}.input_layernorm", f"{LAYER}.post_attention_layernorm", f"{C2W}.pre_transformer.norm")
UNIT, CONVNEXT = f"{C2W}.decoder.*.block.*", f"{C2W}.upsample.*.*"
SNAKES = (f"{UNIT}.act1", f"{UNIT}.act2", UNIT, f"{C2W}.decoder.*")
CONVOLUTIONS = (f"{C2W}.decoder.*", f"{UNIT}.conv1", f"{CONVNEXT}.dwconv")
SIZE = 64
"""Codes of one group of the model "tiny"."""


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("mistakes"))


# --- vocoders ---------------------------------------------------------------------------------------------------------


def decoded(
    mistake: Mistake | None = None,
    codes: Callable[[Any], Any] = lambda codes: codes,
    frames: int = 40,
    **options: Any,
) -> Callable[[Evidence], Given]:
    """A port's audio beside the right codes; `codes`: what the port does with them first."""

    def make(evidence: Evidence) -> Given:
        right = evidence.tiny_codes[:, :frames]
        samples = evidence.vocoder("tiny").decode(codes(right), mistake)
        return evidence.with_codes("tiny", samples, right, **options)

    return make


def chosen(choice: str, value: Any, *paths: str, **options: Any) -> Callable[[Evidence], Given]:
    return decoded(choices("", **{f"{path}:{choice}": value for path in paths}), **options)


def misread(*made: tuple[Any, ...], **options: Any) -> Callable[[Evidence], Given]:
    return decoded(edits("", *made), **options)


def computed_in(precision: str) -> Callable[[Evidence], Given]:
    return chosen("precision", precision, C2W)


def louder(tensor: str, factor: float, mistake: Mistake | None = None) -> Callable[[Evidence], Given]:
    """A vocoder with larger numbers inside, and what a port makes of it; a sound file holds no NaN."""

    def make(evidence: Evidence) -> Given:
        file = evidence.edit("tiny")
        file.put(tensor, file.values(tensor) * np.float32(factor))
        path = evidence.written(file)
        made = np.nan_to_num(VocoderPort.read(path).decode(evidence.tiny_codes, mistake))
        return {"model": path, "codes": evidence.tiny_codes, "audio": evidence.sound_file(made, subtype="FLOAT")}

    return make


BF16, F16, INT8 = computed_in("bf16"), computed_in("f16"), computed_in("int8")
AS_IT_IS, IN_16_BITS = decoded(), decoded(subtype="PCM_16")
UNMOVED = chosen("position", "from one", ATTENTION)
"""Rotary positions tell distances alone."""

KNOWN: dict[str, Shown] = {
    "sum-for-mean": Shown(chosen("divisor", "1", TABLE), BF16),
    "wrong-split": Shown(
        decoded(choices("", **{f"{TABLE}:stride": 2 * SIZE}), codes=lambda c: c[: len(c) // 2]), AS_IT_IS
    ),
    "no-offset": Shown(chosen("stride", 0, TABLE), IN_16_BITS),
    "double-offset": Shown(chosen("stride", 2 * SIZE, TABLE), INT8),
    "reversed-groups": Shown(chosen("groups", "reversed", TABLE), F16),
    "shifted-groups": Shown(chosen("groups", "rotated", TABLE), BF16),
    "first-group-dropped": Shown(decoded(codes=lambda c: c[1:]), AS_IT_IS),
    "last-groups-dropped": Shown(decoded(codes=lambda c: c[:-1]), IN_16_BITS),
    "transposed-layout": Shown(decoded(codes=lambda c: c.T.reshape(c.shape)), INT8),
    "codes-off-by-one": Shown(chosen("first", 1, TABLE), F16),
    "snake-without-exp": Shown(chosen("form", "no exp", *SNAKES), BF16),
    "snake-alpha-for-beta": Shown(chosen("form", "alpha alone", *SNAKES), INT8),
    "no-window": Shown(chosen("window", 10**6, ATTENTION), chosen("window", 10**6, ATTENTION, frames=12)),
    "short-window": Shown(chosen("window", 2, ATTENTION), chosen("window", 13, ATTENTION, frames=12)),
    "no-rope": Shown(chosen("rope", "none", ATTENTION), UNMOVED),
    "rope-pairs": Shown(chosen("rope", "pairs", ATTENTION), UNMOVED),
    "wrong-theta": Shown(chosen("theta", 1e6, ATTENTION), chosen("theta", 1e4 * (1 + 1e-6), ATTENTION)),
    "wrong-eps": Shown(chosen("eps", 1e-2, *NORMS), chosen("eps", 1.001e-5, *NORMS)),
    "layer-norm": Shown(chosen("form", "layer", *NORMS), BF16),
    "no-final-norm": Shown(chosen("form", "left out", NORMS[-1]), F16),
    "tanh-gelu": Shown(chosen("activation", "gelu tanh", CONVNEXT), F16),
    "silu-for-gelu": Shown(chosen("activation", "silu", CONVNEXT), INT8),
    "right-trim": Shown(chosen("trim", "right", UNIT), AS_IT_IS),
    "left-trim": Shown(chosen("trim", "left", UNIT), IN_16_BITS),
    "centred-padding": Shown(chosen("padding", "centred zeros", *CONVOLUTIONS), BF16),
    "no-dilation": Shown(chosen("dilations", [1, 1, 1], f"{C2W}.decoder.*"), F16),
    "no-biases": Shown(
        misread(
            *(("fill", f"{path}.conv.bias", 0.0) for path in (*CONVOLUTIONS, f"{UNIT}.conv2", UNIT, CONVNEXT)),
            *(("fill", f"{CONVNEXT}.{part}.bias", 0.0) for part in ("pwconv1", "pwconv2", "norm")),
        ),
        INT8,
    ),
    "no-layer-scale": Shown(
        misread(("fill", f"{ATTENTION}_layer_scale.scale", 1.0), ("fill", f"{LAYER}.mlp_layer_scale.scale", 1.0)), BF16
    ),
    "no-gamma": Shown(misread(("fill", f"{CONVNEXT}.gamma", 1.0)), F16),
    "half-precision": Shown(
        louder(f"{C2W}.decoder.0.conv.weight", 4e4, choices("", **{f"{C2W}:precision": "f16"})), F16, alone=False
    ),
}

KINDS: dict[str, Shown] = {
    "permuted": Shown(misread(("reverse", f"{C2W}.decoder.1.block.2.conv1.conv.weight", 2)), AS_IT_IS),
    "swapped": Shown(misread(("swap", f"{C2W}.pre_transformer.layers.0.mlp.gate_proj.weight", "up_proj.weight")), BF16),
    "copied": Shown(
        misread(("take", f"{C2W}.decoder.1.block.3.conv1.conv.weight", f"{C2W}.decoder.1.block.2.conv1.conv.weight")),
        INT8,
    ),
    "missing": Shown(misread(("fill", f"{C2W}.decoder.1.block.3.conv2.conv.bias", 0.0)), F16),
    "scaled": Shown(misread(("scale", f"{C2W}.upsample.0.1.gamma", 2.0)), IN_16_BITS),
    "constant": Shown(chosen("dilations", [9, 3, 1], f"{C2W}.decoder.1"), UNMOVED),
    "formula": Shown(chosen("form", "cosine", f"{C2W}.decoder.1.block.2.act1"), BF16),
    "activation": Shown(chosen("activation", "relu", f"{C2W}.pre_transformer.layers.0.mlp"), F16),
    "padding": Shown(chosen("padding", "left edge", f"{C2W}.decoder.0"), INT8),
    "trim": Shown(chosen("trim", "none", f"{C2W}.decoder.1.block.1"), AS_IT_IS),
    "residual": Shown(chosen("residual", "mean", f"{C2W}.decoder.1.block.3"), BF16),
    "mask": Shown(chosen("sees", "all", f"{C2W}.pre_transformer.layers.0.self_attn", frames=12), IN_16_BITS),
    "positions": Shown(chosen("rotated", "q", f"{C2W}.pre_transformer.layers.0.self_attn"), UNMOVED),
    "heads": Shown(chosen("heads joined", "interleaved", f"{C2W}.pre_transformer.layers.1.self_attn"), F16),
    "order": Shown(chosen("order", "mlp first", f"{C2W}.pre_transformer.layers.0"), BF16),
    "lookup": Shown(chosen("groups", "first for all", TABLE), INT8),
    "reduction": Shown(chosen("divisor", "sqrt n", TABLE), AS_IT_IS),
    "limit": Shown(
        louder(f"{C2W}.decoder.4.conv.weight", 8, choices("", **{f"{C2W}:limit": "tanh"})),
        louder(f"{C2W}.decoder.4.conv.weight", 2),  # at 8 two samples of five are at the limits, which is a finding
    ),
}

# --- talkers ----------------------------------------------------------------------------------------------------------

T, P = "talker", "talker.code_predictor"


def said(
    mistake: Mistake | None = None,
    text: str = TEXT,
    seed: int = 5,
    frames: int = 30,
    file: Callable[[Evidence], Path] = lambda evidence: evidence.file("tiny"),
) -> Callable[..., Given]:
    """A port's codes of a text."""

    def make(evidence: Evidence) -> Given:
        path = file(evidence)
        model = omniggml.load(path, n_threads=1)
        conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
        request = Request(conversation, model.tokenizer.encode(text), model.default_speaker)
        codes = TalkerPort.read(path).speak(request, seed, frames, mistake)
        return {"model": path, "codes": codes, "text": text, "speaker": request.speaker}

    return make


def mini(evidence: Evidence) -> Path:
    return evidence.file("mini")


def outspoken(evidence: Evidence) -> Path:
    return evidence.outspoken


def speaks(choice: str, value: Any, *paths: str, **options: Any) -> Callable[..., Given]:
    return said(choices("", **{f"{path}:{choice}": value for path in paths}), **options)


def misspeaks(*made: tuple[Any, ...], **options: Any) -> Callable[..., Given]:
    return said(edits("", *made), **options)


SOUND, OTHER_SEED, LONGER = said(), said(seed=8, file=outspoken), said(text=LONG, seed=6, frames=40)
FIRST, OF_P = f"{T}.model.layers.0", f"{P}.model.layers.0"

TALKERS: dict[str, Shown] = {
    "pre-norm": Shown(speaks("state", "before norm", P, text="hello world", file=mini), SOUND),
    "first-code-only": Shown(speaks("feedback", "code 0 alone", T), OTHER_SEED),
    "mean-feedback": Shown(speaks("feedback", "mean", T), LONGER),
    "outputs-for-embeddings": Shown(speaks("feedback", "predictor's outputs", T), SOUND),
    "no-text": Shown(speaks("text", "none", T, text=LONG, frames=40), said(text="hi")),
    "text-offset": Shown(speaks("text", "early", T, text=LONG, frames=40), LONGER),
    "tts-bos-for-eos": Shown(speaks("text ends with", "tts_bos", T, text="hello", frames=40), said(text="hello")),
    "permuted": Shown(misspeaks(("reverse", f"{FIRST}.self_attn.v_proj.weight", 0)), OTHER_SEED),
    "swapped": Shown(misspeaks(("swap", f"{OF_P}.mlp.gate_proj.weight", "up_proj.weight")), LONGER),
    "copied": Shown(
        misspeaks(("take", f"{OF_P}.mlp.down_proj.weight", f"{P}.model.layers.1.mlp.down_proj.weight")), SOUND
    ),
    "missing": Shown(speaks("layers", [1], f"{T}.model"), OTHER_SEED),
    "scaled": Shown(misspeaks(("scale", f"{T}.model.layers.1.self_attn.o_proj.weight", 10.0)), LONGER),
    "constant": Shown(speaks("scale", "1", f"{T}.model.layers.*.self_attn"), SOUND),
    "formula": Shown(speaks("shared gate", "none", f"{T}.model.layers.*.mlp", file=outspoken), OTHER_SEED),
    "activation": Shown(speaks("activation", "sigmoid", f"{T}.model.layers.*.mlp"), LONGER),
    "residual": Shown(speaks("residual", "none", f"{FIRST}.self_attn"), SOUND),
    "positions": Shown(speaks("rope", "none", f"{T}.model.layers.*.self_attn", file=outspoken), OTHER_SEED),
    "heads": Shown(speaks("heads joined", "interleaved", f"{FIRST}.self_attn"), LONGER),
    "state": Shown(speaks("cache", "none", f"{P}.model", file=mini), SOUND),
    "order": Shown(speaks("norms", "after rope", f"{T}.model.layers.*.self_attn", file=outspoken), SOUND),
    "router": Shown(speaks("experts", 1, f"{T}.model.layers.*.mlp", file=outspoken), OTHER_SEED),
    "hidden": Shown(speaks("state", "a frame old", P), LONGER),
    "feedback": Shown(speaks("feedback", "without code 0", T), SOUND),
    "speaker": Shown(speaks("special codes", "none", T), OTHER_SEED),
    "text": Shown(speaks("text", "twice as fast", T, text=LONG, frames=40), LONGER),
}

SHOWN = {f"vocoder.{name}": shown for name, shown in (KNOWN | KINDS).items()}
SHOWN |= {f"talker.{name}": shown for name, shown in TALKERS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("id", SHOWN)
def test_a_mistake_leads_to_it(id: str, evidence: Evidence) -> None:
    check_fault(id, evidence.diagnosis(SHOWN[id].fault), alone=SHOWN[id].alone)


@pytest.mark.parametrize("id", SHOWN)
def test_a_sound_port_does_not(id: str, evidence: Evidence) -> None:
    check_neighbour(id, evidence.diagnosis(SHOWN[id].neighbour))


def test_every_finding_is_shown() -> None:
    """Each once, by a test that asks for its id."""
    assert not set(ELSEWHERE) & set(SHOWN)
    assert set(ELSEWHERE) | set(SHOWN) | OF_EARS == set(CATALOGUE)
