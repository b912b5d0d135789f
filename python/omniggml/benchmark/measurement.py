"""The measurement as a whole: loads, then repetitions of the machine's limits, the stages and the whole speech."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from omniggml import _native
from omniggml.benchmark import machine, workload
from omniggml.benchmark.figure import Figure
from omniggml.benchmark.loading import Load, measure_load
from omniggml.benchmark.memory import peak_memory
from omniggml.benchmark.report import BenchReport, Limit
from omniggml.benchmark.stages import StageTimes, TimedSpeech
from omniggml.checked import checked
from omniggml.errors import InputError
from omniggml.files.opening import open_files
from omniggml.hub_file import local_file
from omniggml.loading import load
from omniggml.model import Model
from omniggml.options import check_integer

if TYPE_CHECKING:
    from typing_extensions import Unpack

_TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all."
_STAGES = ("talker", "predictor", "sampling", "vocoder")


class BenchKeywords(TypedDict, total=False):
    """Keywords of `bench`; see `Settings`."""

    device: str
    n_threads: int
    frames: int
    repetitions: int
    vocoder_precision: str
    mmap: bool
    together: int


@checked
@dataclass(frozen=True)
class Settings:
    """`n_threads` 0: all usable. `frames` a repetition; `repetitions` after one that only warms up. `together`:
    speeches spoken at once and compared with as many in turn, where it is more than one."""

    device: str = "auto"
    n_threads: int = 0
    frames: int = 50
    repetitions: int = 5
    vocoder_precision: str = "auto"
    mmap: bool = True
    together: int = 1

    def __post_init__(self) -> None:
        check_integer("n_threads", self.n_threads, 0, 512)
        check_integer("frames", self.frames, 2, 1 << 20)
        check_integer("repetitions", self.repetitions, 1, 1000)
        check_integer("together", self.together, 1, 64)


@checked
def bench(
    speech: str | os.PathLike[str],
    *,
    announce: Callable[[str], None] | None = None,
    **settings: Unpack[BenchKeywords],
) -> BenchReport:
    """Measure the speech file. `announce` is called with what is being done; `settings`: see `BenchKeywords`.

    Raises InputError for settings that make no sense or more frames than the model's context holds, and what `load`
    raises.
    """
    chosen = Settings(**settings)
    say = announce or (lambda _: None)
    path = local_file(speech)
    loads = []
    for i in range(chosen.repetitions):
        say(f"loading, {i + 1} of {chosen.repetitions}")
        loads.append(measure_load(path, chosen.device, chosen.mmap))
    model = load(
        path,
        device=chosen.device,
        n_threads=chosen.n_threads,
        vocoder_precision=chosen.vocoder_precision,
        mmap=chosen.mmap,
    )
    return _Bench(model, path, chosen).run(loads, say)


class _Bench:
    def __init__(self, model: Model, path: Path, settings: Settings) -> None:
        self.model = model
        self.path = path
        self.settings = settings
        self.threads = settings.n_threads or _native.usable_cpus()
        self.products = workload.vocoder_products(model.geometry["code2wav"])
        self.shapes = machine.largest_shapes(self.products)
        self.speech = TimedSpeech(model, _TEXT)

    def run(self, loads: list[Load], say: Callable[[str], None]) -> BenchReport:
        say("warming up")
        frames = self.speech.run(self.settings.frames, seed=0).codes.shape[1]
        if frames < self.settings.frames:
            raise InputError(f"the model's context ends after {frames} frames; measure fewer with --frames {frames}")
        peak = peak_memory()  # what follows measures the machine too, which takes memory of its own
        bandwidths: list[float] = []
        throughputs: dict[str, list[float]] = {type_: [] for type_ in machine.PRODUCT_TYPES}
        stages: list[StageTimes] = []
        batches: list[float] = []
        for i in range(self.settings.repetitions):
            say(f"speaking, {i + 1} of {self.settings.repetitions}")
            bandwidths += machine.bandwidth(self.threads)
            for type_, found in throughputs.items():
                found.append(machine.throughput(self.shapes, type_, self.threads))
            stages.append(self.speech.run(self.settings.frames, seed=i))
            if self.settings.together > 1:
                batches.append(self.settings.together * stages[-1].total / self._batch(seed=i))
        return self._report(loads, peak, bandwidths, throughputs, stages, batches)

    def _batch(self, seed: int) -> float:
        """Seconds of as many speeches at once as the settings say."""
        n = self.settings.together
        start = time.perf_counter()
        self.model.speak_batch([_TEXT] * n, together=n, seed=seed, max_frames=self.settings.frames, ignore_eos=True)
        return time.perf_counter() - start

    def _report(
        self,
        loads: list[Load],
        peak: int,
        bandwidths: list[float],
        throughputs: dict[str, list[float]],
        stages: list[StageTimes],
        batches: list[float],
    ) -> BenchReport:
        n = self.settings.frames
        frame = {stage: Figure.of(times.per_frame(stage) for times in stages) for stage in _STAGES}
        totals = [(times.total - times.prompt) / n * 1000 for times in stages]
        parts = [times.after_prompt / n * 1000 for times in stages]
        frame["idle"] = Figure.of(total - part for total, part in zip(totals, parts, strict=True))
        frame["total"] = Figure.of(totals)
        seconds = self.model.n_samples(n) / self.model.sample_rate
        return BenchReport(
            model=str(self.path),
            file_bytes=self.path.stat().st_size,
            device=self.settings.device,
            cpu=machine.cpu_name(),
            versions=(_native.__version__, _native.ggml_version),
            threads=self.threads,
            frames=n,
            repetitions=self.settings.repetitions,
            load_seconds=Figure.of(load.seconds for load in loads),
            load_peak_memory=max(load.peak_memory for load in loads),
            memory_before=max(load.memory_before for load in loads),
            peak_memory=peak,
            cache_bytes=stages[-1].cache_nbytes,
            positions=stages[-1].positions,
            prompt_ms=Figure.of(times.prompt * 1000 for times in stages),
            frame_ms=frame,
            late_over_early=Figure.of(times.late_over_early for times in stages),
            first_audio_ms=Figure.of(times.first * 1000 for times in stages),
            real_time_factor=Figure.of(times.total / seconds for times in stages),
            together=self.settings.together,
            times_faster_together=Figure.of(batches) if batches else None,
            bandwidth=Figure.of(bandwidths),
            throughput={type_: Figure.of(found) for type_, found in throughputs.items()},
            shapes=tuple((shape.inner, shape.outputs, shape.rows) for shape in self.shapes),
            limits=self._limits(frame, Figure.of(bandwidths).median, Figure.of(throughputs["f32"]).median),
            vocoder_precision=self.settings.vocoder_precision,
            vocoder_choice=_native.vocoder_choice(),
        )

    def _limits(self, frame: dict[str, Figure], bandwidth: float, throughput: float) -> dict[str, Limit]:
        tensors = self._tensors()
        geometry = self.model.geometry
        talker = workload.talker_bytes(tensors, geometry["talker"])
        predictor = workload.predictor_bytes(tensors, geometry["code_predictor"])
        multiply_adds = sum(product.multiply_adds for product in self.products)
        limits = {
            "talker": Limit(talker, "bytes", talker / bandwidth * 1000, frame["talker"].median),
            "predictor": Limit(predictor, "bytes", predictor / bandwidth * 1000, frame["predictor"].median),
        }
        both = limits["talker"], limits["predictor"]
        limits["talker and predictor"] = Limit(
            sum(limit.amount for limit in both),
            "bytes",
            sum(limit.ms for limit in both),
            sum(frame[stage].median for stage in ("talker", "predictor", "sampling")),
        )
        limits["vocoder"] = Limit(
            multiply_adds, "multiply-adds", multiply_adds / throughput * 1000, frame["vocoder"].median
        )
        return limits

    def _tensors(self) -> list[dict[str, Any]]:
        opened = open_files(self.path)
        assert opened.speech is not None
        native: _native.GgufFile = opened.speech.native
        return native.tensors()
