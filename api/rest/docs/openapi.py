"""The description of the routes that bypass the framework, added to what it generates."""

from __future__ import annotations

import json
import re
from typing import Any

from tidelog.api.rest.administration.answers import errors
from tidelog.api.rest.docs.openapi_schemas import SCHEMAS


def _parameter(
    name: str, schema: dict[str, Any], text: str, where: str = "query"
) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": text,
    }


def _number(name: str, low: int, high: int, default: int, text: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": low, "maximum": high, "default": default}
    return _parameter(name, schema, text)


def _choice(name: str, text: str, *choices: str) -> dict[str, Any]:
    return _parameter(name, {"type": "string", "enum": list(choices)}, text)


def _header(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return _parameter(name, schema, text, "header")


_TOPIC = _parameter("topic", {"type": "string"}, "the topic's name", "path")
_PARTITION = _parameter(
    "partition", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, "its number", "path"
)
_VALUE = _choice("value", "how values are shown", "json", "text", "base64")
_ON_CORRUPT = _choice(
    "on_corrupt",
    "fail: an answer ends before a batch that cannot be read, and one that would begin with it is "
    "the error unreadable_batch (or corrupt_batch, where the disk has changed it), whose details "
    "name the next_offset to go on from; streams end with that error. skip: such batches are "
    "passed, and told as skipped",
    "fail",
    "skip",
)
_BOUNDS = [
    _number("max_records", 1, 10_000, 500, "most records; a stream has no end by default"),
    _number(
        "max_bytes",
        1,
        64 * 1024 * 1024,
        1024 * 1024,
        "most bytes, as 1048576 or 1MiB; one record fits",
    ),
    _number("wait_ms", 0, 60_000, 0, "how long to wait for the first record; 30s is as good"),
    _choice("isolation", "as in Kafka", "read_uncommitted", "read_committed"),
    _VALUE,
    _ON_CORRUPT,
]


def _errors(*statuses: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ErrorBody"}
    return {
        str(status): {
            "description": answer["description"],
            "content": {"application/json": {"schema": schema}},
        }
        for status, answer in errors(*statuses).items()
    }


def _streams(schema: str) -> dict[str, Any]:
    """What a reading route can answer with, by Accept."""
    return {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}},
        "application/x-ndjson": {"schema": {"type": "string"}},
        "text/event-stream": {"schema": {"type": "string"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }


def _without(form: str, forms: dict[str, Any]) -> dict[str, Any]:
    return {name: schema for name, schema in forms.items() if name != form}


def _produce() -> dict[str, Any]:
    text = {"type": "string"}
    number = {"type": "integer", "minimum": 0}
    return {
        "tags": ["records"],
        "summary": "Produce records",
        "operationId": "produce_records",
        "parameters": [
            _TOPIC,
            _choice("acks", "what the answer promises", "all", "-1", "1", "0"),
            _header(
                "Idempotency-Key",
                {**text, "minLength": 1, "maxLength": 255},
                "safe retry: the same request with the same key is written once; 422 for another",
            ),
            _header("If-Match-Offset", number, "append only if the partition ends here"),
            _header("Producer-Id", number, "from POST /v1/producers"),
            _header("Producer-Epoch", {**number, "maximum": 2**15 - 1}, "with Producer-Id"),
            _header("Producer-Sequence", {**number, "maximum": 2**31 - 1}, "of the first record"),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/ProduceRequest"}},
                "application/x-ndjson": {"schema": {"type": "string"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "text/plain": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": {
                "description": (
                    "Where each record is, in order; NDJSON in, NDJSON out, "
                    "line by line while the body comes or, as the client likes, after it"
                ),
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/ProduceReply"}},
                    "application/x-ndjson": {"schema": {"type": "string"}},
                },
            },
            **_errors(404, 409, 415, 507),
        },
    }


def _fetch() -> dict[str, Any]:
    offset = {"type": "string", "default": "earliest"}
    return {
        "tags": ["records"],
        "summary": "Fetch records of a partition",
        "operationId": "fetch_records",
        "parameters": [
            _TOPIC,
            _PARTITION,
            _parameter("offset", offset, "a number, earliest, latest, -N or ts:TIME"),
            *_BOUNDS,
            _choice("reset", "where to go when out of range", "earliest", "latest"),
        ],
        "responses": {
            "200": {
                "description": "Records from the offset on; none at the end. An EventSource on a "
                "page of another origin may read them where cors.origins names that origin",
                "content": _streams("FetchReply"),
            },
            **_errors(404, 406, 416, 500),
        },
    }


def _replay() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "tags": ["records"],
        "summary": "Read all partitions, merged by timestamp",
        "operationId": "replay_records",
        "parameters": [
            _TOPIC,
            _parameter("cursor", text, "go on after an earlier answer"),
            _parameter("from", text, "first timestamp: ms, RFC 3339, a day in UTC or -1h"),
            _parameter(
                "to", text, "stop each partition at its first record that is not before this time"
            ),
            _choice("offset", "where to begin without cursor and from", "earliest", "latest"),
            _parameter("speed", text, "1x is the original pace; for streams"),
            *_BOUNDS,
        ],
        "responses": {
            "200": {
                "description": "Records in order of time",
                "content": _without("application/octet-stream", _streams("ReplayReply")),
            },
            **_errors(404, 406, 409, 500),
        },
    }


def _page() -> dict[str, Any]:
    return {
        "tags": ["records"],
        "summary": "A range that never changes",
        "operationId": "read_page",
        "parameters": [
            _TOPIC,
            _parameter("topic_id", {"type": "string", "format": "uuid"}, "its id", "path"),
            _PARTITION,
            _parameter("page", {"type": "integer", "minimum": 0}, "offsets from 1000 n", "path"),
            _VALUE,
            _ON_CORRUPT,
        ],
        "responses": {
            "200": {
                "description": "The records of offsets 1000 n to 1000 n + 999, for ever; where "
                "one cannot be read, those before it, not to be kept",
                "content": _without("text/event-stream", _streams("PageReply")),
            },
            "304": {"description": "The copy at hand is still right"},
            **_errors(404, 406, 410, 500),
        },
    }


def _health(name: str, summary: str, *statuses: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Health"}
    answer = {"description": summary, "content": {"application/json": {"schema": schema}}}
    return {
        "tags": ["operating"],
        "summary": summary,
        "operationId": name,
        "responses": {**_errors(), **dict.fromkeys(statuses, answer)},
    }


def _metrics() -> dict[str, Any]:
    page = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "tags": ["operating"],
        "summary": "Prometheus metrics",
        "operationId": "show_metrics",
        "responses": {"200": {"description": "The page", "content": page}, **_errors()},
    }


def complete(generated: dict[str, Any]) -> dict[str, Any]:
    """The generated description with the hot routes in it."""
    paths = generated["paths"]
    records = "/v1/topics/{topic}/records"
    partition = "/v1/topics/{topic}/partitions/{partition}/records"
    paths[records] = {"post": _produce(), "get": _replay()}
    paths[partition]["get"] = _fetch()
    pages = "/v1/topics/{topic}/{topic_id}/partitions/{partition}/pages/{page}"
    paths[pages] = {"get": _page()}
    paths["/health/live"] = {"get": _health("show_liveness", "The process answers", "200")}
    ready = "Whether everything is served, and what is not"
    paths["/health/ready"] = {"get": _health("show_readiness", ready, "200", "503")}
    paths["/metrics"] = {"get": _metrics()}
    return _readable(generated)


def _readable(generated: dict[str, Any]) -> dict[str, Any]:
    """With schemas of one more name: what is TopicOut here is a Topic to a generated client."""
    schemas = generated["components"]["schemas"]
    longer = "|".join(name for name in schemas if name.endswith("Out"))
    text = re.sub(rf'"(#/components/schemas/)?({longer})"', _without_ending, json.dumps(generated))
    readable: dict[str, Any] = json.loads(text)
    readable["components"]["schemas"].update(SCHEMAS)
    return readable


def _without_ending(found: re.Match[str]) -> str:
    return found[0].removesuffix('Out"') + '"'


def allowed_methods(description: dict[str, Any], path: str) -> list[str]:
    """What may be done with a path, by name; nothing where there is no such path."""
    allowed = {
        method.upper()
        for template, operations in description["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
        for method in operations
    }
    return sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)
