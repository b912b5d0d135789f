"""Files of any family, opened for the engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omniggml import _native
from omniggml.errors import InputError, ModelFileError
from omniggml.files import families
from omniggml.files.contents import Contents
from omniggml.files.families import Family, recognise
from omniggml.files.geometry import Derived, check_overrides, derive, token_ids
from omniggml.files.mtmd_gen import family_among
from omniggml.files.plan import plain_metadata, plan_tensors, stacked
from omniggml.files.refusals import NEEDS, why_not_a_voice
from omniggml.files.thinker_keys import refuse_scaled_rope, sampling_of_llama_cpp
from omniggml.files.tokenizer_metadata import read_tokenizer_files, tokenizer_metadata
from omniggml.files.told_settings import Told, settings_of
from omniggml.gguf.every_byte import check_every_byte
from omniggml.gguf.header import Header, StoredTensor, read_header
from omniggml.gguf.planned_tensor import PlannedTensor
from omniggml.spec import speech_file, thinker_file
from omniggml.spec.expected_tensors import code2wav_tensors, thinker_tensors
from omniggml.spec.llama_names import APART_EXPERTS, MERGED_EXPERTS, llama_name
from omniggml.spec.model_config import ModelConfig
from omniggml.spec.published import PUBLISHED

PathLike = str | os.PathLike[str]

_KNOWN_THINKERS = ("qwen3vlmoe", "qwen3moe")
NO_TABLE = "it has no table of text tokens, which a thinker's file has: name one, with thinker=FILE or --thinker"
_TABLE = "thinker.model.embed_tokens.weight"
_THINKER = "thinker."
_VOCODER = "code2wav."
_SAMPLE_RATE = f"{speech_file.ARCHITECTURE}.code2wav.sample_rate"


@dataclass(frozen=True)
class Source:
    """A file for the engine, and its metadata as ours. `assumed`: settings that no file told. `tokenizer`: where the
    tokenizer in the metadata comes from, None for the file itself."""

    native: _native.GgufFile
    metadata: dict[str, Any]
    assumed: dict[str, Any]
    tokenizer: Path | None = None


@dataclass(frozen=True)
class Opened:
    """What `load` needs: the speech part, and the thinker where there is one; one of them at least."""

    speech: Source | None
    thinker: Source | None


@dataclass(frozen=True)
class File:
    """A header and what family it is of."""

    header: Header
    family: Family | None


def open_files(
    speech: PathLike | None,
    thinker: PathLike | None = None,
    *,
    code2wav: PathLike | None = None,
    tokenizer: PathLike | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Opened:
    """Recognise the files and plan how the engine reads them. Arguments as in `load`; without `speech`,
    a thinker alone.

    Raises ModelFileError for files that can't be used, InputError for an override that is no setting.
    """
    check_overrides(overrides or {})
    thinker_file_ = None if thinker is None else _whole_file(thinker)
    if speech is None:
        return Opened(None, _checked_thinker(thinker_file_))
    files = [_whole_file(speech)]
    _check_companions(files[0], thinker, code2wav)
    if files[0].family is families.SPEECH and not (code2wav or tokenizer or overrides):
        return Opened(_as_it_is(files[0]), None if thinker_file_ is None else as_llama_cpps(thinker_file_))
    if thinker_file_ is not None:
        files.append(thinker_file_)
    if code2wav is not None:
        files.append(_whole_file(code2wav))
    return Planning(files, thinker_file_, tokenizer, overrides or {}).opened()


def open_file(path: PathLike) -> File:
    """Read a header and recognise it. Raises ModelFileError where it is no sound GGUF file."""
    header = read_header(path)
    return File(header, family_among(header.tensors) or recognise(header.tensors, header.metadata))


def refuse_thinker(path: PathLike) -> None:
    """Raises InputError for a thinker, where a file that speaks is looked at by itself: `load` would take the one
    beside it."""
    file = open_file(path)
    if file.family is families.THINKER:
        raise InputError(why_not_a_voice(file.header, file.family))


def _whole_file(path: PathLike) -> File:
    """A file whose every byte is some tensor's. Raises ModelFileError for any other."""
    file = open_file(path)
    check_every_byte(file.header)
    return file


def _checked_thinker(file: File | None) -> Source:
    if file is None:
        raise InputError("neither a speech file nor a thinker is given")
    if file.family is families.MMPROJ:
        raise ModelFileError(why_not_a_voice(file.header, file.family))
    if file.family is not families.THINKER:
        raise ModelFileError(f"{file.header.path} is no thinker; give it as the model, not as its thinker")
    return as_llama_cpps(file)


def _check_companions(file: File, thinker: PathLike | None, code2wav: PathLike | None) -> None:
    """Does what is given beside the model make up for what it lacks?"""
    if file.family in families.VOCODERS and thinker is None:
        return  # it decodes as it is; asked to speak, the engine says what is missing
    given = {"thinker": thinker is not None, "code2wav": code2wav is not None}
    sentence = why_not_a_voice(file.header, file.family)
    needs = NEEDS.get(file.family.name, ()) if file.family else ()
    if sentence and not (needs and all(given.get(option, False) for option in needs)):
        raise ModelFileError(sentence)


