"""Text that is safe to show on a terminal.

A terminal interprets control characters: they move the cursor, change colours and set its title.
Marks of writing direction make a text look like another text, and line separators split a row.
"""

from __future__ import annotations

import re

# C0 and C1 control characters and DEL; marks and overrides of direction, and invisible format
# characters; line and paragraph separators; surrogates, which cannot be encoded. The joiners
# U+200C and U+200D are left as they are: scripts and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff]"
)
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_DEL = b"\x7f"
_WIDE = 0x100


def escape(text: str) -> str:
    r"""Returns the text with each unsafe character as `\n`, `\x1b` or `\u202e`."""
    return text if _is_safe(text) else _UNSAFE.sub(_as_python, text)


def in_json(document: bytes) -> bytes:
    r"""Returns a JSON document with each unsafe character of its strings as `\u202e`.

    The document keeps its meaning: outside strings, JSON has no such characters except the line
    breaks and tabs of its layout, which are left as they are.
    """
    if document.isascii() and _DEL not in document:
        return document
    return _UNSAFE.sub(_as_json, document.decode()).encode()


def _is_safe(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _as_python(match: re.Match[str]) -> str:
    number = ord(match[0])
    return _NAMED.get(match[0]) or (f"\\x{number:02x}" if number < _WIDE else f"\\u{number:04x}")


def _as_json(match: re.Match[str]) -> str:
    return match[0] if match[0] in _NAMED else f"\\u{ord(match[0]):04x}"
