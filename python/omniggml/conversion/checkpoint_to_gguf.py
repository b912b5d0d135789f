"""The conversion as a whole: read, check everything, then write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from omniggml import _native
from omniggml._native import __version__
from omniggml.checked import checked
from omniggml.conversion import mtmd_gen_file
from omniggml.conversion.checkpoint_check import check_tensors
from omniggml.conversion.config_json import NO_VOICE, read_checkpoint_config
from omniggml.conversion.encode import ValueSource, encoded
from omniggml.conversion.encoder_configs import Encoders, read_encoders
from omniggml.conversion.hub import local_checkpoint
from omniggml.conversion.lora_adapter import LoraAdapter, MergedCheckpoint
from omniggml.conversion.missing_files import warn_of_missing_files, warn_of_unread_weights
from omniggml.conversion.mmproj_file import EncoderValues, mmproj_outputs
from omniggml.conversion.output_tensors import speech_file_outputs, thinker_file_outputs
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.errors import ConversionError, InputError, ModelFileError, OmniError
from omniggml.files.judgement import judge
from omniggml.files.opening import open_file
from omniggml.files.plan import some_of
from omniggml.files.tokenizer_metadata import tokenizer_metadata
from omniggml.gguf.file_type import type_entries
from omniggml.gguf.metadata import Metadata, text
from omniggml.gguf.output import FileJob, Pieces, Progress, identity_of, write_files
from omniggml.gguf.output_header import header_bytes
from omniggml.paths import as_path
from omniggml.printable import shown
from omniggml.spec import mmproj_file, speech_file, thinker_file
from omniggml.spec.encoder_tensors import (
    AUDIO_PREFIX,
    VISION_PREFIX,
    audio_encoder_tensors,
    vision_encoder_tensors,
)
from omniggml.spec.expected_tensors import TEXT_EMBEDDING, Named, thinker_tensors
from omniggml.spec.model_config import LanguageModel, ModelConfig, SpecialTokens
from omniggml.spec.policy import CONVERSION_POLICIES, Policy, read_policy
from omniggml.warning import warn

File = Literal["speech", "thinker", "mmproj"]
_FILES: tuple[File, ...] = ("speech", "thinker", "mmproj")


@checked
def convert(
    source: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    type: str = "f16",
    name: str | None = None,
    only: File | None = None,
    lora: str | os.PathLike[str] | None = None,
    layout: Literal["own", "mtmd-gen"] = "own",
    deepstack: bool = True,
    progress: Progress | None = None,
) -> list[Path]:
    """Convert the Qwen3-Omni checkpoint in `source` to GGUF files in `out_dir`, and return their paths.

    `source` is a directory, or the id of a checkpoint on the Hugging Face hub, which is downloaded if `huggingface_hub`
    is installed. `type` is one of f32, f16, bf16, q8_0, built-in policies. The files are `NAME-speech.gguf`,
    `NAME-thinker.gguf` and, of a checkpoint that holds encoders for audio or images, `NAME-mmproj.gguf`, with `name`
    or else the name of the source; `only` writes one of them, and then only the shards with its tensors are needed. Of
    a model without a talker, as -Thinking and -Captioner, no speech file is written.
    `layout="mtmd-gen"`: instead of these, `NAME-gen-mmproj.gguf`, code predictor and code2wav as llama.cpp's mmproj
    files have generated audio. `deepstack=False` leaves out of the encoder for images what llama.cpp has no place for
    in a Qwen3-Omni file; images are seen less well then. `lora`: the directory of a PEFT adapter that is merged into
    the weights. `progress` is called as (tensor name, bytes written, bytes in all). The same input gives the same
    bytes.

    Everything is checked before the first byte is written, and the files get their names when all are complete, were
    read back, and can be loaded. What an interruption or a full disk leaves is gone on with by the same call.
    Raises InputError for a bad argument and ConversionError for a checkpoint that can't be converted.
    """
    policy, target = _policy(type), as_path(out_dir)
    _wanted(only)
    only = _of_layout(layout, only)
    stem = _stem(source, name)
    directory = local_checkpoint(source, lambda tensor: _is_needed(tensor, only))
    config = read_checkpoint_config(directory)
    files = _wanted(only)
    if isinstance(config, LanguageModel):
        files = _without_voice(directory, files)
    checkpoint = Checkpoint(directory, lambda tensor: _is_needed(tensor, only))
    encoders = _encoders(checkpoint, only)
    if not encoders.prefixes:
        files = tuple(file for file in files if file != "mmproj")
    expected = [*_expected(config, files, encoders)]
    check_tensors(checkpoint, expected, _elsewhere(files))
    weights: Checkpoint | MergedCheckpoint = checkpoint
    if lora is not None:
        weights = MergedCheckpoint(checkpoint, LoraAdapter(as_path(lora)))
        left_out = weights.check({tensor for tensor, _ in expected}, _elsewhere(files))
        if left_out and only is None:
            warn(
                f"{weights.adapter.path} changes {len(left_out)} tensors of encoders that aren't converted, and these "
                f"changes are left out: {some_of(left_out)}"
            )
    encoders = encoders if deepstack else _shallow(encoders)
    wanted = ("gen-mmproj",) if layout == "mtmd-gen" else files
    made_of_text = layout == "own" and ("speech" in files or "thinker" in files)
    warn_of_missing_files(directory, speaks_or_thinks=made_of_text, sees=encoders.vision is not None)
    warn_of_unread_weights(directory)
    inputs = _files_read(weights, directory)
    jobs = [replace(_job(file, target, stem, config, encoders, weights, policy), inputs=inputs) for file in wanted]
    write_files(jobs, progress, lambda path: _check_loads(path, directory))
    return [job.target for job in jobs]


def _policy(type_: str) -> Policy:
    if type_ not in CONVERSION_POLICIES:
        raise InputError(f"there is no type {shown(type_)}: choose one of {', '.join(CONVERSION_POLICIES)}")
    return read_policy(type_)


def _stem(source: str | os.PathLike[str], name: str | None) -> str:
    try:
        stem = Path(os.path.realpath(as_path(source))).name if name is None else name
    except ValueError as error:  # a zero byte, or letters that no path has
        raise InputError(f"{shown(str(source))} is no path: {error}") from error
    if not stem or stem != Path(stem).name or stem.startswith("."):
        raise InputError(f"{shown(stem)} can't be the beginning of a file name: give a name without slashes")
    if not stem.isascii() and not _is_encodable(stem):
        raise InputError(
            f"{shown(stem)} holds bytes that no letter stands for: give the model a name, with name= or --name"
        )
    return stem


def _is_encodable(text_: str) -> bool:
    try:
        return bool(text_.encode())
    except UnicodeEncodeError:
        return False


def _wanted(only: File | None) -> tuple[File, ...]:
    if only is None:
        return _FILES
    if only not in _FILES:
        raise InputError(f"there is no file {shown(only)} to write: choose one of {', '.join(_FILES)}")
    return (only,)


def _without_voice(directory: Path, files: tuple[File, ...]) -> tuple[File, ...]:
    """What can be written of a model without a talker."""
    if files == ("speech",):
        raise ConversionError(NO_VOICE.format(path=directory))
    if "speech" in files:
        warn(f"{directory} has no voice: no speech file is written")
    return tuple(file for file in files if file != "speech")


def _encoders(checkpoint: Checkpoint, only: File | None) -> Encoders:
    """The encoders that an mmproj file is made of; none where it isn't asked for, or the checkpoint has none."""
    if only not in (None, "mmproj"):
        return Encoders()
    encoders = read_encoders(checkpoint.directory, checkpoint.tensors)
    if only == "mmproj" and not encoders.prefixes:
        raise ConversionError(f"{checkpoint.directory} holds no weights of an encoder for audio or images")
    return encoders


