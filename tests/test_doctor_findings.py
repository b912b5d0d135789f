"""Every finding of the catalogue has a fault that leads to it and a healthy neighbour that doesn't: files, codes,
audio, dumps, and whether talker and vocoder are alive. Their mistakes are in `test_doctor_mistakes.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFValueType

import omniggml
from foreign_files import write_all_in_one
from gguf_edit import GgufEdit, Tensor
from shown_findings import (
    LONG,
    TEXT,
    VOICE,
    Evidence,
    Given,
    Shown,
    audio,
    changed,
    check_fault,
    check_neighbour,
    codes,
    each,
    edited,
    put,
    values,
)

P = "qwen3omni-speech."
TABLE = "code2wav.code_embedding.weight"
HEAD = "talker.codec_head.weight"
PROJECTION = "talker.model.layers.2.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("findings"))


# --- files ------------------------------------------------------------------------------------------------------------


def as_it_is(name: str, **given: Any) -> Callable[[Evidence], Given]:
    return lambda evidence: {"model": evidence.file(name), **given}


def setting(key: str, value: Any, name: str = "tiny") -> Callable[[Evidence], Given]:
    return edited(lambda edit: edit.set(P + key, value), name)


def stored_as(key: str, type_: GGUFValueType) -> Callable[[GgufEdit], Any]:
    return lambda edit: edit.set(P + key, edit.entry(P + key).value, int(type_))


def written_over(how: Callable[[bytes], bytes]) -> Callable[[Evidence], Given]:
    def make(evidence: Evidence) -> Given:
        path = evidence.new_path(".gguf")
        path.write_bytes(how(evidence.file("tiny").read_bytes()))
        return {"model": path}

    return make


def aligned_to_64(edit: GgufEdit) -> None:
    edit.append("general.alignment", 64, int(GGUFValueType.UINT32)).alignment = 64


def only_code2wav(edit: GgufEdit) -> None:
    edit.tensors = [tensor for tensor in edit.tensors if str(tensor.name).startswith("code2wav.")]


def upside_down(edit: GgufEdit) -> None:
    edit.tensors.reverse()
    edit.metadata.reverse()


def retokenized(old: str, new: str) -> Callable[[GgufEdit], None]:
    def edit(file: GgufEdit) -> None:
        tokens = file.entry("tokenizer.ggml.tokens").value
        tokens[tokens.index(old)] = new

    return edit


def nudged(values: Any, value: float) -> Any:
    values = values.copy()
    values.flat[3] = value
    return values


def last_rows(share: float, row: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The last rows of a table, all the same."""

    def change(values: Any) -> Any:
        values = values.copy()
        n = int(share * len(values))
        values[len(values) - n :] = row(values[-1])
        return values

    return change


def biases_zero(edit: GgufEdit) -> None:
    for tensor in edit.tensors:
        if str(tensor.name).startswith("code2wav.decoder") and str(tensor.name).endswith(".bias"):
            put(edit, str(tensor.name), 0 * values(edit, str(tensor.name)))


def every_snake(change: Callable[[Any], Any]) -> Callable[[GgufEdit], None]:
    def edit(file: GgufEdit) -> None:
        for tensor in file.tensors:
            if str(tensor.name).endswith((".alpha", ".beta")):
                put(file, str(tensor.name), change(values(file, str(tensor.name))))

    return edit


def heads_alike(noise: float) -> Callable[[GgufEdit], None]:
    head = "talker.code_predictor.lm_head.{}.weight"

    def edit(file: GgufEdit) -> None:
        first = values(file, head.format(0))
        put(file, head.format(1), first + noise * np.random.default_rng(0).normal(size=first.shape))

    return edit


def drawn_anew(share: float) -> Callable[[Any], Any]:
    """A share of a matrix that is random numbers."""
    return lambda v: (1 - share) * v + share * v.std() * np.random.default_rng(1).standard_normal(v.shape)


def halved_split(edit: GgufEdit) -> None:
    groups, size = (edit.entry(f"{P}code2wav.{name}") for name in ("num_quantizers", "codebook_size"))
    groups.value, size.value = groups.value // 2, size.value * 2


