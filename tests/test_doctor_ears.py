"""Dumps of other programs' ears, made by transformers with one mistake each, and sound ones beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ears_side import Ears, clip, of_whisper
from omniggml.doctor.case import Case
from omniggml.doctor.checks.ears import check_ears
from omniggml.doctor.ears_mirror import EarsMirror
from omniggml.options import LoadOptions

FloatArray = npt.NDArray[np.float32]
SAMPLES = 160 * 1030 + 77
"""A window, and a tail that is cut short."""


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Ears:
    return Ears(tmp_path_factory.mktemp("ears"))


@pytest.fixture(scope="module")
def case(ears: Ears) -> Case:
    return Case(ears.files()[0], options=LoadOptions(device="cpu", n_threads=1))


@pytest.fixture(scope="module")
def heard(ears: Ears) -> Path:
    path = ears.root / "heard.wav"
    soundfile.write(path, clip("voice", SAMPLES), 16000, subtype="FLOAT")
    return path


def found(case: Case, heard: Path, dump: dict[str, Any] | None) -> list[str]:
    case.heard, case.theirs = heard, dump
    return [finding.id for finding in check_ears(case).findings]


# --- what is heard ----------------------------------------------------------------------------------------------------

VOICE = 0.3 * clip("voice", 24000)
SOUNDS: dict[str, tuple[FloatArray, list[str]]] = {
    "a voice": (VOICE, []),
    "two channels": (np.stack([VOICE, 0.5 * VOICE], axis=1), []),
    "silence": (np.zeros(24000, np.float32), ["ears.silent"]),
    "too loud": (np.clip(20 * VOICE, -1, 1), ["ears.clipped"]),
    "turned round": (np.stack([VOICE, -VOICE], axis=1), ["ears.channels"]),
    "one channel": (np.stack([VOICE, 0 * VOICE], axis=1), ["ears.one-channel"]),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds(case: Case, tmp_path: Path, name: str) -> None:
    samples, ids = SOUNDS[name]
    path = tmp_path / "sound.wav"
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    assert found(case, path, None) == ids


# --- features ---------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def mel() -> FloatArray:
    pytest.importorskip("transformers", "5")
    return of_whisper(clip("voice", SAMPLES), 128)


FEATURES: dict[str, tuple[Callable[[FloatArray], FloatArray], list[str]]] = {
    "sound": (lambda mel: mel, []),
    "turned and batched": (lambda mel: mel.T[np.newaxis], []),
    "a frame too many": (lambda mel: np.pad(mel, ((0, 0), (0, 1)), mode="edge"), ["ears.mel-frames"]),
    "late": (lambda mel: np.roll(mel, 1, axis=1), ["ears.mel-shifted"]),
    "early": (lambda mel: np.roll(mel, -1, axis=1), ["ears.mel-shifted"]),
    "30 s": (lambda mel: np.pad(mel, ((0, 0), (0, 3000 - mel.shape[1]))), ["ears.mel-padded"]),
    "natural logarithms": (lambda mel: mel * 2.3, ["ears.mel-differs"]),
}


@pytest.mark.parametrize("name", FEATURES)
def test_features(case: Case, heard: Path, ears: Ears, mel: FloatArray, rows: FloatArray, name: str) -> None:
    change, ids = FEATURES[name]
    dump = {"input_features": change(mel), "thinker.audio_tower": rows}
    assert found(case, heard, dump) == ids


def test_not_resampled(case: Case, tmp_path: Path) -> None:
    pytest.importorskip("transformers", "5")
    path = tmp_path / "fast.wav"
    soundfile.write(path, clip("voice", 48000, 24000), 24000, subtype="FLOAT")
    assert found(case, path, {"input_features": of_whisper(clip("voice", 48000, 24000), 128)}) == ["ears.not-resampled"]


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tower(ears: Ears) -> Any:
    pytest.importorskip("transformers", "5")
    from omniggml.comparison.transformers_side import load_reference

    return load_reference(ears.checkpoint).thinker.model.audio_tower


def run(tower: Any, mel: FloatArray) -> FloatArray:
    import torch

    with torch.no_grad():
        rows = tower(torch.from_numpy(mel), feature_lens=torch.tensor([mel.shape[1]])).last_hidden_state
    return np.asarray(rows.numpy(), np.float32)


@pytest.fixture(scope="module")
def rows(tower: Any, mel: FloatArray) -> FloatArray:
    return run(tower, mel)


def test_sound_rows(case: Case, heard: Path, ears: Ears, mel: FloatArray, rows: FloatArray) -> None:
    mirror = EarsMirror(ears.files()[2], ears.encoders().audio_geometry or {})
    assert np.abs(mirror(mel) - rows).max() < 1e-4
    for dump in ({"thinker.audio_tower": rows}, {"model.thinker.audio_tower.proj2.output": rows[np.newaxis]}):
        assert found(case, heard, dump) == []
    assert found(case, heard, {"thinker.audio_tower": rows.astype(np.float16)}) == []


Change = Callable[[Any, FloatArray, pytest.MonkeyPatch], None]
"""Puts one mistake into transformers' encoder."""


