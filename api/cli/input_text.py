"""Lines become records as they are: each is a value, or a key and a value."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tidelog.api.cli.input_lines import BadLine, Line
from tidelog.api.cli.input_records import Common, InputRecord, bytes_member


class LineForm(NamedTuple):
    """What a line says."""

    key_delimiter: bytes | None = None
    """Between key and value, where it is met first; None: the line is the value."""
    null: bytes | None = None
    """A key or a value that is this is none."""
    base64: frozenset[str] = frozenset()
    """Which of ``key`` and ``value`` are encoded so."""


def line_records(lines: Iterable[Line], form: LineForm, common: Common) -> Iterator[InputRecord]:
    """A record for each line. Raises BadLine."""
    more = common.members(key=form.key_delimiter is None)
    if form == LineForm():
        for number, content in lines:
            yield InputRecord(number, [bytes_member("value", content.removesuffix(b"\n")), *more])
        return
    for number, content in lines:
        key, value = _parts(number, content.removesuffix(b"\n"), form)
        members = [_member(number, "value", value, form), *more]
        if key is not None:
            members.append(_member(number, "key", key, form))
        yield InputRecord(number, members)


def _parts(number: int, line: bytes, form: LineForm) -> tuple[bytes | None, bytes]:
    if form.key_delimiter is None:
        return None, line
    key, found, value = line.partition(form.key_delimiter)
    if not found:
        text = form.key_delimiter.decode(errors="backslashreplace")
        raise BadLine(number, f"has no {text!r} between a key and a value")
    return key, value


def _member(number: int, name: str, content: bytes, form: LineForm) -> bytes:
    if content == form.null:
        return b'"%b":null' % name.encode()
    if name in form.base64:
        try:
            content = binascii.a2b_base64(content, strict_mode=True)
        except ValueError:
            raise BadLine(number, f"has a {name} that is not base64") from None
    return bytes_member(name, content)
