"""From images and videos in messages to what the thinker reads in the places of the placeholders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.errors import InputError
from omniggml.media.image_input import Bounds, Patches, PatchSize, image_patches
from omniggml.media.late_encoders import LateEncoders
from omniggml.media.parts import SeenPart, WatchedPart
from omniggml.media.video_input import Rate, VideoFrames, rate_of
from omniggml.options import check_integer
from omniggml.probe import active

FloatArray = npt.NDArray[np.float32]
IMAGE_PAD, VIDEO_PAD = "<|image_pad|>", "<|video_pad|>"
"""The control tokens that stand in a prompt for what is seen; repeated, once for each row."""

IMAGE_TOKENS_ON_CPU = 768
VIDEO_TOKENS = (128, 768)
VIDEO_TOKENS_ON_CPU = 256
"""Tokens that an image, or a pair of a video's frames, has at most (and a pair at least) where nobody says otherwise.
Without a CPU's bounds they are the reference's."""

_MOST_PIXELS = 1 << 27


@dataclass(frozen=True)
class Seen:
    """What the thinker reads of an image: `rows` float32 [tokens, hidden] in its place, `deepstack` the same for each
    of its first layers, behind which they are added; `grid`: rows and columns of tokens."""

    rows: FloatArray
    deepstack: tuple[FloatArray, ...]
    grid: tuple[int, int]


@dataclass(frozen=True)
class Watched:
    """The same of a video: `pairs` of frames, each `grid` tokens, `step` positions apart."""

    rows: FloatArray
    deepstack: tuple[FloatArray, ...]
    pairs: int
    grid: tuple[int, int]
    step: int


class Eyes:
    """A vision encoder and how its input is made. Not for two threads at once."""

    def __init__(self, encoders: LateEncoders, n_threads: int) -> None:
        """Raises InputError where the file holds none."""
        native = encoders.loaded()
        geometry = native.vision_geometry
        if geometry is None:
            raise InputError(
                f"{encoders.path} holds no encoder for images; convert the checkpoint again, or load "
                "an mmproj file that does"
            )
        self._on_cpu, self._images = native.on_cpu, encoders.images
        self._size = PatchSize(geometry["patch_size"], geometry["spatial_merge_size"], encoders.images)
        self._session = _native.VisionEncoderSession(native, n_threads, active.get())

    def image_patches(self, part: SeenPart, what: str) -> Patches:
        """An image, in the size in which it is seen."""
        most = self._images.max_pixels
        if self._on_cpu:
            most = min(most, IMAGE_TOKENS_ON_CPU * self._size.block**2)
        return image_patches(part.image, self._size, self._bounds(part, self._images.min_pixels, most), what)

    def frames(self, part: WatchedPart, what: str) -> tuple[VideoFrames, Rate]:
        """A video's frames, in the size in which they are seen."""
        least, most = VIDEO_TOKENS[0], VIDEO_TOKENS_ON_CPU if self._on_cpu else VIDEO_TOKENS[1]
        area = self._size.block**2
        rate = rate_of(part.rate, self._images.position_id_per_seconds, what)
        return VideoFrames(part.video, rate, self._size, self._bounds(part, least * area, most * area), what), rate

    def tokens(self, patches: Patches) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return patches.grid[1] // self._size.merge, patches.grid[2] // self._size.merge

    def see(self, patches: Patches) -> Seen:
        """One image, or one pair of frames."""
        rows, deepstack = self._session.encode(patches.values, patches.grid)
        return Seen(rows, tuple(deepstack), self.tokens(patches))

    def watch(self, pairs: Iterator[Patches], step: int) -> Watched:
        """A video pair after pair."""
        seen = [self.see(pair) for pair in pairs]
        levels = zip(*(one.deepstack for one in seen), strict=True)
        deepstack = tuple(np.concatenate(level) for level in levels)
        return Watched(np.concatenate([one.rows for one in seen]), deepstack, len(seen), seen[0].grid, step)

    @staticmethod
    def _bounds(part: SeenPart | WatchedPart, least: int, most: int) -> Bounds:
        for name, value in (("min_pixels", part.min_pixels), ("max_pixels", part.max_pixels)):
            if value is not None:
                check_integer(name, value, 1, _MOST_PIXELS)
        most = most if part.max_pixels is None else part.max_pixels
        least = min(least, most) if part.min_pixels is None else part.min_pixels
        if least > most:
            raise InputError(f"min_pixels is {least} and max_pixels {most}")
        return Bounds(least, most)