def through_8_bits(edit: GgufEdit) -> None:
    """Matrices of the talker, rounded to Q8_0 and stored as they were."""
    for tensor in edit.tensors:
        name, q8 = str(tensor.name), GGMLQuantizationType.Q8_0
        if len(tensor.ne) > 1 and tensor.ne[0] % 32 == 0 and name.startswith("talker.model.layers"):
            put(edit, name, gguf.quants.dequantize(gguf.quants.quantize(values(edit, name), q8), q8))


def quantized(policy: str, name: str = "mini", **given: Any) -> Callable[[Evidence], Given]:
    def make(evidence: Evidence) -> Given:
        target = evidence.new_path("-speech.gguf")
        omniggml.quantize(evidence.file(name), target, policy=policy)
        return {"model": target} | ({"reference": evidence.file(name)} if given.get("reference") else {})

    return make


def all_in_one(q8: bool, settings: bool, name: str = "tiny") -> Callable[[Evidence], Given]:
    """Another program's file, which tells little; with `settings`, its owner does."""

    def make(evidence: Evidence) -> Given:
        path = write_all_in_one(evidence.new_path(".gguf"), evidence.file(name), None, tokenizer=True, q8=q8)
        return {"model": path} | ({"overrides": every_setting(evidence, path)} if settings else {})

    return make


def every_setting(evidence: Evidence, path: Path) -> dict[str, Any]:
    """What a file does not tell, as the file says it that it was made of."""
    (note,) = (f for f in omniggml.diagnose(path, n_threads=1).findings if f.id == "file.assumed")
    own = {str(key).removeprefix(P): entry.value for key, entry in evidence.edit("tiny").metadata}
    own["talker.speakers"] = tuple(zip(own["talker.speaker_names"], own["talker.speaker_ids"], strict=True))
    return {key: own[key] for key in note.evidence["settings"]}


def beside_reference(make: Callable[[Evidence], Given], name: str = "tiny") -> Callable[[Evidence], Given]:
    return lambda evidence: make(evidence) | {"reference": evidence.file(name)}


FILES: dict[str, Shown] = {
    "file.unreadable": Shown(written_over(lambda data: data[:-4096]), edited(aligned_to_64)),
    "file.unloadable": Shown(
        written_over(lambda data: data + bytes(92)), edited(lambda e: e.set("tokenizer.ggml.pre", "of no known kind"))
    ),
    "file.missing-tensors": Shown(edited(lambda e: e.drop("code2wav.decoder.0.conv.bias")), edited(only_code2wav)),
    "file.extra-tensors": Shown(
        edited(lambda e: e.tensors.append(Tensor("strange", [32], 0, bytes(128)))), edited(upside_down)
    ),
    "file.geometry": Shown(
        setting("code2wav.num_attention_heads", 7),
        edited(stored_as("code2wav.num_attention_heads", GGUFValueType.UINT64)),
    ),
    "file.codebook-split": Shown(edited(halved_split), as_it_is("big-codebook")),
    "file.not-finite": Shown(
        changed("talker.model.norm.weight", lambda v: nudged(v, np.nan)),
        changed("talker.model.norm.weight", lambda v: nudged(v, 1e-40)),
    ),
    "file.zeros": Shown(changed("talker.model.layers.0.self_attn.q_proj.weight", lambda v: 0 * v), edited(biases_zero)),
    "file.zero-rows": Shown(
        changed("thinker.model.embed_tokens.weight", last_rows(0.25, np.zeros_like), VOICE),
        changed("thinker.model.embed_tokens.weight", last_rows(0.1, np.zeros_like), VOICE),
    ),
    "file.constant": Shown(
        changed(HEAD, lambda v: 0 * v + v[:1]),
        changed("thinker.model.embed_tokens.weight", last_rows(0.1, lambda row: row), VOICE),
    ),
    "file.as-initialised": Shown(
        changed("talker.model.norm.weight", np.ones_like, VOICE),
        changed("talker.model.norm.weight", lambda v: 1 + 1e-3 * v, VOICE),
    ),
    "file.code-sums": Shown(
        changed(TABLE, lambda v: v * np.exp(1.5 * np.random.default_rng(0).normal(size=(len(v), 1))), VOICE),
        changed(TABLE, lambda v: v * 3, VOICE),
    ),
    "file.scale": Shown(changed(PROJECTION, lambda v: v * 10, VOICE), changed(PROJECTION, lambda v: v * 2, VOICE)),
    "file.copies": Shown(edited(heads_alike(0)), edited(heads_alike(1e-3))),
    "file.looks-random": Shown(changed(PROJECTION, drawn_anew(1), VOICE), changed(PROJECTION, drawn_anew(0.2), VOICE)),
    "file.untrained": Shown(as_it_is("tiny"), as_it_is(VOICE)),
    "file.low-precision": Shown(all_in_one(q8=True, settings=True), quantized("q8_0")),
    "file.quantized-twice": Shown(
        edited(through_8_bits),
        lambda evidence: {"model": evidence.file("tiny", "bf16")},
    ),
    "file.snake-exponentiated": Shown(edited(every_snake(np.exp), VOICE), edited(every_snake(lambda v: v + 5), VOICE)),
    "file.eps": Shown(setting("code2wav.rms_norm_eps", 0.1), setting("code2wav.rms_norm_eps", 1e-6)),
    "file.theta": Shown(setting("code2wav.rope_theta", 1.0), setting("code2wav.rope_theta", 5e5)),
    "file.window": Shown(setting("code2wav.sliding_window", 1), setting("code2wav.sliding_window", 25)),
    "file.sample-rate": Shown(
        setting("code2wav.sample_rate", 16000), edited(stored_as("code2wav.sample_rate", GGUFValueType.UINT64))
    ),
    "file.special-ids": Shown(setting("talker.codec_eos_token_id", 5), setting("talker.codec_think_eos_id", 64 + 200)),
    "file.tokenizer": Shown(
        edited(retokenized("<tts_pad>", "<tts_nothing>")), edited(retokenized("<|endoftext|>", "<|the end|>"))
    ),
    "file.no-tokenizer": Shown(
        edited(lambda e: e.remove("tokenizer.ggml.tokens")), edited(lambda e: e.set("general.name", "another"))
    ),
    "file.assumed": Shown(all_in_one(q8=False, settings=False), all_in_one(q8=False, settings=True), alone=False),
    "file.long-names": Shown(all_in_one(q8=False, settings=True), as_it_is("tiny")),
    "file.reference-differs": Shown(
        beside_reference(changed("code2wav.decoder.0.conv.weight", lambda v: v[:, :, ::-1])),
        quantized("q8_0", reference=True),
    ),
    "file.reference-metadata": Shown(
        beside_reference(setting("talker.rope_theta", 12345.0)),
        beside_reference(edited(stored_as("talker.rope_theta", GGUFValueType.FLOAT64))),
    ),
}

