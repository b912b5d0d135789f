"""The page, and the doctor that it asks."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.staticfiles import StaticFiles

from omniggml.server.api_error import ERRORS, ApiError
from omniggml.server.service import Service
from omniggml.server.streamed import Streamed
from omniggml.text.soundness import check_text

PAGE = Path(__file__).parent / "page"
_FOUND = range(64)
"""Exit codes of the doctor that say what was found; others are errors, told on standard error."""
_MOST_SECONDS = 600
_LONGEST_TEXT = 4000


class Patient(BaseModel):
    """What the doctor is to look at. Without any of it, the model alone."""

    model_config = ConfigDict(strict=True)
    codes: str | None = Field(default=None, description="base64 of a .npy file, integers [groups, frames]")
    audio: str | None = Field(default=None, description="base64 of the WAV that was made of them")
    text: str | None = Field(default=None, max_length=_LONGEST_TEXT, description="what was to be said")


def page_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["page"])
    examining = asyncio.Lock()

    @router.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @router.post("/v1/doctor", responses=ERRORS, response_class=Response, summary="Why does it sound like noise?")
    async def doctor(patient: Patient) -> Response:
        check_text("text", patient.text or "")
        if examining.locked():
            raise ApiError(503, "the doctor examines somebody else", code="busy", retry_after=30)
        files = {name: _bytes(name, getattr(patient, name)) for name in ("codes", "audio")}
        found = _examined(service, examining, {name: data for name, data in files.items() if data}, patient.text)
        return Streamed(found, "application/json", _MOST_SECONDS)

    router.mount("/page", StaticFiles(directory=PAGE))
    return router


def _bytes(name: str, given: str | None) -> bytes:
    try:
        return base64.b64decode(given or "", validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, f"{name} is not base64", param=name) from None


async def _examined(
    service: Service, examining: asyncio.Lock, files: dict[str, bytes], text: str | None
) -> AsyncGenerator[bytes, None]:
    """In a process of its own: files of strangers are looked at there, and it ends with its client."""
    async with examining:
        with tempfile.TemporaryDirectory(prefix="omniggml-doctor-") as name:
            directory = Path(name)
            report = directory / "report.html"
            command = ["doctor", str(service.model.path), "--quiet", f"--html={report}"]
            for kind, data in files.items():
                path = directory / ("codes.npy" if kind == "codes" else "audio.wav")
                path.write_bytes(data)
                command.append(f"--{kind}={path}")
            command += [f"--text={text}"] if text else []
            verdict = await _run(command, directory)
            shown = {"verdict": verdict, "report": report.read_text(encoding="utf-8")}
            yield json.dumps(shown).encode()


async def _run(command: list[str], directory: Path) -> str:
    """The first line that the doctor says. Raises ApiError where it can't examine what was given."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "omniggml", *command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, complaint = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode not in _FOUND:
        sentence = complaint.decode(errors="replace").strip().removeprefix("omniggml: ")
        raise ApiError(400, sentence.replace(f"{directory}/", "") or "the doctor can't examine that")
    return said.decode(errors="replace").partition("\n")[0]
