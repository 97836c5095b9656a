"""Conditions and keys in headers: ETag, If-Match, If-None-Match, Idempotency-Key (contract §8)."""

from __future__ import annotations

import re

from reachbook.credential import Representation
from reachbook.errors import Reason, Refusal

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_TAG = re.compile(r'(?:W/)?"(?P<text>[^"]*)"')
_OURS = re.compile(r"([0-9]{1,18})-[a-z_]+")


def tag(rev: int, representation: Representation) -> str:
    """The ETag of a contact or its channels: one per revision and representation."""
    return f'"{rev}-{representation}"'


def revisions(if_match: str | None) -> frozenset[int] | None:
    """The revisions that an If-Match allows; None when it allows any.

    A tag that is not ours matches nothing. One of ours names a revision, and so it does when a
    proxy that compresses has made it weak.
    """
    if if_match is None or if_match == "*":
        return None
    ours = [match["text"] for match in _TAG.finditer(if_match)]
    return frozenset(int(found[1]) for text in ours if (found := _OURS.fullmatch(text)))


def knows(if_none_match: str | None, current: str) -> bool:
    """Whether the caller has what we would answer; weak tags count here."""
    if if_none_match is None:
        return False
    if if_none_match == "*":
        return True
    return any(f'"{match["text"]}"' == current for match in _TAG.finditer(if_none_match))


def check_key(key: str) -> None:
    """Refuse an Idempotency-Key that is not 1 to 255 visible ASCII characters."""
    if not _KEY.fullmatch(key):
        raise Refusal(
            Reason.BAD_VALUE,
            "An Idempotency-Key is 1 to 255 visible ASCII characters, a UUID for example.",
            fields={"Idempotency-Key": "not 1 to 255 visible ASCII characters"},
        )


def refuse_if_match(if_match: str | None) -> None:
    """Refuse an If-Match on a write of many contacts: it can speak of one only."""
    if if_match is not None:
        raise Refusal(
            Reason.BAD_VALUE,
            "If-Match speaks of one contact, and this writes many; leave it out.",
            fields={"If-Match": "not on a bulk write"},
        )