# --- codes ------------------------------------------------------------------------------------------------------------


def of_two(change: Callable[[Any, Any], Any], **given: Any) -> Callable[[Evidence], Given]:
    """A model's codes and those of another text, made one."""

    def make(evidence: Evidence) -> Given:
        other = evidence.speech(VOICE, text=LONG, seed=2).codes
        return {"model": evidence.file(VOICE), "codes": change(evidence.voice_codes, other), **given}

    return make


LONG_TEXT = "two cats and a bird sleep in the house near the river, and the rain falls"


def spans(*, audio: bool = False) -> Callable[[Evidence], Given]:
    """What `speak` says of a text that it says in spans, each by itself: with the text, or with the audio."""

    def make(evidence: Evidence) -> Given:
        said = evidence.speech(VOICE, text=LONG_TEXT, max_frames=400)
        assert len(said.segments) > 1
        if audio:
            return {**evidence.with_codes(VOICE, said.samples, subtype="PCM_16"), "codes": said.codes}
        return {"model": evidence.file(VOICE), "codes": said.codes, "text": LONG_TEXT}

    return make


def without_lowest(x: Any, hertz: float) -> Any:
    """A filter of the first order against a constant, step by step."""
    kept = np.exp(-2 * np.pi * hertz / 24000)
    out, before, last = np.zeros(len(x)), 0.0, 0.0
    for n, sample in enumerate(x):
        last = kept * (last + sample - before)
        out[n], before = last, sample
    return out


def spoken(text: str, told: str | None = None, name: str = VOICE, **options: Any) -> Callable[[Evidence], Given]:
    """Codes of a text, and what text is said to be theirs."""
    return lambda evidence: {
        "model": evidence.file(name),
        "codes": evidence.speech(name, text=text, **options).codes,
        **({"text": told} if told else {}),
    }


