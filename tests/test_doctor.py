"""The doctor: what it says of what was planted, and that it says nothing of what is sound."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import omniggml
from conftest import Files
from foreign_files import write_all_in_one
from gguf_edit import GgufEdit
from omniggml import Diagnosis, InputError, ModelFileError
from omniggml.audio import read_audio
from omniggml.doctor import examination
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.catalogue import CATALOGUE
from omniggml.doctor.finding import Exit, resolved
from omniggml.doctor.html_report import html_report
from omniggml.doctor.likelihood import first_frames, likelihood_of, prompt_for
from omniggml.doctor.text_report import text_report
from omniggml.doctor.vocoder_mirror import Choices
from omniggml.loading import BUILT_IN
from omniggml.spec.speech_file import SPEAKER_NAMES
from parity.files import ModelFiles
from voice_vocoder import voice_codes, voice_mirror

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "doctor"))
import talker_faults
from subjects import VOICE, Subjects, put, values

TEXT = "hello world, how are you"
PUBLISHED_SPLIT = {"code2wav.head_dim": 8, "code2wav.sliding_window": 1000}


@pytest.fixture(scope="module")
def mini(model_files: ModelFiles) -> Path:
    return model_files.gguf("mini", "f32")[0]


@pytest.fixture(scope="module")
def spoken(mini: Path) -> omniggml.Audio:
    return omniggml.load(mini, n_threads=1).speak(TEXT, seed=3, max_frames=40)


@pytest.fixture(scope="module")
def tiny_spoken(tiny_files: Files) -> omniggml.Audio:
    return omniggml.load(tiny_files.speech, n_threads=1).speak(TEXT, seed=3, max_frames=40)


def doctor(path: Path, **given: Any) -> Diagnosis:
    return omniggml.diagnose(path, n_threads=1, **given)


def first(found: Diagnosis) -> str:
    return found.causes[0].id if found.causes else ""


def said(found: Diagnosis) -> str:
    """The first cause, or the first note on what was given beside the file where there is none."""
    notes = [finding.id for finding in found.findings if finding.stage != "file"]
    return first(found) or next(iter(notes), "")


# --- sound ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", ["tiny", "odd", "grouped", "big-codebook", "long-window"])
def test_a_sound_file(model_files: ModelFiles, geometry: str) -> None:
    found = doctor(model_files.gguf(geometry, "f32")[0])
    assert (found.exit_code, found.causes) == (Exit.HEALTHY, ())
    assert {finding.id for finding in found.findings} <= {"file.untrained"}
    assert {"file", "talker", "vocoder"} <= set(found.checked)


def test_the_built_in_voice_is_sound() -> None:
    found = doctor(BUILT_IN)
    assert (found.exit_code, found.findings) == (Exit.HEALTHY, ())


def test_the_built_in_voice_is_sound_beside_a_copy_that_tells_nothing(tmp_path: Path) -> None:
    """What such a reference doesn't tell is taken from the published model, and is no evidence against anybody."""
    copy = write_all_in_one(tmp_path / "x.gguf", BUILT_IN, None, tokenizer=False)
    found = doctor(BUILT_IN, reference=copy)
    assert (found.exit_code, found.findings) == (Exit.HEALTHY, ()) and "reference" in found.checked
    other = GgufEdit.read(BUILT_IN).set("qwen3omni-speech.code2wav.num_attention_heads", 2).write(tmp_path / "y.gguf")
    assert first(doctor(other, reference=BUILT_IN)) == "file.geometry", "what a file tells still counts"


def test_a_matrix_that_was_never_loaded(tmp_path: Path) -> None:
    """Of a trained model: its siblings of the same shape were."""
    edit, name = GgufEdit.read(BUILT_IN), "talker.model.layers.2.self_attn.k_proj.weight"
    old = values(edit, name)
    put(edit, name, np.random.default_rng(1).standard_normal(old.shape) * old.std())
    found = doctor(edit.write(tmp_path / "x.gguf"))
    assert first(found) == "file.looks-random" and found.causes[0].tensors == (name,)


def test_sound_codes_and_audio(mini: Path, spoken: omniggml.Audio, tmp_path: Path) -> None:
    wav = spoken.save(tmp_path / "a.wav")
    found = doctor(mini, codes=spoken.codes, audio=wav, text=TEXT)
    assert (found.exit_code, found.causes) == (Exit.HEALTHY, ())
    assert found.measurements["theirs"]["correlation"] > 0.999
    assert found.measurements["likelihood"]["mean"] > found.measurements["likelihood"]["chance"] + 2


