"""Decoders of the results in responses, which also take what the vendor sends.

Results have string ids. The vendor sends integers to an API secret, and leaves out keys of a
contact; an integer id becomes its digits, and a key that is missing has an empty value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx
import msgspec
from msgspec.json import Decoder

from reachbook.domain.errors import Kind
from reachbook.wire.models.v2 import (
    StringIdsBulk,
    StringIdsChannel,
    StringIdsContact,
    TeamBody,
)
from reachbook.wire.models.x import (
    BadAddress,
    ChannelDetail,
    Export,
    FeedPage,
    HistoryPage,
    ResolvedBody,
)

T = TypeVar("T")
Parse = Callable[[httpx.Response], T]

_MISSING: dict[str, Any] = {
    **dict.fromkeys(("uuid", "first", "last", "display_name", "phone", "email", "avatar"), ""),
    "rev": 0,
    "team_id": 0,
    "is_opted_out": False,
    "created": "",
    "updated": "",
    "assigned_user_id": None,
    "external_id": None,
    "tags": [],
    "custom": {},
    "contact_channels": [],
}


class ContactVersion(msgspec.Struct, frozen=True):
    """A contact and the `ETag` of its revision, which is empty if the server sends none."""

    contact: StringIdsContact
    etag: str


def _body(decoder: Decoder[T]) -> Parse[T]:
    return lambda response: decoder.decode(response.content)


def _or_vendors(decoder: Decoder[T]) -> Parse[T]:
    def parse(response: httpx.Response) -> T:
        try:
            return decoder.decode(response.content)
        except msgspec.ValidationError:
            sent = msgspec.json.decode(response.content)
            # Encoded again, because a row that failed has a contact that is left as JSON.
            return decoder.decode(msgspec.json.encode(_with_own_keys(sent)))

    return parse


def _with_own_keys(value: Any) -> Any:
    """Returns channels and contacts of the vendor with the types and keys of ours."""
    if isinstance(value, list):
        return [_with_own_keys(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "contacts" in value:
        failed = [_failed_row(*each) for each in enumerate(value.get("failed_contacts", []))]
        return {"contacts": _with_own_keys(value["contacts"]), "failed_contacts": failed}
    sent = {key: each for key, each in value.items() if each is not None}
    if "channel_type" in sent:
        ids = {key: str(sent[key]) for key in ("id", "contact_id") if key in sent}
        return {**sent, **ids}
    return {
        **_MISSING,
        **sent,
        "contact_channels": _with_own_keys(sent.get("contact_channels", [])),
    }


def _failed_row(position: int, sent: dict[str, Any]) -> dict[str, Any]:
    """Returns a row that failed with all keys; the vendor documents `contact` alone."""
    own = {"index": position, "error": Kind.BAD_DATA, "error_code": "", "message": ""}
    error = sent.get("error")
    if error is not None and error not in set(Kind):
        sent = {**sent, "error": Kind.BAD_DATA, "message": sent.get("message") or str(error)}
    return {**own, **sent}


channel: Parse[StringIdsChannel] = _or_vendors(Decoder(StringIdsChannel))
channels: Parse[list[StringIdsChannel]] = _or_vendors(Decoder(list[StringIdsChannel]))
contact: Parse[StringIdsContact] = _or_vendors(Decoder(StringIdsContact))
contacts: Parse[list[StringIdsContact]] = _or_vendors(Decoder(list[StringIdsContact]))
bulk: Parse[StringIdsBulk] = _or_vendors(Decoder(StringIdsBulk))
team: Parse[TeamBody] = _body(Decoder(TeamBody))
inboxes: Parse[list[dict[str, Any]]] = _body(Decoder(list[dict[str, Any]]))
resolved: Parse[ResolvedBody] = _body(Decoder(ResolvedBody))
detail: Parse[ChannelDetail] = _body(Decoder(ChannelDetail))
details: Parse[list[ChannelDetail]] = _body(Decoder(list[ChannelDetail]))
history: Parse[HistoryPage] = _body(Decoder(HistoryPage))
feed: Parse[FeedPage] = _body(Decoder(FeedPage))
export: Parse[Export] = _body(Decoder(Export))
_text: Parse[str] = _body(Decoder(str))


class _Batch(msgspec.Struct):
    results: list[Mapping[str, Any]]


_batch: Parse[_Batch] = _body(Decoder(_Batch))


def version(response: httpx.Response) -> ContactVersion:
    """Decodes a contact, with the header `ETag`."""
    return ContactVersion(contact(response), response.headers.get("etag", ""))


def batch(response: httpx.Response) -> list[ResolvedBody | BadAddress]:
    """Decodes the results of a batch; only its keys tell an error from an owner."""
    return [
        msgspec.convert(each, BadAddress)
        if "error" in each
        else msgspec.convert(each, ResolvedBody)
        for each in _batch(response).results
    ]


def message(response: httpx.Response) -> None:
    """Decodes a success that is a constant text."""
    _text(response)
