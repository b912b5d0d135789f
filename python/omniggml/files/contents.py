"""Which of our tensors are in one or several files, whatever they are called there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omniggml.errors import ModelFileError
from omniggml.files.families import MERGED_PATH, Family, Layout, Place
from omniggml.gguf.header import Header, StoredTensor
from omniggml.spec.speech_file import short_name

_MOST_STACKED = 1024  # more than any model has; a file may claim anything


@dataclass(frozen=True)
class Part:
    """A stored tensor, in file number `file`, that is tensor `expert` of those that make up one of ours; or its row
    `slice` of `slices`, where it is a stack of several of ours."""

    file: int
    expert: int
    stored: StoredTensor
    layout: Layout
    slice: int = 0
    slices: int = 1


@dataclass
class Contents:
    """Our name of a tensor -> what it is made of. `unknown`: stored tensors that belong nowhere. `holders`: the files
    that tensors come from, by the beginning of our names, the last that fits."""

    parts: dict[str, list[Part]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    holders: dict[str, Path] = field(default_factory=dict)

    def add(self, header: Header, family: Family, file: int, prefix: str = "") -> None:
        """Add the tensors of a file whose names in our layout begin with `prefix`, in the place of those there."""
        found: dict[str, list[Part]] = {}
        self.holders[prefix] = header.path
        first = family.first_shifted(header.tensors)
        for stored in header.tensors.values():
            place = family.place_of(stored.name, first)
            if place is None:
                if not stored.name.startswith(family.ignored or ("\0",)):
                    self.unknown.append(stored.name)
            elif place.name.startswith(prefix) and not place.name.startswith(family.ignored or ("\0",)):
                for name, part in _parts(place, file, stored):
                    found.setdefault(name, []).append(part)
        for name, parts in found.items():
            parts.sort(key=lambda part: part.expert)
            if [part.expert for part in parts] != list(range(len(parts))):
                raise ModelFileError(f"{header.path} lacks some of the experts of {name}; convert the model again")
        self.parts.update(found)

    def without(self, prefixes: tuple[str, ...]) -> Contents:
        """The contents but for tensors whose names begin with one of these."""
        kept = {name: parts for name, parts in self.parts.items() if not name.startswith(prefixes)}
        return Contents(kept, holders=self.holders)

    def holder(self, name: str) -> Path:
        """The file that a tensor comes from, or should; a name's beginning will do, such as "code2wav."."""
        found = [path for prefix, path in self.holders.items() if name.startswith(prefix)]
        return found[-1] if found else Path()

    def blame(self, name: str, what: str) -> ModelFileError:
        """The error that says it of the file that a tensor comes from."""
        return ModelFileError(f"{self.holder(name)} can't be used: {what}")

    def holds(self, prefix: str) -> bool:
        """Whether any name begins with this."""
        return any(name.startswith(prefix) for name in self.parts)

    # --- shapes -----------------------------------------------------------------------------------------------------

    def size(self, name: str) -> int:
        """Values of a tensor. Raises KeyError where it is not there."""
        return sum(part.stored.size // part.slices for part in self.parts[short_name(name)])

    def rows(self, name: str) -> int:
        """Outputs of a matrix; of one expert where experts are many."""
        return self._matrix(name)[-2]

    def columns(self, name: str) -> int:
        """Inputs of a matrix."""
        return self._matrix(name)[-1]

    def experts(self, name: str) -> int:
        """How many experts a tensor holds."""
        parts = self.parts[short_name(name)]
        return len(parts) if len(parts[0].stored.shape) < 3 else parts[0].stored.shape[0]

    def _matrix(self, name: str) -> tuple[int, ...]:
        part = self.parts[short_name(name)][0]
        shape = part.stored.shape
        if part.slices > 1 and len(shape) == 3:
            return shape[0] * shape[1] // part.slices, shape[2]
        return shape if len(shape) > 1 else (1, *shape)

    def numbers(self, template: str) -> int:
        """How many of `template` with {n} = 0, 1, ... there are, without a gap."""
        n = 0
        while short_name(template.format(n=n)) in self.parts:
            n += 1
        return n


def _parts(place: Place, file: int, stored: StoredTensor) -> Iterator[tuple[str, Part]]:
    """Our names of a stored tensor, and what it is to each."""
    file += stored.member
    if place.name.removesuffix(".weight").endswith(MERGED_PATH) and len(stored.shape) == 3:
        yield from _halves(place, file, stored)
        return
    if "{n}" not in place.name:
        yield place.name, Part(file, place.expert, stored, place.layout)
        return
    slices = stored.shape[0] if len(stored.shape) == 3 else 1
    for n in range(min(slices, _MOST_STACKED)):
        yield place.name.format(n=n), Part(file, 0, stored, place.layout, n, slices)


def _halves(place: Place, file: int, stored: StoredTensor) -> Iterator[tuple[str, Part]]:
    """Gates and ups of experts that have both in one tensor."""
    experts = stored.shape[0]
    for half, path in enumerate(("gate_proj", "up_proj")):
        name = f"{place.name.removesuffix('.weight').removesuffix('gate_up_proj')}{path}.weight"
        for expert in range(min(experts, _MOST_STACKED)):
            yield name, Part(file, expert, stored, place.layout, 2 * expert + half, 2 * experts)
