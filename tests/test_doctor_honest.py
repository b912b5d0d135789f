"""Right audio as other programs keep it: none is accused, and each gets the note of what was done to it."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

import omniggml
from shown_findings import VOICE, Evidence

RATE = 24000
Samples = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("honest"))


def at_rate(x: Samples, rate: int, quality: str) -> Samples:
    return np.asarray(soxr.resample(x, RATE, rate, quality=quality))


def decoded(x: Samples, rate: int, container: str, subtype: str, level: float) -> Samples:
    file = io.BytesIO()
    soundfile.write(file, x, rate, format=container, subtype=subtype, compression_level=level)
    file.seek(0)
    return np.asarray(soundfile.read(file)[0])


def faded(x: Samples, seconds: float) -> Samples:
    n = round(seconds * RATE)
    gain = np.ones(len(x))
    gain[:n], gain[-n:] = np.sin(np.linspace(0, np.pi / 2, n)), np.cos(np.linspace(0, np.pi / 2, n))
    return x * gain


def without_top(x: Samples, hertz: float) -> Samples:
    """Without what is above: resampled down and up again, by a filter that ends before the half of the rate."""
    spectrum = np.fft.rfft(x)
    spectrum *= np.clip((hertz - np.fft.rfftfreq(len(x), 1 / RATE)) / 500 + 1, 0, 1)
    return np.asarray(np.fft.irfft(spectrum, len(x)))


def stripped(x: Samples) -> Samples:
    """Without the silence at both ends, and some more of it at the beginning."""
    loud = np.flatnonzero(np.abs(x) > 0.01)
    return x[loud[0] + 1 : loud[-1] + 1]


def limited(x: Samples, most: float) -> Samples:
    """As ffmpeg's `alimiter`: 5 ms late, softer around what is loud, and as loud as before after 50 ms."""
    late = 120
    loudest = np.max(np.abs(np.lib.stride_tricks.sliding_window_view(np.pad(x, (1200, late)), 1200 + late + 1)), axis=1)
    gain = np.minimum(1, most * np.abs(x).max() / np.maximum(loudest, 1e-9))
    gain = np.convolve(gain, np.hanning(late + 2) / np.hanning(late + 2).sum(), "same")
    return np.append(np.zeros(late), x * gain)[: len(x)]


def without_lows(x: Samples, hertz: float) -> Samples:
    """Through a filter of the second order, as SoX's and ffmpeg's `highpass`, which delays what it lets pass."""
    s = 1j * np.fft.rfftfreq(2 * len(x), 1 / RATE) / hertz
    return np.asarray(np.fft.irfft(np.fft.rfft(x, 2 * len(x)) * s**2 / (s**2 + np.sqrt(2) * s + 1))[: len(x)])


def ridden(x: Samples, seconds: float) -> Samples:
    """As loudness filters do it (ffmpeg's `loudnorm` and `dynaudnorm`): louder where the last peaks were low."""
    width = int(seconds * 24000)
    padded = np.pad(np.abs(x), width, mode="edge")
    peaks = np.array([padded[at : at + 2 * width].max() for at in range(0, len(x), 240)])
    gains = np.convolve(np.pad(1 / (peaks + 0.1), 20, mode="edge"), np.hanning(43)[1:-1] / 21, "valid")
    return 0.1 * x * np.interp(np.arange(len(x)), 240 * np.arange(len(gains)), gains)


def noisy(x: Samples, level: float) -> Samples:
    """White noise over it, in pauses as well."""
    return x + level * x.std() * np.random.default_rng(3).standard_normal(len(x))


