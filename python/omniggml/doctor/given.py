"""What the person hands over as files, read with a sentence for everything that can be wrong with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from safetensors import SafetensorError
from safetensors.numpy import load_file

from omniggml.doctor.case import Recorded
from omniggml.errors import InputError

PathLike = str | os.PathLike[str]


def read_codes(codes: PathLike | npt.ArrayLike) -> npt.NDArray[Any]:
    """An array, or the one in a .npy file. Raises InputError where there is none."""
    if not isinstance(codes, (str, os.PathLike)):
        return np.asarray(codes)
    path = _existing(codes)
    try:
        # Never unpickle: the file is somebody else's.
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy lets out whatever its parsers of headers and archives raise
        raise InputError(f"{path} is no .npy file of numbers: {' '.join(str(error).split())}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; expected one, in a .npy file")
    return array


def read_audio(audio: PathLike) -> Recorded:
    """An audio file. Raises InputError where it can't be read."""
    path = _existing(audio)
    try:
        with soundfile.SoundFile(str(path)) as file:
            return Recorded(str(path), file.read(dtype="float64", always_2d=True), file.samplerate, file.subtype)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise InputError(f"{path} is no audio file that can be read: {error}") from error


def read_dump(dump: PathLike | Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
    """Module name -> array, from an .npz or a .safetensors file. Raises InputError where it is neither."""
    if isinstance(dump, Mapping):
        return {name: np.asarray(values) for name, values in dump.items()}
    path = _existing(dump)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except SafetensorError as error:
        raise InputError(f"{path} is no safetensors file: {error}") from error
    except Exception as error:  # as above
        raise InputError(f"{path} is no .npz or .safetensors file: {' '.join(str(error).split())}") from error


def _existing(path: PathLike) -> Path:
    file = Path(os.fspath(path))
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    return file