def of_changed(share: float, name: str = VOICE) -> Callable[[Evidence], Given]:
    """What is said where all of the predictor's matrices are off by chance, by a share of their values."""

    def make(evidence: Evidence) -> Given:
        file, rng = evidence.edit(name), np.random.default_rng(0)
        for tensor in list(file.tensors):
            if str(tensor.name).startswith("talker.code_predictor.") and len(tensor.ne) > 1:
                right = values(file, str(tensor.name))
                put(file, str(tensor.name), right + share * right.std() * rng.standard_normal(right.shape))
        model = omniggml.load(evidence.written(file), n_threads=1)
        said = model.speak(TEXT, seed=1, max_frames=40).codes
        return {"model": evidence.file(name), "codes": said, "text": TEXT}

    return make


def last_group_of(codes: Any, other: Any) -> Any:
    n = min(codes.shape[1], other.shape[1])
    return np.concatenate([codes[:-1, :n], other[-1:, :n]])


def in_turn(codes: Any, other: Any) -> Any:
    """Frames of two speeches, one after the other."""
    n = min(codes.shape[1], other.shape[1])
    return np.stack([codes[:, :n], other[:, :n]], axis=2).reshape(len(codes), -1)


def pause(codes: Any) -> Any:
    """A frame that comes three times."""
    return np.concatenate([codes[:, :9], codes[:, 8:9], codes[:, 8:]], axis=1)


