"""The engine against transformers itself, where it is installed: every module, then whole answers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import omniggml
from omniggml import Model, TextOptions
from omniggml.synthetic.geometries import GEOMETRIES
from parity import greedy
from parity.cases import Case, Recording, make_case
from parity.engine_side import Engine
from parity.files import ModelFiles
from parity.metrics import GATES, agreement
from parity.rows import compare

pytestmark = pytest.mark.reference
NAMES = [name for name in GEOMETRIES if name != "eos-first"]


@pytest.fixture(scope="module")
def side() -> Iterator[Any]:
    """The module that runs transformers."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers", "5")
    from parity import transformers_side

    n_threads = torch.get_num_threads()
    # The tensors are tiny: more threads would only wait for each other.
    torch.set_num_threads(1)
    yield transformers_side
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def both(model_files: ModelFiles, side: Any) -> Any:
    """By name of a geometry: the `reference`, and our F32 `model` of the same weights."""

    @cache
    def load(name: str) -> SimpleNamespace:
        speech, thinker = model_files.gguf(name, "f32")
        model = omniggml.load(speech, thinker=thinker, device="cpu", n_threads=1)
        return SimpleNamespace(reference=side.load_reference(model_files.checkpoint(name)), model=model)

    return load


@pytest.fixture(scope="module", params=NAMES)
def recorded(request: pytest.FixtureRequest, both: Any, side: Any) -> tuple[str, Case, Recording]:
    """One geometry's case and what the reference makes of it; the last one only is kept in memory."""
    case = make_case(GEOMETRIES[request.param])
    return request.param, case, side.record(both(request.param).reference, case)


@pytest.mark.parametrize("type_", list(GATES))
def test_every_block_agrees(model_files: ModelFiles, recorded: tuple[str, Case, Recording], type_: str) -> None:
    """Every module, given what the reference computed before its block. Names are the reference's module paths."""
    name, case, recording = recorded
    rows = compare(name, type_, Engine(*model_files.gguf(name, type_)).capture(case, recording), recording.outputs)
    assert len(rows) > 150
    assert [row for row in rows if not row.passes] == []


@pytest.mark.parametrize("type_", ["f32", "f16"])
def test_every_stage_agrees(model_files: ModelFiles, recorded: tuple[str, Case, Recording], type_: str) -> None:
    """The same with errors adding up through each stage, down to the last module."""
    name, case, recording = recorded
    engine = Engine(*model_files.gguf(name, type_))
    rows = compare(name, type_, engine.capture(case, recording, forced=False), recording.outputs)
    assert [row for row in rows if not row.passes] == []


def test_long_prompts_agree(model_files: ModelFiles, both: Any, side: Any) -> None:
    """Longer than what the engine computes at once, and than its first caches."""
    case = make_case(GEOMETRIES["tiny"], n_tokens=1100, n_prompt=700)
    recording = side.record(both("tiny").reference, case)
    captured = Engine(*model_files.gguf("tiny", "f32")).capture(case, recording, forced=False)
    # One row more: the engine's logits at the end of the prompt's first part, which nobody reads.
    captured["talker.codec_head"] = captured["talker.codec_head"][:, 1:]
    rows = compare("tiny", "f32", captured, recording.outputs)
    assert [row for row in rows if not row.passes] == []


def same(pair: Any, side: Any, request: greedy.Request) -> greedy.Spoken:
    """What both speak, after checking that it is one."""
    spoken = greedy.speak(pair.model, request)
    assert spoken.differences(side.speak(pair.reference, request)) == []
    assert spoken.audio.size == pair.model.n_samples(spoken.codes.shape[1])
    assert np.abs(spoken.audio).max() < 1, "a clamped waveform hides differences"
    return spoken


@pytest.mark.parametrize("name", NAMES)
def test_greedy_speech_is_the_same(both: Any, side: Any, name: str) -> None:
    """One turn; several turns with system text, the talker's repetition penalty at its default of 1.05."""
    for request in greedy.standard_requests(both(name).model).values():
        same(both(name), side, request)


@pytest.mark.parametrize("name", ["tiny", "odd"])
def test_every_speaker_is_the_same(both: Any, side: Any, name: str) -> None:
    model = both(name).model
    spoken = [
        same(both(name), side, greedy.Request(conversation(model, "hello"), speaker, max_frames=8))
        for speaker in model.speakers
    ]
    assert len({one.codes.tobytes() for one in spoken}) == len(model.speakers) >= 2


def conversation(model: Model, text: str) -> tuple[int, ...]:
    return tuple(model.tokenizer.encode_chat([{"role": "user", "content": text}]))


