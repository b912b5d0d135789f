"""Images of any kind as patches: what the vision encoder reads. Equal to transformers' image processor, the one that
resizes by Pillow."""

from __future__ import annotations

import io
import math
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from omniggml.array_file import existing_file
from omniggml.arrays import as_array
from omniggml.errors import InputError
from omniggml.extras import install_command
from omniggml.spec.model_config import VisionInputConfig
from omniggml.undisturbed import Failed, undisturbed

if TYPE_CHECKING:
    from PIL.Image import Image

FloatArray = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
ImageLike = str | os.PathLike[str] | bytes | npt.ArrayLike | Any
"""A file's path or its bytes; uint8 pixels [height, width] or [height, width, 3 or 4]; a `PIL.Image.Image`."""

MOST_PIXELS = 80_000_000
"""Of an image before it is resized; 240 MB."""

_FRAMES = 2  # that a patch covers
_LONGEST_TO_SHORTEST = 200
# What Pillow reads by itself; others call programs, or are no images.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
_ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")
# What Pillow raises of files that are damaged.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error)


@dataclass(frozen=True)
class PatchSize:
    """Pixels along a patch, patches along a block of which the thinker reads one row, and how pixels are scaled."""

    patch: int
    merge: int
    scaling: VisionInputConfig

    @property
    def block(self) -> int:
        """Pixels along a block."""
        return self.patch * self.merge


@dataclass(frozen=True)
class Bounds:
    """Pixels that an image has at least and at most once it is resized."""

    least: int
    most: int


@dataclass(frozen=True)
class Patches:
    """`values` float32 [patches, 3 * 2 * patch * patch], block after block; `grid`: pairs of frames, rows, columns."""

    values: FloatArray
    grid: tuple[int, int, int]


def image_patches(image: ImageLike, size: PatchSize, bounds: Bounds, what: str) -> Patches:
    """An image as a video of one frame that is shown twice. Raises InputError for what can't be read, is larger than
    MOST_PIXELS, an animation, or longer than 200 times its other side."""
    pixels = resized(read_image(image, what), size, bounds, what)
    return patches_of(pixels, pixels, size)


# --- reading ----------------------------------------------------------------------------------------------------------


def pillow() -> Any:
    """Pillow's modules. Raises InputError where it isn't installed."""
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise InputError(f"images are read by Pillow, which isn't installed: {install_command('images')}") from None
    return PIL


def read_image(image: ImageLike, what: str) -> Image:
    """In RGB, turned as a camera noted."""
    PIL = pillow()
    if isinstance(image, PIL.Image.Image):
        opened = image
    elif isinstance(image, (str, os.PathLike)):
        path = existing_file(image)
        return _of_file(path, str(path))
    elif isinstance(image, (bytes, bytearray, memoryview)):
        return _of_file(io.BytesIO(bytes(image)), what)
    else:
        opened = PIL.Image.fromarray(pixels_of(image, what))
    _check_size(opened.width, opened.height, what)
    return _as_rgb(opened, what)


def pixels_of(values: Any, what: str) -> Pixels:
    """An array of pixels, as one with colours where it has no others."""
    array = as_array(what, values)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError(
            f"{what} is an array of {array.dtype} {list(array.shape)}; expected a path, bytes, or pixels uint8 "
            "[height, width, 3]"
        )
    if 0 in array.shape:
        raise InputError(f"{what} has no pixels")
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _of_file(source: Any, what: str) -> Image:
    PIL = pillow()
    PIL.Image.init()
    try:
        return undisturbed(lambda: _opened(source, what), (PIL.Image.DecompressionBombError, *_DAMAGED))
    except Failed as failed:
        error = failed.__cause__
        if isinstance(error, PIL.UnidentifiedImageError):
            raise InputError(
                f"{what} is no image that can be read: neither PNG, JPEG, WebP, GIF, BMP, TIFF nor AVIF"
            ) from None
        if isinstance(error, PIL.Image.DecompressionBombError):
            raise InputError(f"{what} has more than the {MOST_PIXELS} pixels that an image may have") from None
        if isinstance(error, PermissionError):
            raise InputError(f"{what} can't be read: {error.strerror}") from error
        raise InputError(f"{what} is an image that is damaged, or cut") from None


