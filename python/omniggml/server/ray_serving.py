"""The same application on many machines: Ray Serve runs replicas of it, each with a model and slots of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import FastAPI

from omniggml.errors import InputError
from omniggml.loading import load
from omniggml.options import LoadKeywords, PathLike
from omniggml.ray_cluster import connect
from omniggml.server.app import create_app
from omniggml.server.serving import ending_signals
from omniggml.server.settings import ServerSettings

_NAME = "omniggml"
_MOST_REPLICAS = 64  # that Ray adds by itself while requests wait


def serve_on_ray(
    settings: ServerSettings,
    speech: PathLike | None,
    loading: LoadKeywords,
    address: str,
    replicas: int | None,
    announce: Callable[[str], object],
) -> None:
    """Serve on the cluster at `address` until a signal asks to end. `replicas`: None for as many as the load asks for.

    Requests go to whichever replica has room; what one has room for is its slots and queue. Raises InputError where
    there is no Ray, or no such cluster.
    """
    connect(address)
    from ray import serve

    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in ending_signals()}
    try:
        serve.start(http_options={"host": settings.host, "port": settings.port})
        serve.run(_deployment(serve, settings, speech, loading, replicas), name=_NAME, blocking=False)
        announce(f"serving http://{settings.host}:{settings.port} on Ray")
        stop.wait()
        serve.shutdown()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"Ray Serve does not start: {error}") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _deployment(
    serve: Any, settings: ServerSettings, speech: PathLike | None, loading: LoadKeywords, replicas: int | None
) -> Any:
    room = settings.slots + settings.queue
    scaling: dict[str, Any] = {"num_replicas": replicas}
    if replicas is None:
        wanted = {"min_replicas": 1, "max_replicas": _MOST_REPLICAS, "target_ongoing_requests": settings.slots}
        scaling = {"num_replicas": "auto", "autoscaling_config": wanted}
    deployment = serve.deployment(
        name=_NAME,
        max_ongoing_requests=room,
        max_queued_requests=room,
        graceful_shutdown_timeout_s=settings.drain_seconds,
        ray_actor_options={"num_cpus": loading.get("n_threads") or 1},
        **scaling,
    )

    def application() -> FastAPI:
        """Called in each replica: a model is no message."""
        return create_app(settings, partial(load, speech, **loading))

    return deployment(serve.ingress(application)()).bind()
