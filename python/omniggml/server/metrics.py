"""What a server counts and measures, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 40, 80)
_FRAME_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4, 0.8)
_FACTORS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 4, 8)


class Metrics:
    """Of one server; each has a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "omniggml_requests", "Answers by route and status", ["route", "status"], registry=registry
        )
        self.waiting = Gauge("omniggml_queue_speeches", "Speeches that wait for a slot", registry=registry)
        self.slots_busy = Gauge("omniggml_slots_busy", "Slots that speak", registry=registry)
        self.slots = Gauge("omniggml_slots", "Slots that there are", registry=registry)
        self.refused = Counter("omniggml_refused", "Speeches refused because the queue was full", registry=registry)
        self.cancelled = Counter("omniggml_cancelled", "Speeches that their clients left", registry=registry)
        self.failed = Counter("omniggml_failed", "Speeches that ended with an error", registry=registry)
        self.audio_seconds = Counter("omniggml_audio_seconds", "Seconds of audio that were made", registry=registry)
        self.frames = Counter("omniggml_frames", "Frames of codes that were made", registry=registry)
        self.first_audio = Histogram(
            "omniggml_first_audio_seconds", "From request to first audio", registry=registry, buckets=_SECONDS
        )
        self.frame_time = Histogram(
            "omniggml_frame_seconds", "Time a frame took, over a piece", registry=registry, buckets=_FRAME_SECONDS
        )
        self.real_time_factor = Histogram(
            "omniggml_real_time_factor",
            "Time a speech took, from its first audio on, over its length",
            registry=registry,
            buckets=_FACTORS,
        )

    def page(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
