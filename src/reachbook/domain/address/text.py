"""Cleaning of addresses as text: white space, invisible characters, digits of other scripts."""

from __future__ import annotations

import re
import unicodedata

# Unicode's White_Space property. Unlike str.strip(), it leaves U+001C to U+001F alone: these are
# control characters, and an address that holds one is refused.
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
JOINERS = "\u200c\u200d"
FULL_WIDTH_PLUS = "\uff0b"
MINUS_SIGN = "\u2212"

_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_VARIATION_SELECTOR = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def stripped(text: str) -> str:
    """Returns the text without outer white space of any kind."""
    return text.strip(WHITE_SPACE)


def unstorable(text: str) -> str:
    """Returns the name of the first control character or lone surrogate of a text, or "".

    PostgreSQL and SQLite treat such text differently, so it must not reach either.
    """
    match = _UNSTORABLE.search(text)
    if match is None:
        return ""
    is_surrogate = unicodedata.category(match[0]) == "Cs"
    return f"the {'lone surrogate' if is_surrogate else 'control character'} U+{ord(match[0]):04X}"


def is_invisible(char: str) -> bool:
    """Returns whether a character is a format character (Cf) or a variation selector."""
    return unicodedata.category(char) == "Cf" or _VARIATION_SELECTOR.match(char) is not None


def without_invisible(text: str, keep: str = "") -> str:
    """Returns the text without invisible characters, except those in `keep`."""
    if text.isascii():
        return text
    return "".join(char for char in text if char in keep or not is_invisible(char))


def cleaned_phone(text: str) -> str:
    """Returns a phone number as an ASCII keyboard would write it, without outer white space.

    Invisible characters are removed. Other spaces, dashes, the full-width plus and the decimal
    digits of any script become their ASCII counterparts. All other characters stay.
    """
    if text.isascii():
        return stripped(text)
    return stripped("".join(map(_as_ascii, text)))


def character_name(char: str) -> str:
    """Returns how an error message names a character: `U+00B2 SUPERSCRIPT TWO`, or `'x'`.

    Only visible ASCII is quoted: other characters may not be visible, or look like another one.
    """
    if char.isascii() and char.isprintable() and char != " ":
        return repr(char)
    name = unicodedata.name(char, "")
    return f"U+{ord(char):04X} {name}".rstrip()


def _as_ascii(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Zs":
        return " "
    if category == "Pd" or char == MINUS_SIGN:
        return "-"
    if char == FULL_WIDTH_PLUS:
        return "+"
    return "" if is_invisible(char) else char
