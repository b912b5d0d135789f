"""A batch on many machines: Ray Data spreads the texts over speakers, each with a model of its own, and starts those
again that die. Audio comes back to the machine that asked, which alone writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from omniggml.audio import Audio
from omniggml.batch.speaking import SpokenText, speak_texts
from omniggml.batch.texts import BatchText
from omniggml.loading import load
from omniggml.options import LoadKeywords, PathLike, SpeechOptions
from omniggml.ray_cluster import connect

_TEXTS_A_BATCH = 8  # times the slots
_MOST_MODEL_RESTARTS = 3


class RaySpeaker:
    """A worker of Ray Data: loads once, speaks batches."""

    def __init__(self, speech: PathLike | None, loading: LoadKeywords, options: SpeechOptions, slots: int) -> None:
        self._model = load(speech, **loading)
        self._options, self._slots = options, slots

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Columns of texts -> columns of what was said."""
        texts = [
            BatchText(str(name), str(text), speaker or None, None if seed == "" else int(seed))
            for name, text, speaker, seed in zip(*(batch[column] for column in _COLUMNS), strict=True)
        ]
        spoken = list(speak_texts(self._model, texts, self._options, self._slots))
        return {
            "id": [one.text.id for one in spoken],
            "error": [one.error for one in spoken],
            # A list may be empty in a whole batch, and Arrow then knows no type for it.
            "warnings": [json.dumps(one.warnings) for one in spoken],
            "samples": [b"" if one.audio is None else one.audio.samples.tobytes() for one in spoken],
            "codes": [b"" if one.audio is None else one.audio.codes.tobytes() for one in spoken],
            "groups": [0 if one.audio is None else one.audio.codes.shape[0] for one in spoken],
            "rate": [0 if one.audio is None else one.audio.sample_rate for one in spoken],
            "stop_reason": ["" if one.audio is None else one.audio.stop_reason for one in spoken],
        }


_COLUMNS = ("id", "text", "speaker", "seed")


def speak_by_ray(
    address: str, speech: PathLike | None, loading: LoadKeywords, options: SpeechOptions, slots: int, workers: int
) -> Callable[[Sequence[BatchText]], Iterator[SpokenText]]:
    """A way to speak texts on the cluster at `address` ("local" starts one on this machine), by so many workers.

    Raises InputError where Ray isn't installed or the cluster can't be reached.
    """
    connect(address)
    import ray.data

    def speak(texts: Sequence[BatchText]) -> Iterator[SpokenText]:
        known = {text.id: text for text in texts}
        rows = [
            {"id": text.id, "text": text.text, "speaker": text.speaker or "", "seed": _seed(text)} for text in texts
        ]
        batch = slots * _TEXTS_A_BATCH
        said = ray.data.from_items(rows, override_num_blocks=max(1, -(-len(rows) // batch))).map_batches(
            RaySpeaker,
            fn_constructor_args=(speech, loading, options, slots),
            batch_size=batch,
            concurrency=min(workers, max(1, -(-len(rows) // batch))),
            num_cpus=loading.get("n_threads") or 1,
            max_restarts=_MOST_MODEL_RESTARTS,
            max_task_retries=_MOST_MODEL_RESTARTS,
        )
        for row in said.iter_rows():
            yield _spoken(known[row["id"]], row)

    return speak


def _seed(text: BatchText) -> str:
    return "" if text.seed is None else str(text.seed)  # a column of Arrow's 64 bits has no sign to spare


def _spoken(text: BatchText, row: dict[str, Any]) -> SpokenText:
    if row["error"]:
        return SpokenText(text, None, row["error"])
    codes = np.frombuffer(row["codes"], np.int32).reshape(row["groups"], -1)
    samples = np.frombuffer(row["samples"], np.float32)
    return SpokenText(
        text, Audio(samples, int(row["rate"]), codes, row["stop_reason"]), warnings=tuple(json.loads(row["warnings"]))
    )
