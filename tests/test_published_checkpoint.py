"""The copy of the published checkpoint that `benchmarks/published_checkpoint.py` makes, and its variants in small."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from math import prod
from pathlib import Path
from types import ModuleType

import pytest

import omniggml
from omniggml import convert
from omniggml.errors import ConversionError
from omniggml.synthetic.geometries import GEOMETRIES
from sentences import one_sentence

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "published_checkpoint.py"


@pytest.fixture(scope="module")
def copies() -> ModuleType:
    spec = importlib.util.spec_from_file_location("published_checkpoint", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["published_checkpoint"] = module
    spec.loader.exec_module(module)
    return module


def test_the_table_adds_up_to_the_published_checkpoint(copies: ModuleType) -> None:
    """Tensors and bytes as the published index counts them; so names and shapes that follow from the configuration are
    the published ones too."""
    table = copies.tomllib.loads(copies.TABLE.read_text(encoding="utf-8"))
    tensors = dict(copies.published_tensors())
    for part in table["encoder"]:
        for n in range(part["times"]):
            for name, shape in part["tensors"]:
                assert tensors[part["prefix"].format(n=n) + name] == tuple(shape)
    assert len(tensors) == table["tensors"] == 28_010
    assert 2 * sum(prod(shape) for shape in tensors.values()) == table["total_bytes"] == 70_519_637_090


def test_it_has_the_published_shards(copies: ModuleType, tmp_path: Path) -> None:
    directory = copies.write_checkpoint(tmp_path, "instruct")
    shards = sorted(directory.glob("*.safetensors"))
    assert len(shards) == 15 and sum(shard.stat().st_size for shard in shards) > 70_519_637_090
    if sys.platform == "linux":
        assert sum(shard.stat().st_blocks * 512 for shard in shards) < 50_000_000
    assert copies.judged(directory).startswith("27134 of 28010 tensors")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["instruct", "resaved", "fused", "fp8"])
def test_variants_that_convert(copies: ModuleType, tmp_path: Path, variant: str) -> None:
    directory = copies.write_checkpoint(tmp_path / variant, variant, GEOMETRIES["tiny"])
    speech, thinker, mmproj = convert(directory, tmp_path / "out", type="q8_0", name="x")
    assert omniggml.inspect(mmproj).loads
    assert omniggml.inspect(speech).problem == omniggml.inspect(thinker).problem == ""


@pytest.mark.slow
def test_an_adapter_beside_it(copies: ModuleType, tmp_path: Path) -> None:
    directory = copies.write_checkpoint(tmp_path / "adapter", "adapter", GEOMETRIES["tiny"])
    assert copies.judged(directory).endswith("changed by the adapter")
    speech, thinker, _ = convert(directory, tmp_path / "out", name="x", lora=directory / copies.ADAPTER)
    assert omniggml.inspect(speech).problem == omniggml.inspect(thinker).problem == ""


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["thinking", "captioner"])
def test_variants_without_a_voice(copies: ModuleType, tmp_path: Path, variant: str) -> None:
    directory = copies.write_checkpoint(tmp_path / variant, variant, GEOMETRIES["tiny"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thinker, _ = convert(directory, tmp_path / "out", name="x")
    assert omniggml.inspect(thinker).problem == ""
    with pytest.raises(ConversionError, match="no voice"):
        convert(directory, tmp_path / "out", only="speech")


@pytest.mark.slow
def test_a_variant_that_is_refused(copies: ModuleType, tmp_path: Path) -> None:
    directory = copies.write_checkpoint(tmp_path / "awq", "awq", GEOMETRIES["tiny"])
    with pytest.raises(ConversionError) as error:
        convert(directory, tmp_path / "out")
    one_sentence(str(error.value), "AWQ", "--only speech")
    assert convert(directory, tmp_path / "out", only="speech")
