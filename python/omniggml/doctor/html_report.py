"""A diagnosis as one HTML file that needs nothing else: verdict, findings, pictures, the audio, versions."""

from __future__ import annotations

import base64
import os
import platform
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.audio import Audio, Recorded
from omniggml.doctor.finding import Diagnosis, Exit, Finding
from omniggml.errors import InputError
from omniggml.plots import plot_audio, plot_codes, png
from omniggml.version import __version__, ggml_version
from omniggml.whole_file import write_whole

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 52rem; padding: 1rem; }
body { color: #222; background: #fff; }
h1 { font-size: 1.1rem; font-weight: 600; color: #555; margin: 0; }
.verdict { font-size: 1.35rem; font-weight: 600; border-left: .5rem solid; padding: .6rem .9rem; margin: 1rem 0; }
.verdict { background: #f5f5f5; }
.broken { border-color: #D55E00; } .suspicious { border-color: #E69F00; } .healthy, .note { border-color: #0072B2; }
section { border-left: .25rem solid; padding: .1rem .9rem; margin: 1rem 0; break-inside: avoid; }
section h2 { font-size: 1rem; margin: .2rem 0; } section p { margin: .3rem 0; }
code, td { overflow-wrap: anywhere; } img { max-width: 100%; height: auto; } audio { width: 100%; }
table { border-collapse: collapse; font-size: .85rem; } td { padding: .1rem .8rem .1rem 0; vertical-align: top; }
details { font-size: .9rem; } footer { color: #666; font-size: .85rem; margin-top: 2rem; }
@media print { details > * { display: block; } audio { display: none; } }
"""


def html_report(found: Diagnosis, codes: npt.NDArray[Any] | None = None, audio: Recorded | None = None) -> str:
    """The page. `codes` and `audio` are what was examined; pictures are left out where matplotlib is missing."""
    word = {Exit.HEALTHY: "healthy", Exit.SUSPICIOUS: "suspicious", Exit.BROKEN: "broken"}[found.exit_code]
    parts = [
        f"<h1>omniggml doctor: {escape(Path(found.subject).name)}</h1>",
        f'<p class="verdict {word}">{word}: {escape(found.verdict)}</p>',
        *(_section(finding) for finding in found.findings),
        *_pictures(codes, audio),
        _footer(found),
    ]
    body = "\n".join(parts)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = f"<title>{word}: {escape(Path(found.subject).name)}</title>"
    head += f"{title}<style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def write_html(
    path: str | os.PathLike[str],
    found: Diagnosis,
    codes: npt.NDArray[Any] | None = None,
    audio: Recorded | None = None,
    inputs: Iterable[object] = (),
) -> Path:
    """Write the page; it has its name only when it is complete. `inputs`: the files that were examined, which it must
    not be. Raises InputError where it can't be written."""
    return write_whole(path, html_report(found, codes, audio).encode(errors="backslashreplace"), inputs)


def _section(finding: Finding) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(key))}</td><td>{escape(_value(value))}</td></tr>"
        for key, value in finding.evidence.items()
    )
    if finding.tensors:
        rows += f"<tr><td>tensors</td><td>{escape(', '.join(finding.tensors[:20]))}</td></tr>"
    evidence = f"<details open><summary>Evidence</summary><table>{rows}</table></details>" if rows else ""
    return (
        f'<section class="{finding.severity.value}"><h2><code>{escape(finding.id)}</code> '
        f"({finding.severity.value})</h2><p>{escape(finding.sentence)}</p><p>{escape(finding.kind.meaning)}</p>"
        f"<p><b>What to do:</b> {escape(finding.kind.remedy)}</p>{evidence}</section>"
    )


def _value(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) < 300 else f"{text[:300]}..."


def _pictures(codes: npt.NDArray[Any] | None, audio: Recorded | None) -> list[str]:
    out = []
    try:
        if codes is not None and codes.ndim == 2 and codes.size and np.issubdtype(codes.dtype, np.integer):
            out.append(_picture(png(plot_codes(codes)), "Map of the codes, groups by frames"))
        if audio is not None and audio.mono.size:
            out.append(_picture(png(plot_audio(audio.mono, audio.rate)), "Waveform, spectrogram and mel spectrogram"))
    except InputError as error:
        out.append(f"<p>Without pictures: {escape(str(error))}.</p>")
    if audio is not None and audio.mono.size and np.isfinite(audio.mono).all():
        data = base64.b64encode(Audio(audio.mono.astype(np.float32), audio.rate).wav_bytes()).decode("ascii")
        out.append(f'<audio controls src="data:audio/wav;base64,{data}"></audio>')
    return out


def _picture(data: bytes, words: str) -> str:
    return f'<p><img alt="{escape(words)}" src="data:image/png;base64,{base64.b64encode(data).decode("ascii")}"></p>'


def _footer(found: Diagnosis) -> str:
    checked = escape(", ".join(found.checked))
    skipped = "".join(f"<br>Not checked: {escape(why)}" for why in found.skipped)
    versions = (
        f"omniggml {__version__}, ggml {ggml_version}, NumPy {np.__version__}, Python {platform.python_version()}"
    )
    return f"<footer>Checked: {checked}.{skipped}<br>{escape(versions)}</footer>"
