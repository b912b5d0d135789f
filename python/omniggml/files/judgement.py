"""Whether a file can be loaded: by itself, beside others, or not at all. `load`, `inspect` and `doctor` ask here, and
every sentence that says no to a whole file is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from omniggml import _native
from omniggml.errors import ModelFileError
from omniggml.files import families, mtmd_gen
from omniggml.files.encoders import encoders_of
from omniggml.files.opening import File, Planning, as_llama_cpps, open_files
from omniggml.files.plan import missing, some_of, stacked
from omniggml.files.refusals import NEEDS, why_not_a_voice
from omniggml.spec.model_config import ModelConfig
from omniggml.spec.speech_file import speech_file_tensors


@dataclass(frozen=True)
class Judgement:
    """`problem`: why the file can't be loaded by itself, "" where it can. `needs`: the options of `load` that name what
    it lacks, and with which it can be loaded; empty where no other file helps."""

    problem: str = ""
    needs: tuple[str, ...] = ()

    @property
    def loads(self) -> bool:
        """Whether the file is of use, if need be beside others."""
        return not self.problem or bool(self.needs)


def judge(file: File) -> Judgement:
    """Reads no values."""
    check = _CHECKS.get(file.family.name if file.family else "", _judge_stranger)
    try:
        return check(file)
    except ModelFileError as error:
        return Judgement(str(error))


def _judge_whole(file: File) -> Judgement:
    opened = open_files(file.header.path)
    assert opened.speech is not None
    _native.SpeechModel.check(opened.speech.native)
    if opened.thinker is not None:
        _native.Thinker.check(opened.thinker.native)
    return Judgement()


def _judge_thinker(file: File) -> Judgement:
    """It is loaded as one, and writes text."""
    _native.Thinker.check(as_llama_cpps(file).native)
    return Judgement()


def _judge_mmproj(file: File) -> Judgement:
    """It is loaded beside a thinker, which hears and sees through it."""
    _native.MediaEncoders.check(encoders_of(file).native)
    return Judgement(why_not_a_voice(file.header, file.family), NEEDS[families.MMPROJ.name])


def _judge_part(file: File) -> Judgement:
    """A talker, code2wav, or both: sound as far as it goes?"""
    planning = Planning([file], None, None, {})
    config = planning.derived(in_part=True).config
    if lacking := missing(expected_of(file, config), planning.contents):
        raise ModelFileError(f"{file.header.path} lacks {some_of(lacking)}")
    return Judgement(why_not_a_voice(file.header, file.family), NEEDS[file.family.name if file.family else ""])


def expected_of(file: File, config: ModelConfig) -> list[str]:
    """Tensors that the stages of a file should have."""
    stages = file.family.holds if file.family else ()
    prefixes = ("talker." if "talker" in stages else "\0", "code2wav." if "code2wav" in stages else "\0")
    return [name for name in stacked(speech_file_tensors(config)) if name.startswith(prefixes)]


def _judge_stranger(file: File) -> Judgement:
    return Judgement(why_not_a_voice(file.header, file.family))


_CHECKS: dict[str, Callable[[File], Judgement]] = {
    families.SPEECH.name: _judge_whole,
    families.ALL_IN_ONE.name: _judge_whole,
    families.BUNDLED.name: _judge_part,
    families.MTP_TALKER.name: _judge_part,
    **dict.fromkeys((family.name for family in families.VOCODERS), _judge_whole),
    mtmd_gen.NAME: _judge_part,
    families.THINKER.name: _judge_thinker,
    families.MMPROJ.name: _judge_mmproj,
}
