"""Files of every family: the same weights, our file and theirs, give the same codes and audio."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFValueType as V

import omniggml
from conftest import Files
from foreign_files import (
    arrays,
    bundled_name,
    text,
    write,
    write_all_in_one,
    write_bundled,
    write_code2wav,
    write_mtp_talker,
)
from gguf_edit import GgufEdit, Tensor
from omniggml import _native
from omniggml.conversion.output_tensors import thinker_file_outputs
from omniggml.errors import InputError, ModelFileError
from omniggml.files.families import FAMILIES
from omniggml.files.opening import open_files
from omniggml.files.plan import stacked
from omniggml.gguf.metadata import count
from omniggml.gguf.metadata import text as metadata_text
from omniggml.gguf.output_header import OutputTensor, header_bytes, offsets
from omniggml.gguf.planned_tensor import PlannedTensor
from omniggml.gguf.type_names import nbytes_of
from omniggml.spec import speech_file, thinker_file
from omniggml.spec.policy import read_policy
from omniggml.spec.published import PUBLISHED
from omniggml.synthetic.geometries import PUBLISHED_GEOMETRY
from parity.files import ModelFiles
from sentences import one_sentence
from worker import Worker

SETTINGS = {
    "mini": {"talker.num_experts_per_tok": 3, "thinker.num_experts_per_tok": 4, "code2wav.head_dim": 16},
    "big-codebook": {"code2wav.head_dim": 24, "thinker.num_experts_per_tok": 2},
    "long-window": {"code2wav.head_dim": 8, "code2wav.sliding_window": 1000},
    "tiny": {
        "talker.num_experts_per_tok": 2,
        "thinker.num_experts_per_tok": 2,
        "code2wav.head_dim": 16,
        "code2wav.sliding_window": 16,
    },
}
"""What no shape tells, by geometry."""

LIMITS = {"talker.accept_hidden_layer": 1}


@pytest.fixture(scope="module")
def mini(model_files: ModelFiles) -> Files:
    return Files(*model_files.gguf("mini", "f32"))


def load(path: Path, geometry: str | None = None, **options: Any) -> omniggml.Model:
    overrides = {**SETTINGS[geometry], **LIMITS} if geometry else None
    with pytest.warns(UserWarning, match="published model") if geometry else _silence():
        return omniggml.load(path, overrides=overrides, n_threads=1, **options)


class _silence:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def same(ours: omniggml.Model, theirs: omniggml.Model, speaker: str = "ethan") -> None:
    options: dict[str, Any] = {"seed": 3, "max_frames": 8, "speaker": speaker}
    first, second = (model.speak("hello world", **options) for model in (ours, theirs))
    np.testing.assert_array_equal(first.codes, second.codes)
    assert first.codes.shape[1] == 8
    np.testing.assert_allclose(first.samples, second.samples, atol=1e-5)
    assert np.abs(first.samples).max() > 1e-3


# --- the families -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", ["mini", "tiny", "big-codebook", "long-window"])
def test_all_in_one(model_files: ModelFiles, tmp_path: Path, geometry: str) -> None:
    """16 x 2048 and 8 x 4096 among them, which the code table's shape can't tell."""
    speech, thinker = model_files.gguf(geometry, "f32")
    path = write_all_in_one(tmp_path / "x.gguf", speech, thinker, tokenizer=True)
    ours, theirs = omniggml.load(speech, thinker=thinker, n_threads=1), load(path, geometry)
    assert theirs.geometry["code2wav"]["codebook_size"] == ours.geometry["code2wav"]["codebook_size"]
    same(ours, theirs)
    greedy = omniggml.TextOptions(greedy=True, max_tokens=6)
    assert theirs.generate_text([1, 2, 3], greedy) == ours.generate_text([1, 2, 3], greedy)


def test_all_in_one_with_everything_in_q8_0(mini: Files, tmp_path: Path) -> None:
    """Norms, biases, code_embedding and flattened convolutions too, as in the file that started this project."""
    path = write_all_in_one(tmp_path / "x.gguf", mini.speech, None, tokenizer=True, q8=True)
    stored = {tensor.name: tensor.type for tensor in GgufEdit.read(path).tensors}
    assert stored["code2wav.code_embedding.weight"] == stored["code2wav.decoder.1.block.2.conv1.conv.weight"] == 8
    audio = load(path, "mini").speak("hello world", max_frames=4)
    assert np.isfinite(audio.samples).all() and np.abs(audio.samples).max() > 1e-3


def test_names_longer_than_ggml_allows(mini: Files, tmp_path: Path) -> None:
    path = write_all_in_one(tmp_path / "x.gguf", mini.speech, None, tokenizer=True)
    assert max(len(tensor.name) for tensor in GgufEdit.read(path).tensors) > 63
    load(path, "mini")


def test_all_in_one_without_a_tokenizer(mini: Files, model_files: ModelFiles, tmp_path: Path) -> None:
    path = write_all_in_one(tmp_path / "x.gguf", mini.speech, None, tokenizer=False)
    ours = omniggml.load(mini.speech, n_threads=1)
    same(ours, load(path, "mini", tokenizer=mini.speech))
    same(ours, load(path, "mini", tokenizer=model_files.checkpoint("mini")))


def test_bundled_talker_and_code2wav(mini: Files, tmp_path: Path) -> None:
    path = write_bundled(tmp_path / "talker.gguf", mini.speech)
    same(omniggml.load(mini.speech, n_threads=1), load(path, "mini", thinker=mini.thinker))


def test_the_published_talker_file(tmp_path: Path) -> None:
    """talker-f16.gguf by its layout: the fork's names for the published tensors, one axis in F32 and gates too, the
    rest in F16, make its 7.1 GB; beside the published thinker the engine would load it. Both are holes."""
    tensors = stacked(speech_file.speech_file_tensors(PUBLISHED_GEOMETRY.model_config()))
    outputs = []
    for short, shape in tensors.items():
        name = (
            short if short.endswith((".weight", ".bias", ".scale", ".alpha", ".beta", ".gamma")) else f"{short}.weight"
        )
        if name.startswith("thinker."):
            continue
        theirs = bundled_name(name)
        type_ = "F32" if len(shape) == 1 or ".ffn_gate_inp" in theirs else "F16"
        turned = shape[::-1] if ".dwconv." in name and len(shape) == 3 else shape
        outputs.append(OutputTensor(theirs, turned, type_, nbytes_of(type_, prod(shape))))
    metadata = {
        "tokenizer.ggml.model": metadata_text("none"),
        "qwen3omni-talker.block_count": count(20),
        "qwen3omni-talker.expert_used_count": count(6),
        "qwen3omni-talker.accept_hidden_layer": count(24),
    }
    talker = hollow(tmp_path / "talker-f16.gguf", header_bytes("qwen3omni-talker", metadata, outputs), outputs)
    assert 7.0e9 < talker.stat().st_size < 7.2e9
    thinker_outputs = [one.as_output() for one in thinker_file_outputs(PUBLISHED.thinker, read_policy("q8_0"))]
    keys = thinker_file.thinker_metadata(PUBLISHED.language_model)
    header = header_bytes(thinker_file.ARCHITECTURE, keys, thinker_outputs)
    thinker = hollow(tmp_path / "thinker.gguf", header, thinker_outputs)
    found = omniggml.inspect(talker)
    assert (found.family, found.needs, found.missing, found.unknown) == ("bundled", ("thinker",), (), ())
    opened = open_files(talker, thinker)
    assert opened.speech is not None and opened.thinker is not None
    _native.SpeechModel.check(opened.speech.native)
    _native.Thinker.check(opened.thinker.native)


def hollow(path: Path, header: bytes, outputs: list[OutputTensor]) -> Path:
    """A file whose values are holes."""
    with path.open("wb") as file:
        file.write(header)
        file.truncate(offsets(header, outputs)[-1])
    return path


def test_a_thinker_by_another_architecture_name(mini: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(mini.thinker)
    edit.set("general.architecture", "qwen3omnimoe")
    edit.metadata = [(str(key).replace("qwen3vlmoe.", "qwen3omnimoe."), entry) for key, entry in edit.metadata]
    theirs = edit.write(tmp_path / "thinker.gguf")
    greedy = omniggml.TextOptions(greedy=True, max_tokens=6)
    answers = [
        omniggml.load(mini.speech, thinker=path, n_threads=1).generate_text([1, 2, 3], greedy)
        for path in (mini.thinker, theirs)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("geometry", ["mini", "odd", "grouped"])
def test_code2wav_alone(model_files: ModelFiles, tmp_path: Path, geometry: str) -> None:
    """Snake computed in advance, transposed convolutions as columns; heads and the rest from its metadata."""
    speech, _ = model_files.gguf(geometry, "f32")
    path = write_code2wav(tmp_path / "code2wav.gguf", speech)
    ours, theirs = (omniggml.load(speech, n_threads=1, code2wav=file) for file in (None, path))
    assert theirs.assumed == {}
    same(ours, theirs, ours.default_speaker)


@pytest.mark.parametrize("geometry", ["mini", "odd"])
def test_a_file_of_code2wav_alone_decodes(model_files: ModelFiles, tmp_path: Path, geometry: str) -> None:
    """Another program's, and what is left of ours without its talker; with and without a plan for it."""
    speech, _ = model_files.gguf(geometry, "f32")
    ours = GgufEdit.read(speech)
    for name in [tensor.name for tensor in ours.tensors]:
        if not name.startswith("code2wav."):
            ours.drop(name)
    ours.write(tmp_path / "ours.gguf")
    theirs = write_code2wav(tmp_path / "theirs.gguf", speech)
    whole = omniggml.load(speech, n_threads=1)
    size = whole.geometry["code2wav"]
    codes = np.random.default_rng(0).integers(0, size["codebook_size"], (size["num_quantizers"], 9))
    want = whole.code2wav(codes)
    planned = {"code2wav.sliding_window": size["sliding_window"]}
    for path, overrides in ((tmp_path / "ours.gguf", None), (tmp_path / "ours.gguf", planned), (theirs, None)):
        model = omniggml.load(path, n_threads=1, overrides=overrides)
        np.testing.assert_allclose(model.code2wav(codes), want, atol=2e-5)
        assert model.speakers == [] and set(model.geometry) == {"code2wav"}
        assert set(model.assumed) <= {"code2wav.max_position_embeddings"}  # which decoding doesn't ask for
        for speak in (lambda m: m.speak("hello"), lambda m: m.default_speaker, lambda m: m.tokenizer):
            with pytest.raises(InputError, match=r"holds code2wav alone.*to speak, load a file that has the talker"):
                speak(model)


