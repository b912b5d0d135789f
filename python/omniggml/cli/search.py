"""`omniggml quantize --search`: the table of what each layer group costs, and the policy made from it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniggml.cli.arguments import read_texts
from omniggml.cli.saying import tell
from omniggml.errors import InputError
from omniggml.loading import files_of
from omniggml.printable import printable
from omniggml.quantization.defaults import AUDIO_DAMAGE, CALIBRATION_TEXTS, CODES_DAMAGE, HELD_OUT_TEXTS, SEARCH_FRAMES
from omniggml.spec.policy import policy_names
from omniggml.whole_file import check_target

if TYPE_CHECKING:
    from omniggml.quantization.damage import Damage
    from omniggml.quantization.search import FoundPolicy

_HEAD = f"{'':35} {'type':7} {'MiB':>8} {'KL talker':>10} {'KL pred.':>10} {'agree %':>8} {'SNR dB':>7} {'LSD dB':>7}"


def add_search(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Returns the names of the options that say nothing without --search."""
    group = parser.add_argument_group("search", "measure what each layer loses, and find a policy")
    group.add_argument("--search", action="store_true", help="write a policy to OUT, NAME.toml, in the place of a file")
    codes, audio = f"default {CODES_DAMAGE:g}", f"default {AUDIO_DAMAGE:g}"
    group.add_argument("--codes-damage", type=float, default=CODES_DAMAGE, metavar="X", help=f"nats a frame; {codes}")
    group.add_argument("--audio-damage", type=float, default=AUDIO_DAMAGE, metavar="X", help=f"of the power; {audio}")
    group.add_argument("--size", metavar="MIB|POLICY", help="at most so large, or no larger than by this policy")
    group.add_argument("--text", metavar="FILE", help="one text a line to measure with; default: a few sentences")
    group.add_argument("--held-out", metavar="FILE", help="one text a line to judge the result by")
    group.add_argument("--frames", type=int, default=SEARCH_FRAMES, metavar="N", help=f"of each text; {SEARCH_FRAMES}")
    group.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; default: all usable")
    return ("codes_damage", "audio_damage", "size", "text", "held_out", "frames", "threads")


def run_search(args: argparse.Namespace, target: Path) -> int:
    """Search, print the table, write the policy. Raises InputError for what can't be searched with."""
    from omniggml.quantization.policy_file import write_policy
    from omniggml.quantization.search import compare_policies, search_policy

    if target.suffix != ".toml":
        raise InputError(f"{target} is where the policy goes; give it a name that ends in .toml")
    inputs = [args.source, *files_of(args.source), args.text, args.held_out, args.size]
    check_target(target, inputs)
    held_out = read_texts(args.held_out, HELD_OUT_TEXTS)
    shown = sys.stderr.isatty()
    found = search_policy(
        args.source,
        name=target.stem,
        codes_damage=args.codes_damage,
        audio_damage=args.audio_damage,
        size=_size(args.size),
        texts=read_texts(args.text, CALIBRATION_TEXTS),
        held_out=held_out,
        max_frames=args.frames,
        n_threads=args.threads,
        announce=_announce if shown else None,
    )
    if shown:
        print(f"\r{'':78}\r", end="", file=sys.stderr)
    _print_measured(found)
    tell("", "on texts that had no part in choosing:", _HEAD)
    tell(_line(found.policy.name, "", found.nbytes, found.held_out))
    plain = compare_policies(
        args.source, policy_names(), texts=held_out, max_frames=args.frames, n_threads=args.threads
    )
    for name, (nbytes, damage) in plain.items():
        tell(_line(name, "", nbytes, damage))
    write_policy(target, found.policy, _remarks(found, Path(args.source)), inputs)
    tell("", f"{target}: omniggml quantize {args.source} OUT --policy {target}")
    return 0


def _announce(what: str) -> None:
    print(f"\r{printable(what):78.78}", end="", file=sys.stderr, flush=True)


def _print_measured(found: FoundPolicy) -> None:
    tell("each layer group alone; * is what was chosen", _HEAD)
    for choice in found.measured:
        mark = "*" if choice in found.chosen else " "
        tell(_line(choice.group.name, f"{choice.type}{mark}", choice.nbytes, choice.damage))
    tell(_line("the chosen together", "", found.nbytes, found.damage))
    for side in sorted({choice.group.side for choice in found.measured} - {c.group.side for c in found.chosen}):
        tell(f"no choice of types keeps to the damage asked for on the side of the {side}: these layers stay in F32")


def _line(name: str, type_: str, nbytes: int, damage: Damage) -> str:
    numbers = (f"{damage.talker_kl:10.2e}", f"{damage.predictor_kl:10.2e}", f"{damage.agreement:8.2f}")
    sound = (f"{damage.snr:7.1f}", f"{damage.distance:7.2f}")
    columns = " ".join(number.replace("nan", "  -") for number in (*numbers, *sound))
    return f"{name:35} {type_:7} {nbytes / 2**20:8.2f} {columns}"


def _remarks(found: FoundPolicy, source: Path) -> Sequence[str]:
    return (
        f"Found by `omniggml quantize {source.name} {found.policy.name}.toml --search`.",
        f"{found.nbytes / 2**20:.2f} MiB of tensors. On texts that had no part in choosing it:",
        _HEAD,
        _line(found.policy.name, "", found.nbytes, found.held_out),
    )


def _size(given: str | None) -> int | str | None:
    try:
        return None if given is None else int(float(given) * 2**20)
    except (ValueError, OverflowError):
        return given
