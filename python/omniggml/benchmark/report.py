"""What was measured, as data, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from omniggml.benchmark.figure import Figure
from omniggml.benchmark.vocoder_choice import vocoder_choice_text

_MIB = 2**20


@dataclass(frozen=True)
class Limit:
    """What a stage must do for a frame at least, in `unit`; the milliseconds that takes at the machine's limit, and
    those it took."""

    amount: int
    unit: str
    ms: float
    measured_ms: float

    @property
    def times(self) -> float:
        """How many times the limit was taken."""
        return self.measured_ms / self.ms if self.ms else 0.0


@dataclass(frozen=True)
class BenchReport:
    """All figures of one run. Bytes, milliseconds, seconds as the names say; `frame_ms` by stage, and "idle": what the
    whole speech took beyond its stages, negative where they overlap. `late_over_early`: the time of a frame at the end
    of the speech over that of one near its start. `times_faster_together`: the time of `together` speeches in turn over
    that of as many at once. `bandwidth` in bytes a second, `throughput` in multiply-adds a second by type of weight, at
    `shapes` (inner, outputs, rows). `vocoder_precision`: as asked for; `vocoder_choice`: what "auto" is on this
    machine, and the milliseconds that decided."""

    model: str
    file_bytes: int
    device: str
    cpu: str
    versions: tuple[str, str]
    threads: int
    frames: int
    repetitions: int
    load_seconds: Figure
    load_peak_memory: int
    memory_before: int
    peak_memory: int
    cache_bytes: int
    positions: int
    prompt_ms: Figure
    frame_ms: dict[str, Figure]
    late_over_early: Figure
    first_audio_ms: Figure
    real_time_factor: Figure
    together: int
    times_faster_together: Figure | None
    bandwidth: Figure
    throughput: dict[str, Figure]
    shapes: tuple[tuple[int, int, int], ...]
    limits: dict[str, Limit]
    vocoder_precision: str
    vocoder_choice: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        values = asdict(self)
        for name, limit in self.limits.items():
            values["limits"][name]["times"] = limit.times
        return values

    def lines(self) -> list[str]:
        """A table for people."""
        return [*self._head(), *self._loading(), *self._speech(), *self._frame(), *self._machine()]

    def _head(self) -> Iterator[str]:
        yield f"{self.model}  {self.file_bytes / _MIB:.0f} MiB"
        yield f"omniggml {self.versions[0]}, ggml {self.versions[1]}, {self.cpu}, {self.threads} threads"
        yield f"{self.frames} frames, {self.repetitions} repetitions: median (lowest to highest)"

    def _loading(self) -> Iterator[str]:
        yield ""
        share = self.load_peak_memory / self.file_bytes
        yield f"load                 {self.load_seconds.text(2)} s"
        yield f"peak memory, loaded  {self.load_peak_memory / _MIB:.0f} MiB, {share:.2f} times the file"
        yield f"peak memory, spoken  {self.peak_memory / _MIB:.0f} MiB"

    def _speech(self) -> Iterator[str]:
        yield f"prompt               {self.prompt_ms.text()} ms for {self.positions} positions"
        yield f"first audio          {self.first_audio_ms.text()} ms"
        yield f"real-time factor     {self.real_time_factor.text(3)}"
        yield f"late / early frame   {self.late_over_early.text(2)}"
        yield f"keys and values      {self.cache_bytes / _MIB:.1f} MiB after {self.frames} frames"
        if self.times_faster_together is not None:
            yield f"{self.together} at once            {self.times_faster_together.text(2)} times faster than in turn"

    def _frame(self) -> Iterator[str]:
        yield ""
        yield f"{'ms a frame':20} {'median (lowest to highest)':28} {'at the limit':>12} {'times':>6}"
        for name, figure in self.frame_ms.items():
            limit = self.limits.get(name)
            ending = "" if limit is None else f" {limit.ms:12.1f} {limit.times:6.2f}"
            yield f"{name:20} {figure.text():28}{ending}".rstrip()
        both = self.limits["talker and predictor"]
        yield f"{'talker to codes':20} {both.measured_ms:<28.1f} {both.ms:12.1f} {both.times:6.2f}"

    def _machine(self) -> Iterator[str]:
        yield ""
        yield f"memory is read at {_scaled(self.bandwidth, 1e9)} GB/s by {self.threads} threads"
        for type_, figure in self.throughput.items():
            yield f"ggml multiplies {type_:4} at {_scaled(figure, 0.5e9)} GFLOP/s"
        for name in ("talker", "predictor"):
            yield f"the {name} reads {self.limits[name].amount / _MIB:.1f} MiB of weights a frame"
        yield f"the vocoder does {self.limits['vocoder'].amount / 1e9:.2f} G multiply-adds a frame (limit: ggml's f32)"
        yield f"vocoder precision {self.vocoder_precision}; {vocoder_choice_text(self.vocoder_choice)}"


def _scaled(figure: Figure, unit: float) -> str:
    return Figure(figure.median / unit, figure.low / unit, figure.high / unit).text()
