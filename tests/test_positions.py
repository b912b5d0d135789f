"""Where tokens stand in time, height and width: equal to transformers' `get_rope_index` on conversations at random."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from omniggml.media.positions import Positions

IDS = SimpleNamespace(
    image_token_id=1,
    video_token_id=2,
    audio_token_id=3,
    vision_start_token_id=4,
    audio_start_token_id=5,
    position_id_per_seconds=13,
    audio_config=SimpleNamespace(n_window=50),
)
VISION_END, AUDIO_END, TEXT = 6, 7, 9


@dataclass
class Conversation:
    """Tokens and what the reference is told of their media, beside our positions of them."""

    tokens: list[int]
    images: list[tuple[int, int, int]]
    videos: list[tuple[int, int, int]]
    frames_of_audio: list[int]
    seconds_per_pair: list[float]
    with_sound: bool
    positions: Positions


def audio_tokens(frames: int) -> int:
    rest = frames % 100
    for _ in range(3):
        rest = (rest + 1) // 2
    return 13 * (frames // 100) + rest


def conversation(rng: np.random.Generator) -> Conversation:
    """Text, audio, images and videos in any order; all videos are with sound or none is, as the reference has it."""
    kinds = rng.choice(["text", "audio", "image", "video"], size=rng.integers(1, 9)).tolist()
    made = Conversation([], [], [], [], [], bool(rng.integers(2)), Positions())
    for kind in kinds:
        text(made, int(rng.integers(0, 7)))
        if kind == "audio":
            audio(made, int(rng.integers(1, 900)))
        elif kind == "image":
            image(made, int(rng.integers(1, 9)), int(rng.integers(1, 9)))
        elif kind == "video":
            # 2 and 1 frames a second, a half, and one of 26 / 7. There float32 puts the reference's frames a millionth
            # behind the sound of the same time, and what is of one time in another order.
            step = int(rng.choice([13, 26, 52] + [7] * (not made.with_sound)))
            grid = int(rng.integers(1, 6)), int(rng.integers(1, 9)), int(rng.integers(1, 9))
            video(made, grid, step, int(rng.integers(1, 900)))
    text(made, int(rng.integers(0, 7)) + (not made.tokens))
    return made


def text(made: Conversation, n: int) -> None:
    made.tokens += [TEXT] * n
    made.positions.text(n)


def marked(made: Conversation, *tokens: int) -> None:
    made.tokens += tokens
    made.positions.text(len(tokens))


def audio(made: Conversation, frames: int) -> None:
    marked(made, IDS.audio_start_token_id, *[IDS.audio_token_id] * audio_tokens(frames), AUDIO_END)
    made.frames_of_audio.append(frames)


def image(made: Conversation, rows: int, columns: int) -> None:
    marked(made, IDS.vision_start_token_id)
    made.tokens += [IDS.image_token_id] * (rows * columns)
    made.positions.grid(1, rows, columns, 0)
    made.images.append((1, 2 * rows, 2 * columns))
    marked(made, VISION_END)


def video(made: Conversation, grid: tuple[int, int, int], step: int, frames: int) -> None:
    pairs, rows, columns = grid
    marked(made, IDS.vision_start_token_id)
    if made.with_sound:
        marked(made, IDS.audio_start_token_id)
        is_audio = made.positions.grid_with_audio(pairs, rows, columns, step, audio_tokens(frames))
        made.tokens += np.where(is_audio, IDS.audio_token_id, IDS.video_token_id).tolist()
        made.frames_of_audio.append(frames)
        marked(made, AUDIO_END)
    else:
        made.tokens += [IDS.video_token_id] * (pairs * rows * columns)
        made.positions.grid(pairs, rows, columns, step)
    made.videos.append((pairs, 2 * rows, 2 * columns))
    made.seconds_per_pair.append(step / 13)
    marked(made, VISION_END)


def reference_positions(made: Conversation) -> tuple[Any, int]:
    import torch
    from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference

    model = reference.Qwen3OmniMoePreTrainedModelForConditionalGeneration
    here = SimpleNamespace(config=IDS, spatial_merge_size=2)
    here.get_llm_pos_ids_for_vision = lambda *arguments: model.get_llm_pos_ids_for_vision(here, *arguments)
    tokens = torch.tensor([made.tokens])
    positions, delta = model.get_rope_index(
        here,
        tokens,
        torch.tensor(made.images) if made.images else None,
        torch.tensor(made.videos) if made.videos else None,
        torch.ones_like(tokens),
        made.with_sound,
        torch.tensor(made.frames_of_audio),
        torch.tensor(made.seconds_per_pair),
    )
    return positions[:, 0].numpy(), int(delta.round())


def compare(seed: int) -> None:
    made = conversation(np.random.default_rng(seed))
    ours = made.positions.array()
    theirs, delta = reference_positions(made)
    # Steps that are no power of two come out of float32 a little off.
    assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-2, seed
    assert ours.max() + 1 - len(made.tokens) == delta, seed
    assert made.positions.flat == (not made.images and not made.videos)


@pytest.mark.reference
def test_positions_of_conversations_at_random() -> None:
    pytest.importorskip("transformers", "5")
    for seed in range(150):
        compare(seed)


@pytest.mark.slow
@pytest.mark.reference
def test_positions_of_two_thousand_conversations() -> None:
    pytest.importorskip("transformers", "5")
    for seed in range(2000):
        compare(10_000 + seed)


def test_text_alone_is_counted() -> None:
    positions = Positions()
    positions.text(3)
    positions.text(4)
    assert positions.flat and positions.array().tolist() == [list(range(7))] * 3


def test_an_image_takes_its_longer_side() -> None:
    positions = Positions()
    positions.text(2)
    positions.grid(1, 2, 3, 0)
    positions.text(1)
    assert positions.array().T.tolist() == [
        [0, 0, 0], [1, 1, 1], [2, 2, 2], [2, 2, 3], [2, 2, 4], [2, 3, 2], [2, 3, 3], [2, 3, 4], [5, 5, 5],
    ]  # fmt: skip


def test_sound_stands_among_the_frames_in_the_order_of_time() -> None:
    """At two frames a second a pair of them is followed by a second of sound, 13 tokens."""
    order = Positions().grid_with_audio(2, 2, 2, 13, 26)
    assert "".join("a" if audio else "v" for audio in order) == "vvvv" + "a" * 13 + "vvvv" + "a" * 13
