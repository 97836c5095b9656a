"""The words of contacts' names, for a search by the beginnings of words.

Names and search texts are read in the same way: compatibility forms, such as ligatures and full
width letters, become plain letters (NFKC), and case is folded. Accents are kept: "é" is not "e".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from unicodedata import category, normalize

from msgspec import Struct

from reachbook.domain.errors import Reason, Refusal

MAX_WORDS = 8
"""The words of a contact that are indexed: the first of all its names."""

MAX_WORD_CHARACTERS = 64
MAX_PREFIXES = 4

_SEPARATORS = "ZPC"
"""The first letters of the Unicode categories that separate words: white space, punctuation, and
control characters, to which unassigned code points and lone surrogates belong."""

_MIN_ID, _MAX_ID = -(2**63), 2**63 - 1


class NamePosition(Struct, frozen=True):
    """A position in the index of words: after the entry of a word and a contact."""

    word: str
    contact_id: int

    def as_text(self) -> str:
        """Returns the position as a text that `parse_position` reads."""
        return f"{self.contact_id}.{self.word}"


def parse_position(text: str) -> NamePosition:
    """Returns the position in a text; raises `bad_cursor` if `as_text` did not make it."""
    number, _, word = text.partition(".")
    digits = number.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < len(str(_MAX_ID)) + 1
    if not is_number or not _MIN_ID <= int(number) <= _MAX_ID or words(word) != (word,):
        raise bad_position()
    return NamePosition(word, int(number))


def bad_position() -> Refusal:
    """Returns the refusal of a position that is not one of the search."""
    return Refusal(
        Reason.BAD_CURSOR,
        "The cursor does not belong to this search; send the cursor of the page before, or none "
        "for the first page.",
    )


def words(*names: str) -> tuple[str, ...]:
    """Returns the first `MAX_WORDS` words of a contact's names, in order and without repeats.

    Words are separated by white space, punctuation and control characters. Each is cut to
    `MAX_WORD_CHARACTERS`.
    """
    return tuple(islice(dict.fromkeys(_read(*names)), MAX_WORDS))


def prefixes(text: str) -> tuple[str, ...]:
    """Returns the prefixes that a search text asks for: its first `MAX_PREFIXES` words.

    A word that another of them begins with is left out: every contact with a word that begins with
    "anna" has one that begins with "an".
    """
    found = tuple(islice(dict.fromkeys(_read(text)), MAX_PREFIXES))
    return tuple(
        word
        for word in found
        if not any(other != word and other.startswith(word) for other in found)
    )


def _read(*names: str) -> Iterator[str]:
    for name in names:
        # Split after folding: a compatibility form may stand for several words.
        spaced = "".join(" " if category(each)[0] in _SEPARATORS else each for each in _fold(name))
        for word in spaced.split(" "):
            if word:
                yield word[:MAX_WORD_CHARACTERS]


def _fold(text: str) -> str:
    """Returns a text without differences of case and of compatibility forms."""
    if text.isascii():
        return text.lower()
    # Normalized again because case folding may leave letters and marks that compose.
    return normalize("NFKC", normalize("NFKC", text).casefold())