@pytest.mark.parametrize("prefix", ["code2wav.", ""])
@pytest.mark.parametrize("architecture", ["qwen3omni-code2wav", "code2wav", "anything"])
def test_code2wav_alone_under_its_own_names(mini: Files, tmp_path: Path, prefix: str, architecture: str) -> None:
    """As a checkpoint has it, with hardly any metadata: it decodes, lends its code2wav, and the doctor judges codes."""
    tensors = {
        prefix + name.removeprefix("code2wav."): values
        for name, values in arrays(mini.speech).items()
        if name.startswith("code2wav.")
    }
    path = write(tmp_path / "x.gguf", tensors, {"general.architecture": text(architecture)}, lambda _: False)
    whole = omniggml.load(mini.speech, n_threads=1)
    size = whole.geometry["code2wav"]
    settings = {f"code2wav.{name}": size[name] for name in ("head_dim", "sliding_window", "num_quantizers")}
    found = omniggml.inspect(path)
    assert found.family == ("named-code2wav" if prefix else "bare-code2wav") and not found.problem and not found.missing
    codes = np.random.default_rng(0).integers(0, size["codebook_size"], (size["num_quantizers"], 9))
    with pytest.warns(UserWarning, match="published model"):
        alone = omniggml.load(path, n_threads=1, overrides=settings)
    np.testing.assert_allclose(alone.code2wav(codes), whole.code2wav(codes), atol=2e-5)
    with _silence():
        lent = omniggml.load(mini.speech, code2wav=path, overrides=settings, n_threads=1)
    np.testing.assert_allclose(lent.code2wav(codes), whole.code2wav(codes), atol=2e-5)
    judged = omniggml.diagnose(
        path, codes=np.tile(codes, (1, 4)) + size["codebook_size"], overrides=settings, n_threads=1
    )
    assert {"codes.out-of-range", "codes.offset-added"} & {finding.id for finding in judged.findings}
    assert not any("geometry is not known" in skipped for skipped in judged.skipped)
    assert not {"file.no-tokenizer", "file.missing-tensors"} & {finding.id for finding in judged.findings}


