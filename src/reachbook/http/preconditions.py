"""Conditions and keys in headers: ETag, If-Match, If-None-Match, Idempotency-Key (contract §8)."""

from __future__ import annotations

import re

from msgspec import Struct

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.incarnation import Incarnation

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"

# RFC 9110 lets a proxy change white space in a header, so a key must have none.
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_LIST_ELEMENT = re.compile(r'[ \t]*(?:(?:[Ww]/)?"([^"]*)"[ \t]*)?(?:,|\Z)')
# A proxy that compresses a response marks its ETag: nginx and others with W/, Apache's
# mod_deflate and mod_brotli with -gzip and -br, Jetty with --gzip.
_OURS = re.compile(
    r"(?P<rev>[0-9]{1,18})-(?P<representation>[a-z_]+)(?:-(?P<incarnation>[0-9a-f]{16}))?"
    r"(?:(?:--?|;)(?:gzip|br|deflate|zstd))?"
)


class EntityTag(Struct, frozen=True):
    """The parts of an ETag that this server sent, without additions by a proxy."""

    rev: int
    representation: str
    incarnation: str | None = None

    def __str__(self) -> str:
        return f'"{self.rev}-{self.representation}-{self.incarnation}"'

    def is_of(self, incarnation: Incarnation) -> bool:
        """Returns whether the store sent this tag in its current incarnation.

        A tag without an incarnation was sent by a release that had none.
        """
        return (self.incarnation or incarnation.first) == incarnation.current


def make_etag(rev: int, representation: Representation, incarnation: Incarnation) -> str:
    """Returns the ETag of a contact or its channels at a revision, in a representation."""
    return str(EntityTag(rev, representation, incarnation.current))


def revisions(if_match: str | None, incarnation: Incarnation) -> frozenset[int] | None:
    """Returns the revisions that an If-Match allows, or None if it allows any.

    A tag that this server did not send, or of another incarnation, allows none. Raises a refusal
    if the header holds anything but entity tags.
    """
    tags = _read_header(IF_MATCH, if_match)
    if tags is None:
        return None
    return frozenset(each.rev for each in tags if each.is_of(incarnation))


def matches(
    if_none_match: str | None,
    rev: int,
    representation: Representation,
    incarnation: Incarnation,
) -> bool:
    """Returns whether the caller has the response that is about to be sent; weak tags count."""
    if if_none_match is None:
        return False
    tags = _read_header(IF_NONE_MATCH, if_none_match)
    if tags is None:
        return True
    return any(
        (each.rev, each.representation) == (rev, representation) and each.is_of(incarnation)
        for each in tags
    )


def check_if_none_match(if_none_match: str | None) -> None:
    """Refuse an If-None-Match that holds anything but entity tags."""
    _read_header(IF_NONE_MATCH, if_none_match)


def _read_header(name: str, value: str | None) -> list[EntityTag] | None:
    """Returns the tags of a header that this server sent; None if the header is absent or `*`."""
    # `*` asks only that the contact exists, and without a contact the response is 404 anyway.
    if value is None or value == "*":
        return None
    found = [_OURS.fullmatch(text) for text in _entity_tags(name, value)]
    return [
        EntityTag(int(each["rev"]), each["representation"], each["incarnation"])
        for each in found
        if each
    ]


def _entity_tags(name: str, value: str) -> list[str]:
    """Returns the quoted part of each entity tag in a list (RFC 9110, 8.8.3 and 5.6.1)."""
    texts: list[str] = []
    position = 0
    while position < len(value):
        element = _LIST_ELEMENT.match(value, position)
        if element is None:
            raise _not_a_tag(name, value)
        position = element.end()
        if element[1] is not None:
            texts.append(element[1])
    if not texts:
        raise _not_a_tag(name, value)
    return texts


def _not_a_tag(name: str, value: str) -> Refusal:
    return Refusal(
        Reason.BAD_VALUE,
        f"{name} must be * or a list of ETags as they were sent, with their double quotes, like "
        f'"3-string_ids"; got {value[:64]!a}.',
        fields={name: "not an ETag in double quotes"},
    )


def check_key(key: str) -> None:
    """Refuse an Idempotency-Key that is not 1 to 255 visible ASCII characters."""
    if not _KEY.fullmatch(key):
        raise Refusal(
            Reason.BAD_VALUE,
            "An Idempotency-Key is 1 to 255 visible ASCII characters, a UUID for example.",
            fields={"Idempotency-Key": "not 1 to 255 visible ASCII characters"},
        )


def reject_if_match(if_match: str | None) -> None:
    """Refuse an If-Match on a write of many contacts: an ETag names a revision of one contact."""
    if if_match is not None:
        raise Refusal(
            Reason.BAD_VALUE,
            "If-Match names a revision of one contact, and this request writes many; leave it out.",
            fields={IF_MATCH: "not on a bulk write"},
        )
