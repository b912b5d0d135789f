"""Rows of the parity table: one module of one geometry, converted to one type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from parity.cases import FloatArray
from parity.metrics import GATES, Agreement, agreement

# Modules of the reference whose output the engine has no tensor for.
_WITHOUT_TENSOR = re.compile(
    r"thinker|thinker\.audio_tower|thinker\.visual|thinker\.model|thinker\.model\.language_model"  # wrappers
    r"|talker\.model|talker\.code_predictor\.model"
    r"|.*\.rotary_(pos_)?emb"  # sines and cosines, not activations
    r"|thinker\.visual\.pos_embed"  # the rows of a table of which a position is the mean
    r"|thinker\.visual\.patch_embed\.proj"  # in five dimensions what patch_embed hands on
    r"|.*\.layers\..*\.act_fn"  # one operation with the product that follows
    r"|code2wav\.(upsample\.\d+\.0|decoder\.\d+\.block\.1)\.conv"  # untrimmed; the engine never computes the margins
    r"|code2wav\..*\.[qk]_norm"  # identities
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    module: str
    geometry: str
    type: str
    agreement: Agreement

    @property
    def passes(self) -> bool:
        return self.agreement.inside(GATES[self.type])

    @property
    def stage(self) -> str:
        """The part of the model."""
        if self.module.startswith("talker.code_predictor."):
            return "code predictor"
        if self.module.startswith("thinker.audio_tower."):
            return "audio encoder"
        if self.module.startswith("thinker.visual."):
            return "image encoder"
        return self.module.split(".")[0].split(" ")[0]

    @property
    def kind(self) -> str:
        """The module with `*` for numbers: the same place in every layer."""
        return re.sub(r"\.\d+(?=\.|$)", ".*", self.module)


def compare(
    geometry: str, type_: str, captured: Mapping[str, FloatArray], reference: Mapping[str, FloatArray]
) -> list[Row]:
    """A row for every captured module.

    Raises ValueError when a captured name is not the reference's, or a module of the reference was not captured.
    """
    unknown = sorted(set(captured) - set(reference))
    missing = sorted(name for name in set(reference) - set(captured) if not _WITHOUT_TENSOR.fullmatch(name))
    if unknown or missing:
        raise ValueError(f"names that transformers doesn't have: {unknown}; modules without a name: {missing}")
    return [Row(name, geometry, type_, agreement(captured[name], reference[name])) for name in sorted(captured)]


def worst_of_kind(rows: Iterable[Row]) -> list[Row]:
    """For each kind of module, geometry and type, the row that is furthest up its gate, in the order they came."""
    worst: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        key = (row.geometry, row.type, row.kind)
        if key not in worst or strain(row) > strain(worst[key]):
            worst[key] = row
    return list(worst.values())


def strain(row: Row) -> float:
    """How far up its gate a row is: above 1 it is outside."""
    gate, seen = GATES[row.type], row.agreement
    parts = ((1 - seen.cosine) / (1 - gate.cosine), seen.nmse / gate.nmse, abs(seen.gain - 1) / gate.gain)
    return max(float("inf") if part != part else part for part in parts)
