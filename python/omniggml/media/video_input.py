"""Videos as pairs of frames at a stated rate: what the vision encoder reads one after the other."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.array_file import existing_file
from omniggml.arrays import as_array
from omniggml.errors import InputError
from omniggml.extras import install_command
from omniggml.media import ffmpeg
from omniggml.media.image_input import (
    MOST_PIXELS,
    Bounds,
    Patches,
    PatchSize,
    Pixels,
    patches_of,
    pillow,
    pixels_of,
    resized,
)
from omniggml.plain_file import open_plain
from omniggml.printable import shown
from omniggml.undisturbed import Failed

VideoLike = str | os.PathLike[str] | bytes | npt.ArrayLike
"""A file's path or its bytes; frames as uint8 [frames, height, width, 3]."""

DEFAULT_RATE = 2.0
MOST_FRAMES = 768
_FRAMES = 2  # that a patch covers
_MOST_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Rate:
    """Frames a second, and the positions from one pair to the next, a whole number."""

    frames: Fraction
    step: int


def rate_of(frames_a_second: float | None, position_ids: int, what: str) -> Rate:
    """Raises InputError for a rate whose pairs of frames are not a whole number of positions apart."""
    asked = DEFAULT_RATE if frames_a_second is None else frames_a_second
    if isinstance(asked, bool) or not isinstance(asked, (int, float, np.number)) or not 0.001 <= float(asked) <= 240:
        raise InputError(f"the frame rate of {what} is {shown(asked)}; expected frames a second, 0.001 to 240")
    apart = _FRAMES * position_ids / float(asked)
    step = max(1, round(apart))
    if abs(apart - step) > 1e-3 * step:
        around = [_FRAMES * position_ids / steps for steps in (math.ceil(apart), math.floor(apart)) if steps]
        near = " or ".join(f"{one:g}" for one in around)
        raise InputError(
            f"the frame rate of {what} is {float(asked):g}, at which frames lie between the positions that the thinker "
            f"counts, {position_ids} a second; take {near}"
        )
    return Rate(Fraction(_FRAMES * position_ids, step), step)


class VideoFrames:
    """The frames of a video at a rate, resized as they come: one pair is in memory at a time."""

    def __init__(self, video: VideoLike, rate: Rate, size: PatchSize, bounds: Bounds, what: str) -> None:
        """Raises InputError for what can't be read."""
        self._size, self._bounds, self._what, self._rate = size, bounds, what, rate
        self._video: Any = video
        if isinstance(video, (str, os.PathLike)):
            self._video = existing_file(video)
            self._what = str(self._video)

    def pairs(self) -> Iterator[Patches]:
        """In order; a last frame without another is shown twice."""
        waiting: Pixels | None = None
        frames = self._of_array() if self._is_array else self._of_file()
        n = 0
        for frame in frames:
            n += 1
            if n > MOST_FRAMES:
                raise InputError(
                    f"{self._what} has more than {MOST_FRAMES} frames at {float(self._rate.frames):g} a second; take "
                    "fewer, or cut it"
                )
            if waiting is None:
                waiting = frame
            else:
                yield patches_of(waiting, frame, self._size)
                waiting = None
        if waiting is not None:
            yield patches_of(waiting, waiting, self._size)
        if n == 0:
            raise InputError(f"{self._what} holds no frames")

    @property
    def _is_array(self) -> bool:
        return not isinstance(self._video, (os.PathLike, bytes, bytearray, memoryview))

    def _of_array(self) -> Iterator[Pixels]:
        """All of them: the rate says what they are."""
        PIL = pillow()
        frames: Any = self._video if isinstance(self._video, (list, tuple)) else as_array(self._what, self._video)
        shape: tuple[int, ...] | None = None
        for frame in frames:
            if isinstance(frame, PIL.Image.Image):
                picture = frame.convert("RGB")
            else:
                picture = PIL.Image.fromarray(pixels_of(frame, f"a frame of {self._what}")).convert("RGB")
            if shape is not None and picture.size != shape:
                raise InputError(f"{self._what} has frames of different sizes")
            shape = picture.size
            yield resized(picture, self._size, self._bounds, self._what)

    def _of_file(self) -> Iterator[Pixels]:
        """What is shown at 0, 1/rate, 2/rate, ... seconds."""
        if find_spec("av") is None:
            raise InputError(f"videos are read by PyAV, which isn't installed: {install_command('codecs')}")
        source = self._readable() if isinstance(self._video, os.PathLike) else io.BytesIO(bytes(self._video))
        pillow()
        try:
            with ffmpeg.opened(source) as container:
                if not container.streams.video:
                    raise InputError(f"{self._what} holds no video")
                yield from ffmpeg.read(self._sampled(container.decode(container.streams.video[0])))
        except Failed:
            raise InputError(
                f"{self._what} is no video that can be read: neither MP4, WebM, AVI, MOV, MPEG nor GIF, or it is "
                "damaged"
            ) from None

    def _readable(self) -> str:
        try:
            open_plain(self._video).close()
        except OSError as error:
            raise InputError(f"{self._what} can't be read: {error.strerror or error}") from error
        return str(self._video)

    def _sampled(self, decoded: Iterator[Any]) -> Iterator[Pixels]:
        shown: Any = None
        begin: Fraction | None = None
        elapsed, n, size = Fraction(0), 0, None
        for frame in decoded:
            if frame.width * frame.height > MOST_PIXELS:
                raise InputError(f"{self._what} has frames of {frame.width} x {frame.height} pixels")
            if size not in (None, (frame.width, frame.height)):
                raise InputError(f"{self._what} has frames of different sizes")
            size = frame.width, frame.height
            at = Fraction(frame.pts or 0) * Fraction(frame.time_base or 1)
            begin = at if begin is None else begin
            elapsed = at - begin
            if not 0 <= elapsed <= _MOST_SECONDS:
                raise InputError(f"{self._what} has frames that are out of order, or days apart; save it anew")
            while shown is not None and Fraction(n) / self._rate.frames < elapsed:
                yield self._resized(shown)
                n += 1
            shown = frame
        if shown is not None and Fraction(n) / self._rate.frames <= elapsed:
            yield self._resized(shown)

    def _resized(self, frame: Any) -> Pixels:
        return resized(frame.to_image(), self._size, self._bounds, self._what)


def has_sound(video: Any) -> bool:
    """Whether a video's file has a track of sound; frames have none."""
    if not isinstance(video, (str, os.PathLike, bytes, bytearray, memoryview)):
        return False
    source = io.BytesIO(bytes(video)) if isinstance(video, (bytes, bytearray, memoryview)) else os.fspath(video)
    try:
        with ffmpeg.opened(source) as container:
            return bool(container.streams.audio)
    except Failed:
        return False
