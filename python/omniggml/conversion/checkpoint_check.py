"""Compare a checkpoint's tensors with the exact list that its configuration asks for, in both directions."""

from __future__ import annotations

from collections.abc import Iterable

from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.errors import ConversionError
from omniggml.spec.expected_tensors import NOT_CONVERTED, Named


def check_tensors(checkpoint: Checkpoint, expected: Iterable[Named], elsewhere: tuple[str, ...] = ()) -> None:
    """Every expected tensor is there in its shape, and there is no other.

    Names that begin with one of `elsewhere` belong to a file that isn't being written. Raises ConversionError for the
    first difference, with the tensor, what it has, and what it should have.
    """
    seen = set()
    _refuse_unmerged(checkpoint)
    for name, shape in expected:
        stored = checkpoint.tensors.get(name)
        if checkpoint.quantization is not None and (stored is None or not checkpoint.can_read(name)):
            raise ConversionError(_quantized_otherwise(checkpoint, name, checkpoint.quantization.title))
        if stored is None and f"{name.removesuffix('.weight')}.qweight" in checkpoint.tensors:
            raise ConversionError(_quantized_otherwise(checkpoint, name, "AWQ or GPTQ, which config.json doesn't say"))
        if stored is None:
            raise ConversionError(
                f"{checkpoint.directory}: tensor {name} is missing, config.json asks for it in shape {list(shape)}"
            )
        if stored.shape != shape:
            raise ConversionError(
                f"{stored.path}: tensor {name} has shape {list(stored.shape)}, expected {list(shape)} from config.json"
            )
        seen.add(name)
    for name, stored in checkpoint.tensors.items():
        if name not in seen and not name.startswith((*NOT_CONVERTED, *elsewhere)):
            raise ConversionError(
                f"{stored.path}: tensor {name} of shape {list(stored.shape)} belongs to no part that config.json "
                "describes: the configuration and the weights are not of the same model"
            )


def _quantized_otherwise(checkpoint: Checkpoint, name: str, title: str) -> str:
    alone = name.startswith("thinker.") and checkpoint.can_read("talker.model.layers.0.mlp.experts.0.up_proj.weight")
    speech = ", or write the speech file alone, with --only speech" if alone else ""
    return (
        f"{checkpoint.directory}: tensor {name} is quantized by {title}; it can't be converted: convert from the "
        f"unquantized checkpoint{speech}"
    )


def _refuse_unmerged(checkpoint: Checkpoint) -> None:
    name = next((name for name in checkpoint.tensors if ".base_layer." in name or ".lora_" in name), None)
    if name is not None:
        raise ConversionError(
            f"{checkpoint.tensors[name].path}: tensor {name} is of a LoRA adapter that was saved unmerged: merge it "
            "with peft's merge_and_unload, or convert the model that it was trained on, with --lora DIR"
        )