def test_assumed_ids_beyond_the_table_are_called_assumed(mini: Files, tmp_path: Path) -> None:
    """Nobody is told that a file has what it does not tell."""
    path = write_all_in_one(tmp_path / "x.gguf", mini.speech, mini.thinker, tokenizer=False)
    with pytest.raises(ModelFileError) as refused:
        omniggml.load(path, overrides={**SETTINGS["mini"], **LIMITS})
    one_sentence(str(refused.value), "no tokenizer", "published model's", "--tokenizer")
    assert " has im_" not in str(refused.value)


def test_what_code2wav_alone_does_not_tell_is_assumed(mini: Files, tmp_path: Path) -> None:
    path = write_code2wav(tmp_path / "code2wav.gguf", mini.speech)
    edit = GgufEdit.read(path)
    edit.remove("qwen3omni-code2wav.num_quantizers")
    edit.remove("qwen3omni-code2wav.codebook_size")
    edit.write(path)
    rows = int(next(tensor for tensor in edit.tensors if tensor.name == "code_embedding.weight").ne[1])
    assumed = omniggml.load(path)
    assert assumed.assumed["code2wav.num_quantizers"] == 16
    assert assumed.geometry["code2wav"]["codebook_size"] == rows // 16
    told = omniggml.load(path, overrides={"code2wav.num_quantizers": 4})
    assert told.geometry["code2wav"]["codebook_size"] == rows // 4 and "code2wav.num_quantizers" not in told.assumed
    with pytest.raises(ModelFileError, match=r"override code2wav\.num_quantizers"):
        omniggml.load(path, overrides={"code2wav.num_quantizers": 7})


