"""The house is kept tidy: files and functions that one can take in, telling names, no dead ones."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("api", "broker", "consumer_groups", "storage")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FILE_LINES, FUNCTION_LINES = 400, 60
SAYS_NOTHING = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}
FOUND_BY_NAME = {"API", "handle", "main"}
"""Looked up by their names: what handlers declare, where processes begin."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_files_and_functions_can_be_taken_in(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


def test_names_of_files_say_what_they_hold() -> None:
    words = {word: path for path in MODULES for word in re.split(r"[_/.]", _name(path))}
    assert not SAYS_NOTHING & set(words)


def _public_names(tree: ast.Module) -> Iterator[str]:
    """What a module defines for others; what a decorator registers is used by that."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.decorator_list or isinstance(node, ast.ClassDef):
                yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_no_public_name_is_dead() -> None:
    """Used by what is served or run, not only by tests."""
    scripts = [path for path in (ROOT / "scripts").rglob("*") if path.is_file()]
    texts = [path.read_text(errors="replace") for path in (*MODULES, *scripts)]
    used = Counter(word for text in texts for word in re.findall(r"\w+", text))
    dead = [
        f"{_name(path)}: {name}"
        for path in MODULES
        for name in _public_names(_tree(path))
        if not name.startswith("_") and name not in FOUND_BY_NAME and used[name] < 2
    ]
    assert not dead