def _shallow(encoders: Encoders) -> Encoders:
    vision = encoders.vision
    return replace(encoders, vision=None if vision is None else replace(vision, deepstack_visual_indexes=()))


def _expected(config: ModelConfig | LanguageModel, files: tuple[File, ...], encoders: Encoders) -> Iterator[Named]:
    if "thinker" in files:
        yield from thinker_tensors(config.thinker)
    if "speech" in files and isinstance(config, ModelConfig):
        tensors = speech_file.speech_file_tensors(config)
        yield from (named for named in tensors if named[0] != TEXT_EMBEDDING or "thinker" not in files)
    if encoders.audio is not None:
        yield from audio_encoder_tensors(encoders.audio)
    if encoders.vision is not None:
        yield from vision_encoder_tensors(encoders.vision)


def _elsewhere(files: tuple[File, ...]) -> tuple[str, ...]:
    """Prefixes of tensors that belong to files that aren't asked for; the encoders' are left out for all."""
    thinkers = () if "thinker" in files else ("thinker.",)
    return thinkers if "speech" in files else (*thinkers, "talker.", "code2wav.")


def _is_needed(tensor: str, only: File | None) -> bool:
    """Is this tensor of the checkpoint needed for the files asked for? One that belongs nowhere is, to be refused."""
    if tensor.startswith((AUDIO_PREFIX, VISION_PREFIX)):
        return only in (None, "mmproj")
    return (tensor == TEXT_EMBEDDING and only != "mmproj") or not tensor.startswith(_elsewhere(_wanted(only)))


