"""The CPU's own kernels against NumPy in float64, and the vocoder computed with them against ordinary ggml nodes."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest

import omniggml
from native_module import internals
from omniggml import _native
from omniggml.gguf.bfloat16 import to_bfloat16
from parity.files import ModelFiles

FloatArray = npt.NDArray[np.float32]

# (rows, in, out, taps, dilation): tiles cut short in rows and in outputs, one output, more taps than rows.
SHAPES = [(37, 64, 96, 7, 3), (5, 32, 17, 2, 1), (100, 96, 1, 7, 1), (1, 32, 32, 7, 9), (64, 160, 33, 1, 1)]

BF16_KINDS = [kind for kind in internals().kinds() if kind.startswith("bf16")]
F32_KINDS = [kind for kind in internals().kinds() if kind not in BF16_KINDS]


def bf16(values: FloatArray) -> FloatArray:
    """Cut to what bfloat16 holds exactly."""
    return (values.view(np.uint32) & 0xFFFF0000).view(np.float32)


def numbers(rng: np.random.Generator, *shape: int) -> FloatArray:
    return rng.standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize("kind", internals().kinds())
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution(kind: str, shape: tuple[int, int, int, int, int]) -> None:
    rows, width, out, taps, dilation = shape
    rng = np.random.default_rng(0)
    x = bf16(numbers(rng, rows + (taps - 1) * dilation, width))
    weight, bias, residual = bf16(numbers(rng, out, width, taps)), numbers(rng, out), numbers(rng, rows, out)
    got = internals().convolve(x, weight, bias, residual, dilation, kind)
    want = bias.astype(np.float64) + residual
    for tap in range(taps):
        want += x[tap * dilation : tap * dilation + rows].astype(np.float64) @ weight[:, :, tap].T
    assert ((got - want) ** 2).sum() <= 1e-12 * (want**2).sum()


@pytest.mark.parametrize("kind", F32_KINDS)
@pytest.mark.parametrize("panels", ["f16", "bf16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_widens_small_weights_exactly(
    kind: str, panels: str, shape: tuple[int, int, int, int, int]
) -> None:
    rows, width, out, taps, dilation = shape
    rng = np.random.default_rng(2)
    x = numbers(rng, rows + (taps - 1) * dilation, width)
    # From what float16 has no exponent for to its largest.
    weight = numbers(rng, out, width, taps) * 2.0 ** rng.integers(-24, 14, (out, width, taps))
    weight = weight.astype(np.float16).astype(np.float32) if panels == "f16" else bf16(weight.astype(np.float32))
    assert (panels == "bf16") or ((weight != 0) & (np.abs(weight) < 2**-14)).any()
    bias, residual = numbers(rng, out), numbers(rng, rows, out)
    got = internals().convolve(x, weight, bias, residual, dilation, kind, panels=panels)
    assert np.array_equal(got, internals().convolve(x, weight, bias, residual, dilation, kind))


@pytest.mark.parametrize("kind", F32_KINDS)
def test_snake(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, frequency = 5 * numbers(rng, 50, 70), np.exp(numbers(rng, 70))
    magnitude = np.exp(numbers(rng, 70))
    x[3, 4] = 1e6  # beyond what the polynomial reduces
    got = internals().snake(x, frequency, magnitude, kind)
    want = x + magnitude * np.sin((x * frequency).astype(np.float64)) ** 2
    assert np.abs((got - want) / np.maximum(1, np.abs(want))).max() < 2e-6


@pytest.mark.parametrize("kind", F32_KINDS)
def test_snake_passes_nan_and_infinity_on(kind: str) -> None:
    x = np.array([[np.nan, np.inf, 1.0]], np.float32)
    got = internals().snake(x, np.ones(3, np.float32), np.ones(3, np.float32), kind)
    assert not np.isfinite(got[0, :2]).any()
    assert np.isfinite(got[0, 2])


@pytest.mark.parametrize("kind", F32_KINDS)
def test_gelu(kind: str) -> None:
    x = np.concatenate([np.linspace(-12, 12, 100_003), [0, -0.0, 40, -40, 1e30, -1e30]]).astype(np.float32)
    want = x / 2 * (1 + np.vectorize(math.erf)(x.astype(np.float64) / np.sqrt(2)))
    assert (np.abs(internals().gelu(x, kind) - want) <= 4e-7 * np.maximum(1, np.abs(want))).all()
    assert np.isnan(internals().gelu(np.array([np.nan, 1], np.float32), kind)[0])


@pytest.mark.parametrize("kind", F32_KINDS)
def test_gelu_by_tanh(kind: str) -> None:
    x = np.concatenate([np.linspace(-12, 12, 100_003), [0, -0.0, 40, -40, 1e19, -1e19]]).astype(np.float32)
    exact = x.astype(np.float64)
    want = exact / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (exact + 0.044715 * exact**3)))
    got = internals().gelu(x, kind, by_tanh=True)
    assert (np.abs(got - want) <= 4e-7 * np.maximum(1, np.abs(want))).all()
    assert np.isnan(internals().gelu(np.array([np.nan, 1], np.float32), kind, by_tanh=True)[0])


@pytest.mark.parametrize("kind", F32_KINDS)
@pytest.mark.parametrize("n", [1, 15, 16, 104, 1000])
def test_softmax(kind: str, n: int) -> None:
    x = 100 * numbers(np.random.default_rng(n), n)
    powers = np.exp(0.125 * (x.astype(np.float64) - x.max()))
    want = powers / powers.sum()
    np.testing.assert_allclose(internals().softmax(x, 0.125, kind), want, rtol=3e-6, atol=1e-12)


def test_rounding_to_bfloat16() -> None:
    values = 10 * numbers(np.random.default_rng(0), 320)
    stored = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
    given = {
        "f32": (values, values),
        "f16": (values.astype(np.float16), values.astype(np.float16).astype(np.float32)),
        "q8_0": (stored, gguf.quants.dequantize(stored, gguf.GGMLQuantizationType.Q8_0)),
    }
    for kind, (held, exact) in given.items():
        assert np.array_equal(internals().rounded(held.view(np.uint8).ravel(), kind, 320), to_bfloat16(exact)), kind


BLOCKS = ["q8_0", "q4_0", "iq4_nl", "q4_K", "q5_K", "q6_K", "iq4_xs"]
block_product = pytest.mark.skipif(not internals().has_block_product(), reason="this CPU lacks the instructions")


def in_blocks(format_: str, values: FloatArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Rows as ggml quantizes them, and what gguf's own code reads in them."""
    type_ = gguf.GGMLQuantizationType[format_.upper()]
    stored = np.frombuffer(_native.quantize_rows(values, format_), np.uint8).reshape(len(values), -1)
    return stored, gguf.quants.dequantize(stored, type_).astype(np.float64)


