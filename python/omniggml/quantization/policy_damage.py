"""What policies do to a speech file, by quantizing it and listening."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from pathlib import Path

from omniggml.errors import InputError
from omniggml.files.opening import open_file
from omniggml.gguf.header import StoredTensor, read_header
from omniggml.gguf.type_names import bits_of
from omniggml.loading import load
from omniggml.model import Model
from omniggml.options import check_integer
from omniggml.quantization.damage import Damage, damage
from omniggml.quantization.quantizer import full_name, quantize
from omniggml.quantization.teacher_forcing import CalibrationItem, ForcedOutputs, calibration_set, teacher_forced
from omniggml.spec.policy import Policy


class Tensors:
    """The tensors of a speech file under the names that policies have for them. `left`: bytes of those that belong to
    no stage, which every policy leaves as they are."""

    def __init__(self, source: Path) -> None:
        """Raises ModelFileError for a file of no known family."""
        header = read_header(source)
        family = open_file(source).family
        self.of: dict[str, StoredTensor] = {}
        self.left = 0
        for stored in header.tensors.values():
            place = family.place_of(stored.name) if family else None
            if place is None:
                self.left += stored.nbytes
            else:
                self.of[f"{full_name(place.name)}#{stored.name}"] = stored

    def named(self) -> Iterator[tuple[str, StoredTensor]]:
        """(name for policies, tensor)"""
        for name, stored in self.of.items():
            yield name.partition("#")[0], stored

    def nbytes(self, policy: Policy) -> int:
        """Bytes of all tensors under a policy."""
        return self.left + sum(nbytes_as(s, policy.type_of(name, s.shape)) for name, s in self.named())


def nbytes_as(stored: StoredTensor, type_: str) -> int:
    """Bytes of a tensor in a type."""
    return round(prod(stored.shape) * bits_of(type_) / 8)


class DamageMeter:
    """Holds what a file says to some texts, and compares with that what it says when quantized."""

    def __init__(self, source: Path, texts: Sequence[str], max_frames: int, n_threads: int = 0) -> None:
        """Raises InputError where the file says nothing."""
        if not texts:
            raise InputError("there is no text to measure with")
        check_integer("max_frames", max_frames, 1)
        self.source = source
        self._n_threads = n_threads
        self._directory = tempfile.TemporaryDirectory(prefix="omniggml-search-")
        model = _loaded(source, n_threads)
        self._items: list[CalibrationItem] = calibration_set(model, texts, max_frames)
        self._reference: list[ForcedOutputs] = [teacher_forced(model, item) for item in self._items]

    def damage_of(self, policy: Policy, side: str | None = None) -> Damage:
        """What a policy does; on one side only, "codes" or "audio", where it can't do anything on the other."""
        path = Path(self._directory.name) / "candidate.gguf"
        quantize(self.source, path, policy=policy)
        model = _loaded(path, self._n_threads)
        found = [teacher_forced(model, item, talker=side != "audio", vocoder=side != "codes") for item in self._items]
        return damage(_one_side(self._reference, side), found)


def _loaded(path: Path, n_threads: int) -> Model:
    """Computed in float32: with "auto" the vocoder's arithmetic would follow the type of one of its layers."""
    return load(path, n_threads=n_threads, vocoder_precision="f32")


def _one_side(thoughts: Iterable[ForcedOutputs], side: str | None) -> Iterator[ForcedOutputs]:
    for one in thoughts:
        talker, predictor = (one.talker[:0], one.predictor[:0]) if side == "audio" else (one.talker, one.predictor)
        yield ForcedOutputs(talker, predictor, one.samples[:0] if side == "codes" else one.samples)