def test_a_vocoder_is_never_mixed_from_two_files(mini: Files, tmp_path: Path) -> None:
    """One tensor short, or none at all: refused, not filled in from the model's own."""
    short = GgufEdit.read(write_code2wav(tmp_path / "whole.gguf", mini.speech))
    short.drop("decoder.0.conv.bias").write(tmp_path / "short.gguf")
    none = GgufEdit.read(mini.thinker).write(tmp_path / "none.gguf")
    for path, part in ((tmp_path / "short.gguf", "code2wav.decoder.0.conv.bias"), (none, "no code2wav")):
        with pytest.raises(ModelFileError) as refused:
            omniggml.load(mini.speech, code2wav=path, n_threads=1)
        one_sentence(str(refused.value), part)


def test_code2wav_beside_a_foreign_talker(mini: Files, tmp_path: Path) -> None:
    talker = write_bundled(tmp_path / "talker.gguf", mini.speech)
    vocoder = write_code2wav(tmp_path / "code2wav.gguf", mini.speech)
    theirs = load(talker, "mini", thinker=mini.thinker, code2wav=vocoder)
    same(omniggml.load(mini.speech, n_threads=1), theirs)


@pytest.mark.parametrize("geometry", ["mini", "tiny"])
def test_predictor_among_the_talkers_layers(model_files: ModelFiles, tmp_path: Path, geometry: str) -> None:
    """In two files; the predictor's tables are stacked, and cut out where they lie."""
    ours = Files(*model_files.gguf(geometry, "f32"))
    talker = write_mtp_talker(tmp_path / "talker.gguf", ours.speech)
    vocoder = write_code2wav(tmp_path / "code2wav.gguf", ours.speech)
    assert omniggml.inspect(talker).family == "mtp-talker"
    theirs = load(talker, geometry, thinker=ours.thinker, code2wav=vocoder)
    assert theirs.geometry["talker"]["num_hidden_layers"] == 2 or geometry == "mini"
    same(omniggml.load(ours.speech, n_threads=1), theirs)
    small = load(
        write_mtp_talker(tmp_path / "q8.gguf", ours.speech, q8=True), geometry, thinker=ours.thinker, code2wav=vocoder
    )
    assert small.speak("hello", max_frames=3).codes.shape[1] == 3


