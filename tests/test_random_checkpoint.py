"""Random checkpoints: the same bytes every time, valid for transformers, and worth testing with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omniggml.conversion.config_json import read_model_config
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.errors import InputError
from omniggml.gguf.bfloat16 import from_bfloat16, to_bfloat16
from omniggml.spec.expected_tensors import Named, speech_tensors, thinker_tensors
from omniggml.spec.model_config import THINKER_SAMPLING, ModelConfig
from omniggml.synthetic.geometries import GEOMETRIES, PUBLISHED_GEOMETRY, Geometry
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from omniggml.synthetic.random_weights import weight_blocks

NAMES = list(GEOMETRIES)

TINY_DIGEST = "aa6d6f39c4b5ce4a956ca714114cf340d896df794ff8d59604688ca642c6f8ff"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write_random_checkpoint(name, root / name) for name in NAMES}


def digest(directory: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def without_sampling(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, thinker_sampling=THINKER_SAMPLING)


def test_bytes_are_the_same_everywhere(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """A fixed digest: golden files made elsewhere depend on these very weights."""
    assert digest(write_random_checkpoint("tiny", tmp_path / "again")) == digest(checkpoints["tiny"])
    assert digest(checkpoints["tiny"]) == TINY_DIGEST


def test_seeds_and_geometries_differ(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    other = write_random_checkpoint("tiny", tmp_path / "other", seed=1)
    assert digest(other) != digest(checkpoints["tiny"])
    name = "talker.model.norm.weight"
    weights = [
        np.concatenate(list(Checkpoint(directory).blocks(name)))
        for directory in (other, checkpoints["tiny"], checkpoints["eos-first"])
    ]
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[1], weights[2])


@pytest.mark.parametrize("name", NAMES)
def test_configuration_reads_back_as_it_was(checkpoints: dict[str, Path], name: str) -> None:
    assert without_sampling(read_model_config(checkpoints[name])) == GEOMETRIES[name].model_config()


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_the_expected_ones(checkpoints: dict[str, Path], name: str) -> None:
    geometry = GEOMETRIES[name]
    expected = dict(chain(thinker_tensors(geometry.thinker), speech_tensors(geometry.model_config())))
    stored = Checkpoint(checkpoints[name]).tensors
    assert {tensor: entry.shape for tensor, entry in stored.items()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_size_stays_small(checkpoints: dict[str, Path], name: str) -> None:
    assert sum(path.stat().st_size for path in checkpoints[name].iterdir()) < 10_000_000


def test_the_published_shape_has_the_published_size() -> None:
    """216 million parameters in code2wav, 30.5 billion in the thinker's text model, as the model's authors count."""
    config = PUBLISHED_GEOMETRY.model_config()

    def total(tensors: Iterable[Named]) -> float:
        return sum(float(np.prod(shape)) for _, shape in tensors)

    assert round(total(named for named in speech_tensors(config) if named[0].startswith("code2wav.")) / 1e6) == 216
    assert round(total(thinker_tensors(config.thinker)) / 1e9, 1) == 30.5


def test_geometries_differ_where_a_constant_could_hide() -> None:
    models = [GEOMETRIES[name].model_config() for name in NAMES if name != "eos-first"]
    for stage in ("thinker", "talker", "code_predictor", "code2wav"):
        for field in dataclasses.fields(getattr(models[0], stage)):
            values = {getattr(getattr(model, stage), field.name) for model in models}
            assert len(values) > 1, f"{stage}.{field.name} is {values} in every geometry"


@pytest.mark.parametrize("name", NAMES)
def test_the_safetensors_library_reads_the_shards(checkpoints: dict[str, Path], name: str) -> None:
    safetensors = pytest.importorskip("safetensors")
    index = json.loads((checkpoints[name] / "model.safetensors.index.json").read_text())
    for shard in set(index["weight_map"].values()):
        with safetensors.safe_open(checkpoints[name] / shard, framework="np") as file:
            assert set(file.keys()) == {key for key, at in index["weight_map"].items() if at == shard}


def test_blocks_do_not_depend_on_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor is the same whether it is made at once or in pieces."""
    geometry = GEOMETRIES["tiny"]
    name, shape = "talker.codec_head.weight", (geometry.talker.vocab_size, geometry.talker.hidden_size)
    whole = np.concatenate(list(weight_blocks(geometry, 0, name, shape)))
    monkeypatch.setattr("omniggml.synthetic.random_weights._BLOCK", 1000)
    pieces = list(weight_blocks(geometry, 0, name, shape))
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_a_large_tensor_is_never_whole_in_memory() -> None:
    blocks = weight_blocks(GEOMETRIES["tiny"], 0, "thinker.model.embed_tokens.weight", (152064, 2048))
    first = next(blocks)
    assert first.shape == (128, 2048)
    assert abs(float(first.std()) - 1.0) < 0.01


