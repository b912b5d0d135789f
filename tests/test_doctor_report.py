"""Pictures and the HTML report: what they hold, and what a browser shows of it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

import omniggml
from browser import CHROMIUM
from conftest import Files
from omniggml import InputError, diagnose, plots
from omniggml.audio import read_audio
from omniggml.doctor.html_report import Given, html_report, write_html
from processes import others_environment

WIDTH, HEIGHT = 480, 4000


@pytest.fixture(scope="module")
def page(tiny_files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of codes in reverse order and of their audio."""
    directory = tmp_path_factory.mktemp("report")
    audio = omniggml.load(tiny_files.speech, n_threads=1).speak("hello world", seed=3, max_frames=30)
    wav, codes = audio.save(directory / "a.wav"), np.ascontiguousarray(audio.codes[::-1])
    found = diagnose(tiny_files.speech, codes=codes, audio=wav, text="hello world", n_threads=1)
    given = Given(codes, read_audio(wav), ours=audio, command="omniggml doctor x --codes <c>")
    return write_html(directory / "report.html", found, given)


def test_the_page_holds_everything(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for part in (
        "broken: The groups are in reverse order",
        "codes.group-order",
        "What to do:",
        "cured",
        "Checked: file",
    ):
        assert part in text, part
    assert omniggml.__version__ in text and omniggml.ggml_version in text
    assert not re.search(r'(src|href)="(?!data:)', text), "it needs no other file"
    players = re.findall(r"data:audio/wav;base64,([^\"]+)", text)
    assert len(players) == 2, "theirs, and ours beside it"
    for player in players:
        data = base64.b64decode(player)
        assert data[:4] == b"RIFF" and len(data) > 1000
    assert "omniggml doctor x --codes &lt;c&gt;" in text and "UTC" in text and "prefers-color-scheme: dark" in text


def test_each_sentence_once(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("The groups are in reverse order") == 1


def test_a_healthy_page_says_what_was_checked(tiny_files: Files) -> None:
    found = diagnose(tiny_files.speech, n_threads=1)
    text = html_report(found)
    assert "What was measured" in text and "Checked: file" in text and "omniggml&#39;s speech file" in text


def test_pieces_and_overlay_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    shown = plots.plot_pieces([[0, 0, 2400], [2400, 4800, 2400]], 24000)
    assert len(shown.axes[0].lines) == 2 and list(shown.axes[0].lines[1].get_ydata()) == [0.2, 0.3]
    tone = np.sin(np.arange(2400) / 9)
    over = plots.plot_overlay(tone, tone * 0.5, 24000)
    np.testing.assert_allclose(over.axes[1].lines[0].get_ydata(), tone * 0.5)


def test_text_of_others_stays_text(tiny_files: Files) -> None:
    found = omniggml.Diagnosis("<script>", (omniggml.Finding("audio.gain", "a <b> & c", {"<i>": "<u>"}),))
    text = html_report(found)
    assert "<script>" not in text and "<u>" not in text and "a &lt;b&gt; &amp; c" in text


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
def test_a_browser_shows_it(page: Path, tmp_path: Path) -> None:
    """The words are there, the verdict's bar and both pictures are drawn, and a phone need not scroll sideways."""
    pytest.importorskip("matplotlib")
    shot = tmp_path / "shot.png"
    browser = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    size = f"--window-size={WIDTH},{HEIGHT}"
    asked = partial(subprocess.run, env=others_environment(), capture_output=True, text=True, check=True, timeout=120)
    asked([*browser, f"--screenshot={shot}", size, page.as_uri()])
    dom = asked([*browser, "--dump-dom", page.as_uri()]).stdout
    assert "broken: The groups are in reverse order" in dom and dom.count("<img ") == 3

    from matplotlib.image import imread

    pixels = np.asarray(imread(shot))[..., :3]
    assert pixels.shape[:2] == (HEIGHT, WIDTH)
    bar = np.abs(pixels - np.array([0xD5, 0x5E, 0x00]) / 255).max(axis=2) < 0.02
    assert bar.any(axis=1).sum() > 100, "the bar that says broken"
    viridis = np.abs(pixels - np.array([0x44, 0x01, 0x54]) / 255).max(axis=2) < 0.02
    assert viridis.sum() > 2000, "the dark end of the maps' colours"
    assert (pixels[:, -4:] > 0.97).all(), "nothing runs over the right edge"


def test_pictures_have_axes_in_units() -> None:
    pytest.importorskip("matplotlib")
    shown = plots.plot_audio(np.sin(np.arange(24000) * 0.2), 24000)
    labels = {text for axes in shown.axes for text in (axes.get_xlabel(), axes.get_ylabel())}
    assert {"time (s)", "frequency (kHz)", "frequency (Hz, mel)", "amplitude", "level (dB)"} <= labels
    shown = plots.plot_codes(np.arange(32).reshape(4, 8), 64)
    labels = {text for axes in shown.axes for text in (axes.get_xlabel(), axes.get_ylabel())}
    assert {"frame", "group", "code, as a colour", "codes"} <= labels
    assert plots.png(shown)[:4] == b"\x89PNG"


def test_a_tone_is_where_it_belongs() -> None:
    tone = np.sin(2 * np.pi * 3000 * np.arange(24000) / 24000)
    power = plots.spectrogram(tone)
    assert abs(power.mean(axis=1).argmax() * 24000 / 1024 - 3000) < 25
    band = (plots.mel_filters(24000) @ power).mean(axis=1).argmax()
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 24000 / 1400), 82) / 2595) - 1)
    assert edges[band] < 3000 < edges[band + 2]


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        plots.plot_codes(np.zeros((2, 3), int))
    found = omniggml.Diagnosis("x", ())
    assert "Without pictures: plots need matplotlib" in html_report(found, Given(np.zeros((2, 3), np.int32)))


def plot(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "omniggml", "plot", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    soundfile.write(tmp_path / "a.wav", np.zeros(3000), 24000)
    np.save(tmp_path / "c.npy", np.arange(12).reshape(3, 4))
    error = {"nmse": 1e-6}
    row = {"module": "code2wav", "inside": False, "local": error, "accumulated": error}
    (tmp_path / "r.json").write_text(json.dumps({"rows": [row]}))
    for source in ("a.wav", "c.npy", "r.json"):
        result = plot(tmp_path / source, "-o", tmp_path / "x.png")
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "bad.json").write_text("[]")
    np.save(tmp_path / "bad.npy", np.zeros(3))
    for source, target in (("bad.json", "x.png"), ("bad.npy", "x.png"), ("none.wav", "x.png"), ("a.wav", "x.gif")):
        result = plot(tmp_path / source, "-o", tmp_path / target)
        assert result.returncode == 1 and result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    assert not list(tmp_path.glob(".*"))