# --- what is said and refused -----------------------------------------------------------------------------------------


def test_assumptions_are_said(mini: Files, tmp_path: Path) -> None:
    path = write_all_in_one(tmp_path / "x.gguf", mini.speech, None, tokenizer=True)
    with pytest.warns(UserWarning) as seen:
        model = omniggml.load(path, overrides=SETTINGS["mini"], n_threads=1)
    assert "talker.rope_theta=1000000.0" in str(seen[0].message) and "override" in str(seen[0].message)
    assert "talker.num_experts_per_tok" not in model.assumed and model.assumed["code2wav.sliding_window"] == 72
    one_sentence(str(seen[0].message)[:500])


OVERRIDES: list[tuple[dict[str, Any], str]] = [
    ({"talker.nothing": 1}, "talker.nothing"),
    ({"nothing.at_all": 1}, "nothing.at_all"),
    ({"talker": 1}, "talker."),
    ({"talker.rope_theta": "x"}, "talker.rope_theta"),
    ({"talker.num_experts_per_tok": 2.5}, "num_experts_per_tok"),
    ({"talker.norm_topk_prob": 1}, "norm_topk_prob"),
    ({"talker.num_experts_per_tok": True}, "num_experts_per_tok"),
]


@pytest.mark.parametrize(("overrides", "part"), OVERRIDES)
def test_overrides_that_are_no_settings(mini: Files, overrides: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError) as error:
        omniggml.load(mini.speech, overrides=overrides)
    one_sentence(str(error.value), part)


@pytest.mark.parametrize("value", [-1, 0, 2**31, 2**62])
def test_overrides_out_of_range(mini: Files, value: int) -> None:
    """They pass the same checks as a file's own metadata."""
    for key in ("talker.num_experts_per_tok", "code2wav.head_dim", "code2wav.num_quantizers", "talker.vocab_size"):
        with pytest.raises(omniggml.OmniError) as error:
            omniggml.load(mini.speech, overrides={key: value})
        one_sentence(str(error.value))


def damaged(edit: GgufEdit) -> list[tuple[str, Any]]:
    """Ways to spoil an all-in-one file, and what the refusal names."""
    conv = "code2wav.decoder.1.block.1.conv.weight"
    return [
        ("talker.model.norm.weight", lambda: edit.drop("talker.model.norm.weight")),
        ("code2wav.decoder.0.conv.bias", lambda: edit.drop("code2wav.decoder.0.conv.bias")),
        ("experts", lambda: edit.drop("talker.model.layers.0.mlp.experts.1.up_proj.weight")),
        ("talker.model.norm.weight", lambda: edit.rename("talker.model.norm.weight", "other.weight")),
        (conv, lambda: edit.reshape(conv, [7, 3])),
        ("_norm.weight", lambda: edit.reshape("talker.model.layers.0.self_attn.q_norm.weight", [1])),
        ("experts", lambda: edit.retype("talker.model.layers.0.mlp.experts.1.up_proj.weight", 1)),
        ("code2wav", lambda: edit.reshape("code2wav.code_embedding.weight", [64, 17])),
    ]


