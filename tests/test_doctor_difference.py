"""What is left over of somebody's audio: bound to a time, to pieces, to pauses, to a band; or left by a codec."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

import omniggml
from omniggml.comparison.agreement import match
from omniggml.doctor.coding import like_coded
from omniggml.doctor.difference import Shape, shape_of
from omniggml.doctor.grids import step_of
from shown_findings import VOICE, Evidence, put, values

FRAME, FRAMES, RATE = 1920, 48, 24000
Change = Callable[[Any, Any], Any]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("difference"))


@pytest.fixture(scope="module")
def sound() -> Any:
    """Noise, silent from frame 30 to 36."""
    x = 0.1 * np.random.default_rng(0).standard_normal(FRAME * FRAMES)
    x[30 * FRAME : 36 * FRAME] *= 1e-3
    return x


def noise(like: Any, size: float = 0.01) -> Any:
    return size * np.random.default_rng(1).standard_normal(len(like))


def shape(sound: Any, left: Any) -> Shape:
    theirs = sound + left
    return shape_of(theirs, sound, match(theirs, sound, 0), FRAME)


def beside(sound: Any) -> Any:
    """Noise that follows the sound, as rounding does."""
    loud = np.sqrt(np.repeat(np.square(sound).reshape(FRAMES, FRAME).mean(axis=1), FRAME))
    return noise(sound, 0.05) * loud


def gated(x: Any, on: Callable[[Any], Any]) -> Any:
    return x * np.repeat(on(np.arange(FRAMES)), FRAME)


def test_what_follows_the_sound_has_no_shape(sound: Any) -> None:
    found = shape(sound, beside(sound))
    assert found.clauses == [] and found.sentence == "" and not found.in_time


def test_it_begins_at_a_frame(sound: Any) -> None:
    found = shape(sound, gated(beside(sound), lambda frame: frame >= 17))
    assert found.begins == 17 and found.in_time
    assert found.sentence == " What is left over begins at frame 17."


def test_it_lies_in_some_frames_alone(sound: Any) -> None:
    """As at the beginning of two pieces, of which the second is short."""
    found = shape(sound, gated(beside(sound), lambda frame: ((frame >= 12) & (frame < 22)) | (frame >= 40)))
    assert found.only == ((12, 21), (40, 47)) and found.in_time and found.begins == 0
    assert found.sentence.endswith("lies in frames 12 to 21 and 40 to 47 alone.")


def test_frames_that_differ_do_not_spoil_the_others(sound: Any) -> None:
    """Whose loudness one gain for all would take them for another."""
    softer = gated(sound, lambda frame: np.where((frame >= 12) & (frame < 22) | (frame >= 42), -0.15, 0.0))
    assert shape(sound, softer).only == ((12, 21), (42, 47))


def test_what_is_uneven_lies_everywhere(sound: Any) -> None:
    found = shape(sound, gated(beside(sound), lambda frame: np.where(frame % 3 == 0, 1.0, 0.15)))
    assert found.only == ()


def test_it_grows(sound: Any) -> None:
    found = shape(sound, gated(beside(sound), lambda frame: 1.08**frame))
    assert found.grows > 10 and found.begins == 0
    assert "grows towards the end" in found.sentence


def test_it_fades(sound: Any) -> None:
    assert "is largest at the beginning" in shape(sound, gated(beside(sound), lambda frame: 1.08**-frame)).sentence


@pytest.mark.parametrize("period", [5, 8, 11])
def test_it_comes_back_with_every_piece(sound: Any, period: int) -> None:
    found = shape(sound, gated(beside(sound), lambda frame: np.where(frame % period == 0, 1, 0.1)))
    assert found.period == period
    assert f"comes back every {period} frames" in found.sentence


def test_it_is_in_the_pauses(sound: Any) -> None:
    assert shape(sound, noise(sound, 0.003)).in_pauses


@pytest.mark.parametrize(("above", "words"), [(True, "lies above"), (False, "lies below")])
def test_it_has_a_band(sound: Any, above: bool, words: str) -> None:
    spectrum = np.fft.rfft(beside(sound))
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[hertz < 6000 if above else hertz > 300] = 0
    found = shape(sound, np.fft.irfft(spectrum, len(sound)))
    assert found.band is not None and words in found.sentence
    assert abs(found.band[0] - 6000) < 1000 if above else abs(found.band[1] - 300) < 100


def test_a_few_frames_have_no_shape(sound: Any) -> None:
    few = sound[: 5 * FRAME]
    assert shape_of(few + noise(few), few, match(few + noise(few), few, 0), FRAME).clauses == []


# --- codecs -----------------------------------------------------------------------------------------------------------


def decoded_again(x: Any, container: str, subtype: str, level: float) -> Any:
    file = io.BytesIO()
    soundfile.write(file, x, RATE, format=container, subtype=subtype, compression_level=level)
    file.seek(0)
    return soundfile.read(file)[0]


@pytest.mark.parametrize(
    ("container", "subtype", "level"),
    [("MP3", "MPEG_LAYER_III", 0.6), ("OGG", "VORBIS", 0.5), ("OGG", "OPUS", 0.9), ("OGG", "OPUS", 0.97)],
)
def test_what_was_through_a_codec_is_heard_though_the_file_is_wav(
    evidence: Evidence, container: str, subtype: str, level: float
) -> None:
    theirs = decoded_again(evidence.spoken(VOICE).samples, container, subtype, level)
    found = omniggml.diagnose(**evidence.with_codes(VOICE, theirs, subtype="PCM_16"), n_threads=1)
    assert found.exit_code == 0, found.verdict
    assert "audio.lossy" in {finding.id for finding in found.findings}


def test_bent_samples_are_none_of_a_codec(evidence: Evidence) -> None:
    ours = evidence.spoken(VOICE).samples.astype(np.float64)
    theirs = ours + 0.2 * np.square(ours)
    assert like_coded(theirs, ours, match(theirs, ours, 0)) < 0.65


# --- grids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [1.0, 0.7, 0.123])
@pytest.mark.parametrize(("subtype", "bits"), [("PCM_24", 16), ("FLOAT", 16), ("PCM_16", 8)])
def test_what_was_rounded_before_tells_its_step(evidence: Evidence, gain: float, subtype: str, bits: int) -> None:
    limit = 2.0 ** (bits - 1)
    rounded = np.round(evidence.spoken(VOICE).samples * limit) / limit
    file = io.BytesIO()
    soundfile.write(file, gain * rounded, RATE, format="WAV", subtype=subtype)
    file.seek(0)
    assert step_of(soundfile.read(file)[0]) == pytest.approx(gain / limit, rel=0.02)


def test_samples_of_no_step_have_none(evidence: Evidence) -> None:
    ours = evidence.spoken(VOICE).samples.astype(np.float64)
    companded = np.sign(ours) * np.expm1(np.round(np.log1p(255 * np.abs(ours)) / np.log(256) * 127) / 127 * np.log(256))
    for samples in (ours, companded / 255, np.round(ours * 4) / 4, np.zeros(100), np.zeros(0)):
        assert step_of(samples) == 0.0


@pytest.mark.parametrize(("subtype", "limit", "told"), [("PCM_24", 2**15, None), ("PCM_16", 2**7, 8)])
def test_what_was_rounded_before_it_was_made_softer_is_right(
    evidence: Evidence, subtype: str, limit: int, told: int | None
) -> None:
    rounded = np.round(evidence.spoken(VOICE).samples * limit) / limit
    found = omniggml.diagnose(**evidence.with_codes(VOICE, 0.7 * rounded, subtype=subtype), n_threads=1)
    evidences = {finding.id: finding.evidence for finding in found.findings}
    assert found.exit_code == 0 and evidences.keys() == {"audio.gain"} | ({"audio.lossy"} if told else set())
    assert told is None or abs(evidences["audio.lossy"]["bits"] - told) <= 1


# --- the doctor -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_comes_nearest_is_said_where_it_does_not_explain_all(evidence: Evidence) -> None:
    """A mistake that can be found, in samples that were bent a little besides."""
    file, name = evidence.edit(VOICE), "code2wav.pre_transformer.layers.1.mlp.up_proj.weight"
    put(file, name, values(file, name)[::-1])
    codes = evidence.spoken(VOICE).codes
    wrong = omniggml.load(evidence.written(file), n_threads=1).code2wav(codes).astype(np.float64)
    bent = np.sign(wrong) * np.abs(wrong) ** 1.05
    found = omniggml.diagnose(**evidence.with_codes(VOICE, bent), n_threads=1)
    assert found.exit_code == 2
    assert name in found.verdict and "comes nearest" in found.verdict


FORMS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "at 48000 Hz": (lambda x: soxr.resample(x, RATE, 48000), {"rate": 48000, "subtype": "PCM_16"}),
    "with silence around": (lambda x: np.pad(x, (2400, 4800)), {"subtype": "PCM_16"}),
    "trimmed": (lambda x: x[240:-480], {"subtype": "PCM_16"}),
    "as mu-law": (lambda x: x, {"subtype": "ULAW"}),
    "as MP3": (lambda x: x, {"ending": ".mp3", "format": "MP3", "subtype": "MPEG_LAYER_III"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_mistake_is_found_in_whatever_form_the_audio_comes(evidence: Evidence, form: str) -> None:
    """Of the engine, as it computes usually, which isn't float32 on every CPU."""
    file, name = evidence.edit(VOICE), "code2wav.decoder.2.block.2.conv1.conv.weight"
    put(file, name, values(file, name)[..., ::-1])
    codes = evidence.spoken(VOICE).codes
    wrong = omniggml.load(evidence.written(file), n_threads=1).code2wav(codes)
    change, options = FORMS[form]
    found = omniggml.diagnose(**evidence.with_codes(VOICE, change(wrong), **options), n_threads=1)
    assert found.exit_code == 2
    assert f"{name} has its kernel reversed" in found.verdict and "two things" not in found.verdict


def test_a_delay_is_looked_for_in_what_there_is() -> None:
    short = np.random.default_rng(0).standard_normal(50)
    assert match(short, short, 5000).lag == 0


@pytest.mark.slow
def test_a_difference_that_begins_late_is_said_though_it_is_small(evidence: Evidence) -> None:
    ours = evidence.spoken(VOICE).samples.astype(np.float64)
    bent = 0.3 * np.square(ours) + 0.3 * np.square(np.roll(ours, 5))
    late = ours + np.where(np.arange(len(ours)) > 14 * FRAME, bent, 0)
    found = omniggml.diagnose(**evidence.with_codes(VOICE, late), n_threads=1)
    assert found.causes[0].id == "vocoder.close", found.verdict
    # Of the frames that follow the first are silent.
    assert "begins at frame 17" in found.verdict and found.next_question
