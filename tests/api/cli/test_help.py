"""The help of every command: one style, within 80 columns, by ``--help`` and ``-h`` alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.command_line import tidelog_here
from tidelog.api.cli.commands import _PLACES, _load


def every_command() -> Iterator[tuple[str, ...]]:
    """Their words."""
    yield ()
    for name in _PLACES:
        yield (name,)
        for child in getattr(_load(name), "commands", {}):
            yield (name, child)


WORDS = list(every_command())
WITHOUT_BROKER = ("serve", "log", "profile")


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_of_each(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = tidelog_here(*words, "--help")
    assert (shown.status, shown.stderr) == (0, "")
    text = shown.stdout.decode()
    assert " ".join(("Usage: tidelog", *words)) in text
    assert max(map(len, text.splitlines())) <= 80
    assert "-h " in text
    asks_a_broker = not words or words[0] not in WITHOUT_BROKER
    for option in ("--server", "--profile", "--token", "--ca-file", "--insecure"):
        # A profile is given some of them to keep.
        assert words[:1] == ("profile",) or (option in text) == asks_a_broker
    assert tidelog_here(*words, "-h").stdout == shown.stdout


@pytest.mark.parametrize("words", [words for words in WORDS if len(words) == 2], ids=" ".join)
def test_what_is_no_option(words: tuple[str, ...]) -> None:
    ended = tidelog_here(*words, "--no-such-option")
    assert (ended.status, ended.stdout) == (2, b"")
    assert ended.stderr.startswith("tidelog: no such option: --no-such-option; 'tidelog ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("words", ["topic ls", "topic describe", "group rm", "cache describe"])
def test_short_names(words: str) -> None:
    ended = tidelog_here(*words.split(), "--help")
    assert (ended.status, ended.stderr) == (0, "")