@pytest.mark.parametrize("case", range(8))
def test_all_in_one_damaged(mini: Files, tmp_path: Path, case: int) -> None:
    path = write_all_in_one(tmp_path / "x.gguf", mini.speech, None, tokenizer=True)
    edit = GgufEdit.read(path)
    part, change = damaged(edit)[case]
    change()
    edit.write(path)
    with pytest.raises(ModelFileError) as error:
        omniggml.load(path, overrides=SETTINGS["mini"])
    one_sentence(str(error.value), "x.gguf", part)
    assert omniggml.inspect(path).problem


NO_PLANS: list[tuple[dict[str, Any], str]] = [
    ({"parts": ((1, "talker.model.norm.weight", 0, 1),)}, "file"),
    ({"parts": ((0, "nothing", 0, 1),)}, "nothing"),
    ({"parts": ((0, "talker.codec_head.weight", 0, 3),)}, "equal parts"),
    ({"parts": ((0, "talker.codec_head.weight", 2, 2),)}, "equal parts"),
    ({"parts": ((0, "talker.codec_head.weight", 0, -1),)}, "equal parts"),
    ({"parts": ((0, "talker.codec_head.weight", 1, 2),)}, "values"),
    ({"parts": ()}, "values"),
    ({"shape": (5,)}, "values"),
    ({"shape": ()}, "values"),
    ({"shape": (1, 1, 1, 1, 32)}, "values"),
    ({"shape": (-32,)}, "values"),
    ({"shape": (2**62, 4)}, "values"),
    ({"view": (32, 1), "axes": (0, 1)}, "laid out"),
    ({"shape": (4, 8), "view": (8, 4), "axes": (1, 1)}, "laid out"),
    ({"shape": (4, 8), "view": (8, 4), "axes": (1, 7)}, "laid out"),
    ({"shape": (4, 8), "view": (8, 4), "axes": (1, -1)}, "laid out"),
    ({"shape": (8, 4), "view": (8, 4), "axes": (1, 0)}, "laid out"),
    ({"shape": (4, 8), "view": (8, 5), "axes": (1, 0)}, "laid out"),
    ({"parts": ((0, "talker.model.norm.weight", 0, 1), (0, "talker.codec_head.weight", 0, 1))}, "different"),
]


@pytest.mark.parametrize(("change", "part"), NO_PLANS)
def test_plans_that_a_file_does_not_fulfil(tiny_files: Files, change: dict[str, Any], part: str) -> None:
    name = "talker.model.norm.weight"
    plan = dataclasses.replace(PlannedTensor(name, (32,), ((0, name, 0, 1),)), **change)
    with pytest.raises(ModelFileError) as error:
        _native.PlannedFile([str(tiny_files.speech)], {}, [plan])
    one_sentence(str(error.value), part)


def test_noise(worker: Worker, mini: Files, tmp_path: Path) -> None:
    """Bytes of headers changed at random: loaded or refused in one sentence, never a crash."""
    code = """
import warnings
warnings.simplefilter("ignore")
omniggml.inspect(path)
omniggml.load(path, thinker=thinker, overrides=overrides, n_threads=1).speak("hello", max_frames=2)
"""
    all_in_one = write_all_in_one(tmp_path / "a.gguf", mini.speech, None, tokenizer=True)
    bundled = write_bundled(tmp_path / "b.gguf", mini.speech)
    rng = np.random.default_rng(2)
    for source, thinker in ((all_in_one, None), (bundled, str(mini.thinker))):
        content, header = source.read_bytes(), len(GgufEdit.read(source).header())
        for _ in range(60):
            damaged_bytes = bytearray(content)
            for position in rng.integers(0, header, rng.integers(1, 4)):
                damaged_bytes[position] = rng.integers(0, 256)
            (tmp_path / "noise.gguf").write_bytes(damaged_bytes)
            names = {"path": str(tmp_path / "noise.gguf"), "thinker": thinker, "overrides": SETTINGS["mini"]}
            outcome = worker.run(code, **names)
            assert outcome.error in ("", "ModelFileError", "OutOfMemoryError", "InputError", "NumericError"), outcome


