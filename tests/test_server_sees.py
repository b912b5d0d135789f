"""Images in the server's chat."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omniggml
from eyes_side import Eyes
from omniggml import TextOptions
from served import Answer, served

Image = pytest.importorskip("PIL.Image")


def data_url(seed: int) -> str:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def asked(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_images_are_seen(tmp_path: Path) -> None:
    model = Eyes(tmp_path).model()
    shown = {"type": "image_url", "image_url": {"url": data_url(0), "detail": "low"}}
    question = {"type": "text", "text": "what?"}
    with served(model, slots=1) as running:

        def ask(*parts: Any) -> Answer:
            body = {"messages": asked(*parts), "max_tokens": 5, "temperature": 0}
            return running.ask("/v1/chat/completions", body)

        answer = ask(shown, question)
        assert answer.status == 200, answer.data
        greedy = TextOptions(greedy=True, max_tokens=5)
        said = "".join(model.stream_text(asked(shown, question), greedy))
        assert answer.json["choices"][0]["message"]["content"] == said
        for wrong in (
            "photo.png",
            "http://127.0.0.1:1/a.png",
            "file:///etc/passwd",
            None,
            "data:image/png;base64,AAAA",
        ):
            refused = ask({"type": "image_url", "image_url": {"url": wrong}}, question)
            assert refused.status == 400, (wrong, refused.data)


def test_a_model_without_eyes_says_so(tmp_path: Path) -> None:
    blind = omniggml.load(Eyes(tmp_path).files()[0], mmproj=False)
    with served(blind, slots=1) as running:
        body = {"messages": asked({"type": "image_url", "image_url": {"url": data_url(0)}})}
        refused = running.ask("/v1/chat/completions", body)
        assert refused.status == 400 and b"does not see" in refused.data
