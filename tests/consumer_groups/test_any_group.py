"""All kinds of group answer one protocol: nobody looks which kind a group is of."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tidelog.consumer_groups.groups
from tidelog.consumer_groups.coordinator import KINDS

FOLDER = Path(tidelog.consumer_groups.groups.__file__).parent
GROUPS = {"AnyGroup", "GroupFacts", "Group", "ConsumerGroup", "ServedClassic", "ServedConsumer"}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_nobody_asks_for_the_kind(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    asked = [
        ast.unparse(call)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in ("isinstance", "issubclass")
        for name in ast.walk(call.args[1])
        if isinstance(name, ast.Name) and name.id in GROUPS
    ]
    assert asked == []


def test_no_record_speaks_of_two_kinds() -> None:
    kinds = [record for kind in KINDS for record in kind.records]
    assert len(kinds) == len(set(kinds))
