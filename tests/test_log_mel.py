"""The front end of the audio encoder: log-mel features, and audio of any kind as its input."""

from __future__ import annotations

import io
import re
import resource
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

import fuzz_audio
import omniggml
from ears_side import clip, of_whisper
from omniggml import Audio, InputError, _native
from omniggml.audio import read_audio
from omniggml.media import audio_input
from omniggml.media.audio_input import Longest, read_samples

FloatArray = npt.NDArray[np.float32]
LENGTHS = (201, 320, 16000, 16159, 16160, 40123)


def slaney(n_mels: int) -> npt.NDArray[np.float64]:
    """Triangles [mels, 201] on Slaney's scale, each of area 1."""
    hertz = np.linspace(0, 8000, 201)

    def to_mel(f: float) -> float:
        return 3 * f / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4)

    mels = np.linspace(0, to_mel(8000), n_mels + 2)
    edges = np.where(mels < 15, 200 * mels / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    out = np.zeros((n_mels, 201))
    for m, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        out[m] = np.interp(hertz, [low, middle, high], [0, 1, 0]) * 2 / (high - low)
    return out


def by_numpy(samples: FloatArray, n_mels: int) -> npt.NDArray[np.float64]:
    padded = np.pad(samples.astype(np.float64), 200, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = np.stack([padded[160 * t : 160 * t + 400] * window for t in range(len(samples) // 160)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    logs = np.log10(np.maximum(slaney(n_mels) @ power.T, 1e-10))
    return (np.maximum(logs, logs.max() - 8) + 4) / 4


@pytest.mark.parametrize("n_mels", [128, 80, 1])
@pytest.mark.parametrize("kind", ["noise", "voice", "silence", "quiet"])
@pytest.mark.parametrize("n", LENGTHS)
def test_features_are_those_of_the_formula(kind: str, n: int, n_mels: int) -> None:
    samples = clip(kind, n)
    features = omniggml.log_mel(samples, n_mels=n_mels)
    assert features.dtype == np.float32 and features.shape == (n_mels, n // 160)
    assert np.abs(features - by_numpy(samples, n_mels)).max() <= 1e-6


@pytest.mark.reference
@pytest.mark.parametrize("n", LENGTHS)
def test_features_are_transformers(n: int) -> None:
    """Its NumPy path; the one of torch sums in float32 and is itself some 1e-5 away from it."""
    transformers = pytest.importorskip("transformers", "5")
    extractor = transformers.WhisperFeatureExtractor(feature_size=128)
    for kind in ("noise", "voice", "silence"):
        samples = clip(kind, n)
        theirs = of_whisper(samples, 128)
        assert np.abs(omniggml.log_mel(samples) - theirs).max() <= 1e-6
        by_torch = extractor(samples, sampling_rate=16000, padding=False, truncation=False)["input_features"][0]
        assert np.abs(omniggml.log_mel(samples) - by_torch).max() <= np.abs(theirs - by_torch).max() + 1e-6


def test_features_are_the_same_bits_however_many_threads() -> None:
    samples = clip("voice", 100_000)
    one = _native.log_mel(samples, 128, n_threads=1)
    assert all(np.array_equal(one, _native.log_mel(samples, 128, n_threads=n)) for n in (2, 3, 8))


# --- audio of any kind ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 24000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_files_of_any_rate_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    samples = np.stack([clip("voice", rate // 2, rate) * (1 + c) / 10 for c in range(channels)], axis=1)
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    expected = samples.mean(axis=1)
    if rate != 16000:
        expected = soxr.resample(expected, rate, 16000, quality="HQ")
    read = read_samples(path)
    assert read.dtype == np.float32
    assert np.abs(read - expected).max() < 2e-6
    assert np.array_equal(read, read_samples(path.read_bytes()))
    assert np.array_equal(read, read_samples(samples, rate))
    assert np.array_equal(read, read_samples(samples.T, rate))


@pytest.mark.parametrize(
    ("ending", "subtype"), [("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None), ("wav", "PCM_U8")]
)
def test_files_of_other_formats(tmp_path: Path, ending: str, subtype: str | None) -> None:
    path = tmp_path / f"clip.{ending}"
    soundfile.write(path, clip("voice", 22050, 22050), 22050, subtype=subtype)
    assert abs(len(read_samples(path)) - 16000) < 1600  # codecs with frames add some


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "ULAW"), ("AU", "ULAW"), ("W64", "FLOAT"), ("VOC", "PCM_16"), ("FLAC", "PCM_16")],
)
def test_what_libsndfile_reads_needs_nothing_else(monkeypatch: pytest.MonkeyPatch, kind: str, subtype: str) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    samples = clip("voice", 16000)
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format=kind, subtype=subtype)
    np.testing.assert_allclose(read_samples(file.getvalue()), samples, rtol=0.07, atol=1e-3)


def test_what_libsndfile_does_not_read(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "clip.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(clip("voice", 44100, 44100)[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    for given in (path, path.read_bytes()):
        samples = read_samples(given)
        assert abs(len(samples) - 16000) < 1000
        assert 0.05 < np.abs(samples).max() < 2


def test_nothing_that_names_other_files_is_followed(tmp_path: Path) -> None:
    pytest.importorskip("av")
    soundfile.write(tmp_path / "other.wav", clip("voice", 16000), 16000)
    lines = {
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/other.wav\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile {tmp_path}/other.wav\n",
        "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    }
    for name, text in lines.items():
        path = tmp_path / name
        path.write_text(text)
        for given in (path, text.encode()):
            with pytest.raises(InputError, match="is no audio that can be read"):
                read_samples(given)


def test_integers_are_parts_of_their_range() -> None:
    samples = clip("voice", 4000)
    small = (samples * 2**15).astype(np.int16)
    assert np.array_equal(read_samples(small), small.astype(np.float32) / 2**15)
    bytes_ = np.full(300, 128, np.uint8)
    assert np.array_equal(read_samples(bytes_), np.zeros(300, np.float32))


def test_an_audio_of_ours_is_heard_at_its_own_rate() -> None:
    audio = Audio(clip("voice", 24000, 24000), 24000)
    assert np.array_equal(read_samples(audio), read_samples(audio.samples, 24000))
    assert len(read_samples(audio)) == 16000


NAN = np.full(1000, np.nan, np.float32)
REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": (np.zeros(0), "has 0 samples"),
    "a little": (np.zeros(200), "at least 201"),
    "NaN": (NAN, "holds NaN"),
    "infinity": (np.full(1000, np.inf), "NaN or infinity"),
    "too large for float32": (np.full(1000, 1e300), "NaN or infinity"),
    "16-bit units": (np.full(1000, 30000.0), "floats run from -1 to 1"),
    "texts": (np.array(["a", "b"]), "expected samples"),
    "three axes": (np.zeros((2, 3, 400)), "has the shape"),
    "too many channels": (np.zeros((65, 400)), "65 channels"),
    "ragged": ([[1.0], [1.0, 2.0]], "can't be made an array"),
    "no file": ("nowhere.wav", "no such file"),
    "no audio": (b"no audio at all", "is no audio that can be read"),
    "no bytes": (b"", "is empty"),
    "none": (None, "expected samples"),
    "complex": (np.zeros(400, np.complex64), "expected samples"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_heard_gets_a_sentence(case: str) -> None:
    given, sentence = REFUSED[case]
    with pytest.raises(InputError, match=sentence) as error:
        omniggml.log_mel(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("rate", [0, -1, 999, 10**6, 16000.5, "16000", True])
def test_rates_that_no_audio_has(rate: Any) -> None:
    with pytest.raises(InputError, match=r"sampling.rate"):
        omniggml.log_mel(np.zeros(1000), sampling_rate=rate)


def test_cut_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    soundfile.write(path, clip("noise", 16000), 16000)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for length in (0, 1, 10, 40, 100, 5000, len(whole) - 1):
        n_refused += heard_or_refused(whole[:length])
    for _ in range(60):
        damaged = bytearray(whole)
        for at in rng.integers(0, min(200, len(whole)), 3):
            damaged[at] = rng.integers(0, 256)
        n_refused += heard_or_refused(bytes(damaged))
    assert n_refused > 3


def heard_or_refused(data: bytes) -> bool:
    try:
        with warnings.catch_warnings(record=True):
            return not np.isfinite(read_samples(data)).all()
    except InputError as error:
        assert str(error)
        return True


def encoded(samples: FloatArray, format_: str, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format_)
    return file.getvalue()


def damaged_files(whole: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Cut, without its beginning, or with other bytes."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        data = bytearray(whole)
        at = int(rng.integers(len(whole)))
        if number % 3 == 0:
            data = data[:at]
        elif number % 3 == 1:
            data = data[at:]
        else:
            for place in rng.integers(0, len(whole), 20):
                data[place] = rng.integers(0, 256)
        yield bytes(data)


INTERNALS = re.compile(r"Errno|rror opening|b'|0x|avcodec|Invalid data|libsndfile|Format not|Traceback")
"""Words of libraries, which nobody can act on."""


@pytest.mark.parametrize("format_", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_decoders_say_nothing_of_their_own(tmp_path: Path, format_: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither in our sentences nor on standard error, from a file as from bytes, whatever is damaged."""
    pytest.importorskip("av")
    path = tmp_path / f"clip.{format_.lower()}"
    refused = []
    for data in damaged_files(encoded(clip("voice", 16000), format_), 1, 30):
        path.write_bytes(data)
        for given in (path, data):
            try:
                with warnings.catch_warnings(record=True):
                    read_samples(given)
            except InputError as error:
                refused.append(str(error))
    assert refused
    assert not [sentence for sentence in refused if INTERNALS.search(sentence)]
    assert capfd.readouterr().err == ""


def test_of_a_damaged_mp3_what_is_whole_is_heard() -> None:
    pytest.importorskip("av")
    whole = encoded(clip("voice", 32000), "MP3")
    damaged = bytearray(whole)
    for place in np.random.default_rng(0).integers(len(whole) // 2, len(whole) - 2000, 60):
        damaged[place] ^= 255
    with pytest.warns(UserWarning, match=r"is damaged: \d+ of its \d+ packets can't be decoded, and are left out"):
        heard = read_samples(bytes(damaged))
    first = read_samples(whole)[:12000]
    assert np.allclose(heard[:12000], first, atol=1e-4) and len(heard) < len(read_samples(whole))
    assert np.abs(heard).max() < 2


def test_a_header_that_points_in_front_of_the_file(capfd: pytest.CaptureFixture[str]) -> None:
    """libsndfile seeks there through a callback, whose errors are printed and lost."""
    whole = encoded(clip("voice", 16000), "AIFF")
    at = whole.index(b"SSND")
    for size in (0x80000000, 0xFFFFFFF0, 0x7FFFFFFF):
        heard_or_refused(whole[: at + 4] + size.to_bytes(4, "big") + whole[at + 8 :])
        heard_or_refused(whole[:16] + size.to_bytes(4, "big") + whole[20:])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("codec", "name"), [("wavpack", "a.wv"), ("tta", "a.tta"), ("alac", "a.m4a"), ("ac3", "a.ac3")]
)
def test_other_programs_formats(tmp_path: Path, codec: str, name: str) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44100)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.stack([clip("voice", 44100, 44100)] * 2), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    for given in (path, path.read_bytes()):
        assert abs(len(read_samples(given)) - 16000) < 1000


def test_no_more_is_decoded_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of MP3, whose header doesn't tell, of which a second would do."""
    pytest.importorskip("av")
    decoded = 0
    original = audio_input._decoded

    def counted(*arguments: Any) -> Iterator[FloatArray]:
        nonlocal decoded
        for block in original(*arguments):
            decoded += len(block)
            yield block

    monkeypatch.setattr(audio_input, "_decoded", counted)
    with pytest.raises(InputError, match="longer than a second"):
        read_samples(encoded(np.tile(clip("voice", 16000), 60), "MP3"), longest=Longest(1.0, "a second"))
    assert 0 < decoded < 3 * 16000


def test_hours_are_refused_before_they_are_read() -> None:
    """By the header where it says; else as soon as they have come."""
    buffer = io.BytesIO()
    soundfile.write(buffer, clip("noise", 16200), 16000, format="WAV")
    for given in (buffer.getvalue(), np.zeros(16200, np.float32)):
        with pytest.raises(InputError, match="longer than"):
            read_samples(given, longest=Longest(1.0, "a second"))
    header = bytearray(buffer.getvalue())
    assert len(read_samples(bytes(header[: 44 + 2 * 8000]))) == 8000  # cut, it is as long as what is there


# --- what people send -------------------------------------------------------------------------------------------------


def wav(samples: FloatArray, rate: int = 16000, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def test_a_cut_file_is_as_long_as_what_there_is() -> None:
    whole = wav(clip("voice", 16000))
    assert np.array_equal(read_samples(whole[: 44 + 2 * 5000]), read_samples(whole)[:5000])


def test_flac_that_was_written_to_a_pipe() -> None:
    """Its header doesn't tell how long it is."""
    samples = clip("voice", 16000)
    piped = bytearray(encoded(samples, "FLAC"))
    lengths = 8 + 13  # behind the marks and the sizes of blocks and frames, rate, channels and bits: 36 bits
    piped[lengths] &= 0xF0
    piped[lengths + 1 : lengths + 5] = bytes(4)
    assert np.abs(read_samples(bytes(piped)) - samples).max() < 1e-4
    with pytest.raises(InputError, match="longer than half a second"):
        read_samples(bytes(piped), longest=Longest(0.5, "half a second"))


def test_eight_bits_96_khz_and_eight_channels() -> None:
    samples = np.stack([clip("voice", 48000, 96000)] * 8, axis=1)
    read = read_samples(wav(samples, 96000, "PCM_U8"))
    assert len(read) == 8000
    assert np.abs(read - read_samples(samples[:, 0], 96000)).max() < 0.01


def test_files_with_what_are_no_samples() -> None:
    for value, sentence in ((np.nan, "NaN or infinity"), (np.inf, "NaN or infinity"), (30000.0, "run from -1 to 1")):
        samples = clip("voice", 4000)
        samples[2000] = value
        with pytest.raises(InputError, match=sentence):
            read_samples(wav(samples, subtype="FLOAT"))


def test_a_file_without_samples() -> None:
    with pytest.raises(InputError, match="has 0 samples"):
        read_samples(wav(np.zeros(0, np.float32)))


def test_three_hours_are_refused_by_their_header() -> None:
    header = bytearray(wav(np.zeros(1, np.float32)))
    header[40:44] = (3 * 3600 * 16000 * 2).to_bytes(4, "little")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(header)
        file.truncate(44 + 3 * 3600 * 16000 * 2)  # a hole: nothing is written
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(InputError, match="longer than 90 minutes"):
            read_samples(file.name)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


@pytest.mark.parametrize("riff", [0, 0xFFFFFFFF])
@pytest.mark.parametrize("in_file", [False, True])
def test_a_streamed_wav_is_read_to_its_end(tmp_path: Path, riff: int, in_file: bool) -> None:
    """Its writer never knew how long it would be: the size of its data is 0."""
    samples = clip("voice", 16000)
    streamed = bytearray(wav(samples))
    expected = read_samples(bytes(streamed))
    streamed[4:8], streamed[40:44] = riff.to_bytes(4, "little"), bytes(4)
    path = tmp_path / "streamed.wav"
    path.write_bytes(streamed)
    assert np.array_equal(read_samples(path if in_file else bytes(streamed)), expected)
    assert np.array_equal(read_audio(path).mono.astype(np.float32), expected)


def test_empty_data_before_other_chunks_is_empty() -> None:
    empty = bytearray(wav(np.zeros(0, np.float32)))
    with pytest.raises(InputError, match="has 0 samples"):
        read_samples(bytes(empty) + b"LIST\x04\0\0\0INFO")


def test_a_few_files_of_the_fuzzer() -> None:
    assert fuzz_audio.failures(120, seed=1, seconds=60) == []
