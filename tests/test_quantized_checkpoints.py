"""Checkpoints whose weights are quantized: read where the numbers follow, named where not."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from omniggml import convert
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.errors import ConversionError
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence
from test_resaved import edit

Array = npt.NDArray[Any]
Stored = dict[str, tuple[str, Array]]
"""Name -> safetensors' type, and the values as they lie in the file."""

WEIGHT = "thinker.model.layers.0.mlp.experts.1.up_proj.weight"
E4M3_MOST = 448.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint("tiny", tmp_path_factory.mktemp("checkpoint") / "tiny")


def plain(directory: Path) -> dict[str, Array]:
    checkpoint = Checkpoint(directory)
    return {
        name: np.concatenate(list(checkpoint.blocks(name))).reshape(stored.shape)
        for name, stored in checkpoint.tensors.items()
    }


def write(directory: Path, tensors: Stored) -> None:
    entries, data, offset = {}, [], 0
    for name, (type_, values) in tensors.items():
        content = np.ascontiguousarray(values).tobytes()
        entries[name] = {"dtype": type_, "shape": list(values.shape), "data_offsets": [offset, offset + len(content)]}
        offset += len(content)
        data.append(content)
    header = json.dumps(entries).encode()
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"".join(data))


def quantized(
    source: Path, target: Path, config: dict[str, Any], change: Callable[[str, Array], Stored | None]
) -> Path:
    """A copy; `change` gives what stands for a tensor, None where it stays plain."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("model*"))
    out: Stored = {}
    for name, values in plain(source).items():
        out |= change(name, values) or {name: ("F32", values.astype(np.float32))}
    write(target, out)
    edit(target / "config.json", lambda content: content.update(quantization_config=config))
    return target


def e4m3(values: Array) -> Array:
    """The nearest of the 254 numbers."""
    codes = np.arange(256, dtype=np.uint8)
    numbers = numbers_of_e4m3()
    finite = codes[np.isfinite(numbers)]
    order = finite[np.argsort(numbers[finite])]
    at = np.searchsorted((numbers[order][1:] + numbers[order][:-1]) / 2, values)
    return order[at]


def numbers_of_e4m3() -> Array:
    """Of every byte, by torch, which knows the type."""
    torch = pytest.importorskip("torch")
    codes = np.arange(256, dtype=np.uint8)
    return np.asarray(torch.from_numpy(codes).view(torch.float8_e4m3fn).float().numpy())


def matrices(prefix: str) -> Callable[[str, Array], bool]:
    return lambda name, values: name.startswith(prefix) and name.endswith("_proj.weight") and values.ndim == 2


def blocks(values: Array, rows: int, columns: int) -> tuple[Array, Array]:
    """The largest of each block, and that for each value."""
    grid = np.array(
        [
            [np.abs(values[i : i + rows, j : j + columns]).max() for j in range(0, values.shape[1], columns)]
            for i in range(0, values.shape[0], rows)
        ]
    )
    spread = np.repeat(np.repeat(grid, rows, 0), columns, 1)[: values.shape[0], : values.shape[1]]
    return grid.astype(np.float32), spread.astype(np.float32)


# --- writers ----------------------------------------------------------------------------------------------------------


def fp8_blocks(values: Array) -> tuple[dict[str, tuple[str, Array]], Array]:
    grid, spread = blocks(values, 24, 20)
    codes = e4m3(values / (spread / E4M3_MOST))
    scale = (grid / E4M3_MOST).astype(np.float32)
    got = numbers_of_e4m3()[codes] * (spread / E4M3_MOST)
    return {"weight": ("F8_E4M3", codes), "weight_scale_inv": ("F32", scale)}, got


def fp8_rows(values: Array) -> tuple[dict[str, tuple[str, Array]], Array]:
    grid, spread = blocks(values, 1, values.shape[1])
    codes = e4m3(values / (spread / E4M3_MOST))
    return {"weight": ("F8_E4M3", codes), "weight_scale": ("F32", grid / np.float32(E4M3_MOST))}, (
        numbers_of_e4m3()[codes] * (spread / np.float32(E4M3_MOST))
    )


def fp8_tensor(values: Array) -> tuple[dict[str, tuple[str, Array]], Array]:
    scale = np.array([np.abs(values).max() / E4M3_MOST], np.float32)
    codes = e4m3(values / scale)
    extra = {"input_scale": ("F32", np.ones(1, np.float32))}
    return {"weight": ("F8_E4M3", codes), "weight_scale": ("F32", scale), **extra}, numbers_of_e4m3()[codes] * scale


def int8_rows(values: Array) -> tuple[dict[str, tuple[str, Array]], Array]:
    grid, spread = blocks(values, 1, values.shape[1])
    codes = np.round(values / (spread / 127)).astype(np.int8)
    return {"weight": ("I8", codes), "weight_scale": ("F32", grid / np.float32(127))}, codes * (spread / 127)


def packed(codes: Array, bits: int) -> Array:
    """Along the last axis; the first value in the lowest bits."""
    n = 32 // bits
    padded = np.pad(codes.astype(np.int64) + 2 ** (bits - 1), ((0, 0), (0, -codes.shape[1] % n)))
    words = sum(padded[:, i::n] << (bits * i) for i in range(n))
    return np.asarray(words, np.uint32).view(np.int32)


def packed_int(bits: int, zeros: bool) -> Callable[[Array], tuple[dict[str, tuple[str, Array]], Array]]:
    def of(values: Array) -> tuple[dict[str, tuple[str, Array]], Array]:
        grid, _ = blocks(values, 1, 16)
        most = 2 ** (bits - 1) - 1
        zero = (np.arange(grid.size).reshape(grid.shape) % 3 - 1).astype(np.int64) * zeros
        scale = (grid / (most - 1)).astype(np.float32)
        spread, shift = (np.repeat(one, 16, 1)[:, : values.shape[1]] for one in (scale, zero))
        codes = np.clip(np.round(values / spread) + shift, -most - 1, most).astype(np.int64)
        out = {
            "weight_packed": ("I32", packed(codes, bits)),
            "weight_scale": ("F32", scale),
            "weight_shape": ("I64", np.array(values.shape, np.int64)),
        }
        if zeros:
            out["weight_zero_point"] = ("I32", packed(zero.T, bits).T)
        return out, ((codes - shift) * spread).astype(np.float32)

    return of


FORMATS: dict[str, tuple[dict[str, Any], Callable[[Array], tuple[dict[str, tuple[str, Array]], Array]]]] = {
    "fp8 blocks": ({"quant_method": "fp8", "weight_block_size": [24, 20]}, fp8_blocks),
    "fp8 rows": ({"quant_method": "compressed-tensors", "format": "float-quantized"}, fp8_rows),
    "fp8 tensor": ({"quant_method": "compressed-tensors", "format": "float-quantized"}, fp8_tensor),
    "int8 rows": ({"quant_method": "compressed-tensors", "format": "int-quantized"}, int8_rows),
    "int4 packed": ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, packed_int(4, False)),
    "int4 packed, zero points": (
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        packed_int(4, True),
    ),
    "int8 packed": ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, packed_int(8, False)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_read_as_the_numbers_that_they_stand_for(tiny: Path, tmp_path: Path, name: str) -> None:
    """The thinker's and the talker's matrices quantized, the file is that of a checkpoint of the same numbers."""
    config, quantize = FORMATS[name]
    wanted = matrices("t")
    meant: Stored = {}

    def change(tensor: str, values: Array) -> Stored | None:
        if not wanted(tensor, values):
            return None
        parts, got = quantize(values)
        meant[tensor] = ("F32", got.astype(np.float32))
        return {f"{tensor.removesuffix('weight')}{part}": entry for part, entry in parts.items()}

    directory = quantized(tiny, tmp_path / "q", config, change)
    assert WEIGHT in meant and np.isfinite(meant[WEIGHT][1]).all()
    original = plain(tiny)
    error = np.abs(meant[WEIGHT][1] - original[WEIGHT]).max() / np.abs(original[WEIGHT]).max()
    assert 0 < error < 0.2
    exact = quantized(
        tiny, tmp_path / "exact", config, lambda tensor, _: {tensor: meant[tensor]} if tensor in meant else None
    )
    edit(exact / "config.json", lambda content: content.pop("quantization_config"))
    for first, second in zip(
        convert(directory, tmp_path / "a", type="f32", name="x"),
        convert(exact, tmp_path / "b", type="f32", name="x"),
        strict=True,
    ):
        a, b = first.read_bytes(), second.read_bytes()
        assert len(a) == len(b)
        np.testing.assert_allclose(*(read_f32(path) for path in (first, second)), rtol=1e-6)


def read_f32(path: Path) -> Array:
    from gguf import GGUFReader

    return np.concatenate([np.asarray(tensor.data, np.float32).ravel() for tensor in GGUFReader(path).tensors])


def test_groups_in_any_order(tiny: Path, tmp_path: Path) -> None:
    """`weight_g_idx` says which scale a column has."""
    group = np.arange(64) % 4

    def change(tensor: str, values: Array) -> Stored | None:
        if tensor != WEIGHT:
            return None
        codes = (np.arange(values.size).reshape(values.shape) % 15 - 7).astype(np.int64)
        base = tensor.removesuffix("weight")
        return {
            f"{base}weight_packed": ("I32", packed(codes, 4)),
            f"{base}weight_scale": ("F32", np.tile(np.float32([1, 2, 4, 8]), (len(values), 1))),
            f"{base}weight_shape": ("I64", np.array(values.shape, np.int64)),
            f"{base}weight_g_idx": ("I32", group.astype(np.int32)),
        }

    directory = quantized(tiny, tmp_path / "q", {"quant_method": "compressed-tensors"}, change)
    got = np.concatenate(list(Checkpoint(directory).blocks(WEIGHT))).reshape(-1, 64)
    np.testing.assert_array_equal(got[0, :8], (np.arange(8) % 15 - 7) * np.float32([1, 2, 4, 8, 1, 2, 4, 8]))


def words(tensor: str, values: Array) -> Stored | None:
    """As AWQ and GPTQ store a matrix."""
    if not matrices("thinker.")(tensor, values):
        return None
    base = tensor.removesuffix("weight")
    return {
        f"{base}qweight": ("I32", np.zeros((values.shape[1], -(-values.shape[0] // 8)), np.int32)),
        f"{base}qzeros": ("I32", np.zeros((1, 1), np.int32)),
        f"{base}scales": ("F16", np.zeros((1, values.shape[0]), np.float16)),
    }


def bytes_(tensor: str, values: Array) -> Stored | None:
    """As bitsandbytes stores a matrix."""
    if not matrices("thinker.")(tensor, values):
        return None
    return {
        tensor: ("U8", np.zeros((values.size // 2, 1), np.uint8)),
        f"{tensor}.absmax": ("U8", np.zeros(values.size // 64, np.uint8)),
    }


def fours(tensor: str, values: Array) -> Stored | None:
    if not matrices("thinker.")(tensor, values):
        return None
    base = tensor.removesuffix("weight")
    return {
        f"{base}weight_packed": ("U8", np.zeros((values.shape[0], values.shape[1] // 2), np.uint8)),
        f"{base}weight_scale": ("F8_E4M3", np.zeros((values.shape[0], values.shape[1] // 16), np.uint8)),
        f"{base}weight_global_scale": ("F32", np.ones(1, np.float32)),
    }


OTHERS: dict[str, tuple[dict[str, Any], Callable[[str, Array], Stored | None]]] = {
    "AWQ": ({"quant_method": "awq", "bits": 4}, words),
    "GPTQ": ({"quant_method": "gptq", "bits": 4}, words),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, bytes_),
    "NVFP4": ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}, fours),
}


@pytest.mark.parametrize("title", OTHERS)
def test_others_are_named_and_speak_where_the_talker_is_plain(tiny: Path, tmp_path: Path, title: str) -> None:
    directory = quantized(tiny, tmp_path / "q", *OTHERS[title])
    with pytest.raises(ConversionError) as error:
        convert(directory, tmp_path / "out")
    one_sentence(str(error.value), title, "unquantized", "--only speech")
    (ours,) = convert(tiny, tmp_path / "a", type="bf16", name="x", only="speech")
    (theirs,) = convert(directory, tmp_path / "b", type="bf16", name="x", only="speech")
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_quantized_talker_is_named(tiny: Path, tmp_path: Path) -> None:
    def change(tensor: str, values: Array) -> Stored | None:
        return words(tensor.replace("talker.", "thinker."), values) and {
            f"{tensor.removesuffix('weight')}qweight": ("I32", np.zeros((1, 1), np.int32))
        }

    directory = quantized(tiny, tmp_path / "q", {"quant_method": "awq"}, change)
    with pytest.raises(ConversionError) as error:
        convert(directory, tmp_path / "out", only="speech")
    one_sentence(str(error.value), "AWQ", "talker.", "unquantized")
    assert "--only" not in str(error.value)


def test_scales_that_fit_nothing(tiny: Path, tmp_path: Path) -> None:
    def change(tensor: str, values: Array) -> Stored | None:
        scale = np.ones((5, 7), np.float32)
        base = tensor.removesuffix("weight")
        return (
            {tensor: ("I8", values.astype(np.int8)), f"{base}weight_scale": ("F32", scale)}
            if tensor == WEIGHT
            else None
        )

    directory = quantized(tiny, tmp_path / "q", {"quant_method": "compressed-tensors"}, change)
    with pytest.raises(ConversionError) as error:
        convert(directory, tmp_path / "out", only="thinker")
    one_sentence(str(error.value), WEIGHT, "[5, 7]")
