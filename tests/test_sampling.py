"""The sampler: its random numbers are Philox's, its probabilities those of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import omniggml
from native_module import internals
from omniggml import _native
from parity.files import ModelFiles

# Published with Random123: counter, key, result of ten rounds.
PHILOX_VECTORS = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)

SETTINGS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "temperature": {"temperature": 0.6},
    "hot": {"temperature": 3.0},
    "top_k": {"top_k": 7},
    "top_k of one": {"top_k": 1},
    "top_k beyond the vocabulary": {"top_k": 1000},
    "top_p": {"top_p": 0.8},
    "small top_p": {"top_p": 0.05},
    "penalty": {"repetition_penalty": 1.3},
    "reward": {"repetition_penalty": 0.8},
    "talker's defaults": {"temperature": 0.9, "top_k": 50, "top_p": 1.0, "repetition_penalty": 1.05},
    "predictor's defaults": {"top_k": 50, "top_p": 0.8},
    "everything": {"temperature": 1.7, "top_k": 20, "top_p": 0.7, "repetition_penalty": 1.5},
}

PREVIOUS = [3, 5, 5, 5, 60, 61]
STEPS = 4096

FloatArray = npt.NDArray[np.float32]


def some_logits(seed: int, n: int = 80) -> FloatArray:
    """Of both signs, some of them suppressed."""
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal(n) * 2).astype(np.float32)
    logits[rng.choice(n, 10, replace=False)] = -np.inf
    logits[PREVIOUS] = np.linspace(-2, 4, len(PREVIOUS), dtype=np.float32)
    return logits


def frequencies(logits: FloatArray, settings: dict[str, Any]) -> npt.NDArray[np.float64]:
    """How often each id is drawn as the uniform number sweeps its range: its probability, within 1 / STEPS."""
    params = _native.SamplingParams(**settings)
    drawn = [_native.draw(logits, params, PREVIOUS, (step + 0.5) / STEPS) for step in range(STEPS)]
    return np.bincount(drawn, minlength=len(logits)) / STEPS


def probabilities(
    logits: FloatArray,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
) -> npt.NDArray[np.float64]:
    """The same from the definitions, in double precision."""
    scores = logits.astype(np.float64)
    for index in set(PREVIOUS):
        scores[index] *= repetition_penalty if scores[index] < 0 else 1 / repetition_penalty
    order = np.argsort(-scores, kind="stable")
    if top_k:
        scores[order[top_k:]] = -np.inf
    weights = np.exp((scores - scores.max()) / temperature)
    weights /= weights.sum()
    before = np.concatenate([[0], np.cumsum(weights[order])[:-1]])
    if top_p < 1:
        weights[order[before >= top_p]] = 0
    return np.asarray(weights / weights.sum())


@pytest.mark.parametrize(("counter", "key", "expected"), PHILOX_VECTORS)
def test_philox_known_answers(counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]) -> None:
    assert tuple(internals().philox(key[0] | key[1] << 32, counter)) == expected


def test_uniform_numbers_are_the_top_bits_of_a_block() -> None:
    """As documented, so that another program can draw the same codes from a seed."""
    seed, frame, group = 0x0123456789ABCDEF, 2**40 + 3, 2**33 + 5
    block = internals().philox(seed, [group & 0xFFFFFFFF, group >> 32, frame & 0xFFFFFFFF, frame >> 32])
    assert _native.philox_uniform(seed, frame=frame, group=group) == ((block[0] << 32 | block[1]) >> 11) * 2.0**-53


def test_uniform_numbers_are_uniform() -> None:
    numbers = np.array(
        [_native.philox_uniform(1, frame=frame, group=group) for frame in range(500) for group in range(16)]
    )
    assert 0 <= numbers.min() < numbers.max() < 1
    assert len(set(numbers.tolist())) == numbers.size
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    # Chi-squared with 19 degrees of freedom: 43.8 is passed once in a thousand, and these numbers never change.
    assert ((counts - 400) ** 2 / 400).sum() < 43.8


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_probabilities_are_those_of_the_definition(settings: dict[str, Any]) -> None:
    for seed in range(3):
        logits = some_logits(seed)
        expected = probabilities(logits, **settings)
        np.testing.assert_allclose(frequencies(logits, settings), expected, rtol=0, atol=1.01 / STEPS)


@pytest.mark.reference
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_probabilities_are_those_of_transformers(settings: dict[str, Any]) -> None:
    """Its processors in the order in which `generate` runs them: the same ids are left, equally probable."""
    for seed in range(3):
        logits = some_logits(seed)
        expected = transformers_probabilities(logits, **settings)
        seen = frequencies(logits, settings)
        np.testing.assert_allclose(seen, expected, rtol=0, atol=1.01 / STEPS)
        assert set(np.flatnonzero(seen)) <= set(np.flatnonzero(expected))
        assert set(np.flatnonzero(expected > 1 / STEPS)) <= set(np.flatnonzero(seen))
        np.testing.assert_allclose(probabilities(logits, **settings), expected, rtol=0, atol=1e-6)


def transformers_probabilities(
    logits: FloatArray,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
) -> npt.NDArray[np.float64]:
    torch = pytest.importorskip("torch")
    process = pytest.importorskip("transformers").generation.logits_process
    steps = [process.TemperatureLogitsWarper(temperature)]
    if repetition_penalty != 1:
        steps.insert(0, process.RepetitionPenaltyLogitsProcessor(repetition_penalty))
    if top_k:
        steps.append(process.TopKLogitsWarper(top_k))
    if top_p < 1:
        steps.append(process.TopPLogitsWarper(top_p))
    scores = process.LogitsProcessorList(steps)(torch.tensor([PREVIOUS]), torch.from_numpy(logits.copy())[None])
    return np.asarray(scores.double().softmax(-1)[0].numpy())


def test_extreme_uniform_numbers() -> None:
    logits = np.array([1.0, 3.0, -np.inf, 2.0], np.float32)
    params = _native.SamplingParams()
    assert _native.draw(logits, params, [], 0.0) == 1, "candidates come in order of probability"
    assert _native.draw(logits, params, [], 1 - 2.0**-53) == 0
    assert _native.draw(np.array([-np.inf, 0.0], np.float32), params, [], 1 - 2.0**-53) == 1


def test_greedy_takes_the_first_of_equals() -> None:
    greedy = _native.SamplingParams(sample=False, temperature=0.5, top_k=1, top_p=0.1)
    assert _native.draw(np.array([0, 2, 2, 1], np.float32), greedy, [], 0.99) == 1
    penalised = _native.SamplingParams(sample=False, repetition_penalty=1.1)
    assert _native.draw(np.array([0, 2, 2, 1], np.float32), penalised, [1], 0.0) == 2
    assert _native.draw(np.array([-1.0, -1.05], np.float32), penalised, [0], 0.0) == 1


def test_a_sampled_speech_can_be_replayed(model_files: ModelFiles) -> None:
    """Every draw follows from the seed, the frame and the group, so stage by stage gives the same codes."""
    model = omniggml.load(model_files.gguf("odd", "f32")[0], device="cpu", n_threads=1)
    n_frames, seed = 12, 99
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": "hello"}])
    answer = model.tokenizer.encode("one two three")
    pieces = model.stream_answer(conversation, answer, seed=seed, speaker="bob", max_frames=n_frames)
    spoken = omniggml.Audio.join(list(pieces)).codes
    assert spoken.shape[1] > 3
    np.testing.assert_array_equal(replay(model, conversation, answer, seed, spoken.shape[1]), spoken)


def replay(model: omniggml.Model, conversation: list[int], answer: list[int], seed: int, n_frames: int) -> Any:
    """Codes [groups, frames] from the stages and the sampler alone."""
    speech = model._speech
    params = speech.default_params()
    talker = _native.TalkerSession(speech, 1, 1, None)
    predictor = _native.CodePredictorSession(speech, 1, 1, None)
    inputs, trailing, pad, *_ = talker.assemble_prompt(conversation, answer, speech.find_speaker("bob"))
    geometry = speech.talker_geometry
    special = np.arange(geometry["vocab_size"] - 1024, geometry["vocab_size"])
    logits, hidden = talker.prompt(0, inputs)
    frames: list[list[int]] = []
    for frame in range(n_frames):
        allowed = logits[0].copy()
        allowed[special[special != geometry["codec_eos_token_id"]]] = -np.inf
        first = [codes[0] for codes in frames]
        codes = [_native.draw(allowed, params.talker, first, _native.philox_uniform(seed, frame=frame, group=0))]
        scores = predictor.start(hidden, codes)
        for group in range(1, speech.predictor_geometry["num_code_groups"]):
            uniform = _native.philox_uniform(seed, frame=frame, group=group)
            codes.append(_native.draw(scores[0], params.predictor, [], uniform))
            if group + 1 < speech.predictor_geometry["num_code_groups"]:
                scores = predictor.next(codes[-1:])
        frames.append(codes)
        text = trailing[frame : frame + 1] if frame < len(trailing) else pad
        logits, hidden = talker.frame(np.array([codes], np.int32), text)
    return np.array(frames).T
