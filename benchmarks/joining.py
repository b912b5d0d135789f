"""What a speech that joins costs those who speak, and how soon one that is fed begins.

    python benchmarks/joining.py                                # the built-in voice
    python benchmarks/joining.py --make real --frames 60        # the published geometry with random weights

Joining: all slots but one speak, one speech after another joins them with a prompt of so many tokens. Printed is the
time between two frames of those who speak: while nobody joins, the longest while somebody does, and the longest of as
many frames while nobody does, since of many one is late on any machine. Feeding: tokens at so many a second; printed is
the time from the fourth one to the first audio, in frames' compute. Ends with 1 where what was fed doesn't sound as the
whole text does.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np

import omniggml
from omniggml import Audio, Model, SpeechEngine, SpeechOptions
from omniggml.arrays import FloatArray
from omniggml.benchmark.made_model import SIZES, make_model

TEXT = "the dog runs in the garden and two cats sleep on the warm floor by the window"


class Listener:
    """Reads a speech in a thread, and notes when each piece came."""

    def __init__(self, engine: SpeechEngine, options: SpeechOptions) -> None:
        self.times: list[float] = []
        self._speaking = engine.begin_with(TEXT, options)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        for _ in self._speaking:
            self.times.append(time.perf_counter())

    def stop(self) -> None:
        self._speaking.cancel(drop=True)
        self._thread.join()


def gaps(listeners: list[Listener], begun: float, ended: float) -> list[float]:
    """Seconds between two frames of one speech, all of those that `begun` to `ended` has a part of, as they came."""
    found = []
    for one in listeners:
        times = list(one.times)
        found += [(b, b - a) for a, b in pairwise(times) if b > begun and a < ended]
    return [gap for _, gap in sorted(found)]


class Joins(NamedTuple):
    """Seconds between two frames: medians with one slot free and with all speaking, and of each time that a speech
    joined the longest meanwhile, and the longest of as many while nobody joined."""

    few: float
    every: float
    longest: list[float]
    longest_else: list[float]


def joining(model: Model, slots: int, prompt: int, joins: int) -> Joins:
    lasting = SpeechOptions(ignore_eos=True, chunk_frames=1, split="never")
    joiner = SpeechOptions(ignore_eos=True, chunk_frames=1, split="never", max_frames=8, prompt=_prompt(model, prompt))
    few, every, longest, longest_else = [], [], [], []
    with model.engine(slots=slots) as engine:
        for _ in range(joins):
            listeners = [Listener(engine, lasting) for _ in range(slots - 1)]
            while any(len(one.times) < 8 for one in listeners):
                time.sleep(0.01)
            begun = time.perf_counter()
            speaking = engine.begin_with("the dog runs", joiner)
            speaking.read()
            first = time.perf_counter()
            joined = gaps(listeners, begun, first)
            list(speaking)
            ended = time.perf_counter()
            every += gaps(listeners, first, ended)[slots - 1 :]
            alone: list[float] = []
            while len(alone) < max(len(joined), 6 * slots):
                time.sleep(0.01)
                alone = gaps(listeners, ended, time.perf_counter())[slots - 1 :]
            few += alone
            longest.append(max(joined))
            longest_else.append(max(alone[-len(joined) :]))
            for one in listeners:
                one.stop()
    return Joins(median(few), median(every), longest, longest_else)


def _prompt(model: Model, tokens: int) -> str:
    words = (TEXT.split() * tokens)[:tokens]
    while len(model.tokenizer.encode(" ".join(words))) > tokens:
        words.pop()
    return " ".join(words)


def feeding(model: Model, rate: float, frames: int) -> tuple[float, float, bool]:
    """Seconds from the fourth token to the first audio and of compute a frame, and whether it sounds as the whole."""
    options = SpeechOptions(max_frames=frames, ignore_eos=True, split="never")
    tokens = model.tokenizer.encode(TEXT)[: frames // 2]
    text = model.tokenizer.decode(tokens)
    whole = Audio.join(list(model.stream(text, max_frames=frames, ignore_eos=True, split="never")))
    pieces: list[Audio] = []
    heard: list[float] = []
    with model.engine(slots=1) as engine, engine.begin_with(None, options) as speaking:

        def listen() -> None:
            for piece in speaking:
                heard.append(time.perf_counter())
                pieces.append(piece)

        thread = threading.Thread(target=listen)
        thread.start()
        fourth = 0.0
        start = time.perf_counter()
        for number, token in enumerate(tokens):
            time.sleep(max(0.0, start + number / rate - time.perf_counter()))
            fed = time.perf_counter()
            speaking.feed_tokens([token])
            # It has its slot soon, if this was the fourth that nothing that follows can change.
            while not speaking.admitted and time.perf_counter() < fed + 0.02:
                time.sleep(0.001)
            fourth = fourth or (fed if speaking.admitted else 0.0)
        speaking.finish()
        thread.join()
        times = speaking.timings()
    said = Audio.join(pieces)
    same = np.array_equal(said.samples, whole.samples) and np.array_equal(said.codes, whole.codes)
    compute = times.talker + times.predictor + times.sampling + times.vocoder
    return heard[0] - fourth, compute / times.frames, same


def spread(values: FloatArray) -> str:
    return f"{median(values):.1f} (to {max(values):.1f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--make", choices=SIZES, help="random weights")
    parser.add_argument("--threads", type=int, default=0, metavar="N")
    parser.add_argument("--slots", type=int, default=4, metavar="N")
    parser.add_argument("--joins", type=int, default=12, metavar="N")
    parser.add_argument("--prompts", default="4,64,400", metavar="N,N", help="tokens")
    parser.add_argument("--rates", default="1,5,20", metavar="N,N", help="tokens a second")
    parser.add_argument("--feeds", type=int, default=5, metavar="N", help="speeches that are fed at each rate")
    parser.add_argument("--frames", type=int, default=24, metavar="N", help="of a speech that is fed")
    args = parser.parse_args()
    sys.setswitchinterval(0.0002)  # else a thread that listens may wait for another one 5 ms
    model = omniggml.load(str(make_model(args.make)) if args.make else None, thinker=False, n_threads=args.threads)
    model.speak("a", max_frames=1)
    print(f"{args.make or 'built-in voice'}, {args.threads or os.cpu_count()} threads, load {os.getloadavg()[0]:.1f}\n")
    print(
        "| prompt, tokens | ms a frame | with one more | longest while one joined | while none did | more, in frames |"
    )
    print("|---|---|---|---|---|---|")
    for prompt in map(int, args.prompts.split(",")):
        few, every, longest, other = (np.multiply(1000, one) for one in joining(model, args.slots, prompt, args.joins))
        more = (median(longest) - median(other)) / few
        print(f"| {prompt} | {few:.1f} | {every:.1f} | {spread(longest)} | {spread(other)} | {more:.2f} |", flush=True)
    print("\n| tokens a second | first audio after the fourth, ms | in frames' compute | sounds as the whole |")
    print("|---|---|---|---|")
    all_same = True
    for rate in map(float, args.rates.split(",")):
        times = [feeding(model, rate, args.frames) for _ in range(args.feeds)]
        same = all(one[2] for one in times)
        all_same &= same
        compute = [first / frame for first, frame, _ in times]
        first = 1000 * median(one[0] for one in times)
        spread_of = f"{median(compute):.2f} ({min(compute):.2f} to {max(compute):.2f})"
        print(f"| {rate:g} | {first:.0f} | {spread_of} | {'yes' if same else 'NO'} |", flush=True)
    return 0 if all_same else 1


if __name__ == "__main__":
    sys.exit(main())
