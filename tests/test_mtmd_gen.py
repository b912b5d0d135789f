"""llama.cpp's scheme for generated audio, with Qwen3-Omni in it: written, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader

import omniggml
from omniggml import convert
from omniggml.errors import InputError, ModelFileError
from omniggml.files.stored_weights import StoredWeights
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence


@pytest.fixture(scope="module", params=["mini", "odd"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Our speech file and the other layout, of decoders of four stages and of three."""
    root = tmp_path_factory.mktemp(request.param)
    checkpoint = write_random_checkpoint(request.param, root / "checkpoint")
    (speech,) = convert(checkpoint, root, type="f32", name="x", only="speech")
    (other,) = convert(checkpoint, root, type="f32", name="x", layout="mtmd-gen")
    return speech, other


def test_names_and_keys_of_the_scheme(files: tuple[Path, Path]) -> None:
    reader = GGUFReader(files[1])
    names = {tensor.name: tuple(int(extent) for extent in reversed(tensor.shape)) for tensor in reader.tensors}
    assert files[1].name == "x-gen-mmproj.gguf" and all(name.startswith("a.gen.") for name in names)
    for name in (
        "a.gen.code.blk.0.attn_out.weight",
        "a.gen.wav.dac.blk.0.res.2.act1.alpha",
        "a.gen.wav.up.blk.1.gamma",
    ):
        assert name in names
    assert (
        len(names["a.gen.code.embd.weight"]) == 3 and names["a.gen.code.embd.weight"] == names["a.gen.code.head.weight"]
    )
    assert reader.fields["general.architecture"].contents() == "clip"
    assert reader.fields["clip.has_gen_audio_encoder"].contents() is True
    assert reader.fields["clip.gen.audio.trim_both_sides"].contents() is True


def test_every_value_comes_back(files: tuple[Path, Path]) -> None:
    ours, theirs = (StoredWeights(path) for path in files)
    expected = [name for name in ours if name.startswith(("code2wav.", "talker.code_predictor."))]
    assert sorted(theirs) == sorted(expected)
    for name in expected:
        np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_its_vocoder_sounds_the_same(files: tuple[Path, Path]) -> None:
    ours = omniggml.load(files[0], n_threads=1)
    theirs = omniggml.load(files[0], code2wav=files[1], n_threads=1)
    assert theirs.assumed == {}
    first, second = (model.speak("hello", seed=3, max_frames=6).samples for model in (ours, theirs))
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_what_it_is_said_to_be(files: tuple[Path, Path]) -> None:
    found = omniggml.inspect(files[1])
    assert (found.family, found.needs, found.missing, found.unknown) == ("mtmd-gen", ("speech",), (), ())
    with pytest.raises(ModelFileError) as error:
        omniggml.load(files[1])
    one_sentence(str(error.value), "mmproj", "code2wav=FILE")


def test_kernels_are_stored_as_llama_cpp_wants_them(tmp_path: Path) -> None:
    checkpoint = write_random_checkpoint("mini", tmp_path / "mini")
    (path,) = convert(checkpoint, tmp_path, type="q8_0", layout="mtmd-gen")
    types = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(path).tensors}
    assert types["a.gen.wav.dac.entry.weight"] == "F16" and types["a.gen.wav.dac.blk.0.conv.weight"] == "F32"
    assert types["a.gen.wav.dac.blk.0.snake.alpha"] == types["a.gen.wav.up.blk.0.norm.weight"] == "F32"
    assert types["a.gen.code.blk.0.ffn_up.weight"] == "Q8_0"


def test_other_layouts_are_refused(tmp_path: Path) -> None:
    for options in ({"layout": "x"}, {"layout": "mtmd-gen", "only": "thinker"}):
        with pytest.raises(InputError):
            convert(tmp_path, tmp_path / "out", **options)  # type: ignore[arg-type]
