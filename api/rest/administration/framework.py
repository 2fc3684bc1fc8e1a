"""The routes that FastAPI serves, imported when the first request for one comes.

Importing FastAPI and building its application costs more than everything else at start, and a
broker that only moves records never needs it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tidelog.api.http.parameters import parse_query
from tidelog.api.http.request_reply import Message, Receive, Request, Scope, Send
from tidelog.api.rest.context import RestContext


class Administration:
    """An ASGI application that is not there yet."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._app: Any = None
        self._building: asyncio.Future[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            await self._build()
        if any(name == b"content-encoding" for name, _ in scope["headers"]):
            receive = await self._decoded(scope, receive)
        # The framework would read what is no text as something else.
        parse_query(scope["query_string"])
        await self._app(scope, receive, send)

    async def _decoded(self, scope: Scope, receive: Receive) -> Receive:
        """A ``receive`` that gives the body before its codings. Raises ApiError."""
        limit = self._context.broker.settings["http.max.body.bytes"]
        body: bytes | None = await Request(scope, receive, limit).body()

        async def decoded() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            whole, body = body, None
            return {"type": "http.request", "body": whole, "more_body": False}

        return decoded

    async def _build(self) -> None:
        """In a thread, so that clients of the hot routes do not wait for it."""
        if self._building is None:
            loop = asyncio.get_running_loop()
            self._building = loop.run_in_executor(None, self._import)
        self._app = await asyncio.shield(self._building)

    def _import(self) -> Any:
        from tidelog.api.rest.administration.app import build_app

        return build_app(self._context)