def _of_layout(layout: str, only: File | None) -> File | None:
    """Which tensors a layout is made of."""
    if layout not in ("own", "mtmd-gen"):
        raise InputError(f"there is no layout {shown(layout)}: choose own or mtmd-gen")
    if layout == "own":
        return only
    if only in ("thinker", "mmproj"):
        raise InputError("the layout mtmd-gen holds neither thinker nor encoders: leave out --only")
    return "speech"


def _job(
    file: str,
    out_dir: Path,
    stem: str,
    config: ModelConfig | LanguageModel,
    encoders: Encoders,
    checkpoint: Checkpoint | MergedCheckpoint,
    policy: Policy,
) -> FileJob:
    values: ValueSource = checkpoint
    if file == "gen-mmproj" and isinstance(config, ModelConfig):
        architecture, tensors = mtmd_gen_file.ARCHITECTURE, mtmd_gen_file.mtmd_gen_outputs(config, policy)
        own = mtmd_gen_file.mtmd_gen_metadata(config)
    elif file == "speech" and isinstance(config, ModelConfig):
        architecture, tensors = speech_file.ARCHITECTURE, speech_file_outputs(config, policy)
        own = speech_file.speech_metadata(config)
    elif file == "mmproj":
        architecture, tensors = mmproj_file.ARCHITECTURE, mmproj_outputs(encoders, policy)
        own = mmproj_file.encoders_metadata(encoders.audio, encoders.vision, encoders.images)
        values = EncoderValues(checkpoint, encoders)
    else:
        language = config.language_model if isinstance(config, ModelConfig) else config
        architecture, tensors = thinker_file.ARCHITECTURE, thinker_file_outputs(config.thinker, policy)
        own = thinker_file.thinker_metadata(language)
    outputs = [tensor.as_output() for tensor in tensors]
    kind = "mmproj" if file in ("gen-mmproj", "mmproj") else "model"
    general: Metadata = {"general.type": text(kind), "general.name": text(stem), **type_entries(outputs)}
    tokenizer = _sound_tokenizer(checkpoint.directory, config.thinker.vocab_size, config.token)
    header = header_bytes(architecture, general | own | (tokenizer if kind == "model" else {}), outputs)

    def pieces(number: int) -> Pieces:
        yield from encoded(values, tensors[number])

    target = out_dir / f"{stem}-{file}.gguf"
    sources = checkpoint.sources()
    identity = identity_of(header, sources, "convert", __version__)
    return FileJob(target, header, outputs, identity, pieces)


def _files_read(checkpoint: Checkpoint | MergedCheckpoint, directory: Path) -> list[Path]:
    """What no output may replace: of a checkpoint's directory all but GGUF files, which are outputs of before."""
    beside = [path for path in directory.iterdir() if path.suffix != ".gguf"]
    return [*checkpoint.sources(), *(path for path in beside if path.is_file())]


def _sound_tokenizer(directory: Path, vocab_size: int, special: SpecialTokens) -> Metadata:
    """The `tokenizer.` keys, once the tokenizer that they describe was made: what can't be read isn't written."""
    from omniggml.model import tokenizer_from

    entries = tokenizer_metadata(directory, vocab_size, special)
    try:
        tokenizer_from({key: value for key, (value, _, _) in entries.items()}, str(directory))
    except ModelFileError as error:
        raise ConversionError(str(error)) from error
    return entries


def _check_loads(path: Path, directory: Path) -> None:
    """The engine's own look at a file, before its values are written and before it gets its name."""
    file = _native.GgufFile(os.fsencode(path))
    try:
        if any(file.metadata().get(key) for key in (mmproj_file.HAS_AUDIO, mmproj_file.HAS_VISION)):
            _native.MediaEncoders.check(file)
        elif file.metadata()["general.architecture"] == mtmd_gen_file.ARCHITECTURE:
            judged = judge(open_file(path))
            if not judged.loads:
                raise ModelFileError(judged.problem)
        elif file.metadata()["general.architecture"] == speech_file.ARCHITECTURE:
            _native.SpeechModel.check(file)
        else:
            _native.Thinker.check(file)
    except OmniError as error:
        what = str(error).removeprefix(f"{path} ")
        raise ConversionError(f"what is made of {directory} can't be loaded, and is not kept: it {what}") from error
