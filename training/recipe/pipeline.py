"""The recipe from nothing to the three GGUF files. Every stage is kept in the work directory and not done twice."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from omniggml.loading import BUILT_IN

from .batches import make_items
from .codec import Codec, fit_codec
from .data import Utterance, load_shards, make_shards
from .ear_training import Course, Hearing, train_ear
from .export import write_checkpoint, write_ear_checkpoint, write_ear_file, write_gguf_files
from .polishing import polish_code2wav
from .progress import Schedule
from .spoken import make_clips, make_empty_clips, make_voice_clips, unheard_clips
from .talker import Talker
from .talker_training import train_talker
from .thinker import Thinker, train_thinker
from .thinker_file import read_thinker
from .tuning import tune_code2wav
from .vocoder import build_code2wav, train_code2wav

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listening:
    """A round of the ear's: how many speeches it hears of the teacher and of the voice itself, how many recordings of
    nothing, and in how many steps."""

    speeches: int
    own_speeches: int
    empty: int
    steps: int


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    texts: int
    with_audio: int
    code2wav_steps: int
    talker_steps: int
    thinker_steps: int
    tuning_texts: int
    tuning_steps: int
    polishing_steps: int
    ear: Listening
    ear_again: Listening


SIZES = {
    "full": Size(
        texts=10_000,
        with_audio=4_000,
        code2wav_steps=6_000,
        talker_steps=9_000,
        thinker_steps=6_000,
        tuning_texts=2_000,
        tuning_steps=2_400,
        polishing_steps=3_000,
        ear=Listening(45_600, 6_900, 9_600, 4_300),
        ear_again=Listening(1_600, 600, 8_800, 1_600),
    ),
    "smoke": Size(
        texts=40,
        with_audio=20,
        code2wav_steps=2,
        talker_steps=4,
        thinker_steps=4,
        tuning_texts=10,
        tuning_steps=2,
        polishing_steps=2,
        ear=Listening(12, 2, 4, 3),
        ear_again=Listening(4, 1, 8, 2),
    ),
}

CODE2WAV_RATE, TUNING_RATE, POLISHING_RATE, THINKER_RATE = 2e-3, 6e-4, 6e-4, 2e-3


class Recipe:
    """The stages, each by name."""

    def __init__(self, work: Path, size: Size, seed: int, device: str = "cpu") -> None:
        self.work, self.size, self.seed, self.device = work, size, seed, torch.device(device)

    def data(self) -> None:
        """Texts and what the teacher makes of them."""
        make_shards(self.work / "data", self.size.texts, self.size.with_audio, self.seed)

    def codec(self) -> None:
        """The meaning of the codes."""
        path = self.work / "codec.npz"
        if not path.exists():
            fit_codec(self._with_audio(), self.seed).save(path)

    def code2wav(self) -> None:
        """Codes to sound."""
        schedule = Schedule(CODE2WAV_RATE, self.size.code2wav_steps)
        train_code2wav(self._with_audio(), self._codec(), self.work / "code2wav.pt", schedule, self.seed)

    def talker(self) -> None:
        """Text to codes."""
        items = make_items(list(load_shards(self.work / "data")), self._codec())
        train_talker(items, self.work / "talker.pt", Schedule(1.0, self.size.talker_steps, decay=0.45), self.seed)

    def tuning(self) -> None:
        """Code2Wav again, on the talker's codes."""
        model, talker = build_code2wav(self.seed), Talker(self._codec().coordinates_width)
        for part, name in ((model, "code2wav"), (talker, "talker")):
            part.load_state_dict(torch.load(self.work / f"{name}.pt", weights_only=True)["model"])
        schedule = Schedule(TUNING_RATE, self.size.tuning_steps, decay=0.8)
        rows = self._with_audio()[: self.size.tuning_texts]
        tune_code2wav(model, talker, rows, self._codec(), self.work / "tuned.pt", schedule, self.seed)

    def thinker(self) -> None:
        """Questions to answers."""
        train_thinker(self.work / "thinker.pt", Schedule(THINKER_RATE, self.size.thinker_steps), self.seed)

    def polishing(self) -> None:
        """Code2Wav once more, on what the voice says of itself."""
        model = build_code2wav(self.seed)
        model.load_state_dict(torch.load(self.work / "tuned.pt", weights_only=True)["model"])
        speech = self._exported("tuned")
        schedule = Schedule(POLISHING_RATE, self.size.polishing_steps, decay=0.8)
        out, threads = self.work / "polished.pt", torch.get_num_threads()
        polish_code2wav(model, speech, self._with_audio(), self._codec(), out, schedule, self.seed, threads)

    def recordings(self) -> None:
        """Questions as they are said, by whom and where."""
        for directory, amount, seed in self._rounds():
            make_clips(directory, amount.speeches, seed, torch.get_num_threads())
            make_empty_clips(directory, amount.empty, seed)

    def ear(self) -> None:
        """Speech to what the thinker reads, in two rounds, and its file. The thinker is the one of the exported files,
        the package's where there are none."""
        thinker_file = self._thinker_file()
        speech, thinker = thinker_file.with_name("voice-speech.gguf"), read_thinker(thinker_file)
        (heard, first, seed), (heard_again, again, seed_again) = self._rounds()
        for directory, amount, drawn in self._rounds():
            make_voice_clips(directory, speech, amount.own_speeches, drawn, torch.get_num_threads())
        dev = unheard_clips(min(120, first.speeches), self.seed)
        course = Course(Schedule(1.0, first.steps, decay=0.64), 64_000, writing=0.18, closing=0.62)
        train_ear(thinker, heard, dev, self.work / "ear-first.pt", course, seed, self.device)
        course = Course(Schedule(0.4, again.steps, warmup=50, decay=0.9), 4_000, parts=4, opened=True)
        before, out = self.work / "ear-first.pt", self.work / "ear.pt"
        model = train_ear(thinker, heard_again, dev, out, course, seed_again, self.device, before)
        write_ear_file(write_ear_checkpoint(self.work / "ear-checkpoint", model.ear), self.work)

    def _rounds(self) -> list[tuple[Path, Listening, int]]:
        """Of each of the ear's rounds its recordings, how much there is, and the seed."""
        return [
            (self.work / "recordings", self.size.ear, self.seed),
            (self.work / "recordings-again", self.size.ear_again, self.seed + 1),
        ]

    def _thinker_file(self) -> Path:
        made = self.work / "voice-thinker.gguf"
        return made if made.exists() else BUILT_IN.with_name(made.name)

    def export(self) -> None:
        """The files. A part that isn't trained yet goes in as it is before training."""
        states = (name for name in ("polished", "tuned") if (self.work / f"{name}.pt").exists())
        self._exported(next(states, "code2wav"))

    def _exported(self, code2wav: str) -> Path:
        """Write the files with this state of Code2Wav. Returns the speech file's path."""
        latents = self._codec().coordinates_width
        parts: list[tuple[str, Any]] = [
            ("thinker", Thinker()),
            ("talker", Talker(latents)),
            (code2wav, build_code2wav(self.seed)),
        ]
        for name, part in parts:
            path = self.work / f"{name}.pt"
            if path.exists():
                part.load_state_dict(torch.load(path, weights_only=True)["model"])
            else:
                log.warning("%s is not there: exporting an untrained %s", path, name)
        checkpoint = write_checkpoint(self.work / "checkpoint", *(part for _, part in parts), self._trained_ear())
        paths = write_gguf_files(checkpoint, self.work)
        for path in paths:
            log.info("%s: %.1f MB", path, path.stat().st_size / 1e6)
        return paths[0]

    def _trained_ear(self) -> Any:
        """None as long as there is none: a voice without an ear is one that reads."""
        path = self.work / "ear.pt"
        if not path.exists():
            return None
        model = Hearing()
        model.load_state_dict(torch.load(path, weights_only=True)["model"])
        return model.ear

    def _codec(self) -> Codec:
        return Codec.load(self.work / "codec.npz")

    def _with_audio(self) -> list[Utterance]:
        return [row for row in load_shards(self.work / "data") if row.audio is not None]


