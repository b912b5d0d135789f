"""A vision encoder of both sides: ours from a checkpoint's files, and transformers' of the same checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import omniggml
from ears_side import padded
from omniggml import Model, _native, convert
from omniggml.files.encoders import open_encoders
from omniggml.media.image_input import Patches
from omniggml.probe import Reading, new_probe
from omniggml.synthetic.ears import ears_for
from omniggml.synthetic.eyes import eyes_for
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from parity.cases import FloatArray

VISUAL = "thinker.visual"
GRIDS = ((1, 2, 2), (1, 2, 4), (1, 4, 16), (2, 4, 6), (1, 16, 12), (5, 2, 2))
"""Pairs of frames, rows and columns of patches."""


_FEWEST_FOR_GAIN = 20


def held_to(type_: str, grid: tuple[int, int, int]) -> bool:
    """Whether there are enough patches for the gate of a type: of a few rows, 8 bits change the norm by chance."""
    return type_ != "q8_0" or int(np.prod(grid)) >= _FEWEST_FOR_GAIN


@dataclass(frozen=True)
class Eyes:
    """A geometry with a vision encoder, and an audio encoder beside it, as a checkpoint below `root`."""

    root: Path
    geometry: str = "tiny"
    name: str = "plain"
    ears: str | None = "plain"

    @cached_property
    def checkpoint(self) -> Path:
        geometry = GEOMETRIES[self.geometry]
        audio = None if self.ears is None else ears_for(geometry, self.ears)
        directory = self.root / f"{self.geometry}-{self.name}-{self.ears}"
        return write_random_checkpoint(geometry, directory, audio=audio, vision=eyes_for(geometry, self.name))

    def files(self, type_: str = "f32") -> tuple[Path, Path, Path]:
        """Speech file, thinker, mmproj."""
        name = f"{self.geometry}-{self.name}-{self.ears}-{type_}"
        paths = [self.root / f"{name}-{part}.gguf" for part in ("speech", "thinker", "mmproj")]
        if not all(path.exists() for path in paths):
            convert(self.checkpoint, self.root, type=type_, name=name)
        return paths[0], paths[1], paths[2]

    def model(self, type_: str = "f32") -> Model:
        return omniggml.load(self.files(type_)[0], device="cpu", n_threads=1)

    def patches(self, grid: tuple[int, int, int]) -> FloatArray:
        """Numbers as pixels have them, [patches, values]."""
        width = 6 * eyes_for(GEOMETRIES[self.geometry], self.name).patch_size ** 2
        shape = int(np.prod(grid)), width
        return np.random.default_rng(sum(grid)).uniform(-1, 1, shape).astype(np.float32)

    def encoders(self, type_: str = "f32") -> _native.MediaEncoders:
        return _native.MediaEncoders(open_encoders(self.files(type_)[2]).native, "cpu")

    def seen(
        self, grid: tuple[int, int, int], type_: str = "f32", threads: int = 1
    ) -> tuple[FloatArray, list[FloatArray]]:
        """What the encoder makes of `patches(grid)`."""
        return _native.VisionEncoderSession(self.encoders(type_), threads, None).encode(self.patches(grid), grid)

    def captured(self, grid: tuple[int, int, int], type_: str = "f32") -> dict[str, FloatArray]:
        """Module path -> what it computed."""
        probe = new_probe(("**",), {})
        _native.VisionEncoderSession(self.encoders(type_), 1, probe).encode(self.patches(grid), grid)
        return dict(Reading(probe))


def recorded(reference: Any, patches: FloatArray, grid: tuple[int, int, int]) -> dict[str, FloatArray]:
    """The same of transformers."""
    import torch

    from omniggml.comparison.transformers_side import recording

    outputs: dict[str, FloatArray] = {}
    visual = reference.thinker.model.visual
    with torch.no_grad(), recording(visual, VISUAL, outputs):
        visual(torch.from_numpy(patches), grid_thw=torch.tensor([grid]))
    return outputs


@dataclass
class Shown:
    """What the reference is given of a conversation's media, in order."""

    images: list[Patches]
    videos: list[tuple[list[Patches], int]]
    clips: list[FloatArray]
    with_sound: bool = False

    def inputs(self) -> dict[str, Any]:
        import torch

        given: dict[str, Any] = {}
        if self.images:
            given["pixel_values"] = torch.from_numpy(np.concatenate([image.values for image in self.images]))
            given["image_grid_thw"] = torch.tensor([image.grid for image in self.images])
        if self.videos:
            pairs = [pair for video, _ in self.videos for pair in video]
            given["pixel_values_videos"] = torch.from_numpy(np.concatenate([pair.values for pair in pairs]))
            grids = [(len(video), *video[0].grid[1:]) for video, _ in self.videos]
            given["video_grid_thw"] = torch.tensor(grids)
            given["video_second_per_grid"] = torch.tensor([step / 13 for _, step in self.videos])
        if self.clips:
            given |= padded(self.clips)
        return given | ({"use_audio_in_video": True} if self.with_sound else {})


def write_video(
    path: Path, frames: npt.NDArray[np.uint8], rate: int, sound: FloatArray | None = None, sound_rate: int = 16000
) -> Path:
    """Frames uint8 [n, height, width, 3] without loss, with a sound where one is given."""
    import av

    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("ffv1", rate=rate)
        video.width, video.height, video.pix_fmt = frames.shape[2], frames.shape[1], "bgr0"
        track: Any = None if sound is None else container.add_stream("pcm_s16le", rate=sound_rate, layout="mono")
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode(None))
        if sound is not None:
            given = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[np.newaxis], "s16", "mono")
            given.sample_rate, given.pts = sound_rate, 0
            container.mux(track.encode(given))
            container.mux(track.encode(None))
    return path
