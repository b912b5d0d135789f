"""Print how closely a device follows the CPU: stage by stage, then whole speeches.

    python tests/device_parity.py [DEVICE] [--model FILE] [--thinker FILE] [--speeches N]

DEVICE is a name from `omniggml devices`; the first that is no CPU where none is given. Every stage gets what the CPU
computed before it and runs in a process of its own, so that a driver that dies costs one row. Ends with status 1 when a
stage is outside of the gate, dies, or a greedy speech has other codes.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import omniggml
from omniggml.loading import BUILT_IN

Arrays = dict[str, npt.NDArray[Any]]

GATE = 1e-4  # NMSE, as of F16: devices compute products in their own precision
OTHER_EXPERTS = 0.1
DEADLINE = 600
TEXT = "good morning, how are you today"
QUESTION = "what is the capital of france"
FRAMES = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", nargs="?", help="a name from `omniggml devices`")
    parser.add_argument("--model", type=Path, default=BUILT_IN, help="a speech file; default: the built-in voice")
    parser.add_argument("--thinker", type=Path, default=BUILT_IN.with_name("voice-thinker.gguf"), help="its thinker")
    parser.add_argument("--speeches", type=int, default=3, help="whole speeches, each in a process of its own")
    parser.add_argument("--stage", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = options.device or first_device()
    if options.stage:
        name, file = options.stage
        with np.load(file) as given:
            computed = STAGES[name](opened(options, device), dict(given))
        np.savez(f"{file}.out.npz", **computed)
        return 0
    return 0 if table(options, device) else 1


def first_device() -> str:
    names = [device["name"] for device in omniggml.devices() if device["kind"] != "cpu"]
    if not names:
        raise SystemExit("this build and machine have no device but the CPU")
    return names[0]


def opened(options: argparse.Namespace, device: str) -> omniggml.Model:
    return omniggml.load(options.model, thinker=options.thinker, device=device)


# --- stages: what a model makes of arrays -----------------------------------------------------------------------------


def prompt_of(given: Arrays) -> omniggml.TalkerPrompt:
    return omniggml.TalkerPrompt(given["inputs"], given["trailing"], given["pad"])


def thinker(model: omniggml.Model, given: Arrays) -> Arrays:
    return {"logits": model.thinker(given["tokens"].tolist()).logits}


def talker(model: omniggml.Model, given: Arrays) -> Arrays:
    states = model.talker_states(prompt_of(given), given["codes"])
    return {"logits": states.logits, "hidden": states.hidden}


def code_predictor(model: omniggml.Model, given: Arrays) -> Arrays:
    return {"logits": model.predictor_logits(given["hidden"], given["codes"])}


def code2wav(model: omniggml.Model, given: Arrays) -> Arrays:
    return {"samples": model.code2wav(given["codes"])}


def greedy_codes(model: omniggml.Model, given: Arrays) -> Arrays:
    return {"codes": model.talker(prompt_of(given), greedy=True, max_frames=FRAMES)}


def speech(model: omniggml.Model, given: Arrays) -> Arrays:
    audio = model.speak(TEXT, greedy=True)
    return {"codes": audio.codes, "samples": audio.samples}


STAGES = {one.__name__: one for one in (thinker, talker, code_predictor, code2wav, greedy_codes, speech)}


# --- the table --------------------------------------------------------------------------------------------------------


def table(options: argparse.Namespace, device: str) -> bool:
    cpu = opened(options, "cpu")
    inputs = inputs_of(cpu)
    described = next((one["description"] for one in omniggml.devices() if one["name"] == device), "")
    print(f"{device} ({described}) against the CPU\n\n| stage | NMSE | |\n|---|---|---|")
    good = True
    with tempfile.TemporaryDirectory() as directory:
        for name in [*list(STAGES)[:-1], *["speech"] * options.speeches]:
            file = Path(directory) / f"{name}.npz"
            np.savez(file, **inputs)
            there = in_a_process(options, device, name, file)
            verdict, error = judged(STAGES[name](cpu, inputs), there) if isinstance(there, dict) else (there, "")
            good = good and verdict == "ok"
            print(f"| {name} | {error} | {verdict} |", flush=True)
    return good


def inputs_of(cpu: omniggml.Model) -> Arrays:
    """What every stage is given, as the CPU has it."""
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


def judged(here: Arrays, there: Arrays) -> tuple[str, str]:
    """The verdict, and the largest NMSE of the arrays that hold no codes."""
    if "codes" in here and not np.array_equal(here["codes"], there["codes"]):
        return "other codes", ""
    compared = [apart(values, there[name]) for name, values in here.items() if name != "codes"]
    if not compared:
        return "ok", "equal"
    error, others = max(compared)
    said = f"{error:.1e}" + (f"; {others} positions beyond it" if others else "")
    return "ok" if error <= GATE else "outside of the gate", said


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
