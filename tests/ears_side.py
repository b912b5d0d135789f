"""An audio encoder of both sides: ours from a checkpoint's files, and transformers' of the same checkpoint."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import omniggml
from omniggml import Audio, Model, TextOptions, _native, convert
from omniggml.files.encoders import open_encoders
from omniggml.probe import Reading, new_probe
from omniggml.synthetic.ears import ears_for
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from parity.cases import FloatArray, IntArray

TOWER = "thinker.audio_tower"
_BOUNDARY = re.compile(rf"{re.escape(TOWER)}\.(conv2d\d|conv_out|layers\.\d+(\.self_attn)?|ln_post|act)")
FRAMES = (1, 50, 99, 100, 101, 150, 1000)
SAMPLES = (201, *(160 * frames for frames in FRAMES[1:]), 16159)
CLIPS = (150, 1000, 102, 250)
"""Frames of clips of more than a chunk: shorter ones transformers fills up to the longest of a call."""


@dataclass(frozen=True)
class Ears:
    """A geometry with an audio encoder, as a checkpoint below `root`."""

    root: Path
    geometry: str = "tiny"
    name: str = "plain"

    @cached_property
    def checkpoint(self) -> Path:
        geometry = GEOMETRIES[self.geometry]
        audio = ears_for(geometry, self.name)
        return write_random_checkpoint(geometry, self.root / f"{self.geometry}-{self.name}", audio=audio)

    @property
    def n_mels(self) -> int:
        return ears_for(GEOMETRIES[self.geometry], self.name).num_mel_bins

    def files(self, type_: str = "f32") -> tuple[Path, Path, Path]:
        """Speech file, thinker, mmproj."""
        name = f"{self.geometry}-{self.name}-{type_}"
        paths = [self.root / f"{name}-{part}.gguf" for part in ("speech", "thinker", "mmproj")]
        if not all(path.exists() for path in paths):
            convert(self.checkpoint, self.root, type=type_, name=name)
        return paths[0], paths[1], paths[2]

    def model(self, type_: str = "f32") -> Model:
        return omniggml.load(self.files(type_)[0], device="cpu", n_threads=1)

    def features(self, frames: int) -> FloatArray:
        """Numbers as log-mel features have them, [mels, frames]."""
        return np.random.default_rng(frames).normal(0, 0.7, (self.n_mels, frames)).astype(np.float32)

    def encoders(self, type_: str = "f32") -> _native.MediaEncoders:
        return _native.MediaEncoders(open_encoders(self.files(type_)[2]).native, "cpu")

    def encoded(self, features: FloatArray, type_: str = "f32", threads: int = 1) -> FloatArray:
        return _native.AudioEncoderSession(self.encoders(type_), threads, None).encode(features)

    def captured(
        self, features: FloatArray, type_: str = "f32", given: Mapping[str, FloatArray] | None = None
    ) -> dict[str, FloatArray]:
        """Module path -> what it computed; `given`: outputs that take the place of ours, see `boundaries`."""
        probe = new_probe(("**",), dict(given or {}))
        _native.AudioEncoderSession(self.encoders(type_), 1, probe).encode(features)
        return dict(Reading(probe))


def clip(kind: str, n: int, rate: int = 16000) -> FloatArray:
    """Samples of a sound."""
    time = np.arange(n) / rate
    rng = np.random.default_rng(n)
    made = {
        "noise": rng.normal(0, 0.1, n),
        "voice": sum(0.1 * np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 30)) * (1 + np.sin(19 * time)),
        "silence": np.zeros(n),
        "quiet": 1e-4 * rng.normal(size=n),
    }
    return np.asarray(made[kind], np.float32)


def of_whisper(samples: FloatArray, n_mels: int) -> FloatArray:
    """transformers' features, [mels, frames]: its NumPy path; the one of torch sums in float32 and is itself some 1e-5
    away from it."""
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    features: FloatArray = extractor._np_extract_fbank_features(samples[np.newaxis], "cpu")[0]
    return features


def boundaries(outputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Those of the reference's outputs that a teacher-forced run puts in the place of ours, so that an error doesn't
    reach the next block: convolutions, attention, and what the residual stream holds between layers."""
    return {name: array for name, array in outputs.items() if _BOUNDARY.fullmatch(name)}


