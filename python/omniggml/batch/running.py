"""A batch from its texts to a directory of audio; what is there already is not said again."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omniggml.audio import Audio
from omniggml.batch.files import BatchFiles
from omniggml.batch.manifest import Manifest, digest, file_stems
from omniggml.batch.speaking import SpokenText
from omniggml.batch.texts import BatchText
from omniggml.errors import InputError
from omniggml.whole_file import write_whole

FORMATS = ("flac", "wav")

Speak = Callable[[Sequence[BatchText]], Iterable[SpokenText]]
Told = Callable[[SpokenText, float, float], object]


@dataclass
class BatchCounts:
    """Of one run: texts that were `said`, `skipped` because they had been before, and `failed`; how many were `cut` at
    a limit, and `seconds` of audio."""

    said: int = 0
    skipped: int = 0
    failed: int = 0
    cut: int = 0
    seconds: float = 0.0


def run_batch(
    texts: Sequence[BatchText],
    directory: Path,
    speak: Speak,
    settings: dict[str, Any],
    *,
    audio_format: str = "flac",
    inputs: Callable[[], Iterable[object]] = tuple,
    told: Told | None = None,
) -> BatchCounts:
    """Speak all texts that `directory` lacks, and write for each its audio, its codes (.npy, int32 [groups, frames])
    and a line in manifest.jsonl.

    `speak` says them, in any order; `settings` are all that its speeches depend on beside the texts. `inputs` tells
    what is read, asked again once the first text is said, when what had to be downloaded is there: no file of the batch
    may be one of these, nor another text's. `told` is called with each text that is done and the shares of the letters
    that were and that now are done. Raises InputError where nothing can be written there, or something else was.
    """
    if audio_format not in FORMATS:
        raise InputError(f"the format is {audio_format!r:.80}; it can be {', '.join(FORMATS)}")
    counts = BatchCounts()
    with Manifest(directory, settings, inputs()) as manifest:
        left = manifest.left(list(texts))
        counts.skipped = len(texts) - len(left)
        letters = max(1, sum(len(text.text) for text in texts))
        before = done = 1 - sum(len(text.text) for text in left) / letters
        files = _files(manifest, left, audio_format, inputs())
        for number, spoken in enumerate(_spoken(left, speak)):
            if number == 0:
                files.protect(inputs())
            spoken = _writable(files, spoken)
            manifest.add(_written(files, spoken))
            _count(counts, spoken)
            done += len(spoken.text.text) / letters
            if told is not None:
                told(spoken, before, done)
        manifest.set_in_order(texts)
    return counts


def _files(manifest: Manifest, left: Sequence[BatchText], audio_format: str, inputs: Iterable[object]) -> BatchFiles:
    """Raises InputError where a text has no place to go."""
    stems = file_stems([*manifest.done, *(text.id for text in left)])
    again = {text.id for text in left}
    done = {name: entry for name, entry in manifest.done.items() if name not in again}
    said = {text.id: stems[text.id] for text in left if not text.error}
    return BatchFiles(manifest.path, done, said, audio_format, inputs)


def _writable(files: BatchFiles, spoken: SpokenText) -> SpokenText:
    """What was said; without its audio where that has no place to go any more."""
    if spoken.audio is None:
        return spoken
    try:
        files.check(spoken.text.id)
    except InputError as error:
        return SpokenText(spoken.text, None, str(error))
    return spoken


def _spoken(left: Sequence[BatchText], speak: Speak) -> Iterator[SpokenText]:
    """Rows that hold no text, which need no model, and then all others."""
    yield from (SpokenText(text, None, text.error) for text in left if text.error)
    texts = [text for text in left if not text.error]
    if texts:
        yield from speak(texts)


def _written(files: BatchFiles, spoken: SpokenText) -> dict[str, Any]:
    """The files of one text, and its line."""
    text = spoken.text
    entry: dict[str, Any] = {"id": text.id, "text": text.text, "text_sha256": digest(text)}
    entry |= {name: value for name, value in (("speaker", text.speaker), ("seed", text.seed)) if value is not None}
    if spoken.audio is None:
        return {**entry, "error": spoken.error}
    sound, codes = files.of(text.id)
    write_whole(codes, _npy(spoken.audio))
    spoken.audio.save(sound)
    return {
        **entry,
        "file": sound.name,
        "codes": codes.name,
        "duration": round(spoken.audio.duration, 6),
        "frames": spoken.audio.codes.shape[1],
        "stop_reason": spoken.audio.stop_reason,
        **({"warnings": spoken.warnings} if spoken.warnings else {}),
    }


def _npy(audio: Audio) -> bytes:
    file = io.BytesIO()
    np.save(file, audio.codes)
    return file.getvalue()


def _count(counts: BatchCounts, spoken: SpokenText) -> None:
    if spoken.audio is None:
        counts.failed += 1
        return
    counts.said += 1
    counts.cut += spoken.audio.stop_reason not in ("eos", "empty")
    counts.seconds += spoken.audio.duration