def test_a_talker_needs_the_thinkers_table(mini: Files, tmp_path: Path) -> None:
    path = write_bundled(tmp_path / "talker.gguf", mini.speech)
    with pytest.raises(ModelFileError) as error:
        omniggml.load(path)
    one_sentence(str(error.value), "talker.gguf", "thinker=")


# --- inspect ----------------------------------------------------------------------------------------------------------


def test_inspect_ours(tiny_files: Files) -> None:
    speech, thinker = map(omniggml.inspect, tiny_files)
    assert (speech.family, speech.problem, speech.missing, speech.unknown) == ("speech", "", (), ())
    assert (thinker.family, thinker.problem) == ("thinker", "")
    assert {share.stage for share in speech.shares} == {"text table", "talker", "code predictor", "code2wav"}
    assert sum(share.tensors for share in speech.shares) == len(GgufEdit.read(tiny_files.speech).tensors)
    assert speech.geometry["talker"]["hidden_size"] == 32 and speech.assumed == {} and speech.concerns == ()
    assert speech.parameters == sum(share.nbytes for share in speech.shares) // 4


def test_inspect_each_family(mini: Files, tmp_path: Path) -> None:
    paths = {
        "all-in-one": write_all_in_one(tmp_path / "a.gguf", mini.speech, mini.thinker, tokenizer=True, q8=True),
        "bundled": write_bundled(tmp_path / "b.gguf", mini.speech),
        "code2wav": write_code2wav(tmp_path / "c.gguf", mini.speech),
    }
    found = {name: omniggml.inspect(path) for name, path in paths.items()}
    assert {name: one.family for name, one in found.items()} == {name: name for name in paths}
    assert found["bundled"].problem and "thinker" in found["bundled"].problem
    assert found["bundled"].missing == () and found["bundled"].needs == ("thinker",)
    assert found["code2wav"].problem == "" and found["code2wav"].loads
    reasons = {concern.name: concern.reason for concern in found["all-in-one"].concerns}
    assert "code2wav.code_embedding.weight" in reasons and "talker.codec_head.weight" not in reasons
    assert found["all-in-one"].geometry["thinker"]["num_hidden_layers"] > 0
    stages = {share.stage for share in found["all-in-one"].shares}
    assert stages >= {"thinker", "audio encoder", "text table"}


def test_inspect_what_can_not_be_loaded(tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    edit.drop("talker.model.norm.weight")
    edit.tensors.append(Tensor("strange", [2], 0, bytes(8)))
    found = omniggml.inspect(edit.write(tmp_path / "x.gguf"))
    assert found.missing == ("talker.model.norm.weight",) and found.unknown == ("strange",)
    assert "talker.model.norm.weight" in found.problem
    (tmp_path / "y.gguf").write_bytes((tmp_path / "x.gguf").read_bytes()[:-5000])
    cut = omniggml.inspect(tmp_path / "y.gguf")
    assert cut.family == "unknown" and "truncated" in cut.problem
    other = GgufEdit().set("general.architecture", "llama", V.STRING).write(tmp_path / "z.gguf")
    assert omniggml.inspect(other).family == "unknown"
    assert "directory" in omniggml.inspect(tmp_path).problem
    with pytest.raises(ModelFileError):
        omniggml.inspect(tmp_path / "nothing")


def test_inspect_command(mini: Files, tmp_path: Path) -> None:
    path = write_all_in_one(tmp_path / "a.gguf", mini.speech, None, tokenizer=True, q8=True)
    for file, extra in ((mini.speech, []), (path, []), (path, ["--json"])):
        command = [sys.executable, "-m", "omniggml", "inspect", str(file), *extra]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stderr == ""
        if extra:
            assert json.loads(result.stdout)["family"] == "all-in-one"
        else:
            assert "code2wav" in result.stdout and "parameters" in result.stdout
            assert ("in too few bits:" in result.stdout) == (file == path)


def test_every_family_is_described() -> None:
    page = (Path(__file__).parent.parent / "docs" / "files.md").read_text(encoding="utf-8")
    for family in FAMILIES:
        assert f"`{family.name}`" in page, family.name