# --- the case that started it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_offset", [False, True])
def test_the_first_8_of_15(model_files: ModelFiles, tmp_path: Path, with_offset: bool) -> None:
    """All in one, everything in Q8_0, Hugging Face names; codes of the predictor alone, read as 8 codebooks of 4096."""
    speech, _ = model_files.gguf("long-window", "f32")
    path = write_all_in_one(tmp_path / "x.gguf", speech, None, tokenizer=True, q8=True)
    codes = omniggml.load(speech, n_threads=1).speak(TEXT, seed=5, max_frames=40).codes[1:9]
    codes = codes + 4096 * np.arange(8)[:, None] if with_offset else codes
    np.save(tmp_path / "codes.npy", codes)
    overrides = [word for key, value in PUBLISHED_SPLIT.items() for word in ("--override", f"{key}={value}")]
    command = [
        sys.executable,
        "-m",
        "omniggml",
        "doctor",
        "--quiet",
        str(path),
        "--codes",
        str(tmp_path / "codes.npy"),
        "--threads",
        "1",
    ]
    result = subprocess.run([*command, *overrides], capture_output=True, text=True, check=False)
    assert result.returncode == Exit.BROKEN and result.stderr == ""
    line = result.stdout.splitlines()[0]
    for part in ("8 groups from the predictor", "without the talker's own code", "16 codebooks of 2048 were 8 of 4096"):
        assert part in line, line
    assert "file.low-precision" in result.stdout


# --- codes ------------------------------------------------------------------------------------------------------------

CODES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "transposed": (lambda c: c.T, "codes.transposed"),
    "reversed": (lambda c: c[::-1], "codes.group-order"),
    "rotated": (lambda c: np.roll(c, 3, axis=0), "codes.group-order"),
    "backwards": (lambda c: c[:, ::-1], "codes.frame-order"),
    "offset": (lambda c: c + 64 * np.arange(len(c))[:, None], "codes.offset-added"),
    "one more": (lambda c: c + 1, "codes.off-by-one"),
    "without the first": (lambda c: c[1:], "codes.first-group-missing"),
    "without the last": (lambda c: c[:-1], "codes.fewer-groups"),
    "with eos": (lambda c: np.concatenate([c, np.full((len(c), 1), 64 + 102)], axis=1), "codes.control-ids"),
    "beyond": (lambda c: np.where(c == c[0, 0], 5000, c), "codes.out-of-range"),
    "beyond 32 bits": (lambda c: c.astype(np.int64) * 2**40 + 2**33, "codes.out-of-range"),
    "beyond 32 bits, unsigned": (
        lambda c: np.where(c == c[0, 0], 2**64 - 1, c.astype(np.uint64)),
        "codes.out-of-range",
    ),
    "negative": (lambda c: np.where(c == c[0, 0], -1, c), "codes.negative"),
    "constant": (lambda c: np.repeat(c[:, :1], c.shape[1], axis=1), "codes.constant"),
    "in a cycle": (lambda c: np.tile(c[:, :4], 10), "codes.repeating"),
    "one group stuck": (lambda c: np.concatenate([c[:1], 0 * c[1:2], c[2:]]), "codes.collapsed-group"),
    "one group twice": (lambda c: np.concatenate([c[:2], c[1:2], c[3:]]), "codes.equal-groups"),
    "random": (lambda c: np.random.default_rng(0).integers(0, 64, c.shape), "codes.unlikely"),
    "texts": (lambda c: c.astype(str), "codes.shape"),
    "fractions": (lambda c: c + 0.5, "codes.shape"),
    "one axis": (lambda c: c[0], "codes.shape"),
    "none": (lambda c: c[:, :0], "codes.empty"),
}


@pytest.mark.parametrize("case", CODES)
def test_codes(tiny_files: Files, tiny_spoken: omniggml.Audio, case: str) -> None:
    change, expected = CODES[case]
    found = doctor(tiny_files.speech, codes=change(tiny_spoken.codes))
    assert first(found) == expected, [(finding.id, finding.sentence) for finding in found.findings]


