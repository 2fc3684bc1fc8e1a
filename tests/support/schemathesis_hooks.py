"""Loaded by schemathesis: half of its calls are about things that exist, none takes long."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import httpx
import schemathesis

_MOST = {"wait_ms": 20, "partitions": 3}
_NAME = "described"
_numbers = itertools.count()


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Change a call that was generated before it is made."""
    if next(_numbers) % 2:
        _aim(case, _client(case.operation.base_url or ""))
    for place in (case.query, case.body):
        if isinstance(place, dict):
            place.update(
                {name: _bounded(place[name], most) for name, most in _MOST.items() if name in place}
            )


def _bounded(value: Any, most: int) -> Any:
    return min(value, most) if isinstance(value, int) else value


@functools.cache
def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=30)


def _aim(case: schemathesis.Case, http: httpx.Client) -> None:
    """Make the call about what is there; make it if need be."""
    names: dict[str, Any] = {"topic": _NAME, "group": _NAME, "partition": 0, "page": 0}
    if "topic" in case.path_parameters:
        names["topic_id"] = _topic_id(http)
    if "member" in case.path_parameters:
        member = http.post(f"/v1/groups/{_NAME}/members", json={"topics": [_NAME]})
        names["member"] = member.json().get("member_id", "none")
    for name in case.path_parameters:
        case.path_parameters[name] = names[name]
    if isinstance(case.body, dict):
        case.body.update({name: names[name] for name in ("topic", "group") if name in case.body})


def _topic_id(http: httpx.Client) -> str:
    """Of a topic with an archive page."""
    topic = {"name": _NAME, "partitions": 2, "if_not_exists": True}
    made = http.post("/v1/topics", json=topic)
    if made.status_code == 201:
        records = [{"value": n, "partition": 0} for n in range(1000)]
        http.post(f"/v1/topics/{_NAME}/records", json={"records": records})
    return str(made.json()["id"])
