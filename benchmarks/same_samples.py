"""Does one build say what another says, bit for bit? For changes that must not change behaviour.

    python benchmarks/same_samples.py OLD_PYTHON NEW_PYTHON

Each interpreter, with its own omniggml, says ten texts with three seeds each with the built-in voice, whole and
streamed, draws greedily, and lets the thinker write. A line each with the SHA-256 of what came out; exits with 1 where
two differ. No hash is kept: kernels differ between CPUs, so both builds have to run on one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

# Runs in either interpreter, so it keeps to what both have: load, speak, stream, chat and their options.
_CHILD = r"""
import hashlib
import numpy as np
import omniggml

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Yes.",
    "She sells sea shells by the sea shore, and the shells she sells are surely sea shells.",
    "On the third of March, twenty one people paid for what they had seen.",
    "What did you say? I could not hear you over the wind!",
    "A long sentence, with commas, and pauses; with a semicolon, too: all of it is read in one breath.",
    "Good morning, doctor.",
    "Rain fell on the old stone bridge while the river below rose slowly through the night.",
    "One, two, three, four, five, six, seven, eight, nine, ten.",
    "The end of the world is not today.",
)


def show(what, *arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    print(f"{what}\t{digest.hexdigest()}", flush=True)


# What is compared is the engine: a whole text in one go, where a build could also split it.
whole = {"split": "never"} if "split" in omniggml.SpeechOptions.__dataclass_fields__ else {}
model = omniggml.load(n_threads=2)
for number, text in enumerate(TEXTS):
    for seed in (0, 1, 2):
        audio = model.speak(text, seed=seed, max_frames=120, **whole)
        show(f"speak, text {number}, seed {seed}", audio.samples, audio.codes)
    greedy = model.speak(text, greedy=True, max_frames=60, **whole)
    show(f"greedy codes, text {number}", greedy.codes)
pieces = list(model.stream(TEXTS[2], seed=5, max_frames=120, **whole))
show("stream", *(piece.samples for piece in pieces))
pieces = list(model.stream(TEXTS[0], seed=1, max_frames=60, chunk_frames=3, **whole))
show("stream of 3 frames", *(piece.samples for piece in pieces))
for number, audio in enumerate(model.speak_batch(TEXTS[:3], together=3, seed=4, max_frames=60, **whole)):
    show(f"together, text {number}", audio.samples)
codes = np.random.default_rng(0).integers(0, model.geometry["code2wav"]["codebook_size"],
                                          (model.geometry["code2wav"]["num_quantizers"], 40))
show("code2wav", model.code2wav(codes))
with model.probe("talker.model.layers.*.mlp", "code2wav.decoder.*") as seen:
    model.speak(TEXTS[1], seed=3, max_frames=20)
show("probe", *(np.asarray(seen[name]) for name in sorted(seen)))
if model.has_thinker:
    for seed in (0, 1):
        reply = model.chat([{"role": "user", "content": "What is the capital of France?"}], seed=seed, max_frames=60)
        show(f"chat, seed {seed}", np.frombuffer(reply.text.encode(), np.uint8), reply.audio.samples)
"""


def said_by(python: str) -> Iterator[tuple[str, str]]:
    """What each part of the run came to. Raises SystemExit with the child's own words where it fails."""
    done = subprocess.run([python, "-c", _CHILD], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr}")
    for line in done.stdout.splitlines():
        what, _, digest = line.partition("\t")
        yield what, digest


def main() -> int:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python benchmarks/same_samples.py OLD_PYTHON NEW_PYTHON")
    old, new = (dict(said_by(python)) for python in sys.argv[1:])
    differing = [what for what in {**old, **new} if old.get(what) != new.get(what)]
    for what, digest in new.items():
        print(f"{'differs' if what in differing else 'same   '} {digest} {what}")
    for what in old.keys() - new.keys():
        print(f"missing {what}")
    print(f"{len(new) - len(differing)} of {len(old)} the same" if differing else f"all {len(new)} the same")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
