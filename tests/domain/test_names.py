"""Splitting names into words, and a search text into prefixes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reachbook.domain import names
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.names import MAX_PREFIXES, MAX_WORD_CHARACTERS, MAX_WORDS, NamePosition
from tests.support import strategies  # noqa: F401 - it loads the profile

COMPOSED, DECOMPOSED = "\u00e9lodie", "e\u0301lodie"

WORDS = {
    "plain": (("Alice", "Smith", ""), ("alice", "smith")),
    "white space": (("  Anna \u00a0Maria\u3000", "\tvon\nBerg"), ("anna", "maria", "von", "berg")),
    "punctuation": (("Jean-Luc", "O'Brien", "J. (Luc)"), ("jean", "luc", "o", "brien", "j")),
    "repeats": (("Anna", "Smith", "Anna Smith"), ("anna", "smith")),
    "accents": (("\u00c9lodie", "M\u00dcLLER"), (COMPOSED, "m\u00fcller")),
    "decomposed": (("E\u0301lodie",), (COMPOSED,)),
    "ligatures": (("\ufb01sher", "\u01c4ep"), ("fisher", "d\u017eep")),
    "full width": (("\uff21\uff4e\uff4e\uff41",), ("anna",)),
    "sharp s": (("Stra\u00dfe", "STRASSE", "STRA\u1e9eE"), ("strasse",)),
    "dotted capital i": (("\u0130stanbul",), ("i\u0307stanbul",)),
    "dotless i": (("I\u015f\u0131k",), ("i\u015f\u0131k",)),
    "final sigma": (("\u039f\u03b4\u03c5\u03c3\u03c3\u03b5\u03cd\u03c2",), ("οδυσσεύσ",)),
    "Arabic": (("محمد بن سلمان",), ("محمد", "بن", "سلمان")),
    "Hebrew": (("דוד בן־גוריון",), ("דוד", "בן", "גוריון")),
    "right-to-left marks": (("\u200fשלמה\u200e",), ("שלמה",)),
    "Chinese": (("王小明", "\u738b\u3000\u5c0f"), ("王小明", "王", "小")),
    "Korean": (("\u1100\u1161",), ("\uac00",)),
    "emoji": (("Anna 😀",), ("anna", "😀")),
    "joined emoji": (("👨\u200d👩",), ("👨", "👩")),
    "a compatibility form of several words": (
        ("Anna\u2026Berg \u2100",),
        ("anna", "berg", "a", "c"),
    ),
    "a lone combining mark": (("\u0301",), ("\u0301",)),
    "control characters": (("An\0na", "\x7fBerg"), ("an", "na", "berg")),
    "lone surrogates": (("\ud83dAnna\udc00",), ("anna",)),
    "private and unassigned code points": (("\U0010ffffAnna\ue000B",), ("anna", "b")),
    "nothing": (("", " - ", "..."), ()),
}


@pytest.mark.parametrize("name", WORDS)
def test_names_are_split_into_words(name: str) -> None:
    given_names, expected = WORDS[name]

    assert names.words(*given_names) == expected


def test_the_number_and_the_length_of_words_are_limited() -> None:
    assert names.words("a b c d e", "f g h i") == tuple("abcdefgh")
    assert names.words("x" * 255) == ("x" * MAX_WORD_CHARACTERS,)
    assert names.words(" ".join("xy" for _ in range(85)), "z") == ("xy", "z")
    assert names.words("\ufdfa" * 255)[0] == "صلى"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ann Smi", ("ann", "smi")),
        ("", ()),
        ("...", ()),
        ("smi smi", ("smi",)),
        ("an ANNA a", ("anna",)),
        ("a b c d e", ("a", "b", "c", "d")),
        ("O'B", ("o", "b")),
        ("y" * 300, ("y" * MAX_WORD_CHARACTERS,)),
        ("STRASS", ("strass",)),
        (DECOMPOSED, (COMPOSED,)),
    ],
)
def test_a_search_text_is_split_into_prefixes(text: str, expected: tuple[str, ...]) -> None:
    assert names.prefixes(text) == expected


@given(st.text(max_size=255), st.text(max_size=255), st.data())
def test_every_word_is_found_by_each_of_its_prefixes(
    first: str, last: str, data: st.DataObject
) -> None:
    found = names.words(first, last)

    assert len(found) <= MAX_WORDS
    for word in found:
        assert 0 < len(word) <= MAX_WORD_CHARACTERS
        typed = word[: data.draw(st.integers(1, len(word)))]
        assert names.prefixes(typed) == (typed,)


@given(st.text(max_size=255))
def test_a_name_itself_finds_the_name(name: str) -> None:
    found = names.words(name)
    prefixes = names.prefixes(name)

    assert len(prefixes) <= MAX_PREFIXES
    assert bool(prefixes) == bool(found)
    assert all(any(word.startswith(prefix) for word in found) for prefix in prefixes)


@given(st.text("ab ", max_size=30))
def test_no_prefix_is_the_beginning_of_another_prefix(text: str) -> None:
    found = names.prefixes(text)

    assert not [
        1
        for shorter in found
        for longer in found
        if shorter != longer and longer.startswith(shorter)
    ]


@pytest.mark.parametrize("position", [NamePosition("anna", 7), NamePosition("é", -(2**63))])
def test_a_position_is_parsed_from_its_text(position: NamePosition) -> None:
    assert names.parse_position(position.as_text()) == position


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "7", "7.", ".anna", "x.anna", "--1.anna", "1.5.anna", "7.Anna", "7.an na"),
        *("7.\0", "7.\ud800", "\u0663.anna", f"{2**63}.anna", "9" * 5000 + ".anna"),
    ],
)
def test_a_malformed_position_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        names.parse_position(text)

    assert refused.value.reason is Reason.BAD_CURSOR
