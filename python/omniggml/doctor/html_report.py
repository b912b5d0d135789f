"""A diagnosis as one HTML file that needs nothing else: verdict, findings, pictures, the audio, versions."""

from __future__ import annotations

import base64
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.audio import Audio, Recorded
from omniggml.doctor.finding import Diagnosis, Finding
from omniggml.errors import InputError, OmniError
from omniggml.files.inspection import inspect
from omniggml.plots import plot_audio, plot_codes, plot_overlay, plot_pieces, png
from omniggml.printable import printable
from omniggml.version import __version__, ggml_version
from omniggml.whole_file import write_whole

_LONGEST_VALUE, _MOST_TENSORS = 300, 20


@dataclass(frozen=True)
class Given:
    """What was examined beside the model: `codes` and `audio`, our own audio of these codes (`ours`, samples at the
    model's rate), and the `command` that it was done with."""

    codes: npt.NDArray[Any] | None = None
    audio: Recorded | None = None
    ours: Audio | None = None
    command: str = ""
    when: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


def html_report(found: Diagnosis, given: Given | None = None) -> str:
    """The page; pictures are left out where matplotlib is missing."""
    given = given or Given()
    pictures, without = _pictures(found, given)
    page: str = _template().render(
        word=found.exit_code.word,
        name=Path(found.subject).name,
        verdict=found.verdict,
        findings=[_shown(finding) for finding in found.findings],
        question=found.next_question,
        players=_players(given),
        pictures=pictures,
        without=without,
        fits=_measurements(found.measurements),
        facts=_facts(found, given),
        checked=", ".join(found.checked),
        skipped=found.skipped,
        failed=found.failed,
        versions=f"omniggml {__version__}, ggml {ggml_version}, NumPy {np.__version__}, "
        f"Python {platform.python_version()}",
    )
    return page


def write_html(
    path: str | os.PathLike[str], found: Diagnosis, given: Given | None = None, inputs: Iterable[object] = ()
) -> Path:
    """Write the page; it has its name only when it is complete. `inputs`: the files that were examined, which it must
    not be. Raises InputError where it can't be written."""
    return write_whole(path, html_report(found, given).encode(errors="backslashreplace"), inputs)


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    text = (files("omniggml.doctor") / "report.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined).from_string(text)


def _shown(finding: Finding) -> dict[str, Any]:
    rows = [(str(key), _value(value)) for key, value in finding.evidence.items()]
    if finding.tensors:
        rows.append(("tensors", ", ".join(finding.tensors[:_MOST_TENSORS])))
    return {
        "id": finding.id,
        "severity": finding.severity.value,
        "sentence": finding.sentence,
        "meaning": finding.kind.meaning,
        "remedy": finding.kind.remedy,
        "rows": rows,
    }


def _value(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) < _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _measurements(measured: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How well things fit: numbers by the name of what they were taken of."""
    rows = []
    for name, value in measured.items():
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        plain = [(key, one) for key, one in parts if isinstance(one, (bool, int, float, str))]
        words = ", ".join(f"{key} {_value(one)}".strip().replace("_", " ") for key, one in plain)
        if words:
            rows.append((name.replace("_", " "), words))
    return rows


def _facts(found: Diagnosis, given: Given) -> list[tuple[str, str]]:
    rows = [("file", printable(found.subject))]
    try:
        known = inspect(found.subject)
        rows += [("kind", known.title), ("size", f"{known.size} bytes, {known.parameters} parameters")]
    except (OmniError, OSError, ValueError):
        pass  # the findings say that there is none
    if given.codes is not None:
        rows.append(("codes", f"{list(given.codes.shape)}, {given.codes.dtype}"))
    if given.audio is not None:
        seconds = len(given.audio.mono) / max(given.audio.rate, 1)
        rows.append(("audio", f"{seconds:.2f} s at {given.audio.rate} Hz, {given.audio.subtype}"))
    if given.command:
        rows.append(("command", printable(given.command)))
    return [*rows, ("date", given.when.strftime("%Y-%m-%d %H:%M UTC"))]


# --- pictures and sound -----------------------------------------------------------------------------------------------


def _pictures(found: Diagnosis, given: Given) -> tuple[list[dict[str, str]], str]:
    """PNG files with what they show, and why there are none."""
    out: list[dict[str, str]] = []
    codes, audio, ours = given.codes, given.audio, given.ours
    try:
        if codes is not None and codes.ndim == 2 and codes.size and np.issubdtype(codes.dtype, np.integer):
            out.append(_picture(plot_codes(codes), "Map of the codes, groups by frames, a colour a code"))
        if audio is not None and audio.mono.size:
            out.append(_picture(plot_audio(audio.mono, audio.rate), "Waveform, spectrogram and mel spectrogram"))
            if ours is not None and ours.sample_rate == audio.rate and len(ours.samples):
                out.append(_picture(plot_overlay(audio.mono, ours.samples, audio.rate), "Yours over ours"))
        pieces = next((f.evidence["pieces"] for f in found.findings if "pieces" in f.evidence), None)
        if pieces and audio is not None:
            out.append(_picture(plot_pieces(pieces, audio.rate), "Which of our samples are where in yours"))
    except InputError as error:
        return out, str(error)
    return out, ""


def _picture(shown: Any, words: str) -> dict[str, str]:
    return {"words": words, "data": base64.b64encode(png(shown)).decode("ascii")}


def _players(given: Given) -> list[dict[str, str]]:
    audio = given.audio
    theirs = None if audio is None else Audio(audio.mono.astype(np.float32), audio.rate)
    pairs = (("Your audio", theirs), ("Ours, of the same codes", given.ours))
    return [
        {"title": title, "data": base64.b64encode(one.wav_bytes()).decode("ascii")}
        for title, one in pairs
        if one is not None and one.samples.size and np.isfinite(one.samples).all()
    ]
