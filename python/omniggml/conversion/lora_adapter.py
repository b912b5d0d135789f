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
from omniggml.printable import shown
from omniggml.spec.expected_tensors import NOT_CONVERTED

FloatArray = npt.NDArray[np.float32]

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_LOW_RANK = re.compile(r"(.*)\.(lora_A|lora_B)\.weight|(.*)\.(lora_embedding_[AB])")
# Initial values that leave the base model's weights as they are; all others change them.
_HARMLESS_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
# Settings that say nothing of the values, or that are heeded here. Any other one that is set is refused.
_HEEDED = (
    *("task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
    *("inference_mode", "r", "rank_pattern", "lora_alpha", "alpha_pattern", "use_rslora", "lora_dropout", "bias"),
    *("target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern"),
    *("init_lora_weights", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config"),
    *("megatron_core", "runtime_config", "qalora_group_size", "ensure_weight_tying"),
)
# Modules that a person may train by themselves; the adapter's names begin within them. With the class that PEFT notes.
_TRAINED_ALONE = {
    "": "ForConditionalGeneration",
    "thinker.": "ThinkerForConditionalGeneration",
    "talker.": "TalkerForConditionalGeneration",
    "code2wav.": "Code2Wav",
    "thinker.model.": "ThinkerModel",
    "thinker.model.language_model.": "ThinkerTextModel",
    "thinker.audio_tower.": "AudioEncoder",
    "thinker.visual.": "VisionEncoder",
    "talker.model.": "TalkerModel",
    "talker.code_predictor.": "TalkerCodePredictorModelForConditionalGeneration",
    "talker.code_predictor.model.": "TalkerCodePredictorModel",
    "code2wav.pre_transformer.": "Code2WavTransformerModel",
}


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
        with np.errstate(over="ignore", invalid="ignore"):  # said of the sum
            added: FloatArray = (self.left[first:last] @ self.right) * np.float32(self.scale)
        return added


class LoraAdapter:
    """`changes`: tensor -> what is added to it; `whole`: what takes its place. Names are the adapter's, within the
    module that was trained."""

    def __init__(self, directory: Path) -> None:
        """Raises ConversionError where it is no adapter, or one that can't be merged."""
        self.directory = directory
        self.path = directory / WEIGHTS_NAME
        if not (directory / CONFIG_NAME).exists():
            raise ConversionError(f"{directory} is no adapter of PEFT's: it holds no {CONFIG_NAME}")
        self._config = read_json_object(directory / CONFIG_NAME)
        _refuse_other_kinds(directory / CONFIG_NAME, self._config)
        if not self.path.exists():
            raise ConversionError(f"{directory} holds no {WEIGHTS_NAME}: save the adapter with safetensors")
        self.changes: dict[str, LowRank] = {}
        self.whole: dict[str, CheckpointTensor] = {}
        pairs: dict[str, dict[str, CheckpointTensor]] = {}
        seen: dict[str, str] = {}
        for name, tensor in read_shard(self.path, named=False).items():
            # Biases, and the tables of embeddings, are saved of the layer that is wrapped.
            path = name.removeprefix(_PREFIX).replace(".base_layer.", ".")
            found = _LOW_RANK.fullmatch(path)
            if path in seen:
                raise ConversionError(f"{self.path} holds {path} twice, as {seen[path]} and as {name}")
            seen[path] = name
            if found:
                pairs.setdefault(found[1] or found[3], {})[found[2] or found[4]] = tensor
            elif "lora_" in path:
                raise ConversionError(f"{self.path}: {name} is of a kind of LoRA that can't be merged here")
            else:
                self.whole[path] = tensor
        for module, pair in pairs.items():
            self.changes[f"{module}.weight"] = self._low_rank(module, pair)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor -> its shape, of all that is changed."""
        changed = {name: change.shape for name, change in self.changes.items()}
        return {**changed, **{name: tensor.shape for name, tensor in self.whole.items()}}

    def trained_class(self) -> str:
        """The class of the module that was trained, less the model's name; "" where PEFT noted none."""
        mapping = self._config.get("auto_mapping")
        name = mapping.get("base_model_class") if isinstance(mapping, dict) else None
        return name.removeprefix("Qwen3OmniMoe") if isinstance(name, str) else ""

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
            raise ConversionError(f"{self.directory / CONFIG_NAME}: lora_alpha is {shown(alpha)}, expected a number")
        expected = self._patterned("rank_pattern", module, self._config.get("r"))
        if expected != rank:
            raise ConversionError(
                f"{self.path}: the adapter of {module} is of rank {rank}, {CONFIG_NAME} says {shown(expected)}"
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
        raise ConversionError(f"{path}: peft_type is {shown(config.get('peft_type'))}, only 'LORA' can be merged")
    if config.get("use_dora"):
        raise ConversionError(
            f"{path}: it is a DoRA adapter (use_dora), which can't be merged here: use peft's merge_and_unload"
        )
    start = config.get("init_lora_weights")
    if start not in _HARMLESS_STARTS:
        raise ConversionError(
            f"{path}: init_lora_weights is {shown(start)}, which changes the base model: use peft's merge_and_unload"
        )
    for key, value in config.items():
        if value and key not in _HEEDED:
            raise ConversionError(
                f"{path}: {key} is {str(value)[:60]}, which can't be merged here: use peft's merge_and_unload"
            )


class MergedCheckpoint:
    """A checkpoint with an adapter's changes."""

    def __init__(self, base: Checkpoint, adapter: LoraAdapter) -> None:
        """Raises ConversionError where it doesn't follow which part of the model the adapter was trained on."""
        self.base, self.adapter = base, adapter
        self.directory, self.tensors = base.directory, base.tensors
        within = self._trained_module()
        self.changes = {published_name(f"{within}{name}"): change for name, change in adapter.changes.items()}
        self.whole = {published_name(f"{within}{name}"): tensor for name, tensor in adapter.whole.items()}

    def sources(self) -> list[Path]:
        """Files that the values come from."""
        return [*self.base.sources(), self.adapter.path, self.adapter.directory / CONFIG_NAME]

    def _trained_module(self) -> str:
        """The path of the module that the adapter's names are within: where all of them fit; where they fit in several
        places, by the class that PEFT noted."""
        shapes = self.adapter.shapes()
        named = {
            prefix: {published_name(f"{prefix}{name}"): shape for name, shape in shapes.items()}
            for prefix in _TRAINED_ALONE
        }
        fitting: dict[frozenset[str], str] = {}
        for prefix, changed in named.items():
            # An encoder that isn't there is no place to fit in.
            if prefix in NOT_CONVERTED and not self.base.lists_below(prefix):
                continue
            if all(self._fits(name, shape) for name, shape in changed.items()):
                fitting.setdefault(frozenset(changed), prefix)
        noted = self.adapter.trained_class()
        by_class = [prefix for prefix in fitting.values() if _TRAINED_ALONE[prefix] == noted]
        if len(fitting) > 1 and not by_class:
            places = " and ".join(prefix.rstrip(".") or "the whole model" for prefix in fitting.values())
            raise ConversionError(
                f"{self.adapter.path}: its tensors fit {places} alike: begin their names with the path of the module "
                f"that was trained, as {_PREFIX}talker."
            )
        return next(iter([*by_class, *fitting.values()]), "")

    def _fits(self, name: str, shape: tuple[int, ...]) -> bool:
        stored = self.tensors.get(name)
        if stored is not None:
            return stored.shape == shape
        encoder = next((prefix for prefix in NOT_CONVERTED if name.startswith(prefix)), None)
        return self.base.lists(name) or (encoder is not None and not self.base.lists_below(encoder))

    def check(self, used: set[str], elsewhere: tuple[str, ...]) -> list[str]:
        """`used`: tensors that are written; `elsewhere`: prefixes of those that belong to no file asked for. Returns
        what the adapter changes in encoders that aren't written. Raises ConversionError where it changes what the
        checkpoint has not, or not in that shape, or nothing that is written."""
        left_out = []
        whole = {name: tensor.shape for name, tensor in self.whole.items()}
        shapes = {**{name: change.shape for name, change in self.changes.items()}, **whole}
        for name, shape in shapes.items():
            known = name in used or name.startswith((*NOT_CONVERTED, *elsewhere))
            if not known or not self._fits(name, shape):
                has = f"of shape {list(self.tensors[name].shape)}" if name in self.tensors else "missing"
                raise ConversionError(
                    f"{self.adapter.path}: it changes {name} of shape {list(shape)}, which in {self.directory} is "
                    f"{has}: the adapter belongs to another model"
                )
            if name not in used and not name.startswith(elsewhere or ("\0",)):
                left_out.append(name)
        if not used & set(shapes):
            raise ConversionError(f"{self.adapter.directory}: the adapter changes nothing in the files asked for")
        return left_out

    def blocks(self, name: str) -> Iterator[FloatArray]:
        """As `Checkpoint.blocks`."""
        for values in self._blocks(name):
            if not np.isfinite(values).all():
                raise ConversionError(f"{self.adapter.path}: merged into {name} it gives NaN or infinite values")
            yield values

    def _blocks(self, name: str) -> Iterator[FloatArray]:
        whole, change = self.whole.get(name), self.changes.get(name)
        base = self.base.blocks(name) if whole is None else iter([read_values(whole).astype(np.float32).ravel()])
        if change is None:
            yield from base
            return
        first = 0
        for values in whole_rows(base, change.shape[1]):
            yield (values + change.rows(first, first + len(values))).ravel()
            first += len(values)
