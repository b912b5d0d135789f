"""Print how closely a device follows the CPU: stage by stage, then whole speeches, and what the doctor says of them.

    python tests/device_parity.py [DEVICE] [--model FILE] [--thinker FILE] [--speeches N] [--published]

DEVICE is a name from `omniggml devices`; the first that is no CPU where none is given. Every stage gets what the CPU
computed before it and runs in a process of its own, so that a driver that dies costs one row. The encoders have random
weights, of a small geometry or, with --published, of the published one (9 GB of disk). Ends with status 1 when a stage
is outside of its gate or dies, a greedy speech has other codes, or the doctor finds a sampled one anything but healthy.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import omniggml
from omniggml import _native
from omniggml.conversion.encoder_configs import Encoders
from omniggml.files.encoders import open_encoders
from omniggml.loading import BUILT_IN
from omniggml.synthetic.ears import PUBLISHED_EARS, ears_for
from omniggml.synthetic.eyes import PUBLISHED_EYES, eyes_for
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_encoders import write_random_encoders

Arrays = dict[str, npt.NDArray[Any]]

GATE = 1e-4  # NMSE, as of F16: devices compute products in their own precision
GATE_8_BITS = 1e-3  # and round what is multiplied by 8-bit weights to 8 bits
OTHER_EXPERTS = 0.1
DEADLINE = 600
TEXT = "good morning, how are you today"
QUESTION = "what is the capital of france"
FRAMES = 10
SEEDS = range(1, 5)
SMALL = Encoders(audio=ears_for(GEOMETRIES["tiny"]), vision=eyes_for(GEOMETRIES["tiny"]))
PUBLISHED = Encoders(audio=PUBLISHED_EARS, vision=PUBLISHED_EYES)
HEARD = 1000  # frames of log-mel features
SEEN = (1, 16, 16)  # pairs of frames, rows and columns of patches


@dataclass(frozen=True)
class Side:
    """What computes: a device, and the files it is given."""

    device: str
    speech: Path
    thinker: Path
    encoders: Path
    """Where files of encoders lie, one of each type."""

    @cached_property
    def model(self) -> omniggml.Model:
        return omniggml.load(self.speech, thinker=self.thinker, device=self.device)

    def media_encoders(self, type_: str) -> _native.MediaEncoders:
        return _native.MediaEncoders(open_encoders(encoder_file(self.encoders, type_)).native, self.device)


def encoder_file(directory: Path, type_: str) -> Path:
    return directory / f"encoders-{type_}.gguf"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", nargs="?", help="a name from `omniggml devices`")
    parser.add_argument("--model", type=Path, default=BUILT_IN, help="a speech file; default: the built-in voice")
    parser.add_argument("--thinker", type=Path, default=BUILT_IN.with_name("voice-thinker.gguf"), help="its thinker")
    parser.add_argument("--speeches", type=int, default=3, help="whole speeches, each in a process of its own")
    parser.add_argument("--published", action="store_true", help="encoders of the published geometry")
    parser.add_argument("--stage", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = options.device or first_device()
    if options.stage:
        name, file = options.stage
        with np.load(file) as given:
            computed = STAGES[name](side(options, device, Path(file).parent), dict(given))
        np.savez(f"{file}.out.npz", **computed)
        return 0
    return 0 if table(options, device) else 1


def side(options: argparse.Namespace, device: str, directory: Path) -> Side:
    return Side(device, options.model, options.thinker, directory)


def first_device() -> str:
    names = [device["name"] for device in omniggml.devices() if device["kind"] != "cpu"]
    if not names:
        raise SystemExit("this build and machine have no device but the CPU")
    return names[0]


# --- stages: what a model makes of arrays -----------------------------------------------------------------------------


def prompt_of(given: Arrays) -> omniggml.TalkerPrompt:
    return omniggml.TalkerPrompt(given["inputs"], given["trailing"], given["pad"])


def thinker(on: Side, given: Arrays) -> Arrays:
    return {"logits": on.model.thinker(given["tokens"].tolist()).logits}


def talker(on: Side, given: Arrays) -> Arrays:
    states = on.model.talker_states(prompt_of(given), given["codes"])
    return {"logits": states.logits, "hidden": states.hidden}


def code_predictor(on: Side, given: Arrays) -> Arrays:
    return {"logits": on.model.predictor_logits(given["hidden"], given["codes"])}


def code2wav(on: Side, given: Arrays) -> Arrays:
    return {"samples": on.model.code2wav(given["codes"])}


def audio_encoder(type_: str, on: Side, given: Arrays) -> Arrays:
    session = _native.AudioEncoderSession(on.media_encoders(type_), 0, None)
    return {"rows": session.encode(given["features"])[np.newaxis]}


def vision_encoder(type_: str, on: Side, given: Arrays) -> Arrays:
    rows, deepstack = _native.VisionEncoderSession(on.media_encoders(type_), 0, None).encode(given["patches"], SEEN)
    return {"rows": np.stack([rows, *deepstack])}


def greedy_codes(on: Side, given: Arrays) -> Arrays:
    return {"codes": on.model.talker(prompt_of(given), greedy=True, max_frames=FRAMES)}


def speech(on: Side, given: Arrays) -> Arrays:
    audio = on.model.speak(TEXT, greedy=True)
    return {"codes": audio.codes, "samples": audio.samples}


def doctor(on: Side, given: Arrays) -> Arrays:
    """What is found wrong with speeches of the device, by the doctor on the CPU and by the one on the device."""
    found = []
    for seed in SEEDS:
        audio = on.model.speak(TEXT, seed=seed)
        wav = on.encoders / f"{seed}.wav"
        audio.save(wav)
        for where in ("cpu", on.device):
            said = omniggml.diagnose(
                on.speech, thinker=on.thinker, codes=audio.codes, audio=wav, text=TEXT, device=where
            )
            if said.exit_code is not omniggml.Exit.HEALTHY:
                found.append(f"seed {seed}, doctor on {where}: {said.verdict}")
    return {"found": np.array(found, dtype=str)}


TYPES = ("f32", "f16", "q8_0")
STAGES: dict[str, Callable[[Side, Arrays], Arrays]] = {
    **{one.__name__: one for one in (thinker, talker, code_predictor, code2wav)},
    **{f"{one.__name__} {type_}": partial(one, type_) for one in (audio_encoder, vision_encoder) for type_ in TYPES},
    **{one.__name__: one for one in (greedy_codes, speech, doctor)},
}


# --- the table --------------------------------------------------------------------------------------------------------


def table(options: argparse.Namespace, device: str) -> bool:
    described = next((one["description"] for one in omniggml.devices() if one["name"] == device), "")
    print(f"{device} ({described}) against the CPU\n\n| stage | NMSE | |\n|---|---|---|")
    encoders = PUBLISHED if options.published else SMALL
    good = True
    with tempfile.TemporaryDirectory() as directory:
        for type_ in TYPES:
            write_random_encoders(encoder_file(Path(directory), type_), encoders, type_)
        cpu = side(options, "cpu", Path(directory))
        inputs = inputs_of(cpu.model, encoders)
        for name in rows(options.speeches):
            file = Path(directory) / "given.npz"
            np.savez(file, **inputs)
            there = in_a_process(options, device, name, file)
            verdict, error = judged(name, cpu, inputs, there) if isinstance(there, dict) else (there, "")
            good = good and verdict == "ok"
            print(f"| {name} | {error} | {verdict} |", flush=True)
    return good


def rows(n_speeches: int) -> list[str]:
    return [row for name in STAGES for row in [name] * (n_speeches if name == "speech" else 1)]


def inputs_of(cpu: omniggml.Model, encoders: Encoders) -> Arrays:
    """What every stage is given, as the CPU has it; numbers as log-mel features and pixels have them."""
    assert encoders.audio is not None and encoders.vision is not None
    rng = np.random.default_rng(0)
    tokens = cpu.tokenizer.encode_chat([{"role": "user", "content": QUESTION}])
    prompt = cpu.talker_prompt(tokens, cpu.tokenizer.encode(TEXT))
    codes = cpu.talker(prompt, greedy=True, max_frames=FRAMES)
    states = cpu.talker_states(prompt, codes)
    return {
        "tokens": np.array(tokens),
        "inputs": prompt.inputs,
        "trailing": prompt.trailing,
        "pad": prompt.pad,
        "codes": codes,
        "hidden": states.hidden,
        "features": rng.normal(0, 0.7, (encoders.audio.num_mel_bins, HEARD)).astype(np.float32),
        "patches": rng.normal(0, 0.7, (int(np.prod(SEEN)), 6 * encoders.vision.patch_size**2)).astype(np.float32),
    }


def in_a_process(options: argparse.Namespace, device: str, name: str, file: Path) -> Arrays | str:
    """What the stage computes there, or how its process ended."""
    command = [sys.executable, __file__, device, "--model", options.model, "--thinker", options.thinker]
    try:
        done = subprocess.run([*map(str, command), "--stage", name, str(file)], timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired:
        return f"no end within {DEADLINE} s"
    if done.returncode != 0:
        return signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
    with np.load(f"{file}.out.npz") as computed:
        return dict(computed)


def judged(name: str, cpu: Side, inputs: Arrays, there: Arrays) -> tuple[str, str]:
    """The verdict, and the largest NMSE of the arrays that hold no codes."""
    if "found" in there:
        return ("; ".join(there["found"]), "") if there["found"].size else ("ok", f"{len(SEEDS)} healthy")
    here = STAGES[name](cpu, inputs)
    if "codes" in here and not np.array_equal(here["codes"], there["codes"]):
        return "other codes", ""
    compared = [apart(values, there[part]) for part, values in here.items() if part != "codes"]
    if not compared:
        return "ok", "equal"
    error, others = max(compared)
    said = f"{error:.1e}" + (f"; {others} positions beyond it" if others else "")
    return "ok" if error <= (GATE_8_BITS if name.endswith("q8_0") else GATE) else "outside of the gate", said


def apart(here: npt.NDArray[Any], there: npt.NDArray[Any]) -> tuple[float, int]:
    """NMSE, and for how many positions it doesn't speak: where two experts come close, rounding chooses, and a position
    is another one. One in ten may be, if the likeliest token is the same everywhere."""
    differ = np.sum((there.astype(np.float64) - here) ** 2, axis=-1)
    whole = np.sum(here.astype(np.float64) ** 2, axis=-1)
    if here.ndim == 2 and np.array_equal(here.argmax(-1), there.argmax(-1)):
        other = differ > GATE * whole
        if other.mean() <= OTHER_EXPERTS:
            return float(np.sum(differ[~other]) / np.sum(whole[~other])), int(other.sum())
    return float(np.sum(differ) / np.sum(whole)), 0


if __name__ == "__main__":
    sys.exit(main())
