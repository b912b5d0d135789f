"""From the damage of each layer group in each type to the types that are worth their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from omniggml.errors import InputError
from omniggml.quantization.damage import Damage
from omniggml.quantization.groups import GROUPS, Group
from omniggml.spec.policy import Policy
from omniggml.spec.precision_needs import NEEDS

_KEPT = "F32"
_ALWAYS_KEPT = tuple((need.pattern, _KEPT) for need in NEEDS if need.always)
_HIGHEST_PRICE = 60.0  # a logarithm of base 2
_ROUNDS = 12  # of measuring
_HALVINGS = 60


@dataclass(frozen=True)
class Choice:
    """A group in a type: bytes, and the damage of quantizing nothing but it."""

    group: Group
    type: str
    nbytes: int
    damage: Damage

    @property
    def loss(self) -> float:
        """The damage on the group's own side."""
        return self.damage.on(self.group.side)


Choices = tuple[Choice, ...]


def policy_of(types: Mapping[Group, str], name: str) -> Policy:
    """The policy that gives each group its type, and keeps what is in no group."""
    rules = ((pattern, types.get(group, _KEPT)) for group in GROUPS for pattern in group.patterns)
    return Policy(name, (*_ALWAYS_KEPT, *rules), _KEPT)


def types_of(choices: Iterable[Choice]) -> dict[Group, str]:
    return {choice.group: choice.type for choice in choices}


def cheapest(choices: Sequence[Choice], price: float, targets: Mapping[str, float]) -> Choices:
    """For each group the choice of fewest bytes, where damage as large as its side's target costs `price` bytes."""
    best: dict[Group, tuple[float, Choice]] = {}
    for choice in choices:
        bill = choice.nbytes + price * choice.loss / targets[choice.group.side]
        if choice.group not in best or bill < best[choice.group][0]:
            best[choice.group] = (bill, choice)
    return tuple(choice for _, choice in best.values())


def smallest(choices: Sequence[Choice], side: str, target: float, measure: Callable[[Choices], float]) -> Choices:
    """The lowest price of damage at which all choices of a side together, as they are heard, keep to the target.

    Nothing, so that everything stays, where even the best types lose more than that.
    """
    own = [choice for choice in choices if choice.group.side == side]
    low, high = 0.0, _HIGHEST_PRICE
    best: Choices = ()
    known: dict[Choices, float] = {}
    for _ in range(_ROUNDS if own else 0):
        middle = (low + high) / 2
        chosen = cheapest(own, 2**middle, {side: target})
        if chosen not in known:
            known[chosen] = measure(chosen)
        if known[chosen] <= target:
            best, high = chosen, middle
        else:
            low = middle
    return best


def best_within(choices: Sequence[Choice], room: int, targets: Mapping[str, float]) -> Choices:
    """The highest price of damage at which the choices take at most `room` bytes.

    Raises InputError where even the smallest types take more.
    """
    low, high = -_HIGHEST_PRICE, _HIGHEST_PRICE
    if _nbytes(cheapest(choices, 2**low, targets)) > room:
        raise InputError(f"no choice of types leaves {room / 2**20:.1f} MiB for the layers that have a choice")
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = _nbytes(cheapest(choices, 2**middle, targets)) <= room
        low, high = (middle, high) if fits else (low, middle)
    return _filled(cheapest(choices, 2**low, targets), choices, room, targets)


def _filled(chosen: Choices, choices: Sequence[Choice], room: int, targets: Mapping[str, float]) -> Choices:
    """What is left of the room goes to the groups that gain most by it: prices alone leave gaps."""
    held = {choice.group: choice for choice in chosen}
    while True:
        left = room - _nbytes(held.values())
        better = [
            choice
            for choice in choices
            if choice.loss < held[choice.group].loss and choice.nbytes - held[choice.group].nbytes <= left
        ]
        if not better:
            return tuple(held.values())
        gain = max(better, key=lambda c: (held[c.group].loss - c.loss) / targets[c.group.side])
        held[gain.group] = gain


def _nbytes(choices: Iterable[Choice]) -> int:
    return sum(choice.nbytes for choice in choices)