@pytest.mark.parametrize("name", NAMES)
def test_a_one_token_answer_is_the_same(both: Any, side: Any, name: str) -> None:
    """Nothing trails but the end of the text."""
    model = both(name).model
    request = greedy.Request(conversation(model, "yes?"), model.speakers[0], max_frames=6, max_text=2)
    assert len(same(both(name), side, request).answer) == 1


@pytest.mark.parametrize("penalty", [1.0, 1.05, 1.5, 3.0])
def test_repetition_penalties_are_the_same(both: Any, side: Any, penalty: float) -> None:
    pair = both("tiny")
    request = greedy.Request(conversation(pair.model, "again"), "ethan", max_frames=40, penalty=penalty)
    codes = same(pair, side, request).codes[0]
    if penalty == 3:
        assert len(set(codes.tolist())) > 30, "the penalty never acted"


@pytest.mark.parametrize(
    ("name", "text", "n_tokens"), [("mini", "d", 8), ("grouped", "6", 12), ("big-codebook", "1", 3)]
)
def test_a_chat_that_the_thinker_ends_itself(both: Any, side: Any, name: str, text: str, n_tokens: int) -> None:
    """Through `Model.chat`: where the answer ends with im_end, all of it is spoken."""
    pair = both(name)
    request = greedy.Request(conversation(pair.model, text), pair.model.speakers[0], max_frames=12)
    want = side.speak(pair.reference, request)
    reply = pair.model.chat(
        text, text_options=TextOptions(greedy=True), greedy=True, max_frames=12, speaker=request.speaker
    )
    assert (len(reply.tokens), reply.stop_reason) == (n_tokens, "eos")
    spoken = greedy.Spoken(reply.tokens, reply.audio.codes, reply.audio.samples)
    assert spoken.differences(want) == []


def test_eos_as_the_first_code(model_files: ModelFiles, side: Any) -> None:
    """The reference fails to stack no frames; for us that is silence (`test_parity_goldens.py`)."""
    speech, thinker = model_files.gguf("eos-first", "f32")
    model = omniggml.load(speech, thinker=thinker, device="cpu", n_threads=1)
    request = greedy.Request(conversation(model, "hello"), "ethan", max_frames=10)
    with pytest.raises(RuntimeError, match="non-empty"):
        side.speak(side.load_reference(model_files.checkpoint("eos-first")), request)
    spoken = greedy.speak(model, request)
    assert (spoken.codes.shape, spoken.audio.shape) == ((4, 0), (0,))


@pytest.mark.slow
def test_700_frames_are_the_same(both: Any, side: Any) -> None:
    """Past the growth of the talker's cache, and the chunks of 300 in which the reference's `generate` decodes."""
    pair = both("tiny")
    request = greedy.Request(conversation(pair.model, "tell me a long story"), "aiden", max_frames=700)
    assert same(pair, side, request).codes.shape == (4, 700)


@pytest.mark.parametrize("name", NAMES)
def test_full_forward_of_code2wav_is_the_same(both: Any, side: Any, name: str) -> None:
    """Every sample of what the goldens keep a part of, streamed."""
    wav = GEOMETRIES[name].code2wav
    codes = np.random.default_rng(1).integers(0, wav.codebook_size, (wav.num_quantizers, 130), dtype=np.int32)
    want = side.decode(both(name).reference, codes)
    for chunk in (1, 3, 25, 300):
        samples = both(name).model.code2wav(codes, chunk_frames=chunk)
        assert samples.shape == want.shape
        assert np.abs(samples - want).max() <= 1e-5


def test_audio_and_image_positions_enter_through_their_own_projection(both: Any, side: Any) -> None:
    """A user's turn with positions that are no text takes the thinker's hidden states there."""
    pair = both("odd")
    tokens = pair.model._speech.text_tokens
    ids = list(conversation(pair.model, "look at this: 1 2 3"))
    ids[5:9] = [tokens["audio"], tokens["audio"], tokens["image"], tokens["video"]]
    answer = [40, 41, 42]
    hidden = np.random.default_rng(0).standard_normal((len(ids), 44)).astype(np.float32)
    prompt = pair.model.talker_prompt(ids, answer, speaker="bob", thinker_hidden=hidden)
    want = side.talker_prompt(pair.reference, ids, answer, "bob", hidden)
    for got, expected in zip((prompt.inputs, prompt.trailing, prompt.pad), want, strict=True):
        assert agreement(got, expected).inside(GATES["f32"])
    plain = pair.model.talker_prompt(ids, answer, speaker="bob", thinker_hidden=hidden * 2)
    changed = np.abs(plain.inputs - prompt.inputs).max(axis=1) > 0
    assert np.flatnonzero(changed).tolist() == [5, 6, 7, 8]