def _as_it_is(file: File) -> Source:
    return Source(file.header.native, file.header.metadata, {})


def as_llama_cpps(file: File) -> Source:
    """A thinker by its tensors, whatever its architecture is called; any other file as it is."""
    header = file.header
    if file.family is not families.THINKER:
        return _as_it_is(file)
    refuse_scaled_rope(header)
    sampling = sampling_of_llama_cpp(header)
    merged = any(name.endswith(f".{MERGED_EXPERTS}.weight") for name in header.tensors)
    if header.architecture in _KNOWN_THINKERS and not sampling and not merged:
        return _as_it_is(file)
    ours = {
        key.replace(header.architecture, thinker_file.ARCHITECTURE, 1): value
        for key, value in header.metadata.items()
        if key.startswith(f"{header.architecture}.")
    }
    metadata = {**sampling, **ours, "general.architecture": thinker_file.ARCHITECTURE}
    plan = [planned for tensor in header.tensors.values() for planned in _without_merged(tensor)]
    native = _native.PlannedFile(header.paths, metadata, plan)
    return Source(native, {**header.metadata, **metadata}, {})


def _without_merged(tensor: StoredTensor) -> list[PlannedTensor]:
    """The tensor as it is; of experts whose gates and ups are one, both apart."""
    name = tensor.name
    if not name.endswith(f".{MERGED_EXPERTS}.weight") or len(tensor.shape) != 3:
        return [PlannedTensor(name, tensor.shape, ((tensor.member, name, 0, 1),))]
    experts, rows, columns = tensor.shape
    halves = []
    for half, apart in enumerate(APART_EXPERTS):
        parts = tuple((tensor.member, name, 2 * expert + half, 2 * experts) for expert in range(experts))
        ours = name.replace(MERGED_EXPERTS, f"ffn_{apart}_exps")
        halves.append(PlannedTensor(ours, (experts, rows // 2, columns), parts))
    return halves


class Planning:
    """Contents of several files, joined; the first is the speech file."""

    def __init__(
        self, files: list[File], thinker: File | None, tokenizer: PathLike | None, overrides: Mapping[str, Any]
    ) -> None:
        self.files = files
        self.thinker = thinker
        self.overrides = overrides
        self.path = files[0].header.path
        self.contents = Contents()
        first = 0
        for number, file in enumerate(files):
            if file.family is None:
                raise ModelFileError(f"{file.header.path} is of no family whose tensors are known")
            refuse_scaled_rope(file.header)
            if file is not thinker or _TABLE not in self.contents.parts:
                prefix = "" if number == 0 else _TABLE if file is thinker else _VOCODER
                if prefix == _VOCODER:
                    self._leave_out_vocoder(file)
                self.contents.add(file.header, file.family, first, prefix)
            first += len(file.header.members)
        self.tokenizer_path: Path | None = None
        self.tokenizer = self._tokenizer(tokenizer)

    def _leave_out_vocoder(self, other: File) -> None:
        """A vocoder is taken whole from another file, never mixed from two. Raises ModelFileError where it has none."""
        if other.family is None or "code2wav" not in other.family.holds or not other.header.tensors:
            raise ModelFileError(f"{other.header.path} holds no code2wav")
        parts = self.contents.parts
        self.contents.parts = {name: part for name, part in parts.items() if not name.startswith(_VOCODER)}

    def opened(self) -> Opened:
        """Both parts, planned; raises ModelFileError where tensors are missing or too many."""
        if self.contents.parts and all(name.startswith(_VOCODER) for name in self.contents.parts):
            return Opened(self._code2wav_alone(), None)
        if _TABLE not in self.contents.parts:
            raise self.contents.blame("", NO_TABLE)
        derived = self.derived()
        _check_assumed_ids(derived, self.contents)
        speech = self._planned(self._speech_plan(derived.config), self._speech_metadata(derived.config), derived)
        return Opened(speech, self._thinker(derived))

    def derived(self, *, in_part: bool = False) -> Derived:
        """The geometry; raises ModelFileError where it does not follow. `in_part`: see `derive`."""
        tokens = self.tokenizer.get("tokenizer.ggml.tokens")
        return derive(self.contents, self._told(), self.overrides, tokens, in_part=in_part)

    def _told(self) -> Told:
        """What the files say; those beside the first of their own part alone."""
        told: Told = {}
        for file in self.files:
            assert file.family is not None
            for section, values in settings_of(file.header, file.family).items():
                if file is self.files[0] or (file is not self.thinker and section == "code2wav"):
                    told[section] = {**told.get(section, {}), **values}
        return told

    # --- the speech part --------------------------------------------------------------------------------------------

    def _speech_plan(self, config: ModelConfig) -> list[PlannedTensor]:
        others = tuple(name for name in self.contents.parts if name.startswith(_THINKER) and name != _TABLE)
        return plan_tensors(stacked(speech_file.speech_file_tensors(config)), self.contents.without(others))

    def _speech_metadata(self, config: ModelConfig) -> dict[str, Any]:
        ours = {"general.architecture": speech_file.ARCHITECTURE, **plain_metadata(speech_file.speech_metadata(config))}
        if self.files[0].family is families.SPEECH:
            # The geometry says nothing of these.
            kept = {key: value for key, value in self.files[0].header.metadata.items() if _is_kept(key)}
            ours = {**ours, **kept}
        return {**ours, **self._sample_rate(), **self.tokenizer}

    def _sample_rate(self) -> dict[str, Any]:
        """The vocoder's, where its file says one."""
        rate = self._told().get("code2wav", {}).get("sample_rate")
        return {} if rate is None else {_SAMPLE_RATE: rate}

    def _code2wav_alone(self) -> Source:
        """A speech file that decodes and can't speak."""
        derived = self.derived(in_part=True)
        config = derived.config.code2wav
        plan = plan_tensors(stacked(code2wav_tensors(config)), self.contents)
        metadata = plain_metadata(speech_file.code2wav_metadata(config))
        assumed = {name: value for name, value in derived.assumed.items() if name.startswith(_VOCODER)}
        ours = {"general.architecture": speech_file.ARCHITECTURE, **metadata, **self._sample_rate()}
        return self._planned(plan, ours, Derived(derived.config, assumed))

    def _planned(self, plan: list[PlannedTensor], metadata: dict[str, Any], derived: Derived) -> Source:
        paths = [path for file in self.files for path in file.header.paths]
        native = _native.PlannedFile(paths, _storable(metadata), plan)
        all_of_it = {**self.files[0].header.metadata, **metadata}
        return Source(native, all_of_it, derived.assumed, self.tokenizer_path)

    def _tokenizer(self, given: PathLike | None) -> dict[str, Any]:
        """The `tokenizer.` keys: of the file or directory given, or of the first file that has some."""
        if given is not None and Path(given).is_dir():
            self.tokenizer_path = Path(given)
            return self._tokenizer_in(self.tokenizer_path)
        headers = [file.header for file in self.files] if given is None else [read_header(given)]
        for header in headers:
            found = {key: value for key, value in header.metadata.items() if key.startswith("tokenizer.")}
            if "tokenizer.ggml.merges" in found:
                self.tokenizer_path = header.path
                return found
        if given is not None:
            raise InputError(f"{os.fspath(given)} holds no tokenizer")
        return {}

    def _tokenizer_in(self, directory: Path) -> dict[str, Any]:
        files = read_tokenizer_files(directory)
        tokens = files.tokens()
        special = replace(PUBLISHED.token, **token_ids(tokens))
        rows = self.contents.rows(_TABLE) if _TABLE in self.contents.parts else len(tokens)
        return plain_metadata(tokenizer_metadata(directory, rows, special))

    # --- the thinker ------------------------------------------------------------------------------------------------

    def _thinker(self, derived: Derived) -> Source | None:
        if self.thinker is not None:
            return as_llama_cpps(self.thinker)
        if "thinker.model.layers.0.self_attn.q_proj.weight" not in self.contents.parts:
            return None
        ours = self.contents.without(("talker.", _VOCODER))
        plan = plan_tensors(stacked(thinker_tensors(derived.config.thinker)), ours)
        renamed = [_renamed(tensor) for tensor in plan]
        metadata = plain_metadata(thinker_file.thinker_metadata(derived.config.language_model))
        metadata["general.architecture"] = thinker_file.ARCHITECTURE
        return self._planned(renamed, {**metadata, **self.tokenizer}, derived)


def _check_assumed_ids(derived: Derived, contents: Contents) -> None:
    """Raises ModelFileError where ids that nothing told, the published model's, are no ids of this model."""
    size = derived.config.thinker.vocab_size
    beyond = {
        name.partition(".")[2]: value
        for name, value in derived.assumed.items()
        if name.startswith("token.") and value >= size
    }
    if beyond:
        some = next(iter(beyond.items()))
        raise contents.blame(
            "",
            f"no tokenizer tells the ids of {', '.join(beyond)}, and the published model's ({some[0]} is "
            f"{some[1]}) are beyond its table of {size} tokens: name a tokenizer, with tokenizer=FILE or --tokenizer",
        )


def _renamed(tensor: PlannedTensor) -> PlannedTensor:
    return PlannedTensor(llama_name(tensor.name), tensor.shape, tensor.parts, tensor.view, tensor.axes, tensor.change)


def _is_kept(key: str) -> bool:
    return ".generation." in key or key.endswith(".suppressed_tail")


def _storable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine reads; the tokenizer's lists are Python's business."""
    return {key: value for key, value in metadata.items() if not key.startswith("tokenizer.")}
