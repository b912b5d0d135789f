"""Headless Chromium, told what to do over its debugging protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from processes import others_environment

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)


class Browser:
    """One page. `requests`: the URLs that it asked for; `complaints`: what it wrote to its console as errors."""

    def __init__(self, profile: Path, width: int = 1000, height: int = 1400) -> None:
        from websockets.sync.client import connect

        self._open = ExitStack()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--remote-debugging-port=0"]
        quiet = ["--no-first-run", "--disable-background-networking", f"--window-size={width},{height}"]
        command = [CHROMIUM, *flags, *quiet, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=others_environment())
        self._open.callback(self._end)
        assert self._process.stderr is not None
        line = next(line for line in self._process.stderr if "DevTools listening on" in line)
        self._socket = self._open.enter_context(connect(line.split()[-1], max_size=None))
        self._number, self._session = 0, ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        pages = [one for one in self.tell("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        attached = self.tell("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        self._socket.send(json.dumps(command | ({"sessionId": self._session} if self._session else {})))
        while True:
            message = json.loads(self._socket.recv(timeout=120))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    def run(self, script: str) -> Any:
        """What an expression is, a promise's result."""
        result = self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, condition: str, seconds: int = 60) -> Any:
        """Wait until an expression is true, and return it."""
        script = f"""new Promise((done, failed) => {{
            const end = Date.now() + {1000 * seconds};
            const look = () => {{
                const found = ({condition});
                if (found) done(found);
                else if (Date.now() > end) failed(new Error("never: " + {json.dumps(condition)}));
                else setTimeout(look, 20);
            }};
            look();
        }})"""
        return self.run(script)

    def visit(self, url: str, before: str = "") -> None:
        """Open a page; `before` runs ahead of its own scripts."""
        if before:
            self.tell("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.tell("Page.navigate", url=url)
        self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def press(self, key: str, **more: Any) -> None:
        """A key of the keyboard: Tab, Enter, or a letter."""
        text = {"Enter": "\r", "Tab": ""}.get(key, key)
        code = {"Enter": 13, "Tab": 9}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            down = {"text": text} if text and kind == "keyDown" else {}
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **down, **more)

    def type(self, text: str) -> None:
        self.tell("Input.insertText", text=text)

    def screenshot(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot")["data"]))
        return path

    def _end(self) -> None:
        self._process.terminate()
        self._process.communicate()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