def _opened(source: Any, what: str) -> Image:
    PIL = pillow()
    with PIL.Image.open(source, formats=[name for name in _FORMATS if name in PIL.Image.OPEN]) as opened:
        _check_size(opened.width, opened.height, what)
        frames = getattr(opened, "n_frames", 1)
        if opened.format in _ANIMATIONS and frames > 1:
            raise InputError(f"{what} is an animation of {frames} frames; give one of them, or a video of all")
        opened.load()
        return _as_rgb(opened, what)


def _as_rgb(image: Image, what: str) -> Image:
    PIL = pillow()
    turned: Image = PIL.ImageOps.exif_transpose(image)
    if turned.mode.startswith("I;16"):  # Pillow would cut what is brighter than 255
        turned = PIL.Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
    if turned.mode in ("I", "F"):
        raise InputError(f"{what} has pixels of 32 bits, of which nobody knows what is white; save it with 8 or 16")
    return turned.convert("RGB")


def _check_size(width: int, height: int, what: str) -> None:
    if width * height > MOST_PIXELS:
        raise InputError(f"{what} has {width} x {height} pixels; it may have {MOST_PIXELS}")


# --- sizes ------------------------------------------------------------------------------------------------------------


def smart_size(height: int, width: int, block: int, bounds: Bounds, what: str) -> tuple[int, int]:
    """The nearest multiples of a block within the bounds, as transformers' `smart_resize` finds them."""
    if max(height, width) > _LONGEST_TO_SHORTEST * min(height, width):
        raise InputError(
            f"{what} has {width} x {height} pixels; its longer side may be {_LONGEST_TO_SHORTEST} times the other"
        )
    rows, columns = round(height / block) * block, round(width / block) * block
    if rows * columns > bounds.most:
        shrink = math.sqrt(height * width / bounds.most)
        rows = max(block, math.floor(height / shrink / block) * block)
        columns = max(block, math.floor(width / shrink / block) * block)
    elif rows * columns < bounds.least:
        grow = math.sqrt(bounds.least / (height * width))
        rows = math.ceil(height * grow / block) * block
        columns = math.ceil(width * grow / block) * block
    return rows, columns


def resized(image: Image, size: PatchSize, bounds: Bounds, what: str) -> Pixels:
    """[rows, columns, 3], in whole blocks."""
    rows, columns = smart_size(image.height, image.width, size.block, bounds, what)
    return np.asarray(image.resize((columns, rows), resample=pillow().Image.Resampling.BICUBIC))


# --- patches ----------------------------------------------------------------------------------------------------------


def patches_of(first: Pixels, second: Pixels, size: PatchSize) -> Patches:
    """A pair of frames, each [rows, columns, 3] in whole blocks."""
    rows, columns = first.shape[0] // size.patch, first.shape[1] // size.patch
    frames = np.stack([_scaled(frame, size.scaling) for frame in ((first,) if second is first else (first, second))])
    blocks = frames.reshape(
        len(frames), rows // size.merge, size.merge, size.patch, columns // size.merge, size.merge, size.patch, 3
    )
    # [block row, block column, row, column, channel, frame, y, x]
    ordered = blocks.transpose(1, 4, 2, 5, 7, 0, 3, 6)
    whole = np.broadcast_to(ordered, (*ordered.shape[:5], _FRAMES, *ordered.shape[6:]))
    return Patches(whole.reshape(rows * columns, -1), (1, rows, columns))


def _scaled(pixels: Pixels, scaling: VisionInputConfig) -> FloatArray:
    """In the reference's order of operations, and so to its bits."""
    shares = (pixels.astype(np.float64) * (1 / 255)).astype(np.float32)
    mean, deviation = (np.array(values, np.float32) for values in (scaling.image_mean, scaling.image_std))
    return (shares - mean) / deviation
