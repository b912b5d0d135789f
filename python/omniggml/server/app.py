"""The application: every route, errors in one form, nobody in who may not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from omniggml.errors import OmniError
from omniggml.model import Model
from omniggml.server.access import EXPOSED, Access
from omniggml.server.api_error import ApiError, as_api_error, told_of
from omniggml.server.catalogue_routes import catalogue_routes
from omniggml.server.chat_route import chat_routes
from omniggml.server.heads import Heads
from omniggml.server.page_routes import page_routes
from omniggml.server.realtime import realtime_routes
from omniggml.server.service import Service
from omniggml.server.settings import ServerSettings
from omniggml.server.speech_route import speech_routes
from omniggml.version import __version__

_SUMMARY = "Speech as OpenAI's interfaces ask for it, from Qwen3-Omni on ggml."


def create_app(settings: ServerSettings, load: Callable[[], Model]) -> FastAPI:
    """The ASGI application of one server; `load` is called when it starts. Its `state.service` is what it stands on."""
    service = Service(settings, load)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.open()
        yield
        await service.close()

    app = FastAPI(
        title="omniggml", summary=_SUMMARY, version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.service = service
    for routes in (speech_routes, chat_routes, realtime_routes, catalogue_routes, page_routes):
        app.include_router(routes(service))
    app.add_exception_handler(OmniError, _model_error)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unforeseen)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    app.add_middleware(Access, service=service, routes=app.router.routes)
    app.add_middleware(Heads)
    return app


async def _model_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, OmniError)
    return as_api_error(error).response()


async def _malformed(_: Request, error: Exception) -> Response:
    """The first thing that is wrong, and where; never what was sent."""
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = next(iter(error.errors()), {"loc": (), "msg": "it can't be read", "type": ""})
    unread = first["type"] == "json_invalid"
    where = "" if unread else ".".join(str(part) for part in first["loc"] if part != "body")
    about = f"{where}: " if where else "" if unread else "the request's body: "
    return ApiError(400, f"{about}{told_of(first)}", param=where or None, code="invalid_request").response()


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = ApiError(error.status_code, str(error.detail)).response()
    response.headers.update(error.headers or {})
    return response


async def _unforeseen(_: Request, __: Exception) -> Response:
    return ApiError(500, "the server failed; its log says how").response()
