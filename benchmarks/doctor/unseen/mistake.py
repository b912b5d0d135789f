"""A mistake as data, so that it can be written down, drawn again and graded."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Mistake:
    """`name`: what was done, for people. `stage`: "code2wav", "talker", "code_predictor", "codes", "audio" or "file".
    `kind`: a word of `grading.KINDS`. `where`: module paths any of which names the place; `*` stands for digits.

    What is done: `edits` change weights ([operation, tensor, ...], see `weights.OPERATIONS`), `choices` what a port
    does, by "path:choice" (see the ports). A key of either may hold `*`.
    """

    name: str
    stage: str
    kind: str
    where: tuple[str, ...]
    edits: tuple[tuple[Any, ...], ...] = ()
    choices: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Mistake:
        """From what `as_dict` made, by way of JSON."""
        edits = tuple(tuple(edit) for edit in data["edits"])
        return cls(**{**data, "where": tuple(data["where"]), "edits": edits})

    def __add__(self, other: Mistake) -> Mistake:
        """Both at once; what one and the other concern has to be graded apart."""
        return Mistake(
            f"{self.name}, and {other.name}",
            self.stage,
            self.kind,
            self.where,
            self.edits + other.edits,
            self.choices | other.choices,
        )

    def compatible(self, other: Mistake) -> bool:
        """Whether neither hides the other: no weight and no choice in common, and another place."""
        mine, theirs = (_touched(mistake) for mistake in (self, other))
        return not mine & theirs and not set(self.where) & set(other.where)


def _touched(mistake: Mistake) -> set[str]:
    names = {str(name) for edit in mistake.edits for name in edit[1:] if isinstance(name, str)}
    return names | set(mistake.choices)
