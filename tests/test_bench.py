"""`omniggml bench` measures what it says; how fast anything is, no test asserts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import omniggml
from conftest import Files
from omniggml import bench
from omniggml.benchmark import workload
from omniggml.benchmark.figure import Figure
from omniggml.benchmark.machine import largest_shapes
from omniggml.benchmark.made_model import make_model
from omniggml.files.opening import open_file
from omniggml.synthetic.geometries import PUBLISHED_GEOMETRY
from sentences import one_sentence

FIGURES = (
    "load_seconds",
    "prompt_ms",
    "first_audio_ms",
    "real_time_factor",
    "late_over_early",
    "bandwidth",
    "times_faster_together",
)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "omniggml", "bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def report(tiny_files: Files) -> dict[str, Any]:
    result = run("-m", tiny_files.speech, "--threads", 1, "--frames", 6, "--repetitions", 2, "--together", 2, "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def ordered(figure: dict[str, float]) -> bool:
    return figure["low"] <= figure["median"] <= figure["high"]


def test_every_figure_is_there(report: dict[str, Any], tiny_files: Files) -> None:
    assert report["file_bytes"] == tiny_files.speech.stat().st_size
    assert (report["threads"], report["frames"], report["repetitions"]) == (1, 6, 2)
    assert set(report["frame_ms"]) == {"talker", "predictor", "sampling", "vocoder", "idle", "total"}
    assert set(report["throughput"]) == {"f32", "bf16", "f16"}
    for name in FIGURES:
        assert ordered(report[name]) and report[name]["low"] > 0, name
    for figures in (report["frame_ms"], report["throughput"]):
        for name, figure in figures.items():
            assert ordered(figure), name
            assert name == "idle" or figure["low"] > 0, name
    # Equal where importing took more at its peak than a tiny file does.
    assert 0 < report["memory_before"] <= report["load_peak_memory"] <= report["peak_memory"]


def test_limits_follow_from_the_rest(report: dict[str, Any]) -> None:
    limits = report["limits"]
    for name, rate in (("talker", "bandwidth"), ("predictor", "bandwidth")):
        expected = limits[name]["amount"] / report[rate]["median"] * 1000
        assert limits[name]["ms"] == pytest.approx(expected)
        assert limits[name]["times"] == pytest.approx(report["frame_ms"][name]["median"] / expected)
    assert limits["vocoder"]["ms"] == pytest.approx(
        limits["vocoder"]["amount"] / report["throughput"]["f32"]["median"] * 1000
    )


def test_the_table_names_every_stage(tiny_files: Files) -> None:
    result = run("-m", tiny_files.speech, "--threads", 1, "--frames", 4, "--repetitions", 1)
    assert result.returncode == 0, result.stderr
    for stage in ("load", "first audio", "real-time factor", "talker", "predictor", "sampling", "vocoder", "idle"):
        assert any(line.startswith(stage) for line in result.stdout.splitlines()), stage


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--frames", 1], ["frames", "1"]),
        (["--repetitions", 0], ["repetitions", "0"]),
        (["--threads", -1], ["threads", "-1"]),
        (["--together", 0], ["together", "0"]),
        (["--device", "abacus"], ["abacus"]),
        (["--frames", 100_000], ["context", "--frames"]),
    ],
)
def test_refusals(tiny_files: Files, arguments: Sequence[object], parts: Sequence[str]) -> None:
    result = run("-m", tiny_files.speech, "--repetitions", 1, *arguments)
    assert result.returncode == 1 and result.stdout == ""
    one_sentence(result.stderr.strip(), "omniggml: ", *parts)


def test_a_missing_file(tmp_path: Path) -> None:
    result = run("-m", tmp_path / "none.gguf")
    assert result.returncode == 1
    one_sentence(result.stderr.strip(), "none.gguf")


def test_the_stages_speak_what_the_model_speaks(tiny_files: Files) -> None:
    """The stages in turn draw the codes that the model's own loop draws: it is the same work that is timed."""
    from omniggml.benchmark.stages import TimedSpeech

    model = omniggml.load(tiny_files.speech, n_threads=1)
    expected = model.speak("hello world", max_frames=40, seed=5, ignore_eos=True)
    assert expected.codes is not None
    times = TimedSpeech(model, "hello world").run(40, seed=5)
    assert times.codes.tolist() == expected.codes.tolist()
    assert len(times.frame_seconds) == 40


