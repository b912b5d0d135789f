"""The search for a policy: what is measured is right, what is found keeps its promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import omniggml
from conftest import Files
from omniggml import quantize
from omniggml.cli import main
from omniggml.errors import InputError
from omniggml.quantization import search as searching
from omniggml.quantization.choosing import Choice, best_within, smallest
from omniggml.quantization.damage import Damage, damage
from omniggml.quantization.groups import GROUPS, group_of
from omniggml.quantization.policy_damage import DamageMeter, Tensors
from omniggml.quantization.policy_file import write_policy
from omniggml.quantization.search import compare_policies, search_policy
from omniggml.quantization.teacher_forcing import CalibrationItem, ForcedOutputs, calibration_set, teacher_forced
from omniggml.spec.policy import Policy, read_policy
from sentences import one_sentence

TEXTS = ("hello world", "good morning")
HELD_OUT_TEXTS = ("where is the book",)


@pytest.fixture(scope="module")
def model(tiny_files: Files) -> omniggml.Model:
    return omniggml.load(tiny_files.speech, n_threads=1)


@pytest.fixture(autouse=True)
def short_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LADDER", ("Q8_0", "Q4_K"))


# --- what is measured -------------------------------------------------------------------------------------------------


def test_logits_are_those_that_codes_are_drawn_from(model: omniggml.Model) -> None:
    """Greedily, each code is the most probable one after those before it."""
    (item,) = calibration_set(model, ["hello world"], 6)
    thoughts = teacher_forced(model, item)
    codebook = model.geometry["code2wav"]["codebook_size"]
    assert thoughts.talker.shape[0] == item.codes.shape[1] == 6
    assert (thoughts.talker[:, :codebook].argmax(axis=1) == item.codes[0]).all()
    assert (thoughts.predictor.argmax(axis=2) == item.codes[1:]).all()
    np.testing.assert_allclose(np.exp(thoughts.talker).sum(axis=1), 1, rtol=1e-5)
    assert (thoughts.samples == model.code2wav(item.codes)).all()


def test_other_codes_change_what_follows_them_only(model: omniggml.Model) -> None:
    (item,) = calibration_set(model, ["hello world"], 5)
    other = item.codes.copy()
    other[:, 2] = (other[:, 2] + 1) % 60
    before, after = teacher_forced(model, item), teacher_forced(model, CalibrationItem(item.text, other))
    np.testing.assert_allclose(before.talker[:3], after.talker[:3], atol=1e-5)
    assert np.abs(before.talker[3] - after.talker[3]).max() > 1e-3


def thoughts(talker: list[float], samples: np.ndarray) -> ForcedOutputs:  # type: ignore[type-arg]
    logarithms = np.log(np.array([talker], np.float32))
    return ForcedOutputs(logarithms, np.stack([logarithms, logarithms]), samples.astype(np.float32))


def test_damage_of_known_differences() -> None:
    wave = np.random.default_rng(0).normal(size=24000)
    reference, found = thoughts([0.5, 0.25, 0.25], wave), thoughts([0.25, 0.5, 0.25], 0.9 * wave)
    lost = damage([reference], [found])
    divergence = 0.5 * np.log(2) - 0.25 * np.log(2)
    np.testing.assert_allclose([lost.talker_kl, lost.predictor_kl], [divergence, 2 * divergence], rtol=1e-5)
    np.testing.assert_allclose([lost.on("codes"), lost.on("audio")], [3 * divergence, 0.01], rtol=1e-4)
    np.testing.assert_allclose([lost.snr, lost.distance], [20, -20 * np.log10(0.9)], rtol=1e-2)
    assert lost.agreement == 0
    same = damage([reference], [reference])
    assert (same.on("codes"), same.on("audio"), same.agreement, same.distance) == (0, 0, 100, 0)


# --- choosing ---------------------------------------------------------------------------------------------------------


def choice(number: int, nbytes: int, loss: float) -> Choice:
    group = GROUPS[number]
    kl = loss if group.side == "codes" else float("nan")
    return Choice(group, f"T{nbytes}", nbytes, Damage(kl, 0.0, 100.0, loss, 0.0))


TWO = (choice(0, 100, 0.0), choice(0, 50, 0.1), choice(0, 25, 5.0), choice(1, 100, 0.0), choice(1, 40, 0.01))


def test_smallest_within_a_damage() -> None:
    total = lambda chosen: sum(c.loss for c in chosen)  # noqa: E731
    assert {c.nbytes for c in smallest(TWO, "codes", 0.2, total)} == {50, 40}
    assert {c.nbytes for c in smallest(TWO, "codes", 0.05, total)} == {100, 40}
    assert {c.nbytes for c in smallest(TWO, "codes", 10.0, total)} == {25, 40}
    assert smallest(TWO, "codes", 0.2, lambda chosen: 1.0) == ()
    assert smallest(TWO, "audio", 0.2, total) == ()


def test_best_within_a_size() -> None:
    targets = {"codes": 0.05, "audio": 0.001}
    for room, expected in ((65, [25, 40]), (89, [25, 40]), (90, [50, 40]), (140, [100, 40]), (200, [100, 100])):
        assert [c.nbytes for c in best_within(TWO, room, targets)] == expected, room
    with pytest.raises(InputError, match="no choice of types"):
        best_within(TWO, 64, targets)


def test_every_layer_with_a_choice_has_a_group(tiny_files: Files) -> None:
    kept = [
        name
        for name, stored in Tensors(tiny_files.speech).named()
        if len(stored.shape) > 1 and group_of(name) is None and "dwconv" not in name
    ]
    assert kept == []


# --- searching --------------------------------------------------------------------------------------------------------


def test_within_a_damage(tiny_files: Files, tmp_path: Path) -> None:
    found = search_policy(
        tiny_files.speech,
        codes_damage=0.5,
        audio_damage=0.01,
        texts=TEXTS,
        held_out=HELD_OUT_TEXTS,
        max_frames=5,
        n_threads=1,
    )
    again = DamageMeter(tiny_files.speech, TEXTS, 5, 1).damage_of(found.policy)
    assert again == found.damage and again.on("codes") <= 0.5 and again.on("audio") <= 0.01
    assert {choice.group for choice in found.chosen} == {choice.group for choice in found.measured}
    made = quantize(tiny_files.speech, tmp_path / "x.gguf", policy=found.policy)
    assert made.nbytes == found.nbytes < quantize(tiny_files.speech, tmp_path / "y.gguf", policy="f16").nbytes
    types = {choice.type for choice in found.measured}
    assert types == {"Q8_0", "Q4_K"}
    # On the other side a tie among experts may fall either way.
    for group in {c.group for c in found.measured if c.type == "Q4_K" and c.group.side == "audio"}:
        fewer_bits = [choice.loss for choice in found.measured if choice.group is group]
        assert fewer_bits[0] < fewer_bits[-1], group.name


def test_within_the_size_of_a_policy(tiny_files: Files) -> None:
    """In the same bytes the found policy loses less than the plain one, on texts that it was not made with too."""
    targets = {"codes": searching.CODES_DAMAGE, "audio": searching.AUDIO_DAMAGE}
    found = search_policy(
        tiny_files.speech, size="q4_k", texts=TEXTS, held_out=HELD_OUT_TEXTS, max_frames=8, n_threads=1
    )
    plain = compare_policies(tiny_files.speech, ["q4_k"], texts=HELD_OUT_TEXTS, max_frames=8, n_threads=1)["q4_k"]
    assert found.nbytes <= plain[0]
    worse, better = (
        sum(lost.on(side) / target for side, target in targets.items()) for lost in (plain[1], found.held_out)
    )
    assert better < worse


def test_a_written_policy_is_the_same_policy(tiny_files: Files, tmp_path: Path) -> None:
    policy = Policy("x", (("*norm.weight", "F32"), ("talker.*", "Q6_K")), "Q8_0")
    path = write_policy(tmp_path / "x.toml", policy, ["made for\n a test"])
    assert read_policy(str(path)) == policy
    assert path.read_text().startswith("# made for a test\n")
    with pytest.raises(InputError, match=r"ends in \.toml"):
        write_policy(tmp_path / "x.txt", policy)
    with pytest.raises(InputError, match="can't be written"):
        write_policy(tmp_path / "none" / "x.toml", policy)


def test_what_can_not_be_searched(tiny_files: Files, tmp_path: Path) -> None:
    small = quantize(tiny_files.speech, tmp_path / "x.gguf", policy="q8_0").path
    for source, options, part in (
        (small, {}, "is quantized already"),
        (tiny_files.speech, {"texts": ()}, "no text"),
        (tiny_files.speech, {"max_frames": 0}, "max_frames is 0"),
        (tiny_files.speech, {"codes_damage": 0.0}, "above 0"),
    ):
        with pytest.raises(InputError) as error:
            search_policy(source, **{"texts": ("hi",), "held_out": ("ho",), "max_frames": 1, "n_threads": 1, **options})  # type: ignore[arg-type]
        one_sentence(str(error.value), part)


def test_command(tiny_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("hello\n\ngood\n")

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["quantize", str(tiny_files.speech), *map(str, arguments)])
        return code, *capsys.readouterr()

    options = ("--text", tmp_path / "text", "--held-out", tmp_path / "text", "--frames", 2, "--threads", 1)
    code, out, err = run(tmp_path / "found.toml", "--search", "--size", "q6_k", *options)
    assert code == 0 and err == ""
    assert "code_embedding" in out and "q8_0-all" in out
    assert run(tmp_path / "x.gguf", "--policy", tmp_path / "found.toml")[0] == 0
    assert omniggml.inspect(tmp_path / "x.gguf").problem == ""
    code, _, err = run(tmp_path / "found.gguf", "--search")
    assert code == 1
    one_sentence(err.strip(), "found.gguf", "ends in .toml")
