"""The conversion as a whole: read, check everything, then write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from gguf import GGML_QUANT_VERSION, GGMLQuantizationType

from omniggml.convert import speech_file, thinker_file
from omniggml.convert.checkpoint_check import check_tensors
from omniggml.convert.config_json import read_model_config
from omniggml.convert.encode import encoded_size
from omniggml.convert.expected_tensors import TEXT_EMBEDDING, Named, thinker_tensors
from omniggml.convert.gguf_output import Progress, renamed_at_the_end, write_gguf
from omniggml.convert.metadata import Metadata, count, text
from omniggml.convert.model_config import ModelConfig
from omniggml.convert.precision import Precision, precision_named
from omniggml.convert.safetensors_reader import Checkpoint
from omniggml.convert.tensor_plan import PlannedTensor
from omniggml.convert.tokenizer_metadata import tokenizer_metadata
from omniggml.errors import ConversionError, InputError

File = Literal["speech", "thinker"]


@dataclass(frozen=True)
class _Output:
    path: Path
    architecture: str
    metadata: Metadata
    tensors: list[PlannedTensor]


def convert(
    source: str | Path,
    out_dir: str | Path,
    *,
    type: str = "f16",
    name: str | None = None,
    only: File | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Convert the Qwen3-Omni checkpoint in `source` to GGUF files in `out_dir`, and return their paths.

    `type` is one of f32, f16, bf16, q8_0 (see `precision.py`). The files are `NAME-speech.gguf` and
    `NAME-thinker.gguf`, with `name` or else the name of the source directory; `only` writes one of them. `progress`
    is called as (tensor name, bytes written, bytes in all). The same input gives the same bytes.

    Everything is checked before the first byte is written, and the files get their names when all are complete.
    Raises InputError for a bad argument and ConversionError for a checkpoint that can't be converted.
    """
    directory = Path(source)
    if not directory.is_dir():
        raise ConversionError(f"{directory} is not a directory, expected a Hugging Face checkpoint")
    precision = precision_named(type)
    stem = _stem(directory, name)
    wanted = _wanted(only)
    config = read_model_config(directory)
    checkpoint = Checkpoint(directory)
    check_tensors(checkpoint, _expected(config, only), _elsewhere(only))
    outputs = [_output(file, Path(out_dir), stem, config, directory, precision) for file in wanted]
    _write(outputs, checkpoint, progress)
    return [output.path for output in outputs]


def _stem(directory: Path, name: str | None) -> str:
    stem = directory.resolve().name if name is None else name
    if not stem or stem != Path(stem).name or stem.startswith("."):
        raise InputError(f"{stem!r} can't be the beginning of a file name: give a name without slashes")
    return stem


def _wanted(only: File | None) -> tuple[File, ...]:
    if only is None:
        return ("speech", "thinker")
    if only not in ("speech", "thinker"):
        raise InputError(f"there is no file {only!r} to write: choose speech or thinker")
    return (only,)


def _expected(config: ModelConfig, only: File | None) -> Iterator[Named]:
    if only == "speech":
        return speech_file.speech_file_tensors(config)
    if only == "thinker":
        return thinker_tensors(config.thinker)
    without_table = (named for named in speech_file.speech_file_tensors(config) if named[0] != TEXT_EMBEDDING)
    return chain(thinker_tensors(config.thinker), without_table)


def _elsewhere(only: File | None) -> tuple[str, ...]:
    """Prefixes of tensors that belong to the file that isn't asked for."""
    if only is None:
        return ()
    return ("thinker.",) if only == "speech" else ("talker.", "code2wav.")


def _output(
    file: File, out_dir: Path, stem: str, config: ModelConfig, directory: Path, precision: Precision
) -> _Output:
    path = out_dir / f"{stem}-{file}.gguf"
    if file == "speech":
        architecture, tensors = speech_file.ARCHITECTURE, speech_file.plan_speech_file(config, precision)
        own = speech_file.speech_metadata(config)
    else:
        architecture, tensors = thinker_file.ARCHITECTURE, thinker_file.plan_thinker_file(config, precision)
        own = thinker_file.thinker_metadata(config)
    tokenizer = tokenizer_metadata(directory, config.thinker.vocab_size, config.tokens)
    return _Output(path, architecture, _general(stem, precision, tensors) | own | tokenizer, tensors)


def _general(stem: str, precision: Precision, tensors: list[PlannedTensor]) -> Metadata:
    entries: Metadata = {
        "general.type": text("model"),
        "general.name": text(stem),
        "general.file_type": count(precision.file_type),
    }
    plain = (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16)
    if any(tensor.type not in plain for tensor in tensors):
        entries["general.quantization_version"] = count(GGML_QUANT_VERSION)
    return entries


def _write(outputs: list[_Output], checkpoint: Checkpoint, progress: Progress | None) -> None:
    total = sum(encoded_size(tensor) for output in outputs for tensor in output.tensors)
    done = 0

    def announce(tensor: PlannedTensor) -> None:
        nonlocal done
        if progress is not None:
            progress(tensor.name, done, total)
        done += encoded_size(tensor)

    with renamed_at_the_end([output.path for output in outputs]) as paths:
        for output, path in zip(outputs, paths, strict=True):
            write_gguf(path, output.architecture, output.metadata, output.tensors, checkpoint, announce)
