"""Names of fields in handlers are those of Kafka's messages: a misspelt one would be passed over.

A request's field that some versions lack is asked for with a default, and an answer's field that a
version lacks is left out: neither fails by itself.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tidelog.api.kafka.handlers as handlers
from tidelog.api.kafka import altering, config_fields, lookups
from tidelog.api.kafka.api_table import APIS
from tidelog.api.kafka.wire.apis import Api, message_class
from tidelog.api.kafka.wire.encoding import field_shape

_HANDLERS = Path(str(handlers.__file__)).parent


def _fields(entity: type) -> Iterator[str]:
    """The names in a message and in all that lie in it."""
    for field in dataclasses.fields(entity):
        yield field.name
        inner, _, _ = field_shape(field.type)
        if inner is not None:
            yield from _fields(inner)


def _known(api: Api, kind: str) -> set[str]:
    versions = range(api.min_version, api.max_version + 1)
    return {name for at in versions for name in _fields(message_class(api.name, at, kind))}


def _tree(module: Path | ModuleType) -> ast.Module:
    path = module if isinstance(module, Path) else Path(str(module.__file__))
    return ast.parse(path.read_text())


def _asked_with_default(tree: ast.AST) -> set[str]:
    """Second arguments of ``getattr``; names in variables are someone else's to check."""
    return {
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "getattr"
        and isinstance(node.args[1], ast.Constant)
        and isinstance(node.args[1].value, str)
    }


def _answered(tree: ast.AST) -> set[str]:
    """Keys of dicts; names of settings have dots."""
    return {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and "." not in key.value
    }


@pytest.mark.parametrize("name", sorted(api.name for api in APIS.values()))
def test_a_handler_spells_fields_as_kafka_does(name: str) -> None:
    (api,) = (one for one in APIS.values() if one.name == name)
    tree = _tree(_HANDLERS / f"{name}.py")
    assert _asked_with_default(tree) <= _known(api, "request") | _known(api, "response")
    assert _answered(tree) <= _known(api, "response")


@pytest.mark.parametrize("module", [altering, config_fields, lookups], ids=lambda one: one.__name__)
def test_what_handlers_share_spells_fields_as_kafka_does(module: ModuleType) -> None:
    known = {name for api in APIS.values() for name in _known(api, "response")}
    asked = {name for api in APIS.values() for name in _known(api, "request")}
    tree = _tree(module)
    assert _asked_with_default(tree) <= asked
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert _answered(node) <= known
