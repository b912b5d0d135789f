"""Dumps as other programs make them: names, types and layouts, and which module is blamed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import omniggml
from omniggml.arrays import read_dump
from omniggml.doctor.case import Case
from omniggml.doctor.checks.codes import Readable
from omniggml.doctor.checks.dump import check_dump
from omniggml.doctor.finding import Finding
from omniggml.gguf.bfloat16 import from_bfloat16, to_bfloat16
from omniggml.options import LoadOptions
from parity.files import ModelFiles

Dump = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def mini(model_files: ModelFiles) -> Path:
    return model_files.gguf("mini", "f32")[0]


@pytest.fixture(scope="module")
def codes(mini: Path) -> npt.NDArray[np.int64]:
    size = omniggml.load(mini, n_threads=1).geometry["code2wav"]
    return np.random.default_rng(0).integers(0, size["codebook_size"], (size["num_quantizers"], 3))


@pytest.fixture(scope="module")
def right(mini: Path, codes: npt.NDArray[np.int64]) -> Dump:
    """What a sound program has: every module of code2wav."""
    model = omniggml.load(mini, n_threads=1)
    with model.probe("code2wav.**", "code2wav") as seen:
        model.code2wav(codes)
    return {name: seen[name] for name in seen}


@pytest.fixture(scope="module")
def case(mini: Path) -> Case:
    """One for all dumps, which keeps its model."""
    return Case(mini, options=LoadOptions(device="cpu", n_threads=1))


def findings(case: Case, codes: npt.NDArray[np.int64], dump: Any) -> list[Finding]:
    case.theirs = read_dump(dump)
    return check_dump(case, Readable(codes.astype(np.int32))).findings


def ids(case: Case, codes: npt.NDArray[np.int64], dump: Any) -> list[str]:
    return [finding.id for finding in findings(case, codes, dump)]


def blamed(case: Case, codes: npt.NDArray[np.int64], dump: Dump) -> tuple[str, str]:
    """Of the finding on the dump: its id, and the first module concerned."""
    (finding,) = findings(case, codes, dump)
    return finding.id, finding.tensors[0] if finding.tensors else ""


def half(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.float16)


def bits(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return to_bfloat16(values)


def rounded(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return from_bfloat16(to_bfloat16(values))


@pytest.mark.parametrize("narrow", [np.asarray, half, bits, rounded, lambda v: to_bfloat16(v).view(np.int16)])
def test_a_sound_dump_of_any_type_is_healthy(
    case: Case, codes: npt.NDArray[np.int64], right: Dump, narrow: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> None:
    assert ids(case, codes, {name: narrow(values) for name, values in right.items()}) == []


@pytest.mark.parametrize(
    "renamed",
    [
        lambda name: name,
        lambda name: f"model.{name}",
        lambda name: name.removeprefix("code2wav."),
        lambda name: f"model.{name.removeprefix('code2wav.')}.output",
        lambda name: f"{name}[0]",
        lambda name: name.replace(".", "/"),
        lambda name: f"{name}.conv" if name.endswith(("conv1", "conv2", "decoder.0")) else name,
    ],
)
def test_names_as_hooks_spell_them(
    case: Case, codes: npt.NDArray[np.int64], right: Dump, renamed: Callable[[str], str]
) -> None:
    names = [name for name in right if name != "code2wav"]
    assert ids(case, codes, {renamed(name): right[name] for name in names}) == []
    wrong = "code2wav.pre_transformer.layers.1.mlp"
    dump = {renamed(name): right[name] * (2 if name == wrong else 1) for name in names}
    assert blamed(case, codes, dump) == ("dump.deviates", wrong)


def test_files_of_every_kind(case: Case, codes: npt.NDArray[np.int64], right: Dump, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    np.savez(tmp_path / "x.npz", **right)  # type: ignore[arg-type]
    save_file({name: np.ascontiguousarray(values) for name, values in right.items()}, tmp_path / "x.safetensors")
    raw = {name: to_bfloat16(values).view("V2") for name, values in right.items()}
    np.savez(tmp_path / "bf16.npz", **raw)  # as ml_dtypes' bfloat16 is saved
    for name in ("x.npz", "x.safetensors", "bf16.npz"):
        assert ids(case, codes, tmp_path / name) == [], name


def test_a_torch_file_in_bfloat16(case: Case, codes: npt.NDArray[np.int64], right: Dump, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({name: torch.tensor(values).bfloat16() for name, values in right.items()}, tmp_path / "x.pt")
    assert ids(case, codes, tmp_path / "x.pt") == []


def test_axes_the_other_way_round(case: Case, codes: npt.NDArray[np.int64], right: Dump) -> None:
    """[time, channel] for [batch, channel, time] and so on."""
    turned = {name: values[0].T if values.ndim == 3 else values for name, values in right.items()}
    assert ids(case, codes, turned) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "code2wav.pre_transformer.layers.0.self_attn.q_proj",
        "code2wav.pre_transformer.layers.1.mlp.down_proj",
        "code2wav.upsample.1.1.pwconv1",
        "code2wav.decoder.1.block.2.conv1",
        "code2wav.decoder.2.block.3.act2",
        "code2wav.decoder.0",
    ],
)
def test_the_module_itself_is_blamed(case: Case, codes: npt.NDArray[np.int64], right: Dump, wrong: str) -> None:
    """Not the block around it, nor its neighbour: what is inside of blocks is given theirs, too."""
    if wrong not in right:
        pytest.skip(f"{wrong} is no module of its own here")
    assert blamed(case, codes, {**right, wrong: right[wrong] + np.std(right[wrong])}) == ("dump.deviates", wrong)


def test_the_first_in_the_order_of_computation_is_blamed(case: Case, codes: npt.NDArray[np.int64], right: Dump) -> None:
    both = ("code2wav.decoder.0", "code2wav.upsample.1.1")
    assert blamed(case, codes, {**right, **{name: -right[name] for name in both}})[1] == both[1]


def test_small_differences_count_where_nothing_was_rounded(
    case: Case, codes: npt.NDArray[np.int64], right: Dump
) -> None:
    """What bfloat16 explains is a deviation between float32 and float32."""
    wrong = "code2wav.pre_transformer.layers.0.mlp"
    noise = np.random.default_rng(1).normal(size=right[wrong].shape) * np.std(right[wrong]) * 0.02
    noisy = {**right, wrong: (right[wrong] + noise).astype(np.float32)}
    assert blamed(case, codes, noisy) == ("dump.deviates", wrong)
    assert ids(case, codes, {name: rounded(values) for name, values in noisy.items()}) == []


def test_no_module_of_ours(case: Case, codes: npt.NDArray[np.int64]) -> None:
    assert ids(case, codes, {"encoder.block": np.zeros(3, np.float32)}) == ["dump.names"]


def test_a_dump_of_the_first_frames_is_compared_with_these(
    mini: Path, case: Case, codes: npt.NDArray[np.int64]
) -> None:
    """As the doctor asks for."""
    model, few = omniggml.load(mini, n_threads=1), np.ascontiguousarray(codes[:, :2])
    with model.probe("code2wav.decoder.1", "code2wav.upsample.1.1") as seen:
        model.code2wav(few)
    dump = {name: seen[name] for name in seen}
    assert ids(case, codes, dump) == []
    assert blamed(case, codes, dump | {"code2wav.decoder.1": dump["code2wav.decoder.1"][..., ::-1]}) == (
        "dump.deviates",
        "code2wav.decoder.1",
    )
    cut = dump["code2wav.decoder.1"][..., :-1]
    assert blamed(case, codes, dump | {"code2wav.decoder.1": cut})[0] == "dump.deviates"
