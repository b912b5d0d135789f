"""The thinker's runs with rows in the places of tokens, positions of three axes, and rows added between layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from omniggml import InputError, _native
from omniggml.synthetic.geometries import GEOMETRIES
from parity.files import ModelFiles

IntArray = npt.NDArray[np.int32]
NAMES = ("tiny", "mini", "odd", "grouped", "big-codebook", "long-window")


def session(files: ModelFiles, name: str) -> _native.ThinkerSession:
    return _native.ThinkerSession(_native.Thinker(str(files.gguf(name, "f32")[1]), "cpu"), 1, None)


def positions_of(n: int, image: range, width: int) -> IntArray:
    """Text, an image of so many columns, text: counted on from the image's longer side."""
    at = np.arange(n, dtype=np.int32)
    out = np.stack([at, at, at])
    for number, place in enumerate(image):
        out[:, place] = image.start, image.start + number // width, image.start + number % width
    rest = out[:, : image.stop].max() + 1 + np.arange(n - image.stop)
    out[:, image.stop :] = rest
    return out


@pytest.mark.reference
@pytest.mark.parametrize(("name", "n"), [*((name, 60) for name in NAMES), ("tiny", 700)])
def test_agrees_with_transformers(model_files: ModelFiles, name: str, n: int) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers", "5")
    from omniggml.comparison.transformers_side import load_reference

    geometry = GEOMETRIES[name].thinker
    rng = np.random.default_rng(n)
    tokens = rng.integers(0, geometry.vocab_size, n + 9, dtype=np.int32)
    image = range(10, n - 8)
    rows, *deepstack = rng.normal(0, 1, (3, len(image), geometry.hidden_size)).astype(np.float32)
    deepstack = deepstack[: geometry.num_hidden_layers]
    positions = positions_of(n + 9, image, 7)
    reference = load_reference(model_files.checkpoint(name)).thinker
    with torch.no_grad():
        embedded = reference.get_input_embeddings()(torch.from_numpy(tokens.astype(np.int64)))[None]
        embedded[0, image.start : image.stop] = torch.from_numpy(rows)
        seen = torch.zeros(1, n + 9, dtype=torch.bool)
        seen[0, image.start : image.stop] = True
        states = reference.model.language_model(
            inputs_embeds=embedded,
            position_ids=torch.from_numpy(positions.astype(np.int64))[:, None],
            visual_pos_masks=seen,
            deepstack_visual_embeds=[torch.from_numpy(level) for level in deepstack],
        ).last_hidden_state
        theirs = reference.lm_head(states)[0].numpy()
    ours = session(model_files, name)
    media = _native.ThinkerMedia(list(image), rows, deepstack=deepstack, positions=positions[:, :n].copy())
    logits, _ = ours.forward(tokens[:n], media=media)
    after = [ours.forward(tokens[n : n + 5])[0], *(ours.forward(tokens[i : i + 1])[0] for i in range(n + 5, n + 9))]
    whole = np.concatenate([logits, *after])
    assert np.square(whole - theirs).sum() / np.square(theirs).sum() < 1e-8
    # Forgotten and read again, the tokens behind the image stand where they stood.
    ours.truncate(n)
    again, _ = ours.forward(tokens[n : n + 5])
    assert np.array_equal(again, after[0])


def test_text_alone_is_the_same_bits(model_files: ModelFiles) -> None:
    tokens = np.arange(50, dtype=np.int32)
    plain, _ = session(model_files, "tiny").forward(tokens)
    given, _ = session(model_files, "tiny").forward(tokens, media=_native.ThinkerMedia())
    flat = np.tile(tokens, (3, 1))
    placed, _ = session(model_files, "tiny").forward(
        tokens, media=_native.ThinkerMedia([], np.zeros((0, 64), np.float32), positions=flat)
    )
    assert np.array_equal(plain, given)
    assert np.abs(plain - placed).max() < 1e-4


ROWS = np.zeros((2, 64), np.float32)
POSITIONS = np.zeros((3, 9), np.int32)
WRONG: dict[str, Any] = {
    "behind the end": ([8, 9], ROWS, {}),
    "before the beginning": ([-1, 0], ROWS, {}),
    "out of order": ([3, 2], ROWS, {}),
    "twice": ([3, 3], ROWS, {}),
    "too few rows": ([1, 2, 3], ROWS, {}),
    "rows of another width": ([1, 2], np.zeros((2, 63), np.float32), {}),
    "too many levels": ([1, 2], ROWS, {"deepstack": [ROWS] * 3}),
    "a level of another size": ([1, 2], ROWS, {"deepstack": [ROWS[:1]]}),
    "too few positions": ([1, 2], ROWS, {"positions": POSITIONS[:, :8]}),
    "two axes": ([1, 2], ROWS, {"positions": POSITIONS[:2]}),
    "a position below none": ([1, 2], ROWS, {"positions": POSITIONS - 1}),
    "a position beyond all": ([1, 2], ROWS, {"positions": POSITIONS + (1 << 30) + 1}),
}


@pytest.mark.parametrize("case", WRONG)
def test_media_that_do_not_fit(model_files: ModelFiles, case: str) -> None:
    at, rows, more = WRONG[case]
    more = {name: np.ascontiguousarray(one) if name == "positions" else one for name, one in more.items()}
    here = session(model_files, "tiny")
    with pytest.raises(InputError, match=r"don't fit|positions are an array"):
        here.forward(np.arange(9, dtype=np.int32), media=_native.ThinkerMedia(at, rows, **more))
    assert here.position == 0


def test_no_going_back_into_an_image(model_files: ModelFiles) -> None:
    here = session(model_files, "tiny")
    here.forward(np.arange(4, dtype=np.int32))
    here.forward(np.arange(9, dtype=np.int32), media=_native.ThinkerMedia([], ROWS[:0], positions=POSITIONS))
    with pytest.raises(InputError, match="in the middle of a run"):
        here.truncate(7)
    here.truncate(13)
    here.truncate(4)