def test_weights_are_bfloat16_exactly() -> None:
    values = np.array([0.0, 1.0, -2.5, 1e-30, 3e38, np.inf, -np.inf, np.nan, 1.0 + 2**-8, 1.0 + 3 * 2**-8], np.float32)
    back = from_bfloat16(to_bfloat16(values))
    np.testing.assert_array_equal(back[[0, 1, 2, 5, 6]], values[[0, 1, 2, 5, 6]])
    assert np.isnan(back[7])
    assert back[8:].tolist() == [1.0, 1.0 + 2**-6], "ties go to the even neighbour"
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(back)), back)


def test_unknown_geometry(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no geometry 'huge': choose one of tiny, mini"):
        write_random_checkpoint("huge", tmp_path)


def test_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(InputError, match="can't be written"):
        write_random_checkpoint("tiny", tmp_path / "taken")


def load(directory: Path) -> tuple[Any, Any]:
    """The model in float32, and what transformers says about the keys."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model, report = transformers.Qwen3OmniMoeForConditionalGeneration.from_pretrained(
        directory, dtype=torch.float32, output_loading_info=True
    )
    return model.eval(), report


@pytest.mark.reference
@pytest.mark.parametrize("name", NAMES)
def test_transformers_loads_every_tensor(checkpoints: dict[str, Path], name: str) -> None:
    _, report = load(checkpoints[name])
    encoders = ("thinker.model.visual.", "thinker.model.audio_tower.")
    assert [key for key in report["missing_keys"] if not key.startswith(encoders)] == []
    assert list(report["unexpected_keys"]) == []
    assert not report["mismatched_keys"]


@pytest.mark.reference
def test_transformers_saves_the_same_layout(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    model, _ = load(checkpoints["tiny"])
    model.save_pretrained(tmp_path)
    saved = Checkpoint(tmp_path).tensors
    ours = Checkpoint(checkpoints["tiny"]).tensors
    assert {key: saved[key].shape for key in ours} == {key: ours[key].shape for key in ours}


@pytest.mark.reference
@pytest.mark.parametrize("name", NAMES)
def test_waveform_is_neither_silent_nor_clamped(checkpoints: dict[str, Path], name: str) -> None:
    torch = pytest.importorskip("torch")
    model, _ = load(checkpoints[name])
    wav = GEOMETRIES[name].code2wav
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, wav.codebook_size, (1, wav.num_quantizers, 20), generator=generator)
    with torch.no_grad():
        samples = model.code2wav(codes).flatten().numpy()
    assert 0.05 < float(samples.std()) < 0.3
    assert float(np.mean(np.abs(samples) > 0.9)) < 0.001


@pytest.mark.reference
@pytest.mark.parametrize("name", [name for name in NAMES if name != "eos-first"])
def test_greedy_speech_is_varied(checkpoints: dict[str, Path], name: str) -> None:
    codes = greedy_codes(checkpoints[name], GEOMETRIES[name], frames=12)
    assert codes.shape[1] >= 3
    assert len(set(codes[0].tolist())) >= min(codes.shape[1], 6) - 1, "the talker repeats itself"
    assert len(set(codes[1].tolist())) >= min(codes.shape[1], 6) - 1, "the code predictor repeats itself"


@pytest.mark.reference
def test_eos_first_speaks_no_frame(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(RuntimeError, match="non-empty"):  # the reference stacks the frames, and there are none
        greedy_codes(checkpoints["eos-first"], GEOMETRIES["eos-first"], frames=12)


def greedy_codes(directory: Path, geometry: Geometry, frames: int) -> np.ndarray[Any, Any]:
    """Codes [groups, frames] of the reference speaking greedily after a short prompt."""
    torch = pytest.importorskip("torch")
    model, _ = load(directory)
    tokens = geometry.tokenizer.special_tokens()
    prompt = [tokens.im_start, tokens.user, 71, 72, 73, tokens.im_end, 198, tokens.im_start, tokens.assistant, 198]
    seen: list[Any] = []
    model.code2wav.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.generate(
        input_ids=torch.tensor([prompt]),
        speaker=geometry.talker.speakers[0][0],
        thinker_max_new_tokens=8,
        thinker_do_sample=False,
        thinker_eos_token_id=tokens.im_end,
        talker_do_sample=False,
        talker_max_new_tokens=frames,
    )
    return np.asarray(seen[0][0].numpy())
