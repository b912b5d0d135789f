"""Errors in OpenAI's form: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from starlette.responses import JSONResponse

from omniggml.errors import ContextLengthError, InputError, OmniError, OutOfMemoryError
from omniggml.printable import printable

CONTEXT_LENGTH = "context_length_exceeded"
"""The code at which clients shorten a conversation and ask again."""
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class ApiError(OmniError):
    """What a client is told: `status`, the message, the request's `param` that it is about, a `code` for programs, and
    after how many seconds to try again, or the methods that it should `allow`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float = 0,
        allow: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after = status, param, code, retry_after
        self.allow = tuple(allow)

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        param = None if self.param is None else printable(self.param, 100)
        return {"error": {"message": str(self), "type": kind, "param": param, "code": self.code}}

    def response(self) -> JSONResponse:
        headers = {"Retry-After": str(max(1, math.ceil(self.retry_after)))} if self.retry_after else {}
        if self.allow:
            headers["Allow"] = ", ".join(self.allow)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers)


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """What every error looks like."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request can't be answered as it is"},
    "5XX": {"model": ErrorBody, "description": "The server can't answer now"},
}
"""For the OpenAPI page."""


def as_api_error(error: OmniError) -> ApiError:
    """What a client is told of an error of the model."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ContextLengthError):
        return ApiError(400, str(error), param="messages", code=CONTEXT_LENGTH)
    if isinstance(error, InputError):
        return ApiError(400, str(error))
    if isinstance(error, OutOfMemoryError):
        return ApiError(503, str(error), retry_after=5)
    return ApiError(500, str(error))


def told_of(wrong: Mapping[str, Any]) -> str:
    """One of pydantic's errors, in words that know nothing of our classes."""
    kind = str(wrong["type"])
    if kind == "missing":
        return "it is missing"
    if kind in ("model_type", "model_attributes_type", "dataclass_type", "dict_type"):
        return "it should be an object"
    return str(wrong["msg"])
