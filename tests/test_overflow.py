"""Activations beyond the range of float16, as trained weights have them, in every type of weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omniggml import convert
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from omniggml.synthetic.random_weights import weight_blocks
from parity.cases import make_case
from parity.engine_side import Engine
from parity.metrics import GATES, agreement
from parity.rows import compare

LARGEST_F16 = 65504

# Each weight stays well inside float16; what they compute doesn't.
_FACTORS = (
    (r"talker\.code_predictor\.model\.layers\.\d+\.mlp\.gate_proj\.weight", 2.0**8),
    (r"talker\.code_predictor\.model\.layers\.\d+\.mlp\.up_proj\.weight", 2.0**10),
    (r"talker\.code_predictor\.model\.layers\.\d+\.mlp\.down_proj\.weight", 2.0**-6),
    (r"code2wav\.upsample\.\d+\.1\.dwconv\.conv\.weight", 2.0**18),
    (r"code2wav\.upsample\.\d+\.1\.norm\.weight", 2.0**5),
    (r"code2wav\.upsample\.\d+\.1\.pwconv1\.weight", 2.0**12),
    (r"code2wav\.upsample\.\d+\.1\.pwconv2\.weight", 2.0**-10),
    (r"code2wav\.upsample\.\d+\.1\.gamma", 2.0**-6),
)
WIDE = ("code2wav.upsample.0.1.dwconv", "code2wav.upsample.0.1.act")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The geometry "tiny" with some weights larger and those after them smaller."""

    def scaled(geometry: Any, seed: int, name: str, shape: tuple[int, ...]) -> Iterator[Any]:
        factor = next((factor for pattern, factor in _FACTORS if re.fullmatch(pattern, name)), 1.0)
        return (block * np.float32(factor) for block in weight_blocks(geometry, seed, name, shape))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omniggml.synthetic.random_checkpoint.weight_blocks", scaled)
        yield write_random_checkpoint("tiny", tmp_path_factory.mktemp("wide") / "checkpoint")


def engine(checkpoint: Path, directory: Path, type_: str) -> Engine:
    speech, thinker = convert(checkpoint, directory, type=type_, name=type_)
    return Engine(speech, thinker)


@pytest.mark.parametrize("type_", ["f16", "bf16", "q8_0"])
def test_vocoder_agrees_with_float32(checkpoint: Path, tmp_path: Path, type_: str) -> None:
    case = make_case(GEOMETRIES["tiny"])
    want = engine(checkpoint, tmp_path, "f32").waveform(case)
    assert 0.02 < want.std() < 0.5
    assert agreement(engine(checkpoint, tmp_path, type_).waveform(case), want).inside(GATES[type_])


@pytest.mark.reference
@pytest.mark.parametrize("type_", list(GATES))
def test_every_block_agrees_with_transformers(checkpoint: Path, tmp_path: Path, type_: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers", "5")
    from parity import transformers_side

    reference = transformers_side.load_reference(checkpoint)
    products: list[float] = []
    for layer in reference.talker.code_predictor.model.layers:
        layer.mlp.down_proj.register_forward_pre_hook(lambda _, inputs: products.append(float(inputs[0].abs().max())))
    case = make_case(GEOMETRIES["tiny"])
    with torch.no_grad():
        recording = transformers_side.record(reference, case)
    assert min(products) > LARGEST_F16
    for name in WIDE:
        assert np.abs(recording.outputs[name]).max() > LARGEST_F16, name
    captured = engine(checkpoint, tmp_path, type_).capture(case, recording)
    rows = compare("wide", type_, captured, recording.outputs)
    assert [row for row in rows if not row.passes] == []
