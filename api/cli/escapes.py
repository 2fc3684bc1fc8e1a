r"""Characters that no key types, as people write them: ``\t``, ``\n``, ``\x1f``."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([ntr0\\]))")
_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}


def unescaped(text: str) -> str:
    """With the characters meant, of which other backslashes are no part.

    Bytes beyond ASCII become those of ``os.fsencode``.
    """
    return _ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    code, letter = found.groups()
    if code is None:
        return _CHARACTERS[letter]
    return bytes.fromhex(code).decode(errors="surrogateescape")