EDITS: dict[str, tuple[Callable[[Samples], Samples], int, str, str]] = {
    "44.1 kHz, quickly": (lambda x: at_rate(x, 44100, "LQ"), 44100, "PCM_16", "audio.resampled"),
    "22.05 kHz, quickly": (lambda x: at_rate(x, 22050, "LQ"), 22050, "PCM_16", "audio.resampled"),
    "11.025 kHz in 8 bits": (lambda x: at_rate(x, 11025, "HQ"), 11025, "PCM_U8", "audio.resampled"),
    "the telephone's 8 kHz, mu-law": (lambda x: at_rate(x, 8000, "HQ"), 8000, "ULAW", "audio.resampled"),
    "Opus at its lowest": (lambda x: decoded(x, RATE, "OGG", "OPUS", 1.0), RATE, "PCM_16", "audio.lossy"),
    "MP3 at 22.05 kHz": (
        lambda x: decoded(at_rate(x, 22050, "HQ"), 22050, "MP3", "MPEG_LAYER_III", 0.9),
        22050,
        "PCM_16",
        "audio.resampled",
    ),
    "faded for most of it": (lambda x: faded(x, 0.8), RATE, "PCM_16", "audio.faded"),
    "faded out for half": (lambda x: x * np.minimum(1, np.linspace(2, 0, len(x))), RATE, "FLOAT", "audio.faded"),
    "without the highest tones": (lambda x: without_top(x, 9700), RATE, "PCM_24", "audio.band"),
    "without lows, louder, later": (lambda x: np.pad(1.2 * without_lows(x, 80), 5000), RATE, "FLOAT", "audio.band"),
    "stripped of silence": (stripped, RATE, "PCM_16", "audio.trimmed"),
    "by a loudness filter": (lambda x: ridden(x, 0.1), RATE, "FLOAT", "audio.gain"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_none_is_accused(evidence: Evidence, edit: str) -> None:
    change, rate, subtype, note = EDITS[edit]
    theirs = change(evidence.spoken(VOICE).samples.astype(np.float64))
    found = omniggml.diagnose(**evidence.with_codes(VOICE, theirs, rate=rate, subtype=subtype), n_threads=1)
    assert found.exit_code == 0, found.verdict
    assert note in {finding.id for finding in found.findings}


# --- and what looks like it and isn't ---------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Callable[[Samples], Samples], str]] = {
    "two frames of its beginning are lost": (lambda x: x[2 * 1920 :], "audio.length"),
    "its last sound is lost": (lambda x: x[: np.flatnonzero(np.abs(x) > 0.05)[-1] - 2400], "audio.length"),
    "louder and softer all the time": (lambda x: x * (0.7 + 0.3 * np.sin(np.arange(len(x)) / 1500)), "audio.envelope"),
    "muffled": (lambda x: (x + np.append(0, x[:-1])) / 2, "audio.filtered"),
    "without a voice's own lows": (lambda x: without_lows(x, 250), "audio.filtered"),
    "noise over it": (lambda x: noisy(x, 0.2), "audio.added"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_neighbours_are(evidence: Evidence, fault: str) -> None:
    change, id = FAULTS[fault]
    theirs = change(evidence.spoken(VOICE).samples.astype(np.float64))
    found = omniggml.diagnose(**evidence.with_codes(VOICE, theirs, subtype="PCM_16"), n_threads=1)
    assert found.exit_code != 0 and found.findings[0].id == id, [finding.id for finding in found.findings]


# --- parts ------------------------------------------------------------------------------------------------------------


def test_pieces_that_are_cut_in_sound_are_no_parts(evidence: Evidence) -> None:
    """Sizes that grow, as a stream's do, and nothing kept between them."""
    model, codes = evidence.model(VOICE), evidence.spoken(VOICE).codes
    sizes = [8, 11, codes.shape[1] - 19]
    cuts = np.cumsum([0, *sizes])
    theirs = np.concatenate([model.code2wav(codes[:, a:b]) for a, b in pairwise(cuts)])
    found = omniggml.diagnose(**evidence.with_codes(VOICE, theirs, subtype="PCM_16"), n_threads=1)
    assert found.findings[0].id == "audio.seams" and found.exit_code == 2


LONG = "and red two book friend reads train house two.\n\nlast home we she falls nine.\n\nlast river reads last."

OF_PARTS: dict[str, Callable[[Samples], Samples]] = {
    "as it is": lambda x: x,
    "with a lead-in": lambda x: np.append(np.zeros(16800), x),
    "faded in": lambda x: x * np.minimum(1, np.arange(len(x)) / 16800),
    "through MP3": lambda x: decoded(x, RATE, "MP3", "MPEG_LAYER_III", 0.6),
    "softer": lambda x: 0.3 * x,
    "through a limiter ahead of its time": lambda x: limited(x, 0.3),
    "without its silence at both ends": stripped,
    "limited and through Opus": lambda x: decoded(limited(x, 0.5), RATE, "OGG", "OPUS", 1.0),
}


@pytest.mark.parametrize("edit", OF_PARTS)
def test_a_speech_of_parts_is_known_however_it_was_edited(evidence: Evidence, edit: str) -> None:
    """Louder speech elsewhere, silence at the ends of parts and a codec's noise hide where parts are."""
    said = evidence.speech(VOICE, text=LONG, speaker="ethan", max_frames=400)
    given = evidence.with_codes(VOICE, OF_PARTS[edit](said.samples.astype(np.float64)), said.codes, subtype="PCM_16")
    found = omniggml.diagnose(**given, text=LONG, n_threads=1)
    assert found.exit_code == 0, found.verdict
    evidences = {finding.id: finding.evidence for finding in found.findings}
    assert len(evidences["audio.parts"]["frames"]) == len(evidences["codes.parts"]["frames"]) == len(said.segments) > 2


@pytest.mark.parametrize("level", [0.97, 1.0])
@pytest.mark.parametrize("frames", [4, 5])
def test_a_short_last_part_is_heard_below_a_codecs_noise(evidence: Evidence, frames: int, level: float) -> None:
    """Its beginning is soft, so that theirs seems to be one part whose end is cut."""
    model, codes = evidence.model(VOICE), evidence.spoken(VOICE).codes
    last = np.ascontiguousarray(codes[:, :frames])
    theirs = np.concatenate([model.code2wav(codes), model.code2wav(last)])
    coded = decoded(theirs, RATE, "OGG", "OPUS", level)
    given = evidence.with_codes(VOICE, coded, np.concatenate([codes, last], axis=1), subtype="PCM_16")
    found = omniggml.diagnose(**given, n_threads=1)
    assert found.exit_code == 0, found.verdict
    (parts,) = (one for one in found.findings if one.id == "audio.parts")
    assert len(parts.evidence["frames"]) == 2


@pytest.mark.parametrize("subtype", ["as it is", "OPUS", "MPEG_LAYER_III"])
@pytest.mark.parametrize("silent", [0, 8])
def test_a_cut_of_what_a_seam_loses_is_no_seam(evidence: Evidence, silent: int, subtype: str) -> None:
    """At a soft end either changes nothing, and a codec's noise tells nothing."""
    model, spoken = evidence.model(VOICE), evidence.spoken(VOICE)
    loudness = [
        float(np.abs(spoken.samples[n * 1920 : (n + 1) * 1920]).max()) for n in range(spoken.codes.shape[1] - 1)
    ]
    softest = spoken.codes[:, [int(np.argmin(loudness))] * silent]
    codes = np.ascontiguousarray(np.concatenate([spoken.codes[:, :14], softest], axis=1))
    whole = model.code2wav(codes)
    theirs = whole[: 2 * len(whole) - codes.shape[1] * 1920]
    if subtype != "as it is":
        theirs = decoded(theirs, RATE, "OGG" if subtype == "OPUS" else "MP3", subtype, 0.97)
    found = omniggml.diagnose(**evidence.with_codes(VOICE, theirs, codes, subtype="PCM_16"), n_threads=1)
    assert not {"audio.parts", "audio.seams"} & {one.id for one in found.findings}, found.verdict


def telephoned(x: Samples) -> Samples:
    time = np.arange(-400, 401)
    low, high = (np.sinc(2 * hertz * time / RATE) * 2 * hertz / RATE for hertz in (300, 3400))
    return np.convolve(x, (high - low) * np.hanning(len(time)), "same")


def differences(x: Samples) -> Samples:
    return x - 0.95 * np.append(0, x[:-1])


FILTERS_OF_PARTS: dict[str, Callable[[Samples], Samples]] = {
    "a telephone's band, steeply": telephoned,
    "what is between two samples": differences,
}


@pytest.mark.parametrize("speaker", ["ethan", "chelsie"])
@pytest.mark.parametrize("filter", FILTERS_OF_PARTS)
def test_a_filter_is_named_of_a_speech_of_parts_as_of_one(evidence: Evidence, filter: str, speaker: str) -> None:
    said = evidence.speech(VOICE, text=LONG, speaker=speaker, max_frames=400)
    theirs = FILTERS_OF_PARTS[filter](said.samples.astype(np.float64))
    found = omniggml.diagnose(**evidence.with_codes(VOICE, theirs, said.codes, subtype="PCM_16"), n_threads=1)
    assert {one.id for one in found.findings} == {"audio.filtered", "audio.parts"}, found.verdict
    assert "Of part" not in found.verdict


LOUDNESSES: dict[str, Callable[[Samples], Samples]] = {
    "peak": lambda x: 0.9 * x / np.abs(x).max(),
    "root mean square": lambda x: 0.05 * x / x.std(),
}


@pytest.mark.parametrize("loudness", LOUDNESSES)
def test_parts_that_were_normalised_each_by_itself(evidence: Evidence, loudness: str) -> None:
    said = evidence.speech(VOICE, text=LONG, speaker="ethan", max_frames=400)
    theirs, gains = said.samples.astype(np.float64), []
    for one in said.segments:
        own = theirs[one.start : one.end]
        loudest = int(np.argmax(np.abs(own)))
        before, own[:] = own[loudest], LOUDNESSES[loudness](own)
        gains.append(own[loudest] / before)
    found = omniggml.diagnose(**evidence.with_codes(VOICE, theirs, said.codes, subtype="PCM_16"), n_threads=1)
    assert found.exit_code == 0, found.verdict
    told = next(one for one in found.findings if one.id == "audio.gain").evidence["gains"]
    assert told == pytest.approx(gains, rel=1e-3)


FAULTS_OF_PARTS: dict[str, Callable[[list[Samples]], list[Samples]]] = {
    "one is missing": lambda parts: [parts[0], *parts[2:]],
    "one comes twice": lambda parts: [*parts[:2], *parts[1:]],
    "two are exchanged": lambda parts: [parts[1], parts[0], *parts[2:]],
    "the last is cut in the midst": lambda parts: [*parts[:-1], parts[-1][: len(parts[-1]) // 2]],
    "the first begins in the midst": lambda parts: [parts[0][len(parts[0]) // 2 :], *parts[1:]],
    "one is turned": lambda parts: [parts[0], -parts[1], *parts[2:]],
    "noise over them": lambda parts: [noisy(np.concatenate(parts), 0.15)],
}


@pytest.mark.parametrize("fault", FAULTS_OF_PARTS)
def test_a_fault_among_parts_is_none_of_their_edits(evidence: Evidence, fault: str) -> None:
    said = evidence.speech(VOICE, text=LONG, speaker="ethan", max_frames=400)
    parts = [said.samples[one.start : one.end].astype(np.float64) for one in said.segments]
    theirs = np.concatenate(FAULTS_OF_PARTS[fault](parts))
    found = omniggml.diagnose(**evidence.with_codes(VOICE, theirs, said.codes, subtype="PCM_16"), n_threads=1)
    assert found.exit_code != 0, found.verdict


def test_places_in_a_part_say_which(evidence: Evidence) -> None:
    """Seconds are counted from where the part begins, which is said where they are told."""
    said = evidence.speech(VOICE, text=LONG, speaker="ethan", max_frames=400)
    parts = [said.samples[one.start : one.end].astype(np.float64) for one in said.segments]
    middle = len(parts[1]) // 2
    parts[1][middle : middle + 5000] = 0
    given = evidence.with_codes(VOICE, np.concatenate(parts), said.codes, subtype="PCM_16")
    found = omniggml.diagnose(**given, n_threads=1)
    begins = len(parts[0]) / RATE
    assert found.findings[0].sentence.startswith(f"Of part 2, from {begins:.2f} s and frame "), found.verdict


@pytest.mark.parametrize("pause", [0, 7000])
def test_a_mistake_in_a_speech_of_parts_is_found_in_one_of_them(evidence: Evidence, pause: int) -> None:
    """The first parts are right, and a later one has its sign turned: nothing of that is taken for a part."""
    model, codes = evidence.model(VOICE), evidence.spoken(VOICE).codes
    half = codes.shape[1] // 2
    parts = [model.code2wav(codes[:, :half]), np.zeros(pause, np.float32), -model.code2wav(codes[:, half:])]
    found = omniggml.diagnose(**evidence.with_codes(VOICE, np.concatenate(parts), subtype="PCM_16"), n_threads=1)
    assert found.exit_code == 2, found.verdict


def test_an_empty_text_is_none(evidence: Evidence) -> None:
    for text in ("", " \n"):
        with pytest.raises(omniggml.InputError, match="empty"):
            omniggml.diagnose(evidence.file(VOICE), text=text, n_threads=1)


def test_a_slip_in_the_first_word_is_no_way_of_drawing() -> None:
    voice = omniggml.load(n_threads=1)
    said = voice.speak("the dog runs in the garden", seed=3)
    found = omniggml.diagnose(voice.path, codes=said.codes, text="teh dog runs in the garden", n_threads=1)
    assert found.exit_code == 0, found.verdict


ALONE = (
    "she has three red apples",
    "my friend reads a book in the morning and then goes home",
    "the last train was late",
)


@pytest.mark.parametrize("speaker", ["chelsie", "ethan"])
@pytest.mark.parametrize("text", ALONE)
def test_codes_whose_text_is_not_told_are_in_order(text: str, speaker: str) -> None:
    """Whoever speaks them. Where the text is another, beginnings are less likely than ends, and yet are beginnings."""
    model = omniggml.load(n_threads=1)
    codes = model.speak(text, seed=2, speaker=speaker).codes
    assert omniggml.diagnose(model.path, codes=codes, n_threads=1).findings == ()
    found = omniggml.diagnose(model.path, codes=np.ascontiguousarray(codes[:, ::-1]), n_threads=1)
    assert [finding.id for finding in found.findings] == ["codes.frame-order"] and found.exit_code == 2, found.verdict


SAID_AGAIN = ("The dog runs in the garden. We saw it come. We saw it come.", "no no no no no, " * 4)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("text", SAID_AGAIN)
def test_a_text_that_says_the_same_again_is_no_piece_twice(text: str, told: bool) -> None:
    """Each span is spoken by itself, and the same again code by code."""
    model = omniggml.load(n_threads=1)
    spoken = model.speak(text, seed=1)
    found = omniggml.diagnose(model.path, codes=spoken.codes, text=text if told else None, n_threads=1)
    assert found.exit_code == 0, found.verdict


def test_a_piece_twice_within_a_text_that_says_the_same_again_is_found() -> None:
    model = omniggml.load(n_threads=1)
    codes = model.speak(SAID_AGAIN[0], seed=1).codes
    twice = np.concatenate([codes[:, :20], codes[:, 13:]], axis=1)
    found = omniggml.diagnose(model.path, codes=twice, text=SAID_AGAIN[0], n_threads=1)
    assert found.findings[0].id == "codes.doubled" and found.exit_code == 2


@pytest.mark.parametrize(("piece", "context"), [(20, 10), (10, 4), (12, 0), (13, 5)])
def test_pieces_with_frames_before_them_are_told_exactly(tmp_path: Path, piece: int, context: int) -> None:
    """As transformers' chunked_decode makes them: each loses what a start loses, wherever it is cut."""
    model = omniggml.load(n_threads=1)
    codes = model.speak("the dog runs in the garden and she has three red apples", seed=4).codes
    pieces = []
    for first in range(0, codes.shape[1], piece):
        before = min(context, first)
        pieces.append(model.code2wav(codes[:, first - before : first + piece])[before * 1920 :])
    soundfile.write(tmp_path / "pieces.wav", np.concatenate(pieces), RATE, subtype="FLOAT")
    found = omniggml.diagnose(model.path, codes=codes, audio=tmp_path / "pieces.wav", n_threads=1)
    assert [one.id for one in found.findings] == ["audio.seams"], found.verdict
    assert (found.findings[0].evidence["piece"], found.findings[0].evidence["context"]) == (piece, context)
