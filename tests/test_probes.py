"""Probes: what they see, what they put in its place, and that nobody else notices."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import omniggml
from native_module import internals
from omniggml import InputError, Model
from parity import golden
from parity.files import ModelFiles
from parity.golden import Golden
from parity.metrics import GATES, agreement

GOLDENS = Path(__file__).parent / "goldens"
LAYER = "talker.model.layers.1"


@pytest.fixture(scope="module")
def model(model_files: ModelFiles) -> Model:
    speech, thinker = model_files.gguf("tiny", "f32")
    return omniggml.load(speech, thinker=thinker, device="cpu", n_threads=1)


@pytest.fixture(scope="module")
def tiny() -> Golden:
    return golden.load(GOLDENS / "tiny.npz")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("talker.model.layers.*.mlp", "talker.model.layers.3.mlp", True),
        ("talker.model.layers.*.mlp", "talker.model.layers.13.mlp", True),
        ("talker.model.layers.*.mlp", "talker.model.layers.3.mlp.gate", False),
        ("talker.model.layers.*.mlp", "talker.model.layers.3.self_attn", False),
        ("talker.model.layers.1*", "talker.model.layers.12", True),
        ("talker.model.layers.1*", "talker.model.layers.12.mlp", False),
        ("talker.*", "talker.model.norm", False),
        ("talker.**", "talker.model.norm", True),
        ("**", "code2wav", True),
        ("**.mlp", "thinker.model.layers.0.mlp", True),
        ("**.mlp", "thinker.model.layers.0.mlp.experts", False),
        ("code2wav.**.conv", "code2wav.decoder.1.block.2.conv1.conv", True),
        ("code2wav", "code2wav.decoder.0", False),
        ("code2wav.decoder.0", "code2wav.decoder.00", False),
        ("", "code2wav", False),
    ],
)
def test_patterns(pattern: str, name: str, expected: bool) -> None:
    assert internals().matches(pattern, name) is expected


def test_a_block_sees_what_was_asked_for(model: Model) -> None:
    with model.probe("talker.model.layers.*.mlp", "talker.codec_head") as seen:
        audio = model.speak("one two", greedy=True, max_frames=5)
    assert set(seen) == {"talker.model.layers.0.mlp", "talker.model.layers.1.mlp", "talker.codec_head"}
    # The prompt's last position and four frames: the fifth is never read.
    assert seen["talker.codec_head"].shape == (1, 5, 1088)
    assert seen["talker.model.layers.0.mlp"].shape[0] == 1
    assert audio.codes.shape == (4, 5)
    logits = seen["talker.codec_head"][0]
    assert logits[0][:64].argmax() == audio.codes[0, 0]


def test_nothing_is_seen_outside_of_the_block(model: Model) -> None:
    codes = np.zeros((4, 6), np.int32)
    model.code2wav(codes)
    with model.probe("code2wav") as seen:
        assert dict(seen) == {}
    model.code2wav(codes)
    assert dict(seen) == {}
    with model.probe("code2wav") as again:
        model.code2wav(codes)
        assert again["code2wav"].shape == (1, 1, model.n_samples(6))
    assert dict(seen) == {}


def test_a_block_left_by_an_error_is_left(model: Model) -> None:
    with pytest.raises(InputError), model.probe("code2wav") as seen:
        model.code2wav(np.full((4, 6), -1))
    model.code2wav(np.zeros((4, 6), np.int32))
    assert dict(seen) == {}


def test_other_threads_are_not_seen(model: Model) -> None:
    with model.probe("code2wav") as seen:
        thread = threading.Thread(target=model.code2wav, args=(np.zeros((4, 6), np.int32),))
        thread.start()
        thread.join()
        assert dict(seen) == {}


def test_looking_changes_nothing(model: Model) -> None:
    plain = model.speak("one two", seed=3, max_frames=10)
    with model.probe("**") as seen:
        probed = model.speak("one two", seed=3, max_frames=10)
    assert len(seen) > 100
    np.testing.assert_array_equal(probed.codes, plain.codes)
    # The vocoder's fused operations are taken apart, which may round differently.
    np.testing.assert_allclose(probed.samples, plain.samples, rtol=0, atol=1e-6)


def test_pieces_of_a_stream_are_joined(model: Model, tiny: Golden) -> None:
    codes = tiny.waveform.codes[:, :50]
    with model.probe("code2wav.decoder.1", "code2wav.pre_transformer", "code2wav") as whole:
        samples = model.code2wav(codes)
    with model.probe("code2wav.decoder.1", "code2wav.pre_transformer", "code2wav") as parts:
        model.code2wav(codes, chunk_frames=7)
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(whole["code2wav"].ravel(), samples)


def test_a_name_that_was_not_captured(model: Model) -> None:
    with model.probe("code2wav") as seen:
        model.code2wav(np.zeros((4, 6), np.int32))
    with pytest.raises(KeyError, match="talker was not captured; captured were: code2wav"):
        _ = seen["talker"]


def test_downstream_of_a_replacement_all_is_the_references(model: Model, tiny: Golden) -> None:
    """The codes are others; the transformer's output is the reference's, and so is everything after it."""
    outputs = tiny.recording.outputs
    replace = {"code2wav.pre_transformer": outputs["code2wav.pre_transformer"]}
    with model.probe("code2wav", "code2wav.pre_transformer", replace=replace) as seen:
        samples = model.code2wav(np.zeros_like(tiny.case.wave_codes))
    assert agreement(samples, outputs["code2wav"].ravel()).inside(GATES["f32"])
    assert agreement(seen["code2wav"], outputs["code2wav"]).inside(GATES["f32"])
    computed = agreement(seen["code2wav.pre_transformer"], outputs["code2wav.pre_transformer"])
    assert computed.nmse > 0.1, "what the module computed itself is seen, not what took its place"


def test_a_replaced_layer_decides_the_codes(model: Model) -> None:
    """With another text's last layer in its place, the talker says that text's first codes."""
    with model.probe(LAYER) as other:
        wanted = model.speak("something else", greedy=True, max_frames=6, speaker="aiden")
    with model.probe(LAYER) as seen:
        plain = model.speak("something here", greedy=True, max_frames=6, speaker="aiden")
    assert seen[LAYER].shape == other[LAYER].shape
    with model.probe("talker.codec_head", replace={LAYER: other[LAYER]}):
        replaced = model.speak("something here", greedy=True, max_frames=6, speaker="aiden")
    assert not np.array_equal(plain.codes, wanted.codes)
    np.testing.assert_array_equal(replaced.codes, wanted.codes)


def test_replacements_of_pieces_run_along_time(model: Model, tiny: Golden) -> None:
    """A stream of pieces takes one replacement piece by piece, convolutions in their own order of axes."""
    codes = tiny.waveform.codes[:, :40]
    with model.probe("code2wav.decoder.1.block.1", "code2wav") as first:
        model.code2wav(codes)
    replace = {"code2wav.decoder.1.block.1": first["code2wav.decoder.1.block.1"]}
    with model.probe("code2wav", replace=replace):
        samples = model.code2wav(np.zeros_like(codes), chunk_frames=9)
    np.testing.assert_allclose(samples, first["code2wav"].ravel(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["code2wav.pre_transformer", "code2wav.code_embedding", "code2wav.decoder.0"])
def test_a_replacement_of_the_wrong_shape_is_refused(model: Model, name: str) -> None:
    codes = np.zeros((4, 6), np.int32)
    with model.probe(name) as seen:
        model.code2wav(codes)
    right = seen[name]
    for wrong in (
        right[0],
        right[..., np.newaxis],
        np.swapaxes(right, -1, -2)[..., :3],
        np.zeros((2, *right.shape[1:])),
    ):
        with (
            pytest.raises(InputError, match=f"the replacement for {name} has the shape"),
            model.probe(replace={name: wrong}),
        ):
            model.code2wav(codes)


def test_a_replacement_that_is_too_short_is_refused(model: Model) -> None:
    name = "code2wav.pre_transformer"
    short = {name: np.zeros((1, 5, 32), np.float32)}
    with (
        pytest.raises(InputError, match="has 5 positions in time, and more were asked for"),
        model.probe(replace=short),
    ):
        model.code2wav(np.zeros((4, 6), np.int32))


def test_a_replacement_that_nothing_takes_is_said(model: Model) -> None:
    with (
        pytest.raises(InputError, match=r"nothing ran that computes code2wav\.decoder\.99"),
        model.probe(replace={"code2wav.decoder.99": np.zeros((1, 1, 1), np.float32)}),
    ):
        model.code2wav(np.zeros((4, 6), np.int32))


def test_the_thinker_has_the_reference_s_hidden_state(model: Model, tiny: Golden) -> None:
    """`accept_hidden_layer` counts the embedding as entry 0."""
    with model.probe("thinker.model.layers.0", "thinker.lm_head") as seen:
        output = model.thinker(tiny.case.tokens)
    assert output.hidden is not None
    np.testing.assert_array_equal(seen["thinker.model.layers.0"][0], output.hidden)
    np.testing.assert_array_equal(seen["thinker.lm_head"][0], output.logits)
    assert agreement(output.hidden, tiny.recording.thinker_hidden).inside(GATES["f32"])
