"""What there is: models, voices, and how the server is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from omniggml.openai_voices import ALIASES
from omniggml.server.api_error import ERRORS, ApiError
from omniggml.server.service import Service


def catalogue_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["server"])

    def shown() -> dict[str, Any]:
        return {"id": service.model_name, "object": "model", "created": service.created, "owned_by": "omniggml"}

    @router.get("/v1/models", responses=ERRORS, summary="The model")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [shown()]}

    @router.get("/v1/models/{name}", responses=ERRORS, summary="The model, by its name")
    async def model(name: str = Path()) -> dict[str, Any]:
        if name != service.model_name:
            raise ApiError(404, f"there is no model {name!r:.80}; there is {service.model_name}", param="model")
        return shown()

    @router.get("/v1/audio/voices", responses=ERRORS, summary="Who can speak")
    async def voices() -> dict[str, Any]:
        default = service.model.default_speaker
        return {
            "voices": [{"id": name, "name": name, "default": name == default} for name in service.model.speakers],
            "aliases": sorted(ALIASES),
        }

    @router.get("/v1/audio/models", responses=ERRORS, summary="The model, as Open WebUI asks for it")
    async def audio_models() -> dict[str, Any]:
        return {"models": [{"id": service.model_name, "name": service.model_name}]}

    @router.get("/health", responses={503: {"description": "loading, draining or failed"}}, summary="How it is")
    async def health() -> JSONResponse:
        return JSONResponse({"status": service.status}, 200 if service.status == "ready" else 503)

    @router.get("/metrics", responses=ERRORS, response_class=Response, summary="For Prometheus")
    async def metrics() -> Response:
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    return router
