"""Parses query strings to structs.

Under /v2 unknown parameters are ignored, as the vendor does. Under /x an unknown parameter is
refused, and the error names the most similar known one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal, shortened
from reachbook.domain.on_conflict import OnConflict

MAX_FIELDS = 100
MAX_COMPARED_NAME_CHARACTERS = 48
MAX_QUOTED_CHARACTERS = 200

Query = TypeVar("Query", bound=Struct)
Choice = TypeVar("Choice", Representation, OnConflict)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Options(Struct, frozen=True):
    """The query parameters of Reachbook under /v2, and the vendor's `overwrite`."""

    representation: Representation | None = None
    channel_id: str | None = None
    on_conflict: OnConflict = OnConflict.REFUSE
    overwrite: bool = False


class NoQuery(Struct, frozen=True):
    """An operation without parameters."""


class AsOfQuery(Struct, frozen=True):
    """A request for a past state; `as_of` is a time in the form of RFC 3339."""

    as_of: str | None = None


class HistoryQuery(Struct, frozen=True):
    """A page of a contact's history."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: str | None = None


class FeedQuery(Struct, frozen=True):
    """A page of a team's feed, after a sequence number."""

    after: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    incarnation: str | None = None


class ResolveQuery(Struct, frozen=True):
    """Whether to explain how an address was read, and `on_conflict` for a new contact."""

    explain: bool = False
    on_conflict: OnConflict = OnConflict.REFUSE


NO_OPTIONS = Options()


def parse_options(raw: bytes) -> Options:
    """Returns the options of a query under /v2; unknown parameters are ignored."""
    if not raw:
        return NO_OPTIONS
    pairs = _pairs(raw)
    return Options(
        representation=_choice("representation", pairs, Representation),
        channel_id=pairs.get("channel_id"),
        on_conflict=_choice("on_conflict", pairs, OnConflict) or OnConflict.REFUSE,
        # Any other value is false, because unknown values are ignored under /v2.
        overwrite=pairs.get("overwrite", "").lower() in ("true", "1"),
    )


def parse_strict_query(raw: bytes, shape: type[Query]) -> Query:
    """Returns the parameters of a query under /x; raises if one is unknown."""
    pairs = _pairs(raw)
    for name in pairs:
        if name not in shape.__struct_fields__:
            raise unknown_name("parameter", name, shape.__struct_fields__)
    try:
        # Not strict, because every value of a query is text, also numbers.
        return msgspec.convert(pairs, shape, strict=False)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).replace("`", "").rpartition(" - at $.")
        problem = shortened(problem, MAX_QUOTED_CHARACTERS)
        message = f"{where}: {problem[0].lower()}{problem[1:]}."
        raise Refusal(Reason.BAD_VALUE, message, fields={where: problem}) from None


def parse_timestamp(field: str, text: str) -> int:
    """Returns an RFC 3339 time with its offset in microseconds since the epoch."""
    try:
        # RFC 3339 allows a lower-case t and z; fromisoformat does not.
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise Refusal(
            Reason.BAD_VALUE,
            f"{field} must be a time with its offset, like 2024-01-15T10:00:00Z.",
            fields={field: "not an RFC 3339 time"},
        )
    # Computed with integers, because a float loses microseconds.
    return (time - _EPOCH) // timedelta(microseconds=1)


_OF_A_VALUE = {
    *(Reason.BAD_VALUE, Reason.BAD_PHONE, Reason.BAD_EMAIL, Reason.BAD_CHANNEL_ID),
    Reason.NO_CHANNEL,
}


def explaining_plus(raw: bytes) -> AbstractContextManager[None]:
    """Returns a context that adds a hint to the refusal of a value if the query contains a +."""
    return _explaining_plus() if b"+" in raw else nullcontext()


@contextmanager
def _explaining_plus() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        if refusal.reason in _OF_A_VALUE:
            refusal.message += " In a query a + means a blank; write %2B for a +."
        raise


def unknown_name(kind: str, name: str, known: Iterable[str], place: str = "") -> Refusal:
    """Returns the refusal of an unknown key or parameter, which names the most similar known one.

    `place` is its path in a body. A name can be as long as a whole body; only its beginning is
    compared and shown, because the comparison takes time in proportion to its length.
    """
    name = shortened(name, MAX_COMPARED_NAME_CHARACTERS)
    names = sorted(set(known))
    near = get_close_matches(name, names, n=1, cutoff=0)
    hint = f"; the nearest is {near[0]}" if near else "; there are none here"
    return Refusal(
        Reason.UNKNOWN_NAME,
        f"There is no {kind} {name!r}{hint}.",
        fields={f"{place}.{name}" if place else name: f"not a known {kind}"},
    )


def _pairs(raw: bytes) -> dict[str, str]:
    try:
        return dict(
            parse_qsl(
                raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
            )
        )
    except ValueError:
        raise Refusal(
            Reason.BAD_VALUE,
            "The query string cannot be read: it is percent-encoded UTF-8 "
            f"with at most {MAX_FIELDS} fields.",
        ) from None


def _choice(name: str, pairs: dict[str, str], choices: type[Choice]) -> Choice | None:
    if name not in pairs:
        return None
    try:
        return choices(pairs[name])
    except ValueError:
        raise Refusal(
            Reason.BAD_VALUE,
            f"{name} takes {' or '.join(choices)}.",
            fields={name: "not one of the known values"},
        ) from None