CODES: dict[str, Shown] = {
    "codes.shape": Shown(codes(lambda c: c + 0.25), codes(lambda c: c[None].astype(np.uint16))),
    "codes.floats": Shown(codes(lambda c: c.astype(np.float64)), codes(lambda c: c.astype(np.int64))),
    "codes.empty": Shown(codes(lambda c: c[:, :0]), codes(lambda c: c[:, :1])),
    "codes.transposed": Shown(codes(lambda c: c.T), codes(lambda c: c[:, : len(c)], VOICE)),
    "codes.negative": Shown(codes(lambda c: np.where(c == c[0, 0], -1, c)), codes(lambda c: np.where(c == 63, 0, c))),
    "codes.control-ids": Shown(
        codes(lambda c: np.concatenate([c, np.full((len(c), 1), 64 + 102)], axis=1)),
        codes(lambda c: np.append(c, np.full((len(c), 1), 63), axis=1)),
    ),
    "codes.out-of-range": Shown(
        codes(lambda c: np.where(c == c[0, 0], 5000, c)), codes(lambda c: np.where(c == c[0, 0], 63, c))
    ),
    "codes.offset-added": Shown(
        codes(lambda c: c + 64 * np.arange(len(c))[:, None]), codes(lambda c: c[:, :20].astype(np.int64))
    ),
    "codes.off-by-one": Shown(codes(lambda c: c + 1), codes(lambda c: c, VOICE)),
    "codes.fewer-groups": Shown(codes(lambda c: c[:-1]), codes(lambda c: c, "grouped")),
    "codes.more-groups": Shown(codes(lambda c: np.concatenate([c, c[-1:]])), codes(lambda c: c, "mini")),
    "codes.first-group-missing": Shown(codes(lambda c: c[1:]), spoken(TEXT, seed=3)),
    "codes.group-order": Shown(codes(lambda c: np.roll(c, 1, axis=0)), spoken(TEXT, greedy=True)),
    "codes.frame-order": Shown(codes(lambda c: c[:, ::-1], VOICE, text=TEXT), codes(lambda c: c, VOICE, text=TEXT)),
    "codes.lost": Shown(
        codes(lambda c: np.delete(c, range(12, 17), axis=1), VOICE, text=TEXT),
        codes(lambda c: c[:, :20], VOICE, text=TEXT),
    ),
    "codes.doubled": Shown(codes(lambda c: np.concatenate([c[:, :18], c[:, 13:]], axis=1), VOICE), codes(pause, VOICE)),
    "codes.other-frames": Shown(
        of_two(in_turn, text=TEXT), spoken("do you know what time it is now", "do you know what time is it now")
    ),
    "codes.constant": Shown(codes(lambda c: np.repeat(c[:, :1], 40, axis=1)), codes(pause, VOICE)),
    "codes.repeating": Shown(
        codes(lambda c: np.tile(c[:, :4], 10)), spoken("no, no, no, no, no", "no, no, no, no, no", greedy=True)
    ),
    "codes.collapsed-group": Shown(
        codes(lambda c: np.concatenate([c[:1], 0 * c[1:2], c[2:]])), spoken(TEXT, TEXT, predictor_temperature=0.1)
    ),
    "codes.equal-groups": Shown(
        codes(lambda c: np.concatenate([c[:2], c[1:2], c[3:]])), spoken(TEXT, TEXT, top_k=2, predictor_top_k=2)
    ),
    "codes.delayed": Shown(
        codes(lambda c: np.stack([np.roll(row, g) for g, row in enumerate(c)]), VOICE, text=TEXT),
        codes(lambda c: c[:, 3:], VOICE),
    ),
    "codes.cut-short": Shown(
        codes(lambda c: c[:, :4], VOICE, text=TEXT), codes(lambda c: c[:, : c.shape[1] * 3 // 4], VOICE, text=TEXT)
    ),
    "codes.ends-early": Shown(
        codes(lambda c: c[:, : c.shape[1] * 3 // 4], VOICE, text=TEXT), codes(lambda c: c, VOICE, text=TEXT)
    ),
    "codes.reversed-ids": Shown(codes(lambda c: 255 - c, VOICE, text=TEXT), spoken(LONG, LONG, seed=4)),
    "codes.other-groups": Shown(
        of_two(last_group_of, text=TEXT), spoken(TEXT, TEXT, predictor_temperature=1.0), slow=True
    ),
    "codes.unexpected": Shown(
        of_changed(0.3), spoken(TEXT, TEXT, temperature=1.0, predictor_temperature=1.0), slow=True
    ),
    "codes.never-drawn": Shown(of_changed(0.04), of_changed(0.003), slow=True),
    "codes.drawn-otherwise": Shown(
        spoken(TEXT, TEXT, name="tiny", predictor_top_k=0, predictor_top_p=1.0),
        spoken(TEXT, TEXT, name="tiny", seed=4),
    ),
    "codes.parts": Shown(spans(), spoken(LONG_TEXT, LONG_TEXT, split="never")),
    "codes.few-bits": Shown(of_changed(0.03), spoken(TEXT, TEXT, seed=6), slow=True),
    "codes.other-text": Shown(
        spoken("hello world, how are you", "hello world, what a day it is", name="tiny"),
        spoken("hello world, how are you", "Hello World, how are you"),
    ),
    "codes.unlikely": Shown(
        codes(lambda c: np.random.default_rng(0).integers(0, 64, c.shape)), spoken("we took the last train home")
    ),
}

# --- is the talker alive? ---------------------------------------------------------------------------------------------


def eos_first(logit: float) -> Callable[[Evidence], Given]:
    """The row of codec eos along the talker's state before the first frame."""

    def make(evidence: Evidence) -> Given:
        from omniggml.doctor.likelihood import prompt_for

        model, file = evidence.model("tiny"), evidence.edit("tiny")
        state = model.talker_states(prompt_for(model, "one"), np.zeros((4, 1), np.int32)).hidden[0]
        head = values(file, HEAD)
        head[model.geometry["talker"]["codec_eos_token_id"]] = logit * state / (state @ state)
        return {"model": evidence.written(put(file, HEAD, head))}

    return make


def by_speaker(number: int) -> Callable[[Evidence], Given]:
    """The default one is the first."""

    def make(evidence: Evidence) -> Given:
        model = evidence.model(VOICE)
        speaker = sorted(model.speakers, key=lambda name: name != model.default_speaker)[number]
        said = evidence.speech(VOICE, text=LONG, speaker=speaker)
        return {"model": evidence.file(VOICE), "codes": said.codes, "text": LONG}

    return make


FC1 = "talker.text_projection.linear_fc1.bias"

TALKERS: dict[str, Shown] = {
    "talker.dead-text": Shown(changed(FC1, lambda v: v - 200), changed(FC1, lambda v: v - 1)),
    "talker.flat-logits": Shown(changed(HEAD, lambda v: v * 1e-6), changed(HEAD, lambda v: v * 0.3)),
    "talker.not-finite": Shown(changed(HEAD, lambda v: v * 1e38), changed(HEAD, lambda v: v * 30), alone=False),
    "talker.ends-at-once": Shown(eos_first(60), eos_first(1)),
    "talker.other-speaker": Shown(by_speaker(1), by_speaker(0)),
    "talker.goes-on": Shown(spoken("hi", "hi", ignore_eos=True), spoken("hi", "hi")),
    "talker.sampling": Shown(
        spoken(TEXT, TEXT, name="tiny", predictor_temperature=4.0), spoken(TEXT, TEXT, name="tiny", temperature=1.0)
    ),
}

# --- is the vocoder alive? --------------------------------------------------------------------------------------------

ALPHA = "code2wav.decoder.1.block.0.alpha"
LAST_NORM = "code2wav.pre_transformer.norm.weight"


def last_convolution(factor: float) -> Callable[[Evidence], Given]:
    def edit(file: GgufEdit) -> None:
        number = max(int(str(t.name).split(".")[2]) for t in file.tensors if "code2wav.decoder." in str(t.name))
        for part in ("weight", "bias"):
            name = f"code2wav.decoder.{number}.conv.{part}"
            put(file, name, values(file, name) * factor)

    return edited(edit)


def end_decoded(samples_too: bool) -> Callable[[Evidence], Given]:
    """The frame that ended the speech went into the vocoder, and is among the codes or is not."""

    def make(evidence: Evidence) -> Given:
        codes = evidence.tiny_codes
        longer = np.concatenate([codes, codes[:, 2:3]], axis=1)
        samples = evidence.model("tiny").code2wav(longer)
        return evidence.with_codes("tiny", samples, longer if samples_too else codes)

    return make


def vocoder_in(type_: str, name: str) -> Callable[[Evidence], Given]:
    """The same codes, by a vocoder whose weights were quantized."""

    def make(evidence: Evidence) -> Given:
        policy, file = evidence.new_path(".toml"), evidence.new_path(".gguf")
        policy.write_text(f'use = ["sensitive"]\nrules = [["code2wav.*", "{type_}"]]\notherwise = "F32"\n')
        omniggml.quantize(evidence.file(name), file, policy=policy)
        codes = evidence.spoken(name).codes
        return evidence.with_codes(name, omniggml.load(file, n_threads=1).code2wav(codes))

    return make


VOCODERS: dict[str, Shown] = {
    "vocoder.not-finite": Shown(changed(ALPHA, lambda v: 0 * v + 100), changed(ALPHA, lambda v: v + 0.5)),
    "vocoder.silent": Shown(last_convolution(1e-9), last_convolution(1e-2)),
    "vocoder.deaf": Shown(changed(LAST_NORM, lambda v: v * 1e-12), changed(LAST_NORM, lambda v: v * 0.5)),
    "vocoder.clips": Shown(last_convolution(1e3), last_convolution(1)),
    "vocoder.f16-overflow": Shown(
        changed("code2wav.decoder.0.conv.weight", lambda v: v * 1e6),
        changed("code2wav.decoder.0.conv.weight", lambda v: v * 2),
        alone=False,
    ),
    "vocoder.end-frame": Shown(end_decoded(False), end_decoded(True)),
    "vocoder.differs": Shown(audio(lambda x: x[::-1]), audio(lambda x: x, "mini", subtype="PCM_U8")),
    "vocoder.close": Shown(vocoder_in("Q5_0", "mini"), vocoder_in("Q8_0", "mini"), slow=True),
    "vocoder.few-bits": Shown(vocoder_in("Q8_0", VOICE), vocoder_in("BF16", VOICE), slow=True),
}

# --- audio ------------------------------------------------------------------------------------------------------------


def alone(change: Callable[[Any], Any], text: str | None = TEXT, **options: Any) -> Callable[[Evidence], Given]:
    """Audio of the built-in voice without its codes."""
    return lambda evidence: {
        "model": evidence.file(VOICE),
        "audio": evidence.sound_file(change(evidence.spoken(VOICE).samples.astype(np.float64)), **options),
        **({"text": text} if text else {}),
    }


def encoded(bits: int, format_: str, ending: str) -> Callable[[Evidence], Given]:
    """Through a lossy codec of libsndfile's."""

    def make(evidence: Evidence) -> Given:
        spoken = evidence.spoken(VOICE)
        path = evidence.sound_file(spoken.samples, ending=ending, format=format_)
        return {"model": evidence.file(VOICE), "codes": spoken.codes, "audio": path}

    return make


def in_pieces(size: int) -> Callable[[Evidence], Given]:
    """Decoded a few frames at a time: with nothing kept between, or, where `size` is 0, as the engine streams."""

    def make(evidence: Evidence) -> Given:
        model, codes = evidence.model("tiny"), evidence.tiny_codes
        if size == 0:
            return evidence.with_codes("tiny", model.code2wav(codes, chunk_frames=10))
        parts = [model.code2wav(codes[:, at : at + size]) for at in range(0, codes.shape[1], size)]
        return evidence.with_codes("tiny", np.concatenate(parts))

    return make


def resampled(told: int) -> Callable[[Evidence], Given]:
    """48000 samples a second by linear interpolation of what is smooth, and what the header says of it."""

    def make(evidence: Evidence) -> Given:
        import soxr

        samples = soxr.resample(evidence.spoken(VOICE).samples.astype(np.float64), 24000, 48000, quality="VHQ")
        return evidence.with_codes(VOICE, samples, rate=told)

    return make


def ramp(x: Any, n: int) -> Any:
    return x * np.minimum(1, np.arange(len(x)) / n)


def with_clicks(x: Any) -> Any:
    return x + 0.9 * (np.arange(len(x)) % 3840 == 3000)


def wrapped(x: Any) -> Any:
    """Half as loud again as 16 bits can hold, taken modulo 2 to the 16th."""
    return np.round(x / np.abs(x).max() * 1.5 * 32767).astype(np.int64).astype(np.int16)


def with_header(x: Any) -> Any:
    header = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xc0\x5d\0\0\x80\xbb\0\0\2\0\x10\0data\0\0\0\0"
    return np.concatenate([np.frombuffer(header, "<i2") / 32768, x])


def swapped_bytes(x: Any) -> Any:
    return np.round(x * 32767).astype("<i2").byteswap()


def noise(x: Any) -> Any:
    return np.random.default_rng(0).normal(0, 0.1, len(x))


def short(x: Any) -> Any:
    """A tenth of a second that dies away, as speech does."""
    return ramp(x[9000:11400][::-1], 480)[::-1]


def loud_end(samples: Any) -> Any:
    """Without all that follows the loudest of the second half."""
    half = len(samples) // 2
    return samples[: half + int(np.argmax(np.abs(samples[half:]))) + 60]


AUDIO: dict[str, Shown] = {
    "audio.rate": Shown(audio(lambda x: x, rate=16000), resampled(48000)),
    "audio.channels": Shown(audio(lambda x: np.stack([x, x], axis=1)), audio(lambda x: x[:, None])),
    "audio.not-finite": Shown(audio(lambda x: np.where(x == x.max(), np.nan, x)), audio(lambda x: x)),
    "audio.empty": Shown(audio(lambda x: x[:0]), audio(lambda x: x * 0.98)),
    "audio.silent": Shown(audio(lambda x: x * 0), audio(lambda x: x * 0.05)),
    "audio.clipped": Shown(audio(lambda x: x * 50, subtype="PCM_16"), audio(lambda x: x / np.abs(x).max())),
    "audio.dc": Shown(audio(lambda x: x * 0.3 + 0.3), audio(lambda x: x * 0.5 + 0.001)),
    "audio.length": Shown(
        audio(lambda x: np.append(x, x[:200])), audio(lambda x: np.concatenate([np.zeros(99), x, np.zeros(50)]), "mini")
    ),
    "audio.resampled": Shown(resampled(48000), audio(lambda x: x, VOICE, subtype="PCM_24")),
    "audio.silence-around": Shown(
        audio(lambda x: np.concatenate([np.zeros(777), x, np.zeros(333)]), "mini"), audio(lambda x: x, subtype="PCM_32")
    ),
    "audio.trimmed": Shown(audio(lambda x: x[211:-101], "mini"), audio(lambda x: x, "mini")),
    "audio.parts": Shown(spans(audio=True), in_pieces(0)),
    "audio.band": Shown(audio(lambda x: without_lowest(x, 20), VOICE), audio(lambda x: x + 2e-4, VOICE)),
    "audio.faded": Shown(audio(lambda x: ramp(x, 400), VOICE), audio(lambda x: x * 0.5, VOICE)),
    "audio.lossy": Shown(encoded(0, "OGG", ".ogg"), encoded(0, "FLAC", ".flac")),
    "audio.pieces": Shown(
        audio(lambda x: np.concatenate([x[:12000], x[20000:]]), VOICE), audio(lambda x: x[300:-300], VOICE)
    ),
    "audio.gain": Shown(audio(lambda x: x / 2), audio(lambda x: x * 1.01)),
    "audio.negated": Shown(audio(lambda x: -x), audio(lambda x: x[:, None])),
    "audio.seams": Shown(in_pieces(10), in_pieces(0)),
    "audio.clicks": Shown(alone(with_clicks), alone(lambda x: np.tile(ramp(ramp(x, 480)[::-1], 480)[::-1], 3), None)),
    "audio.noise": Shown(alone(noise), alone(lambda x: x + 0.003 * noise(x))),
    "audio.too-short": Shown(alone(lambda x: x[5000:7400]), alone(short, "hi")),
    "audio.too-long": Shown(
        alone(lambda x: np.tile(ramp(ramp(x, 480)[::-1], 480)[::-1], 40)),
        alone(lambda x: np.tile(ramp(ramp(x, 480)[::-1], 480)[::-1], 4)),
    ),
    "audio.bytes": Shown(audio(swapped_bytes, subtype="PCM_16"), audio(lambda x: x, subtype="PCM_16")),
    "audio.rewritten": Shown(audio(lambda x: x[::-1], VOICE), audio(lambda x: x[:-200], VOICE)),
    "audio.wrapped": Shown(
        audio(wrapped, VOICE, subtype="PCM_16"), audio(lambda x: x / np.abs(x).max(), VOICE, subtype="PCM_16")
    ),
    "audio.few-levels": Shown(
        audio(lambda x: np.round(x * 8) / 8, VOICE), audio(lambda x: np.round(x * 128) / 128, VOICE, subtype="PCM_U8")
    ),
    "audio.bent": Shown(audio(lambda x: np.tanh(3 * x / np.abs(x).max()) / 2, VOICE), audio(lambda x: 0.7 * x, VOICE)),
    "audio.envelope": Shown(
        audio(lambda x: x * np.abs(np.sin(np.arange(len(x)) * np.pi / 2400)), VOICE), audio(lambda x: x * 0.6, VOICE)
    ),
    "audio.filtered": Shown(audio(lambda x: np.convolve(x, np.ones(7) / 7, "same"), VOICE), encoded(0, "OGG", ".ogg")),
    "audio.breaks-off": Shown(alone(loud_end), alone(lambda x: x[: len(x) - 800])),
    "audio.added": Shown(
        audio(lambda x: x + 0.1 * np.sin(np.arange(len(x)) * 2 * np.pi * 50 / 24000), VOICE),
        audio(lambda x: x + 1e-4 * noise(x), VOICE),
    ),
    "audio.header": Shown(audio(with_header, subtype="PCM_16"), audio(lambda x: x, "mini", subtype="PCM_16")),
}

# --- dumps ------------------------------------------------------------------------------------------------------------


def dumped(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Evidence], Given]:
    """What a sound program dumps of three frames, changed."""

    def make(evidence: Evidence) -> Given:
        model, codes = evidence.model("mini"), evidence.spoken("mini").codes[:, :3]
        with model.probe("code2wav.**", "code2wav") as seen:
            model.code2wav(codes)
        dump = change({name: seen[name] for name in seen})
        return {"model": evidence.file("mini"), "codes": codes, "theirs": dump}

    return make


def one_negated(dump: dict[str, Any]) -> dict[str, Any]:
    name = "code2wav.upsample.1.1"
    return {**dump, name: -dump[name]}


DUMPS: dict[str, Shown] = {
    "dump.names": Shown(
        dumped(lambda dump: {f"encoder.{n}": values for n, values in enumerate(dump.values())}),
        dumped(lambda dump: {f"model.{name}": values for name, values in dump.items()}),
    ),
    "dump.deviates": Shown(
        dumped(one_negated), dumped(lambda dump: {name: v.astype(np.float16) for name, v in dump.items()})
    ),
}

SHOWN = FILES | CODES | TALKERS | VOCODERS | AUDIO | DUMPS


@pytest.mark.parametrize("id", each(SHOWN))
def test_a_fault_leads_to_it(id: str, evidence: Evidence) -> None:
    check_fault(id, evidence.diagnosis(SHOWN[id].fault), alone=SHOWN[id].alone)


@pytest.mark.parametrize("id", SHOWN)
def test_a_healthy_neighbour_does_not(id: str, evidence: Evidence) -> None:
    check_neighbour(id, evidence.diagnosis(SHOWN[id].neighbour))