def _gelu(other: Callable[[Any, Any], Any]) -> Change:
    def change(tower: Any, mel: FloatArray, patch: pytest.MonkeyPatch) -> None:
        import torch

        exact = torch.nn.functional.gelu
        patch.setattr(torch.nn.functional, "gelu", lambda x, *_, **__: other(exact, x))
        for module, name in [(tower, "act"), *((layer, "activation_fn") for layer in tower.layers)]:
            patch.setattr(module, name, lambda x: other(exact, x)) if not isinstance(
                getattr(module, name), torch.nn.Module
            ) else patch.setattr(getattr(module, name), "forward", lambda x: other(exact, x))

    return change


def _unpadded_tail(tower: Any, mel: FloatArray, patch: pytest.MonkeyPatch) -> None:
    """Its rows are those of the tail by itself, which the reference does not fill up."""
    seen = []
    hook = tower.conv_out.register_forward_hook(lambda _, __, out: seen.append(out.clone()))
    run(tower, np.ascontiguousarray(mel[:, mel.shape[1] // 100 * 100 :]))
    hook.remove()
    plain = tower.conv_out.forward

    def forward(x: Any) -> Any:
        out = plain(x)
        out[-1, : seen[0].shape[1]] = seen[0][0]
        return out

    patch.setattr(tower.conv_out, "forward", forward)


def _whole_clip(tower: Any, mel: FloatArray, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tower, "n_window", mel.shape[1] // 2 + 1)
    patch.setattr(tower, "n_window_infer", 10 * mel.shape[1])


def _positions(tower: Any, mel: FloatArray, patch: pytest.MonkeyPatch) -> None:
    import torch

    table = tower.positional_embedding.positional_embedding
    plain = tower.layers[0].forward

    def forward(x: Any, *rest: Any, **more: Any) -> Any:
        at = torch.arange(len(x))
        return plain(x - table[at % 13] + table[at], *rest, **more)

    patch.setattr(tower.layers[0], "forward", forward)


def _no_windows(tower: Any, mel: FloatArray, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tower, "n_window_infer", 5000)


def _overlapping(tower: Any, mel: FloatArray, patch: pytest.MonkeyPatch) -> None:
    import torch

    def attend(module: Any, x: Any) -> Any:
        heads = module.num_heads
        q, k, v = (p(x).view(len(x), heads, -1).transpose(0, 1) for p in (module.q_proj, module.k_proj, module.v_proj))
        at = torch.arange(len(x))
        first = at // 104 * 104
        seen = (at >= (first - 52)[:, None]) & (at < (first + 104)[:, None])
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return module.out_proj(mixed.transpose(0, 1).reshape(len(x), -1))

    for layer in tower.layers:
        module = layer.self_attn
        patch.setattr(module, "forward", lambda hidden_states, *_, _m=module, **__: attend(_m, hidden_states))


def _two_convolutions(tower: Any, mel: FloatArray, patch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as modeling

    def kept(lengths: Any) -> list[int]:
        return [min(13, -(-int(n) // 4)) for n in lengths]

    def indices(lengths: Any, *_: Any, **__: Any) -> Any:
        return torch.cat([13 * i + torch.arange(n) for i, n in enumerate(kept(lengths))])

    def ends(lengths: Any, *_: Any, **__: Any) -> Any:
        total = sum(kept(lengths))
        return torch.tensor([*range(0, total, 104), total], dtype=torch.int32)

    patch.setattr(modeling, "get_valid_indices", indices)
    patch.setattr(modeling, "get_audio_cu_seqlens", ends)


MISTAKES: dict[str, Change] = {
    "ears.tanh-gelu": _gelu(lambda exact, x: exact(x, approximate="tanh")),
    "ears.f16-gelu": _gelu(lambda exact, x: exact(x.half().float()).half().float()),
    "ears.unpadded-tail": _unpadded_tail,
    "ears.whole-clip": _whole_clip,
    "ears.positions": _positions,
    "ears.no-windows": _no_windows,
    "ears.overlapping-windows": _overlapping,
    "ears.two-convolutions": _two_convolutions,
}


@pytest.mark.parametrize("id", MISTAKES)
def test_mistakes(
    case: Case, heard: Path, tower: Any, mel: FloatArray, monkeypatch: pytest.MonkeyPatch, id: str
) -> None:
    with monkeypatch.context() as patch:
        MISTAKES[id](tower, mel, patch)
        wrong = run(tower, mel)
    assert found(case, heard, {"thinker.audio_tower": wrong}) == [id]
    assert found(case, heard, {"thinker.audio_tower": run(tower, mel)}) == []


def test_scales_and_others(case: Case, heard: Path, rows: FloatArray) -> None:
    assert found(case, heard, {"thinker.audio_tower": 1.7 * rows}) == ["ears.scale"]
    assert found(case, heard, {"thinker.audio_tower": rows[::-1]}) == ["ears.differs"]
    assert found(case, heard, {"thinker.audio_tower": rows[:-2]}) == ["ears.tokens"]
    assert found(case, heard, {"talker": rows}) == ["dump.names"]


OF_EARS = {
    *(id for _, ids in (*SOUNDS.values(), *FEATURES.values()) for id in ids),
    *MISTAKES,
    "ears.not-resampled",
    "ears.scale",
    "ears.differs",
    "ears.tokens",
}
"""What is shown here."""
