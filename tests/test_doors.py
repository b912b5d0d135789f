"""The public interface: what a user's program can name, and that options of a kind are the same wherever they go in."""

from __future__ import annotations

import ast
import dataclasses
import typing
from pathlib import Path

import numpy as np
import pytest

import omniggml
import user_program
from conftest import Files
from gguf_edit import GgufEdit
from omniggml.benchmark.measurement import Settings
from omniggml.options import LoadOptions, SpeechOptions
from omniggml.synthetic.random_checkpoint import write_random_checkpoint


@pytest.mark.slow
def test_a_users_program(tmp_path: Path) -> None:
    checkpoint = write_random_checkpoint("tiny", tmp_path / "checkpoint")
    speech, thinker = user_program.files(checkpoint, tmp_path)
    audio = user_program.speech(speech, thinker)
    user_program.stages(speech, thinker)
    user_program.tools(speech, checkpoint, audio, tmp_path)
    assert "nothing-speech.gguf" in user_program.refusal()


def test_the_users_program_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    audio = omniggml.Audio(np.sin(np.arange(24000) / 20).astype(np.float32), 24000)
    assert user_program.picture(audio, tmp_path).read_bytes().startswith(b"\x89PNG")


def test_the_users_program_names_everything() -> None:
    tree = ast.parse(Path(user_program.__file__).read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_ours(node.value)}
    # Versions, devices and the header take no argument; the others are what keywords stand for, or parts of results.
    elsewhere = {
        "__version__",
        "ggml_version",
        "devices",
        "get_include",
        "LoadOptions",
        "SpeechOptions",
        "Recorded",
        "Change",
        "Share",
    }
    assert used | elsewhere == set(omniggml.__all__)


def _is_ours(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "omniggml"


@pytest.mark.parametrize(
    ("options", "keywords"),
    [
        (LoadOptions, omniggml.LoadKeywords),
        (SpeechOptions, omniggml.SpeechKeywords),
        (Settings, omniggml.BenchKeywords),
    ],
)
def test_keywords_are_the_options(options: type, keywords: type) -> None:
    fields = {field.name: field.type for field in dataclasses.fields(options)}
    assert fields == {name: _annotation(kind) for name, kind in keywords.__annotations__.items()}


def _annotation(kind: object) -> object:
    return kind.__forward_arg__ if isinstance(kind, typing.ForwardRef) else kind


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(omniggml.InputError, match="there is no option precision; the options are thinker, device"):
        omniggml.load(precision="f32")  # type: ignore[call-arg]
    with pytest.raises(omniggml.InputError, match="there is no option threads; the options are device"):
        omniggml.bench("x", threads=1)  # type: ignore[call-arg]


# --- what a file says of drawing --------------------------------------------------------------------------------------

DO_SAMPLE = "qwen3omni-speech.talker.generation.do_sample"
THINKER_DO_SAMPLE = "qwen3omni.generation.do_sample"


@pytest.fixture(scope="module")
def undrawn(tiny_files: Files, tmp_path_factory: pytest.TempPathFactory) -> omniggml.Model:
    """A model whose files say `do_sample = false` for talker and thinker."""
    directory = tmp_path_factory.mktemp("undrawn")
    speech = GgufEdit.read(tiny_files.speech).set(DO_SAMPLE, False).write(directory / "x-speech.gguf")
    thinker = GgufEdit.read(tiny_files.thinker).set(THINKER_DO_SAMPLE, False).write(directory / "x-thinker.gguf")
    return omniggml.load(speech, thinker=thinker, n_threads=1)


def test_a_file_that_says_not_to_draw_is_heeded(undrawn: omniggml.Model) -> None:
    greedy = undrawn.speak("hello world", greedy=True, max_frames=6)
    for seed in (0, 1):
        np.testing.assert_array_equal(undrawn.speak("hello world", seed=seed, max_frames=6).codes, greedy.codes)


@pytest.mark.parametrize("choice", [{"temperature": 5.0}, {"top_k": 50}, {"top_p": 0.99}])
def test_naming_how_to_draw_asks_for_drawing(undrawn: omniggml.Model, choice: dict[str, float]) -> None:
    codes = [undrawn.speak("hello world", seed=seed, max_frames=6, **choice).codes for seed in (0, 1)]  # type: ignore[arg-type]
    assert not np.array_equal(*codes)


def test_siblings_agree(undrawn: omniggml.Model) -> None:
    """Talker, predictor and thinker take the same choices to the same effect."""
    talker = SpeechOptions(temperature=0.5).params(undrawn._speech)
    assert talker.talker.sample and talker.predictor.sample
    thinker = omniggml.TextOptions(temperature=0.5).params(undrawn._thinker.loaded())
    assert thinker.sample and thinker.temperature == talker.talker.temperature
    for options in (SpeechOptions(), SpeechOptions(greedy=True, temperature=0.5)):
        assert not options.params(undrawn._speech).talker.sample
    for text_options in (omniggml.TextOptions(), omniggml.TextOptions(greedy=True, temperature=0.5)):
        assert not text_options.params(undrawn._thinker.loaded()).sample
