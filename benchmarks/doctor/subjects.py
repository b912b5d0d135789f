"""The models that faults are planted in, and what they said."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType

import omniggml
from gguf_edit import GgufEdit
from omniggml import convert
from omniggml.synthetic.random_checkpoint import write_random_checkpoint

TEXTS = ("hello world, how are you", "the weather is nice today and i am going out")
VOICE = "voice"


class Subjects:
    """Files below one directory; `voice`: a trained speech file."""

    def __init__(self, root: Path, voice: Path | None) -> None:
        self.root = root
        self._voice = voice or _built_in_voice()
        self._serial = 0
        self.checkpoint = cache(self._checkpoint)
        self.file = cache(self._file)
        self.model = cache(self._model)
        self.spoken = cache(self._spoken)

    @property
    def has_voice(self) -> bool:
        return self._voice is not None

    def some(self, *geometries: str) -> list[str]:
        """These, and the trained voice where there is one."""
        return [*geometries, *([VOICE] if self.has_voice else [])]

    def new_path(self, ending: str) -> Path:
        """A path that nobody has yet."""
        self._serial += 1
        return self.root / f"case-{self._serial}{ending}"

    def _checkpoint(self, name: str) -> Path:
        return write_random_checkpoint(name, self.root / name)

    def _file(self, name: str, type_: str = "f32") -> Path:
        if name == VOICE:
            assert self._voice is not None
            return self._voice
        return convert(self.checkpoint(name), self.root, type=type_, name=f"{name}-{type_}")[0]

    def thinker(self, name: str, type_: str = "f32") -> Path:
        return self.root / f"{self.file(name, type_).name.removesuffix('-speech.gguf')}-thinker.gguf"

    def _model(self, name: str) -> omniggml.Model:
        return omniggml.load(self.file(name), device="cpu", n_threads=1)

    def _spoken(self, name: str, text: str = TEXTS[0], seed: int = 1, speaker: str | None = None) -> omniggml.Audio:
        return self.model(name).speak(text, seed=seed, max_frames=40, speaker=speaker)

    def edit(self, name: str) -> GgufEdit:
        return GgufEdit.read(self.file(name))

    def written(self, edit: GgufEdit) -> Path:
        return edit.write(self.new_path(".gguf"))

    def wav(self, samples: npt.NDArray[np.floating[Any]], subtype: str) -> Path:
        return omniggml.Audio(np.asarray(samples, np.float32), 24000).save(self.new_path(".wav"), subtype)


def _built_in_voice() -> Path | None:
    found = sorted((Path(omniggml.__file__).parent / "voice").glob("*-speech.gguf"))
    return found[0] if found else None


def values(edit: GgufEdit, name: str) -> npt.NDArray[np.float32]:
    """A tensor's values, in PyTorch's order of axes."""
    tensor = edit.tensor(name)
    kind = GGMLQuantizationType(tensor.type)
    dtype = {GGMLQuantizationType.F32: np.float32, GGMLQuantizationType.F16: np.float16}.get(kind, np.uint8)
    raw = np.frombuffer(tensor.data, dtype)
    shape = tuple(reversed(tensor.ne))
    if dtype is np.uint8:
        raw = gguf.quants.dequantize(raw.reshape(*shape[:-1], -1), kind)
    return np.array(raw, np.float32).reshape(shape)


def put(edit: GgufEdit, name: str, new: npt.NDArray[Any]) -> GgufEdit:
    """Write values in the tensor's own type."""
    tensor = edit.tensor(name)
    data = np.ascontiguousarray(new, np.float32)
    tensor.data = gguf.quants.quantize(data, GGMLQuantizationType(tensor.type)).tobytes()
    return edit
