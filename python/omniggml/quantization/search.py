"""Which layers must stay high? Each group of layers is quantized alone and listened to; then the smallest file is
looked for that stays inside a damage, or the least damage inside a size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from omniggml.checked import checked
from omniggml.errors import InputError
from omniggml.gguf.header import StoredTensor
from omniggml.hub_file import local_file
from omniggml.options import check_integer, check_positive
from omniggml.quantization.choosing import Choice, Choices, best_within, policy_of, smallest, types_of
from omniggml.quantization.damage import Damage
from omniggml.quantization.defaults import AUDIO_DAMAGE, CALIBRATION_TEXTS, CODES_DAMAGE, HELD_OUT_TEXTS, SEARCH_FRAMES
from omniggml.quantization.groups import Group, group_of
from omniggml.quantization.policy_damage import DamageMeter, Tensors, nbytes_as
from omniggml.spec.policy import Policy, read_policy

LADDER = ("F16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "IQ4_NL", "Q3_K")
"""Types that a group may have, the best first."""

Announce = Callable[[str], None]


@dataclass(frozen=True)
class FoundPolicy:
    """A policy, and what it was made from. `measured`: every choice that was looked at; `chosen`: one for each group.
    `nbytes`: of the file's tensors. `held_out`: damage on texts that had no part in choosing."""

    policy: Policy
    measured: Choices
    chosen: Choices
    nbytes: int
    damage: Damage
    held_out: Damage


@checked
def search_policy(
    source: str | os.PathLike[str],
    *,
    name: str = "searched",
    codes_damage: float = CODES_DAMAGE,
    audio_damage: float = AUDIO_DAMAGE,
    size: int | str | None = None,
    texts: Sequence[str] = CALIBRATION_TEXTS,
    held_out: Sequence[str] = HELD_OUT_TEXTS,
    max_frames: int = SEARCH_FRAMES,
    n_threads: int = 0,
    announce: Announce | None = None,
) -> FoundPolicy:
    """Find a policy called `name` for the speech file `source`, which has to be in F32, F16 or BF16.

    The smallest file whose talker and code predictor lose at most `codes_damage` nats a frame, and whose waveform is
    wrong by at most `audio_damage` of its power. With `size`, in bytes of tensors or as the policy whose file may not
    be passed: the least damage of both, each by its share of what it may be, in a file of at most that size. `texts`
    are measured with, up to `max_frames` frames of each; `held_out` only judges the result. `announce` is told what is
    being measured.

    Raises InputError for a quantized source, for one that says nothing, and where no file is small enough.
    """
    path = local_file(source)
    say = announce or (lambda what: None)
    targets = {"codes": codes_damage, "audio": audio_damage}
    check_positive("codes_damage", codes_damage)
    check_positive("audio_damage", audio_damage)
    if not isinstance(size, str) and size is not None:
        check_integer("size", size, 1)
    if not held_out:
        raise InputError("held_out is empty; the result is judged by it")
    tensors = Tensors(path)
    room = tensors.nbytes(read_policy(size)) if isinstance(size, str) else size
    meter = DamageMeter(path, texts, max_frames, n_threads)
    groups = _groups(tensors)
    measured = tuple(_measured(meter, groups, say))
    if room is None:
        chosen = _within_damage(meter, measured, targets, say)
    else:
        kept = tensors.nbytes(policy_of({}, name))
        free = sum(nbytes_as(stored, "F32") for group in groups.values() for _, stored in group)
        chosen = best_within(measured, room - (kept - free), targets)
    policy = policy_of(types_of(chosen), name)
    say("the policy that was found")
    judge = DamageMeter(path, held_out, max_frames, n_threads)
    return FoundPolicy(
        policy, measured, chosen, tensors.nbytes(policy), meter.damage_of(policy), judge.damage_of(policy)
    )


@checked
def compare_policies(
    source: str | os.PathLike[str],
    policies: Sequence[str],
    *,
    texts: Sequence[str] = HELD_OUT_TEXTS,
    max_frames: int = SEARCH_FRAMES,
    n_threads: int = 0,
) -> dict[str, tuple[int, Damage]]:
    """Policy -> bytes of the file's tensors, and its damage on `texts`. Policies are names or .toml files."""
    path = local_file(source)
    meter = DamageMeter(path, texts, max_frames, n_threads)
    tensors = Tensors(path)
    read = {name: read_policy(name) for name in policies}
    return {name: (tensors.nbytes(policy), meter.damage_of(policy)) for name, policy in read.items()}


def _groups(tensors: Tensors) -> dict[Group, list[tuple[str, StoredTensor]]]:
    """The tensors that have a choice, by group."""
    found: dict[Group, list[tuple[str, StoredTensor]]] = {}
    for name, stored in tensors.named():
        group = group_of(name)
        if group is not None and policy_of({group: "F16"}, "").type_of(name, stored.shape) != "F32":
            found.setdefault(group, []).append((name, stored))
    if not found:
        raise InputError("this file has no layer whose type could be chosen: it is no speech file")
    return found


def _measured(
    meter: DamageMeter, groups: dict[Group, list[tuple[str, StoredTensor]]], say: Announce
) -> Iterator[Choice]:
    for group, tensors in groups.items():
        seen: set[tuple[str, ...]] = set()
        for type_ in LADDER:
            alone = policy_of({group: type_}, "alone")
            types = tuple(alone.type_of(name, stored.shape) for name, stored in tensors)
            if types not in seen:  # a type that rows of this length can't have is another of the ladder
                seen.add(types)
                say(f"{group.name} in {type_}")
                nbytes = sum(nbytes_as(stored, given) for (_, stored), given in zip(tensors, types, strict=True))
                yield Choice(group, type_, nbytes, meter.damage_of(alone, group.side))


def _within_damage(meter: DamageMeter, measured: Choices, targets: dict[str, float], say: Announce) -> Choices:
    """Each side alone: what the talker loses does not show in the audio of given codes, nor the other way about."""

    def measure(chosen: Choices) -> float:
        side = chosen[0].group.side
        say(f"{side} together, in {sum(choice.nbytes for choice in chosen) / 2**20:.1f} MiB")
        return meter.damage_of(policy_of(types_of(chosen), "together"), side).on(side)

    return tuple(choice for side, target in targets.items() for choice in smallest(measured, side, target, measure))
