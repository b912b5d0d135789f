"""How well paragraphs are spoken: whole, in spans of several lengths, and sentence by sentence.

    python -m recipe.long_texts VOICE-SPEECH.gguf [--list paragraphs] [--speaker chelsie ethan] [--spans 32 40 60]
    python -m recipe.long_texts VOICE-SPEECH.gguf --words 5000

One line for each way: word error rate by the recogniser, and how many texts were read back exactly. The longest
span that is no worse than sentences alone is what `recipe.export` writes into the file as `longest_span`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import omniggml
from omniggml.text.spans import sentences

from .data import listed
from .judge import Score, heard, score


def measured(model: omniggml.Model, texts: Sequence[str], **options: Any) -> Score:
    """Each text spoken, read back, and compared."""
    return score(texts, [read_back(model.speak(text, **options)) for text in texts])


def one_by_one(model: omniggml.Model, texts: Sequence[str], **options: Any) -> Score:
    """The same words, each sentence a speech and a recording of its own."""
    parts = [sentence for text in texts for sentence in sentences(text)]
    return score(parts, [heard(model.speak(part, **options).samples) for part in parts])


def read_back(audio: omniggml.Audio) -> str:
    """What the recogniser reads back, in windows of its own length at most, cut where segments end."""
    words, start = [], 0
    ends = [segment.end for segment in audio.segments]
    for end, following in zip(ends, [*ends[1:], None], strict=True):
        if following is None or following - start > _WINDOW * audio.sample_rate:
            words.append(heard(audio.samples[start:end]))
            start = end
    return " ".join(words)


_WINDOW = 25  # seconds; the recogniser hears 30 at once


def in_step(
    samples: Callable[[omniggml.Segment], Any], segments: Sequence[omniggml.Segment], chosen: Sequence[int]
) -> str:
    """Of the chosen segments: how many words of all are heard inside their segment's times, of how many segments at
    least half, and of how many every word and no other. To see that this tells something: the same of the text of the
    segment behind each."""
    heard_in = [heard(samples(segments[n])) for n in chosen]
    own = [score([segments[n].text], [words]) for n, words in zip(chosen, heard_in, strict=True)]
    others = [
        score([segments[(n + 1) % len(segments)].text], [words]) for n, words in zip(chosen, heard_in, strict=True)
    ]

    def percent(shares: Sequence[float]) -> str:
        return f"{100 * float(np.mean(shares)):.0f} of 100"

    missed, words = sum(one.errors for one in own), sum(one.words for one in own)
    return (
        f"of {len(chosen)} segments {percent([one.errors <= one.words / 2 for one in own])} have half of their words "
        f"or more heard inside their times, {percent([one.errors == 0 for one in own])} all of them and no other; "
        f"{100 - 100 * missed / words:.0f} of 100 words; "
        f"of the text behind each, {percent([one.errors <= one.words / 2 for one in others])} have half"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speech")
    parser.add_argument("--list", default="paragraphs", choices=("paragraphs", "unseen_paragraphs"))
    parser.add_argument("--speaker", nargs="+", default=["chelsie", "ethan"])
    parser.add_argument("--spans", nargs="*", type=int, default=[], metavar="TOKENS")
    parser.add_argument("--ways", nargs="+", metavar="WAY", help="lines of the table; default: all")
    parser.add_argument("--words", type=int, metavar="N", help="instead: one text of so many words, streamed")
    args = parser.parse_args()
    model = omniggml.load(args.speech, n_threads=1)
    texts = listed(args.list)
    if args.words:
        print(streamed(model, texts, args.words, args.speaker[0]))
        return
    print("| list | speaker | way | word errors | exact |\n|---|---|---|---|---|")
    for speaker in args.speaker:
        for name, way in _ways(args.spans).items():
            if args.ways and name not in args.ways:
                continue
            result = way(model, texts, speaker=speaker)
            count = f"{result.exact} of {result.texts}"
            print(f"| {args.list} | {speaker} | {name} | {result.rate:.3f} | {count} |", flush=True)


def streamed(model: omniggml.Model, texts: Sequence[str], n_words: int, speaker: str) -> str:
    """A text of so many words, streamed into a file: when the first sound came, how memory grew, and the share of
    segments whose words are heard inside their times."""
    count = sum(len(text.split()) for text in texts)
    article = "\n\n".join([*texts] * -(-n_words // count))
    start, first, resident, segments = time.monotonic(), 0.0, [], []
    with (
        tempfile.TemporaryDirectory() as directory,
        soundfile.SoundFile(Path(directory) / "long.wav", "w+", model.sample_rate, 1) as file,
    ):
        for piece in model.stream(article, speaker=speaker):
            first = first or time.monotonic() - start
            file.write(piece.samples)
            segments += piece.segments
            if piece.segments and len(segments) % 20 == 1:
                resident.append(_resident())
        took, seconds = time.monotonic() - start, file.frames / model.sample_rate
        chosen = range(0, len(segments), max(1, len(segments) // 100))[:100]
        step = in_step(lambda part: _read(file, part), segments, chosen)
    words = sum(len(segment.text.split()) for segment in segments)
    third = len(resident) // 3
    grown = max(resident[-third:]) - max(resident[third : 2 * third])
    return (
        f"{words} of {len(article.split())} words in {len(segments)} segments; "
        f"{seconds:.0f} s of audio in {took:.0f} s; "
        f"first sound after {first:.2f} s; memory {resident[0]} MiB at first, {max(resident)} at most, "
        f"{grown} more in the last third than in the one before; stop reason {piece.stop_reason}; "
        f"{step}"
    )


def _read(file: soundfile.SoundFile, part: omniggml.Segment) -> Any:
    file.seek(part.start)
    return file.read(part.end - part.start, dtype="float32")


def _resident() -> int:
    """MiB of this process in memory that no file backs."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) // 1024


def _ways(spans: Sequence[int]) -> dict[str, Callable[..., Score]]:
    return {
        "as it is spoken": measured,
        "sentences alone": one_by_one,
        **{f"spans of {span}": partial(measured, longest_span=span) for span in spans},
        "whole": partial(measured, split="never"),
    }


if __name__ == "__main__":
    main()