def test_work_of_the_tiny_model(tiny_files: Files) -> None:
    """Bytes counted here from the file by hand: F32, so four bytes a weight."""
    tensors = open_file(tiny_files.speech).header.native.tensors()
    geometry = omniggml.load(tiny_files.speech).geometry
    sizes = {tensor["name"]: tensor["nbytes"] for tensor in tensors}
    talker, predictor = geometry["talker"], geometry["code_predictor"]
    experts = sum(n for name, n in sizes.items() if name.startswith("talker.model.") and ".experts." in name)
    others = sum(
        n
        for name, n in sizes.items()
        if name.startswith("talker.model.") and ".experts." not in name and "embedding" not in name
    )
    share = talker["num_experts_per_tok"] / talker["num_experts"]
    head = 4 * talker["vocab_size"] * talker["hidden_size"]
    assert workload.talker_bytes(tensors, talker) == pytest.approx(experts * share + others + head)
    groups = predictor["num_code_groups"]
    layers = sum(
        n for name, n in sizes.items() if name.startswith("talker.code_predictor.model.") and "embedding" not in name
    )
    heads = 4 * predictor["vocab_size"] * predictor["hidden_size"] * (groups - 1)
    assert workload.predictor_bytes(tensors, predictor) == layers * (groups - 1) + heads


def test_work_of_the_published_vocoder() -> None:
    geometry = vars(PUBLISHED_GEOMETRY.code2wav)
    products = workload.vocoder_products(geometry)
    assert sum(product.multiply_adds for product in products) == pytest.approx(2.6e9, rel=0.05)
    largest = largest_shapes(products)
    assert {(7 * 768, 768), (7 * 384, 384)} <= {(shape.inner, shape.outputs) for shape in largest}
    assert all(shape.rows <= 4096 for shape in largest)


def test_figures() -> None:
    figure = Figure.of([3.0, 1.0, 2.0])
    assert (figure.median, figure.low, figure.high) == (2.0, 1.0, 3.0)
    assert figure.text() == "2.0 (1.0 to 3.0)"


def test_progress_is_told(tiny_files: Files) -> None:
    told: list[str] = []
    bench(tiny_files.speech, announce=told.append, n_threads=1, frames=3, repetitions=1)
    assert told == ["loading, 1 of 1", "warming up", "speaking, 1 of 1"]


def test_ignoring_the_end(model_files: Any) -> None:
    """A model that ends every speech before its first frame speaks on where it is asked to."""
    speech = model_files.gguf("eos-first", "f32")[0]
    model = omniggml.load(speech, n_threads=1)
    assert model.speak("hello", max_frames=5).codes.shape[1] == 0  # type: ignore[union-attr]
    spoken = model.speak("hello", max_frames=5, ignore_eos=True)
    assert spoken.codes is not None and spoken.codes.shape[1] == 5 and spoken.stop_reason == "frame_limit"


def test_a_made_model_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ("--make", "mini", "--type", "q4_k", "--threads", 1, "--frames", 3, "--repetitions", 1, "--json")
    times = []
    for _ in range(2):
        result = run(*arguments)
        assert result.returncode == 0, result.stderr
        path = Path(json.loads(result.stdout)["model"])
        assert path.parent == tmp_path / "omniggml" and "q4_k" in path.name
        times.append(path.stat().st_mtime_ns)
    assert times[0] == times[1]
    assert make_model("mini", "q4_k") == path
    with pytest.raises(omniggml.InputError) as caught:
        make_model("huge")
    one_sentence(str(caught.value), "huge", "real", "mini")
