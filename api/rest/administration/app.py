"""The FastAPI application: what is not a hot route, and the OpenAPI of everything."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import unquote

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import tidelog
from tidelog.api.errors import MAY_PASS, ApiError, HttpError, http_error
from tidelog.api.http.error_body import error_body
from tidelog.api.http.half_characters import half_character
from tidelog.api.http.parameters import known_parameters
from tidelog.api.rest.administration import groups, members, operating, retention, topics
from tidelog.api.rest.context import RestContext
from tidelog.api.rest.docs.docs_page import DOCS_PAGE
from tidelog.api.rest.docs.openapi import allowed_methods, complete
from tidelog.broker.errors import BrokerError
from tidelog.consumer_groups.errors import GroupError
from tidelog.storage.errors import StorageError


class _NameConvertor(StringConvertor):
    """``{topic:name}`` in a route: the door hands paths on with the names in them encoded."""

    def convert(self, value: str) -> str:
        return unquote(value)


register_url_convertor("name", _NameConvertor())

_CODES = {404: "not_found", 405: "method_not_allowed"}


def build_app(context: RestContext) -> FastAPI:
    """The application behind the door."""
    app = FastAPI(
        title="Tidelog",
        version=tidelog.__version__,
        description="A Kafka-style, log-structured message broker.",
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(_known_parameters), Depends(_no_half_characters)],
    )
    for module in (topics, retention, groups, members, operating):
        app.include_router(module.routes(context))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(DOCS_PAGE)

    @app.get("/openapi.json", include_in_schema=False)
    async def description(request: Request) -> JSONResponse:
        root = request.scope["root_path"]
        servers = {"servers": [{"url": root}]} if root else {}
        return JSONResponse({**app.openapi(), **servers})

    _answer_errors(app)
    plain_openapi = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        return complete(plain_openapi())

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _known_parameters(request: Request) -> None:
    """The framework passes over what it does not know. Raises ApiError."""
    query_string = request.scope["query_string"]
    if query_string:
        route = request.scope["route"]
        known_parameters(query_string, {field.alias for field in route.dependant.query_params})


async def _no_half_characters(request: Request) -> None:
    """JSON can escape one surrogate of a pair, which no answer and no log can hold.

    Raises ApiError. What is no JSON at all is told of where it is parsed.
    """
    body = await request.body()
    if b"\\u" not in body:
        return
    try:
        half = half_character(json.loads(body))
    except (ValueError, RecursionError):
        return
    if half is not None:
        message = f"the body is not valid JSON: {half} is half a surrogate pair"
        raise ApiError(400, "invalid_json", message)


def _answer_errors(app: FastAPI) -> None:
    """Every exception in the one form; what the framework refuses by itself, too."""

    async def known(request: Request, error: Exception) -> Response:
        return _response(http_error(error))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problems = [
            {"where": ".".join(map(str, problem["loc"])), "reason": problem["msg"]}
            for problem in error.errors()
        ]
        for problem in error.errors():
            if problem["type"] == "json_invalid":
                message = f"the body is not valid JSON: {problem['ctx']['error']}"
                return _response(HttpError(400, "invalid_json", message, {}))
        message = "; ".join(f"{one['where']}: {one['reason']}" for one in problems)
        return _response(HttpError(422, "invalid_request", message, {"problems": problems}))

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, RecursionError):
            message = "the body is nested too deep to be read"
            return _response(HttpError(422, "nested_too_deep", message, {}))
        if isinstance(error.__cause__, ApiError):
            # Met while the body was read.
            return _response(http_error(error.__cause__))
        status, path = error.status_code, request.scope["path"]
        path = path.removeprefix(request.scope["root_path"])
        allowed = allowed_methods(app.openapi(), path)
        if status in (404, 405) and allowed:
            listed = ", ".join(allowed)
            message = f"{request.method} is not allowed here; allowed: {listed}"
            response = _response(HttpError(405, "method_not_allowed", message, {}))
            response.headers["Allow"] = listed
            return response
        code = _CODES.get(status, "invalid_request")
        message = f"{request.method} {path}: {error.detail}"
        return _response(HttpError(status, code, message, {}))

    async def cut_off(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # Nobody is there to read it.

    app.add_exception_handler(ClientDisconnect, cut_off)
    for kind in (ApiError, BrokerError, StorageError, GroupError, Exception):
        app.add_exception_handler(kind, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)


def _response(failed: HttpError) -> Response:
    headers = {"Retry-After": "1"} if failed.status in MAY_PASS else {}
    return Response(error_body(failed), failed.status, headers, "application/json")
