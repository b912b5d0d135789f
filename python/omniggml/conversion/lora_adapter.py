"""A LoRA adapter as PEFT saves it, merged into a checkpoint's tensors as they are read.

A matrix W becomes W + scale * B A, an embedding W + scale * (B A)^T; scale is alpha / rank, or alpha / sqrt(rank) where
the adapter says so. Parts that were trained whole take the place of the checkpoint's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.conversion.checkpoint_names import published_name
from omniggml.conversion.checkpoint_tensor import CheckpointTensor, read_values
from omniggml.conversion.safetensors_reader import Checkpoint, read_shard
from omniggml.conversion.whole_rows import whole_rows
from omniggml.errors import ConversionError
from omniggml.files.json_object import read_json_object
from omniggml.spec.expected_tensors import NOT_CONVERTED

FloatArray = npt.NDArray[np.float32]

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_LOW_RANK = re.compile(r"(.*)\.(lora_A|lora_B)\.weight|(.*)\.(lora_embedding_[AB])")
# Initial values that leave the base model's weights as they are; all others change them.
_HARMLESS_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
_OTHER_KINDS = ("use_dora", "lora_bias", "layer_replication", "fan_in_fan_out", "trainable_token_indices", "use_qalora")


@dataclass(frozen=True)
class LowRank:
    """What is added to a matrix [out, in]: scale * left right, of [out, rank] and [rank, in]."""

    left: FloatArray
    right: FloatArray
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.left), self.right.shape[1]

    def rows(self, first: int, last: int) -> FloatArray:
        added: FloatArray = (self.left[first:last] @ self.right) * np.float32(self.scale)
        return added


class LoraAdapter:
    """`changes`: our name of a tensor -> what is added to it; `whole`: what takes its place."""

    def __init__(self, directory: Path) -> None:
        """Raises ConversionError where it is no adapter, or one that can't be merged."""
        self.directory = directory
        self.path = directory / WEIGHTS_NAME
        self._config = read_json_object(directory / CONFIG_NAME)
        _refuse_other_kinds(directory / CONFIG_NAME, self._config)
        if not self.path.exists():
            raise ConversionError(f"{directory} holds no {WEIGHTS_NAME}: save the adapter with safetensors")
        self.changes: dict[str, LowRank] = {}
        self.whole: dict[str, CheckpointTensor] = {}
        pairs: dict[str, dict[str, CheckpointTensor]] = {}
        for name, tensor in read_shard(self.path, named=False).items():
            path = name.removeprefix(_PREFIX)
            found = _LOW_RANK.fullmatch(path)
            if found:
                pairs.setdefault(found[1] or found[3], {})[found[2] or found[4]] = tensor
            elif "lora_" in path:
                raise ConversionError(f"{self.path}: {name} is of a kind of LoRA that can't be merged here")
            else:
                self.whole[published_name(path)] = tensor
        for module, pair in pairs.items():
            self.changes[published_name(f"{module}.weight")] = self._low_rank(module, pair)

    def _low_rank(self, module: str, pair: Mapping[str, CheckpointTensor]) -> LowRank:
        embedding = "lora_embedding_A" in pair or "lora_embedding_B" in pair
        keys = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A", "lora_B")
        if any(key not in pair or len(pair[key].shape) != 2 for key in keys):
            raise ConversionError(f"{self.path}: the adapter of {module} is no pair of matrices, as linear layers have")
        down, up = (read_values(pair[key]).astype(np.float32) for key in keys)
        if len(down) != up.shape[1]:
            raise ConversionError(
                f"{self.path}: the two matrices of {module} are of the ranks {len(down)} and {up.shape[1]}"
            )
        scale = self._scale(module, len(down))
        return LowRank(down.T.copy(), up.T.copy(), scale) if embedding else LowRank(up, down, scale)

    def _scale(self, module: str, rank: int) -> float:
        alpha = self._patterned("alpha_pattern", module, self._config.get("lora_alpha"))
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
            raise ConversionError(f"{self.directory / CONFIG_NAME}: lora_alpha is {alpha!r}, expected a number")
        expected = self._patterned("rank_pattern", module, self._config.get("r"))
        if expected != rank:
            raise ConversionError(
                f"{self.path}: the adapter of {module} is of rank {rank}, {CONFIG_NAME} says {expected!r}"
            )
        return alpha / math.sqrt(rank) if self._config.get("use_rslora") else alpha / rank

    def _patterned(self, key: str, module: str, otherwise: Any) -> Any:
        """The value of the first pattern that fits the end of the module's path."""
        patterns = self._config.get(key) or {}
        try:
            return next(
                (value for pattern, value in patterns.items() if re.match(rf"(.*\.)?({pattern})$", module)), otherwise
            )
        except (re.error, AttributeError) as error:
            raise ConversionError(f"{self.directory / CONFIG_NAME}: {key} is damaged: {error}") from error


def _refuse_other_kinds(path: Path, config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise ConversionError(f"{path}: peft_type is {config.get('peft_type')!r}, only 'LORA' can be merged")
    if config.get("use_dora"):
        raise ConversionError(
            f"{path}: it is a DoRA adapter (use_dora), which can't be merged here: use peft's merge_and_unload"
        )
    start = config.get("init_lora_weights")
    if start not in _HARMLESS_STARTS:
        raise ConversionError(
            f"{path}: init_lora_weights is {start!r}, which changes the base model: use peft's merge_and_unload"
        )
    for key in (*_OTHER_KINDS, "target_parameters"):
        if config.get(key):
            raise ConversionError(
                f"{path}: {key} is {str(config[key])[:60]}, which can't be merged here: use peft's merge_and_unload"
            )


class MergedCheckpoint:
    """A checkpoint with an adapter's changes."""

    def __init__(self, base: Checkpoint, adapter: LoraAdapter) -> None:
        self.base, self.adapter = base, adapter
        self.directory, self.tensors = base.directory, base.tensors

    def sources(self) -> list[Path]:
        """Files that the values come from."""
        return [*self.base.sources(), self.adapter.path, self.adapter.directory / CONFIG_NAME]

    def check(self, used: set[str], elsewhere: tuple[str, ...]) -> None:
        """`used`: tensors that are written; `elsewhere`: prefixes of those that belong to no file asked for. Raises
        ConversionError where the adapter changes others, or these in another shape, or none."""
        shapes: dict[str, tuple[int, ...]] = {name: change.shape for name, change in self.adapter.changes.items()}
        shapes |= {name: tensor.shape for name, tensor in self.adapter.whole.items()}
        for name, shape in shapes.items():
            if name in used and shape == self.tensors[name].shape:
                continue
            if name in used or not name.startswith((*NOT_CONVERTED, *elsewhere)):
                has = f"of shape {list(self.tensors[name].shape)}" if name in self.tensors else "missing"
                raise ConversionError(
                    f"{self.adapter.path}: it changes {name} of shape {list(shape)}, which in {self.directory} is "
                    f"{has}: the adapter belongs to another model"
                )
        if not used & set(shapes):
            raise ConversionError(f"{self.adapter.directory}: the adapter changes nothing in the files asked for")

    def blocks(self, name: str) -> Iterator[FloatArray]:
        """As `Checkpoint.blocks`."""
        if name in self.adapter.whole:
            yield read_values(self.adapter.whole[name]).astype(np.float32).ravel()
            return
        change = self.adapter.changes.get(name)
        if change is None:
            yield from self.base.blocks(name)
            return
        first = 0
        for values in whole_rows(self.base.blocks(name), change.shape[1]):
            yield (values + change.rows(first, first + len(values))).ravel()
            first += len(values)
