"""The page: what its files may do, and what it does in a browser, without a mouse and on a phone."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi")

import omniggml
from browser import CHROMIUM, Browser
from conftest import Files
from omniggml.server.page_routes import PAGE
from served import Served, served

# What reaches the loudspeaker, samples that an AudioContext was told to play, and the files that can be downloaded.
EARS = """
window.heard = {samples: 0, loudest: 0};
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...when) {
    const data = this.buffer.getChannelData(0);
    window.heard.samples += data.length;
    window.heard.loudest = Math.max(window.heard.loudest, ...data);
    return start.apply(this, when);
};
window.files = {};
const create = URL.createObjectURL;
URL.createObjectURL = (blob) => {
    const url = create(blob);
    window.files[url] = blob;
    return url;
};
"""


def test_the_page_needs_nothing_from_elsewhere(server: Served) -> None:
    answer = server.ask("/")
    assert answer.status == 200 and "default-src 'self'" in answer.headers["content-security-policy"]
    files = re.findall(r'(?:src|href)="(page/[^"]+)"', answer.data.decode())
    assert len(files) == 2
    for name in [*files, "page/server.js", "page/player.js", "page/recording.js"]:
        assert server.ask(f"/{name}").status == 200
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "//" not in re.sub(r"(^|\s)//.*", "", text), f"{path.name} names another place"
        assert not re.search(r"innerHTML|outerHTML|document\.write|eval\(", text)
    for path in ("/page/../settings.py", "/page/%2e%2e/settings.py", "/page/%2e%2e%2fsettings.py", "/page/"):
        assert server.ask(path).status == 404


def test_the_page_is_there_before_the_key(voice: omniggml.Model) -> None:
    with served(voice, api_keys=("a-long-key",)) as server:
        assert server.ask("/").status == 200 and server.ask("/page/page.js").status == 200
        assert server.ask("/v1/audio/voices").status == 401


def encoded(array: np.ndarray) -> str:
    file = io.BytesIO()
    np.save(file, array)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.slow
def test_the_doctor(tiny_files: Files) -> None:
    model = omniggml.load(tiny_files.speech, n_threads=1)
    audio = model.speak("hello world", seed=3, max_frames=30)
    wav = base64.b64encode(audio.wav_bytes()).decode()
    with served(model) as server:
        found = server.ask("/v1/doctor", {"codes": encoded(audio.codes[::-1]), "audio": wav}).json
        assert found["verdict"].startswith("broken: The groups are in reverse order")
        assert found["report"].startswith("<!") and "codes.group-order" in found["report"]


@pytest.mark.parametrize(
    "body",
    [
        {"codes": "!"},
        {"codes": "AAAA"},
        {"audio": "AAAA"},
        {"codes": encoded(np.array([{"x": 1}], object))},
        {"text": "\0", "codes": "AAAA"},
        {"text": "--html=/x", "audio": "AAAA"},
    ],
)
def test_what_the_doctor_is_not_given(server: Served, body: dict[str, str]) -> None:
    answer = server.ask("/v1/doctor", body)
    assert answer.status == 400, answer.data
    message = answer.json["error"]["message"]
    assert message.isprintable() and "/tmp" not in message and "Traceback" not in message


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
def test_a_browser_speaks_without_a_mouse(server: Served, voice: omniggml.Model, tmp_path: Path) -> None:
    text = "Two cats sleep."
    with Browser(tmp_path / "profile") as browser:
        browser.visit(f"{server.url}/", EARS)
        browser.until("document.getElementById('voice').options.length === 2")
        browser.run("document.getElementById('text').focus(); document.getElementById('text').select()")
        browser.type(text)
        browser.press("Tab")
        assert browser.run("document.activeElement.textContent") == "Speak"
        browser.press("Enter")
        browser.until("document.getElementById('save-wav').href.startsWith('blob:')")
        audio = voice.speak(text)
        assert browser.run("heard.samples") == len(audio.samples)
        assert abs(browser.run("heard.loudest") - audio.samples.max()) < 1e-3
        shown = browser.run("document.getElementById('length').textContent")
        assert shown == f"{audio.duration:.2f} s, {audio.codes.shape[1]} frames"
        for name in ("waveform", "spectrogram", "map"):
            assert distinct(browser, name) > 1, f"{name} is drawn"
        wav = saved(browser, "save-wav")
        assert np.array_equal(soundfile.read(io.BytesIO(wav), dtype="int16")[0], np.rint(audio.samples * 32767))
        assert np.array_equal(np.load(io.BytesIO(saved(browser, "save-codes"))), audio.codes)
        assert browser.complaints == []
        assert all(url.startswith((server.url, "blob:", "data:")) for url in browser.requests)


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
def test_a_browser_chats_and_hears_while_it_types(server: Served, tmp_path: Path) -> None:
    """On a phone: nothing is wider than the screen."""
    with Browser(tmp_path / "profile", 400, 800) as browser:
        browser.tell("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
        browser.visit(f"{server.url}/", EARS)
        browser.until("document.getElementById('voice').options.length === 2")
        browser.run("document.getElementById('typing').click(); document.getElementById('text').focus()")
        browser.run("document.getElementById('text').setSelectionRange(9999, 9999)")
        browser.type(" It is warm. And")
        browser.until("heard.samples > 12000")
        for room in ("chat", "doctor", "interface", "speak"):
            browser.run(f"document.querySelector('nav [data-room={room}]').click()")
            assert browser.run("document.documentElement.scrollWidth <= innerWidth"), room
            assert browser.run(f"!document.getElementById('{room}').hidden")
        assert "/v1/audio/speech" in browser.until("document.getElementById('operations').textContent")
        browser.run("document.querySelector('nav [data-room=chat]').click(); heard.samples = 0")
        browser.run("document.getElementById('question').focus()")
        browser.type("what is the capital of france")
        browser.press("Enter")
        said = browser.until("document.querySelector('#turns .assistant')?.textContent")
        browser.until("heard.samples > 12000")
        assert said and browser.run("document.getElementById('alert').hidden")
        assert browser.complaints == []


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
def test_a_browser_shows_what_was_left_out(server: Served, tmp_path: Path) -> None:
    """Once each, as text whatever it holds, and no longer than it is about what is heard."""
    with Browser(tmp_path / "profile") as browser:
        browser.visit(f"{server.url}/", EARS)
        browser.until("document.getElementById('voice').options.length === 2")
        warnings = "document.getElementById('warnings')"
        for text, told in (("One \u4f60 two.", 1), ("Three.", 0), ("One \u4f60\u597d two.", 1)):
            browser.run("document.getElementById('text').focus(); document.getElementById('text').select()")
            browser.run("document.getElementById('save-wav').href = '#'")
            browser.type(text)
            browser.press("Tab")
            browser.press("Enter")
            browser.until("document.getElementById('save-wav').href.startsWith('blob:')")
            assert browser.run(f"{warnings}.children.length") == told, text
            assert browser.run(f"{warnings}.hidden") == (not told)
            assert ("\u4f60" in browser.run(f"{warnings}.textContent")) == bool(told)
        browser.run("document.querySelector('nav [data-room=chat]').click()")
        browser.run("document.getElementById('question').focus()")
        browser.type("say \u4f60")
        browser.press("Enter")
        browser.until(f"{warnings}.textContent.includes('\u4f60')")
        assert browser.complaints == []


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium")
def test_a_browser_asks_for_the_key(voice: omniggml.Model, tmp_path: Path) -> None:
    with served(voice, api_keys=("a-long-key",)) as server, Browser(tmp_path / "profile") as browser:
        browser.visit(f"{server.url}/", EARS)
        browser.until("!document.getElementById('access').hidden")
        browser.run("document.getElementById('key').focus()")
        browser.type("a-long-key")
        browser.press("Enter")
        browser.until("document.getElementById('voice').options.length === 2")
        browser.until("document.getElementById('access').hidden")


def distinct(browser: Browser, canvas: str) -> int:
    """Colours on a canvas."""
    return int(
        browser.run(
            f"""(() => {{
                const canvas = document.getElementById('{canvas}');
                const {{ data }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                return new Set(new Uint32Array(data.buffer)).size;
            }})()"""
        )
    )


def saved(browser: Browser, link: str) -> bytes:
    """What a link would download."""
    script = f"""new Promise((done) => {{
        const reader = new FileReader();
        reader.onload = () => done(reader.result);
        reader.readAsDataURL(files[document.getElementById('{link}').href]);
    }})"""
    return base64.b64decode(str(browser.run(script)).partition(",")[2])