@block_product
@pytest.mark.parametrize("format_", BLOCKS)
@pytest.mark.parametrize(("rows", "blocks"), [(5, 1), (8, 3), (37, 4)])
def test_block_product(format_: str, rows: int, blocks: int) -> None:
    rng = np.random.default_rng(0)
    width = blocks * gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[format_.upper()]][0]
    weight, stored = in_blocks(format_, numbers(rng, rows, width) + numbers(rng, rows, 1))
    x = numbers(rng, 4, width) * np.array([[1.0], [1e-3], [1e4], [0.0]], np.float32)
    got = internals().block_product(weight, format_, x)
    want = x.astype(np.float64) @ stored.T
    # Rounding x to 8 bits a block costs a few thousandths of its size; the rest is float arithmetic.
    bound = 0.01 * np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(stored, axis=1)
    assert (np.abs(got - want) <= bound).all()
    exact = np.round(numbers(rng, 3, width) * 10).clip(-127, 127)
    exact[:, ::32] = 127  # so that the scale of every block is 1 and nothing is rounded
    near = internals().block_product(weight, format_, exact)
    np.testing.assert_allclose(near, exact.astype(np.float64) @ stored.T, rtol=1e-4, atol=1e-2)


@block_product
@pytest.mark.parametrize("format_", BLOCKS)
def test_block_product_of_any_bytes(format_: str) -> None:
    """Every code and every scale that a block can hold, not only those that a quantizer writes."""
    rng = np.random.default_rng(1)
    type_ = gguf.GGMLQuantizationType[format_.upper()]
    values, size = gguf.GGML_QUANT_SIZES[type_]
    blocks = rng.integers(0, 256, (24, 4, size), dtype=np.uint8)
    at = size - 2 if format_ == "q6_K" else 0
    for place in (at, at + 2) if format_ in ("q4_K", "q5_K") else (at,):
        scales = rng.uniform(-1, 1, (24, 4, 1)).astype(np.float16)
        blocks[:, :, place : place + 2] = scales.view(np.uint8)
    weight = blocks.reshape(24, -1)
    stored = gguf.quants.dequantize(weight, type_).astype(np.float64)
    x = rng.integers(-127, 128, (4, 4 * values)).astype(np.float32)
    x[:, ::32] = 127
    got, want = internals().block_product(weight, format_, x), x.astype(np.float64) @ stored.T
    assert (np.abs(got - want) <= 1e-5 * (np.abs(x).astype(np.float64) @ np.abs(stored).T)).all()