def test_codes_of_which_few_arrangements_are_looked_at(
    tiny_files: Files, tiny_spoken: omniggml.Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every arrangement only the first frame is asked, of few some more."""
    monkeypatch.setattr(bounds, "FIRST_FRAMES", 7)
    for case in ("reversed", "rotated", "backwards", "random"):
        change, expected = CODES[case]
        assert first(doctor(tiny_files.speech, codes=change(tiny_spoken.codes))) == expected, case


def test_first_frames_are_as_likely_together_as_alone(tiny_files: Files, tiny_spoken: omniggml.Audio) -> None:
    model = omniggml.load(tiny_files.speech, n_threads=1)
    prompt = prompt_for(model, None)
    every = first_frames(model, prompt, tiny_spoken.codes)
    alone = [likelihood_of(model, prompt, one[:, None], of_talker=False).mean for one in tiny_spoken.codes.T]
    np.testing.assert_allclose(every, alone, rtol=1e-4, atol=1e-4)


# --- the vocoder's mistakes, made by the engine itself ----------------------------------------------------------------


def test_a_vocoder_without_exp(tiny_files: Files, tiny_spoken: omniggml.Audio, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    for tensor in edit.tensors:
        if str(tensor.name).endswith((".alpha", ".beta")):
            edit.put(str(tensor.name), np.log(edit.values(str(tensor.name))))
    wrong = omniggml.load(edit.write(tmp_path / "x.gguf"), n_threads=1)
    wav = omniggml.Audio(wrong.code2wav(tiny_spoken.codes), 24000).save(tmp_path / "x.wav")
    found = doctor(tiny_files.speech, codes=tiny_spoken.codes, audio=wav)
    assert first(found) == "vocoder.snake-without-exp"
    assert found.causes[0].evidence["correlation"] > 0.999 > found.causes[0].evidence["correlation_without"]


def test_a_vocoder_with_another_window(tiny_files: Files, tiny_spoken: omniggml.Audio, tmp_path: Path) -> None:
    key = "qwen3omni-speech.code2wav.sliding_window"
    wrong = omniggml.load(GgufEdit.read(tiny_files.speech).set(key, 1000).write(tmp_path / "x.gguf"), n_threads=1)
    wav = omniggml.Audio(wrong.code2wav(tiny_spoken.codes), 24000).save(tmp_path / "x.wav")
    assert first(doctor(tiny_files.speech, codes=tiny_spoken.codes, audio=wav)) == "vocoder.no-window"


def test_a_vocoder_that_decodes_the_end_too(tiny_files: Files, tiny_spoken: omniggml.Audio, tmp_path: Path) -> None:
    model = omniggml.load(tiny_files.speech, n_threads=1)
    longer = np.concatenate([tiny_spoken.codes, tiny_spoken.codes[:, 2:3]], axis=1)
    path = omniggml.Audio(model.code2wav(longer), 24000).save(tmp_path / "a.wav")
    assert first(doctor(tiny_files.speech, codes=tiny_spoken.codes, audio=path)) == "vocoder.end-frame"


@pytest.mark.parametrize("fault", talker_faults.LOOPS)
def test_a_talker_with_a_mistake(fault: str, tmp_path: Path) -> None:
    """The built-in voice, driven by another loop than the engine's."""
    loop, cause, text = talker_faults.LOOPS[fault]
    given = talker_faults.given(Subjects(tmp_path, None), VOICE, loop, text)
    assert first(doctor(**{"path": given.pop("model"), **given})) == cause


def test_decoded_in_pieces(tiny_files: Files, tiny_spoken: omniggml.Audio, tmp_path: Path) -> None:
    model = omniggml.load(tiny_files.speech, n_threads=1)
    pieces = [model.code2wav(tiny_spoken.codes[:, start : start + 10]) for start in range(0, 40, 10)]
    wav = omniggml.Audio(np.concatenate(pieces), 24000).save(tmp_path / "x.wav")
    found = doctor(tiny_files.speech, codes=tiny_spoken.codes, audio=wav)
    assert first(found) == "audio.seams" and found.causes[0].evidence["piece"] == 10


def test_pieces_that_keep_what_comes_before(tmp_path: Path) -> None:
    """A port that cuts the context's samples from the wrong end."""
    model, pieces = omniggml.load(vocoder_precision="f32"), []
    codes = model.speak("hello world, how are you", seed=1, max_frames=36).codes
    for start in range(0, codes.shape[1], 10):
        before = min(4, start)
        samples = model.code2wav(np.ascontiguousarray(codes[:, start - before : start + 10]))
        pieces.append(samples[: len(samples) - before * 1920])
    wav = omniggml.Audio(np.concatenate(pieces), 24000).save(tmp_path / "x.wav")
    found = doctor(BUILT_IN, codes=codes, audio=wav)
    assert first(found) == "audio.seams" and "cut from the end" in found.causes[0].sentence
    assert (found.causes[0].evidence["piece"], found.causes[0].evidence["context"]) == (10, 4)


def test_convolutions_in_pieces_behind_a_transformer_that_sees_all(tmp_path: Path) -> None:
    """As in a port whose transformer has a cache and whose convolutions have none."""
    mirror, codes = voice_mirror(), voice_codes()
    first = mirror.stages().index("code2wav.upsample.0.0")
    seen = mirror.entering(codes)[first]
    pieces = [mirror.from_stage(first, seen[:, start : start + 7]) for start in range(0, codes.shape[1], 7)]
    wav = omniggml.Audio(np.concatenate(pieces), 24000).save(tmp_path / "x.wav")
    found = doctor(BUILT_IN, codes=codes, audio=wav)
    assert first_piece(found) == (7, 0, True)
    whole = [mirror(codes[:, start : start + 7]) for start in range(0, codes.shape[1], 7)]
    wav = omniggml.Audio(np.concatenate(whole), 24000).save(tmp_path / "x.wav")
    assert first_piece(doctor(BUILT_IN, codes=codes, audio=wav)) == (7, 0, False)


def test_pieces_with_too_little_before_them_that_lose_no_samples(tmp_path: Path) -> None:
    mirror, codes, lost = voice_mirror(), voice_codes(), 555
    pieces = [mirror(codes[:, :10])]
    for start in range(10, codes.shape[1], 10):
        pieces.append(mirror(codes[:, start - 2 : start + 10])[2 * mirror.per_frame - lost :])
    wav = omniggml.Audio(np.concatenate(pieces), 24000).save(tmp_path / "x.wav")
    assert first_piece(doctor(BUILT_IN, codes=codes, audio=wav)) == (10, 2, False)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames_of_a_mistaken_vocoder_are_judged_to_the_end(frames: int, tmp_path: Path) -> None:
    mirror, codes = voice_mirror(), voice_codes()[:, :frames]
    wav = omniggml.Audio(mirror(codes, Choices(snake="plain")), 24000).save(tmp_path / "x.wav")
    found = doctor(BUILT_IN, codes=codes, audio=wav)
    assert not found.failed and found.causes, found.verdict


@pytest.mark.parametrize(("start", "many"), [(3, 478), (20_000, 900)])
def test_a_bit_of_right_audio_is_told_as_that(start: int, many: int, tmp_path: Path) -> None:
    codes = voice_codes()
    bit = omniggml.load(n_threads=1).code2wav(codes)[start : start + many]
    found = doctor(BUILT_IN, codes=codes, audio=omniggml.Audio(bit, 24000).save(tmp_path / "x.wav"))
    assert first(found) == "audio.length" and f"ours from sample {start} on" in found.causes[0].sentence


def test_an_mp3_of_few_bits_is_right_audio(tmp_path: Path) -> None:
    """At a rate at which libsndfile writes no file of the fewest."""
    codes = voice_codes()
    samples, path = omniggml.load(n_threads=1).code2wav(codes), tmp_path / "x.mp3"
    soundfile.write(path, samples, 24000, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.95)
    found = doctor(BUILT_IN, codes=codes, audio=path)
    assert not found.causes and "audio.lossy" in {one.id for one in found.findings}, found.verdict


def first_piece(found: Diagnosis) -> tuple[Any, ...]:
    assert first(found) == "audio.seams", found.verdict
    return tuple(found.causes[0].evidence[key] for key in ("piece", "context", "convolutions_alone"))


def test_pieces_that_fade_into_each_other(tmp_path: Path) -> None:
    model, over = omniggml.load(vocoder_precision="f32"), 300
    codes = model.speak("hello world, how are you", seed=1, max_frames=36).codes
    fade = np.sin(np.linspace(0, np.pi / 2, over)) ** 2
    whole = model.code2wav(np.ascontiguousarray(codes[:, :8]))
    for start in range(8, codes.shape[1], 8):
        samples = model.code2wav(np.ascontiguousarray(codes[:, start : start + 8]))
        both = whole[-over:] * (1 - fade) + samples[:over] * fade
        whole = np.concatenate([whole[:-over], both, samples[over:]]).astype(np.float32)
    wav = omniggml.Audio(whole, 24000).save(tmp_path / "x.wav")
    found = doctor(BUILT_IN, codes=codes, audio=wav)
    assert first(found) == "audio.seams" and f"over {over} samples" in found.causes[0].sentence
    assert found.causes[0].evidence["piece"] == 8


def test_a_seam_where_hardly_anything_is_heard(tmp_path: Path) -> None:
    """Behind it a few frames of near silence, which lengths that are wrong explain almost as well."""
    model = omniggml.load(vocoder_precision="f32")
    codes = model.speak("hello world, how are you", seed=1).codes
    piece = codes.shape[1] - 3
    samples = [model.code2wav(np.ascontiguousarray(part)) for part in (codes[:, :piece], codes[:, piece:])]
    wav = omniggml.Audio(np.concatenate(samples), 24000).save(tmp_path / "x.wav")
    found = doctor(BUILT_IN, codes=codes, audio=wav)
    assert first(found) == "audio.seams" and found.causes[0].evidence["piece"] == piece


# --- audio ------------------------------------------------------------------------------------------------------------


def written(samples: Any, path: Path, rate: int = 24000, **options: Any) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


AUDIO: dict[str, tuple[Callable[[Any], Any], dict[str, Any], str]] = {
    "half as loud": (lambda x: x / 2, {}, "audio.gain"),
    "negated": (lambda x: -x, {}, "audio.negated"),
    "shifted": (lambda x: x * 0.3 + 0.3, {}, "audio.dc"),
    "too loud": (lambda x: x * 50, {}, "audio.clipped"),
    "silent": (lambda x: x * 0, {}, "audio.silent"),
    "none": (lambda x: x[:0], {}, "audio.empty"),
    "not a number": (lambda x: np.where(x > 0.5, np.nan, x), {"subtype": "FLOAT"}, "audio.not-finite"),
    "another rate": (lambda x: x, {"rate": 16000}, "audio.rate"),
    "two channels": (lambda x: np.stack([x, x], axis=1), {}, "audio.channels"),
    "longer": (lambda x: np.append(x, np.zeros(200)), {}, "audio.length"),
    "swapped bytes": (
        lambda x: np.round(x * 32767).astype(np.int16).byteswap(),
        {},
        "audio.bytes",
    ),
    "something else": (lambda x: x[::-1], {}, "vocoder.differs"),
}


@pytest.mark.parametrize("case", AUDIO)
def test_audio(tiny_files: Files, tiny_spoken: omniggml.Audio, tmp_path: Path, case: str) -> None:
    change, options, expected = AUDIO[case]
    wav = written(change(tiny_spoken.samples), tmp_path / "x.wav", **options)
    found = doctor(tiny_files.speech, codes=tiny_spoken.codes, audio=wav)
    assert said(found) == expected, [(finding.id, finding.sentence) for finding in found.findings]


# --- the command ------------------------------------------------------------------------------------------------------


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "omniggml", "doctor", "--quiet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_json(tiny_files: Files, tiny_spoken: omniggml.Audio, tmp_path: Path) -> None:
    np.save(tmp_path / "codes.npy", tiny_spoken.codes[::-1])
    result = run(tiny_files.speech, "--codes", tmp_path / "codes.npy", "--text", TEXT, "--json", "--threads", 1)
    found = json.loads(result.stdout)
    assert result.returncode == found["exit_code"] == 2 and result.stderr == ""
    assert found["findings"][0]["id"] == "codes.group-order" and found["findings"][0]["evidence"]["given"] < -5
    assert found["verdict"] == found["findings"][0]["sentence"]


def test_the_command_says_that_nothing_was_found(tiny_files: Files) -> None:
    result = run(tiny_files.speech, "--threads", 1)
    assert result.returncode == 0 and result.stdout.startswith("healthy: Nothing is wrong")


@pytest.mark.parametrize("option", ["--codes", "--audio", "--theirs", "--reference"])
def test_files_that_are_not_there(tiny_files: Files, tmp_path: Path, option: str) -> None:
    (tmp_path / "other").write_text("nothing of use")
    for name in ("missing", "other") if option != "--reference" else ("missing",):
        result = run(tiny_files.speech, option, tmp_path / name)
        assert result.returncode == 65 and result.stdout == "" and result.stderr.count("\n") == 1, result.stderr
        assert result.stderr.startswith("omniggml: ")


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["--threads", "many"], ["too", "many"], []])
def test_wrong_usage_is_no_finding(tiny_files: Files, arguments: list[str]) -> None:
    model = [tiny_files.speech] if arguments else []
    result = run(*model, *arguments)
    assert result.returncode == 64 and result.stdout == "" and "usage: omniggml doctor" in result.stderr


