"""The model card's table, measured on the two GGUF files.

    python -m recipe.evaluate VOICE-SPEECH.gguf --work DIR [--only NAME ...] [--limit N]

Every row but the thinker's has a word error rate by the recogniser and, where the voice chose its own codes, a phone
error rate from its first codes, the share that stopped by itself, and the share within 25 % of the teacher's length.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import omniggml
from omniggml import TextOptions

from .codec import PLACES, Codec
from .data import Utterance, answer_texts, listed
from .features import frame_features
from .judge import distance, heard, score
from .questions import UNKNOWN, all_questions, nonsense, repetition
from .teacher import SILENCE, SPEAKERS, Rendering, render, voiced_as, waveform

log = logging.getLogger(__name__)

Speaker = Callable[[str], tuple[np.ndarray, np.ndarray | None, bool]]
"""Text -> samples, codes [groups, frames] if the voice chose them, and whether it stopped by itself."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    texts: int
    word_errors: float
    exact: float
    phone_errors: float | None = None
    stopped: float | None = None
    right_length: float | None = None


class Evaluation:
    """A voice and its codec, and the lists to try them on."""

    def __init__(self, speech: Path, codec: Path, speaker: str, limit: int | None) -> None:
        self.model = omniggml.load(speech, n_threads=1)
        self.codec = Codec.load(codec)
        self.speaker, self.limit = speaker, limit
        self.number = [item.name for item in SPEAKERS].index(speaker)

    def table(self) -> dict[str, Callable[[], Row]]:
        """Name of a row -> what measures it."""
        lists = {name: listed(name) for name in ("demo_sentences", "unseen_sentences", "unseen_orders", "unseen_words")}
        lists["answers"] = answer_texts()
        rows: dict[str, Callable[[], Row]] = {}
        for name, texts in lists.items():
            rows[f"teacher/{name}"] = lambda texts=texts, name=name: self._row(f"teacher/{name}", texts, self._teacher)
            rows[f"codec/{name}"] = lambda texts=texts, name=name: self._row(f"codec/{name}", texts, self._codec)
            rows[f"voice/{name}"] = lambda texts=texts, name=name: self._row(f"voice/{name}", texts, self._voice)
        return rows | {"thinker/published": self._published, "thinker/unseen": self._unseen}

    def _row(self, name: str, texts: Sequence[str], speak: Speaker) -> Row:
        chosen = list(texts)[: self.limit]
        read, phones, sounds, stops, lengths = [], 0, 0, 0, 0
        free = False
        for text in chosen:
            samples, codes, stopped = speak(text)
            read.append(heard(samples))
            if codes is None:
                continue
            free = True
            wanted = self._rendering(text)
            expected = [phone for phone, place in zip(wanted.phones, wanted.places, strict=True) if place == 0]
            phones += distance(_sounding(expected), _sounding(self.said(codes)))
            sounds += len(_sounding(expected))
            stops += stopped
            lengths += stopped and abs(codes.shape[1] / wanted.frames - 1) <= 0.25
            log.info("%s | %s", text, read[-1])
        result, count = score(chosen, read), len(chosen)
        own = (phones / max(1, sounds), stops / count, lengths / count) if free else (None, None, None)
        return Row(name, count, result.rate, result.exact / count, *own)

    def said(self, codes: np.ndarray) -> list[str]:
        """The phones that first codes name, each once."""
        return [self.codec.phones[code // PLACES] for code in codes[0] if code % PLACES == 0]

    def _rendering(self, text: str) -> Rendering:
        rendering = render(text)
        if rendering is None:
            raise ValueError(f"the teacher can't say {text!r}")
        return rendering

    def _teacher(self, text: str) -> tuple[np.ndarray, None, bool]:
        speaker = SPEAKERS[self.number]
        return waveform(voiced_as(self._rendering(text), speaker), speaker, 0), None, True

    def _codec(self, text: str) -> tuple[np.ndarray, None, bool]:
        rendering = self._rendering(text)
        features = frame_features(voiced_as(rendering, SPEAKERS[self.number]), rendering.frames)
        places, words = np.asarray(rendering.places), np.asarray(rendering.words)
        row = Utterance(text, self.number, rendering.phones, places, words, features, None)
        return self.model.code2wav(self.codec.encode(row)), None, True

    def _voice(self, text: str) -> tuple[np.ndarray, np.ndarray, bool]:
        audio = self.model.speak(text, speaker=self.speaker, max_frames=400)
        return audio.samples, audio.codes, audio.stop_reason == "eos"

    def _published(self) -> Row:
        return self._answers("thinker/published", [(asked.plain, asked.answer) for asked in all_questions()])

    def _unseen(self) -> Row:
        rng = random.Random(5)
        pairs = [(form, asked.answer) for asked in all_questions() for form in asked.unseen()]
        pairs = rng.sample(pairs, 300) + [(nonsense(rng), UNKNOWN) for _ in range(20)]
        said = [repetition(text) for text in listed("unseen_sentences")[:20]]
        return self._answers("thinker/unseen", pairs + [(asked.unseen()[0], asked.answer) for asked in said])

    def _answers(self, name: str, pairs: Sequence[tuple[str, str]]) -> Row:
        chosen = list(pairs)[: self.limit]
        right = 0
        for question, answer in chosen:
            ids = self.model.tokenizer.encode_chat([{"role": "user", "content": question}])
            tokens, _ = self.model.generate_text(ids, TextOptions(greedy=True, max_tokens=200))
            text = self.model.tokenizer.decode(tokens)
            right += text == answer
            log.info("%s | %s | %s", "right" if text == answer else "WRONG", question, text)
        return Row(name, len(chosen), 1 - right / len(chosen), right / len(chosen))


def _sounding(phones: Sequence[str]) -> list[str]:
    """Without silence and stress, on which a phone's name shouldn't hang."""
    return [phone[-1] for phone in phones if phone != SILENCE]


def markdown(rows: Sequence[Row]) -> str:
    """The table as it stands in the model card."""
    lines = [
        "| list | texts | word errors | exact | phone errors | stopped | right length |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        own = ["" if value is None else f"{value:.3f}" for value in (row.phone_errors, row.stopped, row.right_length)]
        lines.append(f"| {row.name} | {row.texts} | {row.word_errors:.3f} | {row.exact:.3f} | {' | '.join(own)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print the rows asked for, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="the recipe's directory, which holds codec.npz")
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of the names of rows")
    parser.add_argument("--speaker", default=SPEAKERS[0].name)
    parser.add_argument("--limit", type=int)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", filename=chosen.work / "evaluation.log")
    evaluation = Evaluation(chosen.speech, chosen.work / "codec.npz", chosen.speaker, chosen.limit)
    wanted = [measure for name, measure in evaluation.table().items() if name.startswith(tuple(chosen.only) or "")]
    rows = [measure() for measure in wanted]
    (chosen.work / "evaluation.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    print(markdown(rows), end="")


if __name__ == "__main__":
    main()