@block_product
@pytest.mark.parametrize(
    ("format_", "width"),
    [(format_, width) for format_ in BLOCKS for width in (256, 512, 4608)]
    + [(format_, 352) for format_ in ("q8_0", "q4_0", "iq4_nl")],
)
def test_block_product_of_one_column_is_the_same_beside_others(format_: str, width: int) -> None:
    rng = np.random.default_rng(0)
    weight, stored = in_blocks(format_, numbers(rng, 37, width))
    x = numbers(rng, 70, width)
    together = internals().block_product(weight, format_, x)
    bound = 0.01 * np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(stored, axis=1)
    assert (np.abs(together - x.astype(np.float64) @ stored.T) <= bound).all()
    for first, end in ((0, 1), (1, 3), (3, 6), (6, 10), (10, 15), (3, 70)):
        alone = internals().block_product(weight, format_, x[first:end])
        np.testing.assert_array_equal(alone, together[first:end])
    np.testing.assert_array_equal(internals().block_product(weight[3:4], format_, x), together[:, 3:4])
    np.testing.assert_array_equal(internals().block_product(weight[3:35], format_, x[:1]), together[:1, 3:35])


@block_product
@pytest.mark.parametrize("format_", BLOCKS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_block_product_passes_nan_and_infinity_on(bad: float, format_: str) -> None:
    weight, _ = in_blocks(format_, np.ones((3, 256), np.float32))
    x = np.ones((2, 256), np.float32)
    x[0, 40] = bad
    got = internals().block_product(weight, format_, x)
    assert not np.isfinite(got[0]).any() and np.isfinite(got[1]).all()


def test_every_row_of_every_expert_is_some_threads() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows, parts = int(rng.integers(1, 200)), int(rng.integers(1, 20))
        columns = rng.integers(1, 30, rng.integers(1, 9)).tolist()
        shares = np.array(internals().expert_shares(rows, columns, parts))  # [part, expert, begin and end]
        assert (shares[0, :, 0] == 0).all() and (shares[-1, :, 1] == rows).all()
        assert (shares[1:, :, 0] == shares[:-1, :, 1]).all() and (shares[:, :, 0] <= shares[:, :, 1]).all()
    costs = np.diff(np.array(internals().expert_shares(4096, [1, 28, 3, 4], 2)))[..., 0] * (4 + np.array([1, 28, 3, 4]))
    np.testing.assert_allclose(costs[0].sum(), costs[1].sum(), rtol=0.02)


def vocoded(model_files: ModelFiles, geometry: str, precision: str, step: int, policy: str = "f32") -> FloatArray:
    model = omniggml.load(model_files.gguf(geometry, policy)[0], device="cpu", vocoder_precision=precision)
    sizes = model.geometry["code2wav"]
    codes = np.random.default_rng(1).integers(0, sizes["codebook_size"], (sizes["num_quantizers"], 70))
    return model.code2wav(codes, chunk_frames=step)


@pytest.mark.parametrize("geometry", ["tiny", "odd", "grouped"])
def test_vocoder_in_one_node_a_convolution_equals_ordinary_nodes(model_files: ModelFiles, geometry: str) -> None:
    plain = vocoded(model_files, geometry, "plain", 70)
    ours = vocoded(model_files, geometry, "f32", 70)
    assert np.abs(ours - plain).max() < 1e-5


@pytest.mark.parametrize("policy", ["f16", "bf16"])
def test_vocoder_with_weights_of_16_bits_is_as_close_as_they_are(model_files: ModelFiles, policy: str) -> None:
    exact = vocoded(model_files, "odd", "f32", 70)
    small = vocoded(model_files, "odd", "f32", 70, policy)
    assert not np.array_equal(small, exact)
    assert ((small - exact) ** 2).sum() <= 1e-4 * (exact**2).sum()
    assert np.array_equal(vocoded(model_files, "odd", "f32", 3, policy), small)


@pytest.mark.parametrize("precision", ["f32", *(["bf16"] if BF16_KINDS else [])])
def test_every_chunk_size_gives_the_same_bits(model_files: ModelFiles, precision: str) -> None:
    whole = vocoded(model_files, "tiny", precision, 70)
    for step in (1, 2, 3, 25, 33):
        assert np.array_equal(vocoded(model_files, "tiny", precision, step), whole), f"chunks of {step}"


@pytest.mark.skipif(not BF16_KINDS, reason="this CPU has no fast bfloat16 products")
def test_bfloat16_stays_inside_its_gate(model_files: ModelFiles) -> None:
    plain = vocoded(model_files, "tiny", "plain", 70).astype(np.float64)
    fast = vocoded(model_files, "tiny", "bf16", 70)
    assert ((fast - plain) ** 2).sum() <= 1e-4 * (plain**2).sum()


def test_what_only_tests_call_is_in_no_wheel() -> None:
    assert importlib.util.find_spec("omniggml_test_native") is None
    assert not [path for path in Path(omniggml.__file__).parent.rglob("*") if "test_native" in path.name]
    assert not [name for name in dir(_native) if "kernel" in name or "q8" in name]