def test_no_model() -> None:
    with pytest.raises(ModelFileError):
        omniggml.diagnose("nothing.gguf")
    with pytest.raises(InputError):
        omniggml.diagnose(__file__, codes="nothing.npy")


def test_a_file_that_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    """FLAC as it is written to a pipe, which can't go back and put the length into its header."""
    samples = np.sin(np.arange(100_000) / 9) / 2
    soundfile.write(tmp_path / "x.flac", samples, 24000)
    data = bytearray((tmp_path / "x.flac").read_bytes())
    data[21] &= 0xF0  # of STREAMINFO, the 36 bits that count samples
    data[22:26] = bytes(4)
    (tmp_path / "piped.flac").write_bytes(data)
    read = read_audio(tmp_path / "piped.flac")
    assert np.array_equal(read.samples, soundfile.read(tmp_path / "x.flac", always_2d=True)[0])


UNREAD = {
    "x.m4a": (b"\0\0\0 ftypM4A \0\0\0\0", "; convert it: ffmpeg -i x.m4a x.wav"),
    "x.wv": (b"wvpk", "; convert it: ffmpeg -i x.wv x.wav"),
    "my words.aac": (b"\xff\xf1\x50\x80", "; convert it: ffmpeg -i 'my words.aac' 'my words.wav'"),
    "x.WAV": (b"RIFF", "; convert it: ffmpeg -i x.WAV x.new.wav"),
    "-x.m4a": (b"\0\0\0 ftypM4A ", "; convert it: ffmpeg -i ./-x.m4a ./-x.wav"),
    "x.pcm": (b"\1\0\2\0", " 24000 Hz: ffmpeg -f s16le -ar 24000 -ac 1 -i x.pcm x.wav"),
    "x.npy": (b"\x93NUMPY", "; if it holds samples, save these: soundfile.write('x.wav', samples, 24000)"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_sound_file_of_another_format_is_refused_with_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, advice = UNREAD[name]
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(head + bytes(range(1, 200)))
    with pytest.raises(InputError) as error:
        read_audio(name)
    assert str(error.value).endswith(advice)


def test_speakers_in_another_order_are_the_same(tmp_path: Path) -> None:
    """Names say who they are; a checkpoint's may stand in any order."""
    file = GgufEdit.read(BUILT_IN)
    for name in (SPEAKER_NAMES, SPEAKER_NAMES.replace("_names", "_ids")):
        file.set(name, list(file.entry(name).value)[::-1])
    file.write(tmp_path / "turned.gguf")
    assert doctor(tmp_path / "turned.gguf", reference=BUILT_IN).exit_code == 0


@pytest.mark.parametrize("option", ["thinker", "code2wav", "tokenizer"])
def test_no_file_beside_the_model(tiny_files: Files, option: str) -> None:
    """A path with a typo is a wrong command; nothing was found out about the model."""
    result = run(tiny_files.speech, f"--{option}", "nothing.gguf")
    assert result.returncode == 65 and result.stdout == ""
    assert result.stderr.startswith("omniggml: nothing.gguf") and len(result.stderr.splitlines()) == 1


def test_something_else_than_a_model(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF but no more")
    found = omniggml.diagnose(tmp_path / "x.gguf")
    assert first(found) == "file.unreadable" and found.exit_code == Exit.BROKEN


CHECKS = ("file", "codes", "reference", "talker", "audio", "vocoder", "dump", "ears")


@pytest.mark.parametrize("check", CHECKS)
def test_what_broke_off_is_not_healthy(tiny_files: Files, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    def stumbles(*given: Any) -> Any:
        raise IndexError("index 7 is out of bounds")

    monkeypatch.setattr(examination, f"check_{check}", stumbles)
    found = doctor(tiny_files.speech)
    assert found.exit_code == Exit.UNDECIDED and not found.causes
    assert "1 check could not be done" in found.verdict and check in found.verdict and "index 7" in found.verdict
    assert text_report(found).startswith("undecided: ") and ">undecided: " in html_report(found)
    assert found.as_dict()["failed"] == list(found.failed) and len(found.failed) == 1


def test_what_broke_off_is_said_beside_what_was_found(tiny_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "check_vocoder", lambda *given: {}["key"])
    found = doctor(tiny_files.speech, codes=np.zeros((2, 0), np.int32))
    assert first(found) == "codes.empty" and found.exit_code == Exit.SUSPICIOUS
    assert found.verdict.endswith(" (1 check could not be done.)")
    assert html_report(found).count(found.causes[0].sentence) == 1


def test_a_reference_that_cannot_be_read_leaves_it_open(tiny_files: Files, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF but no more")
    found = doctor(tiny_files.speech, reference=tmp_path / "x.gguf")
    assert found.exit_code == Exit.UNDECIDED and "1 check could not be done: the reference" in found.verdict


def test_what_is_not_checked_is_in_the_verdict(tiny_files: Files, tiny_spoken: omniggml.Audio, tmp_path: Path) -> None:
    """Half of a model says nothing of how likely codes are, and that is all right."""
    edit = GgufEdit.read(tiny_files.speech)
    edit.tensors = [tensor for tensor in edit.tensors if str(tensor.name).startswith("code2wav.")]
    edit.write(tmp_path / "half.gguf")
    found = doctor(tmp_path / "half.gguf", codes=tiny_spoken.codes)
    assert found.exit_code == Exit.HEALTHY
    assert found.verdict.startswith("Nothing is wrong with what could be checked; not checked: how likely the codes")


@pytest.mark.parametrize("name", ["im_start", "im_end", "system", "user", "assistant", "tts_pad", "tts_bos", "tts_eos"])
def test_the_tokenizer_knows_its_ids(tiny_files: Files, tiny_spoken: omniggml.Audio, tmp_path: Path, name: str) -> None:
    """The file is to blame, not the conversation that is then built with it."""
    edit, key = GgufEdit.read(tiny_files.speech), f"qwen3omni-speech.token.{name}"
    right = edit.entry(key).value
    edit.set(key, right + 1).write(tmp_path / "x.gguf")
    found = doctor(tmp_path / "x.gguf", codes=tiny_spoken.codes, text=TEXT)
    assert first(found) == "file.special-ids" and f"{name} is {right + 1}, the tokenizer's is {right}" in found.verdict


def test_a_finding_explains_others(tiny_files: Files, tiny_spoken: omniggml.Audio) -> None:
    """All codes one too high: the last one of the codebook has the id of a control, which is no cause of its own."""
    codes = np.append(tiny_spoken.codes, np.full((len(tiny_spoken.codes), 1), 63), axis=1) + 1
    found = doctor(tiny_files.speech, codes=codes, text=TEXT)
    assert first(found) == "codes.off-by-one" and "codes.control-ids" not in {f.id for f in found.findings}
    explained = {id for kind in CATALOGUE.values() for id in kind.supersedes}
    assert {finding.id for finding in found.superseded} <= explained <= set(CATALOGUE)


def test_ranking_is_by_severity_and_by_what_it_rests_on() -> None:
    ids = ["audio.too-long", "vocoder.differs", "codes.unlikely", "vocoder.no-rope", "file.zeros", "file.unloadable"]
    findings, superseded = resolved([omniggml.Finding(id, "x.") for id in ids])
    assert [finding.id for finding in findings] == [
        "file.zeros",
        "vocoder.no-rope",
        "vocoder.differs",
        "audio.too-long",
        "codes.unlikely",
    ]
    assert [finding.id for finding in superseded] == ["file.unloadable"]


def test_the_catalogue_is_written_for_people() -> None:
    for id, kind in CATALOGUE.items():
        assert kind.meaning.endswith(".") and kind.remedy.endswith("."), id
