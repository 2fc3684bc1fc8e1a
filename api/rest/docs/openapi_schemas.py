"""The shapes of what the routes that bypass the framework take and answer."""

from __future__ import annotations

from typing import Any

_INT = {"type": "integer", "format": "int64"}
_NULLABLE_TEXT = {"type": ["string", "null"]}
_ANY: dict[str, Any] = {}

_HEADERS_IN = {
    "anyOf": [
        {"$ref": "#/components/schemas/RecordHeaders"},
        {"type": "array", "items": {"$ref": "#/components/schemas/RecordHeader"}},
        {"type": "null"},
    ]
}

_SKIPPED = {
    "type": "array",
    "items": {"$ref": "#/components/schemas/UnreadableBatch"},
    "description": "what was passed, because on_corrupt is skip; left out where there is nothing",
}

SCHEMAS: dict[str, Any] = {
    "RecordHeaders": {"type": "object", "additionalProperties": {"type": "string"}},
    "RecordHeader": {
        "type": "object",
        "description": "either name or name_base64, and at most one of the values",
        "additionalProperties": False,
        "properties": {
            "name": _NULLABLE_TEXT,
            "name_base64": {**_NULLABLE_TEXT, "contentEncoding": "base64"},
            "value": _NULLABLE_TEXT,
            "value_base64": {"type": "string", "contentEncoding": "base64"},
        },
    },
    "ProduceRecord": {
        "type": "object",
        "description": "At most one of value, value_text, value_base64 (none: a tombstone); "
        "the same for key.",
        "additionalProperties": False,
        "properties": {
            "key": {"description": "a string is kept as its text, other JSON as it is"},
            "key_text": _NULLABLE_TEXT,
            "key_base64": _NULLABLE_TEXT,
            "value": {"description": "any JSON, kept as its bytes were sent; null: a tombstone"},
            "value_text": _NULLABLE_TEXT,
            "value_base64": _NULLABLE_TEXT,
            "headers": _HEADERS_IN,
            "partition": {"type": ["integer", "null"], "minimum": 0},
            "timestamp": {"type": ["integer", "null"], "minimum": 0},
        },
        "example": {"key": "user-1", "value": {"any": "json"}, "headers": {"trace": "abc"}},
    },
    "ProduceRequest": {
        "type": "object",
        "required": ["records"],
        "additionalProperties": False,
        "properties": {
            "records": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/components/schemas/ProduceRecord"},
            }
        },
    },
    "ProducedRecord": {
        "type": "object",
        "required": ["partition", "offset", "timestamp"],
        "properties": {
            "partition": _INT,
            "offset": _INT,
            "timestamp": {
                "type": ["integer", "null"],
                "format": "int64",
                "description": "null: of a repeated request, whose record has been deleted since",
            },
        },
    },
    "ProduceReply": {
        "type": "object",
        "required": ["records"],
        "properties": {
            "records": {"type": "array", "items": {"$ref": "#/components/schemas/ProducedRecord"}},
            "duplicate": {"type": "boolean", "description": "true: they were there already"},
        },
    },
    "FetchedRecord": {
        "type": "object",
        "required": ["offset", "timestamp", "headers"],
        "properties": {
            "partition": _INT,
            "offset": _INT,
            "timestamp": _INT,
            "key": _NULLABLE_TEXT,
            "key_base64": {"type": "string"},
            "value": _ANY,
            "value_text": {"type": "string"},
            "value_base64": {"type": "string"},
            "headers": {
                "description": "an object of texts where that loses nothing; else a list of "
                "objects with name (name_base64 where it is not UTF-8) and value (null, or "
                "value_base64 where it is not UTF-8)"
            },
        },
        "example": {
            "offset": 41,
            "timestamp": 1_700_000_000_000,
            "key": "user-1",
            "value": {"any": "json"},
            "headers": {"trace": "abc"},
        },
    },
    "FetchReply": {
        "type": "object",
        "required": ["records", "next_offset", "start_offset", "high_watermark"],
        "properties": {
            "records": {"type": "array", "items": {"$ref": "#/components/schemas/FetchedRecord"}},
            "next_offset": _INT,
            "start_offset": _INT,
            "high_watermark": _INT,
            "skipped": _SKIPPED,
        },
    },
    "ReplayReply": {
        "type": "object",
        "required": ["records", "cursor"],
        "properties": {
            "records": {"type": "array", "items": {"$ref": "#/components/schemas/FetchedRecord"}},
            "cursor": {"type": "string"},
            "skipped": _SKIPPED,
        },
    },
    "Health": {
        "type": "object",
        "required": ["status", "recovered", "total", "problems", "broken"],
        "properties": {
            "status": {"enum": ["ok", "degraded", "recovering", "failing", "stopping"]},
            "recovered": {**_INT, "description": "partitions that are open"},
            "total": _INT,
            "recovered_bytes": {**_INT, "description": "read of what must be checked again"},
            "total_bytes": {**_INT, "description": "0 until it is known"},
            "problems": {"type": "array", "items": {"type": "string"}},
            "broken": {
                "type": "array",
                "description": "what is not served; without a partition, all of it",
                "items": {"$ref": "#/components/schemas/Broken"},
            },
        },
    },
    "Broken": {
        "type": "object",
        "required": ["topic", "partition", "reason"],
        "properties": {
            "topic": _NULLABLE_TEXT,
            "partition": {"type": ["integer", "null"]},
            "reason": {"type": "string"},
        },
    },
    "PageReply": {
        "type": "object",
        "required": ["records", "next_offset"],
        "properties": {
            "records": {"type": "array", "items": {"$ref": "#/components/schemas/FetchedRecord"}},
            "next_offset": {
                **_INT,
                "description": "below the end of the page where a record cannot be read",
            },
            "skipped": _SKIPPED,
        },
    },
}