SIDE_BY_SIDE = (
    ("data",),
    ("codec",),
    ("talker", "code2wav"),
    ("tuning", "thinker"),
    ("polishing", "recordings"),
    ("ear",),
    ("export",),
)
"""The stages in order. Those that stand together need nothing of each other and run at the same time, on one core each:
a training step on two threads is far from twice as fast as on one."""
STAGES = tuple(name for together in SIDE_BY_SIDE for name in together)


def run_stages(recipe: Recipe, chosen: Sequence[str], threads: int) -> None:
    """Run the chosen stages, each group with `threads` threads in all."""
    for together in SIDE_BY_SIDE:
        names = [name for name in together if name in chosen]
        if len(names) < 2 or threads < 2:
            for name in names:
                run_stage(recipe, name, threads)
            continue
        with ProcessPoolExecutor(len(names), multiprocessing.get_context("spawn")) as pool:
            for stage in [pool.submit(run_stage, recipe, name, threads // len(names)) for name in names]:
                stage.result()


def run_stage(recipe: Recipe, name: str, threads: int) -> None:
    """Run one stage, in whatever process."""
    start_logging(recipe.work)
    torch.set_num_threads(threads)
    log.info("stage %s", name)
    getattr(recipe, name)()


def start_logging(work: Path) -> None:
    """To the terminal and to log.txt."""
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(work / "log.txt")]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers)


def main() -> None:
    """Run all stages, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("training-work"), help="where everything is made")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="where the ear is trained, as torch names it: cpu, cuda")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"all by default: {', '.join(STAGES)}")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.stages if name not in STAGES]
    if unknown:
        parser.error(f"there is no stage {unknown[0]}: the stages are {', '.join(STAGES)}")
    chosen.work.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(chosen.work, SIZES[chosen.size], chosen.seed, chosen.device)
    run_stages(recipe, chosen.stages or STAGES, chosen.threads)


if __name__ == "__main__":
    main()