def recorded(reference: Any, *clips: FloatArray) -> dict[str, FloatArray]:
    """The same of transformers, which hears all clips in one call."""
    import torch

    from omniggml.comparison.transformers_side import recording

    outputs: dict[str, FloatArray] = {}
    tower = reference.thinker.model.audio_tower
    lengths = torch.tensor([clip.shape[1] for clip in clips])
    with torch.no_grad(), recording(tower, TOWER, outputs):
        tower(torch.from_numpy(np.concatenate(clips, axis=1)), feature_lens=lengths)
    return outputs


def padded(clips: list[FloatArray]) -> dict[str, Any]:
    """Clips, log-mel features [mels, frames], as transformers takes several at once."""
    import torch

    longest = max(clip.shape[1] for clip in clips)
    features = np.stack([np.pad(clip, ((0, 0), (0, longest - clip.shape[1]))) for clip in clips])
    lengths = torch.tensor([[clip.shape[1]] for clip in clips])
    return {
        "input_features": torch.from_numpy(features),
        "feature_attention_mask": (torch.arange(longest) < lengths).long(),
    }


def answered(
    reference: Any, tokens: list[int], media: dict[str, Any], speaker: str, max_text: int, max_frames: int
) -> tuple[list[int], IntArray, FloatArray]:
    """transformers' greedy answer to a conversation in which clips are heard each by itself: text ids, codes
    [groups, frames], samples of one full forward. `media`: what `generate` takes of sounds, images and videos."""
    import torch

    codes: list[Any] = []
    encode = reference.thinker.model.get_audio_features

    def each_alone(features: Any, mask: Any, *_: Any, **options: Any) -> Any:
        heard = [encode(features[i : i + 1, :, : int(n)], mask[i : i + 1, : int(n)]) for i, n in enumerate(mask.sum(1))]
        heard[0].last_hidden_state = torch.cat([one.last_hidden_state for one in heard])
        return heard[0]

    def decode_whole(given: Any, **_: Any) -> Any:
        codes.append(given)
        return reference.code2wav(given)

    # Which the talker's own positions need, and its configuration lacks.
    reference.talker.config.audio_config = reference.config.thinker_config.audio_config
    reference.code2wav.chunked_decode = decode_whole
    reference.thinker.model.get_audio_features = each_alone
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.filterwarnings("ignore", message="Passing `repetition_penalty` with `inputs_embeds`")
            ids, audio = reference.generate(
                torch.tensor([tokens]),
                speaker=speaker,
                thinker_max_new_tokens=max_text,
                thinker_do_sample=False,
                thinker_eos_token_id=reference.config.im_end_token_id,
                talker_do_sample=False,
                talker_max_new_tokens=max_frames + 1,
                **media,
            )
    finally:
        del reference.code2wav.chunked_decode, reference.thinker.model.get_audio_features
    return ids[0, len(tokens) :].tolist(), codes[0][0].numpy().astype(np.int32), audio.numpy().ravel()


def our_answer(
    model: Model, messages: list[dict[str, Any]], speaker: str, max_text: int, max_frames: int
) -> tuple[list[int], list[int], Audio]:
    """The conversation's tokens, the answer's, and its audio, as the reference would speak it."""
    asked = model._placed(messages)
    generator = model._text_generator(asked.tokens, TextOptions(greedy=True, max_tokens=max_text), asked.media)
    tokens = list(iter(generator.next, -1))
    # The reference never speaks the last token it generated: it takes it for the end of the turn.
    spoken = tokens if generator.stop_reason == "eos" else tokens[:-1]
    pieces = model.stream_answer(
        asked.tokens,
        spoken,
        thinker_hidden=generator.prompt_hidden,
        positions=asked.positions,
        speaker=speaker,
        greedy=True,
        max_frames=max_frames,
        repetition_penalty=1.05,
    )
    return asked.tokens, tokens, Audio.join(list(pieces))
