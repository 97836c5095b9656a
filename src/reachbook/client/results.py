"""Decoders of results, which also take what the vendor sends.

Results have string ids. The vendor sends integers to an API secret, and leaves out keys of a
contact; an integer id becomes its digits, and a key that is missing has an empty value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.json import Decoder

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
Parse = Callable[[bytes], T]

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


def _or_vendors(decoder: Decoder[T]) -> Parse[T]:
    def parse(body: bytes) -> T:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            sent = msgspec.json.decode(body)
            return msgspec.convert(_completed(sent), decoder.type)

    return parse


def _completed(value: Any) -> Any:
    """Returns channels and contacts of the vendor with the types and keys of ours."""
    if isinstance(value, list):
        return [_completed(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "contacts" in value:
        return {**value, "contacts": _completed(value["contacts"])}
    sent = {key: each for key, each in value.items() if each is not None}
    if "channel_type" in sent:
        ids = {key: str(sent[key]) for key in ("id", "contact_id") if key in sent}
        return {**sent, **ids}
    return {**_MISSING, **sent, "contact_channels": _completed(sent.get("contact_channels", []))}


channel: Parse[StringIdsChannel] = _or_vendors(Decoder(StringIdsChannel))
channels: Parse[list[StringIdsChannel]] = _or_vendors(Decoder(list[StringIdsChannel]))
contact: Parse[StringIdsContact] = _or_vendors(Decoder(StringIdsContact))
contacts: Parse[list[StringIdsContact]] = _or_vendors(Decoder(list[StringIdsContact]))
bulk: Parse[StringIdsBulk] = _or_vendors(Decoder(StringIdsBulk))
team: Parse[TeamBody] = Decoder(TeamBody).decode
inboxes: Parse[list[dict[str, Any]]] = Decoder(list[dict[str, Any]]).decode
resolved: Parse[ResolvedBody] = Decoder(ResolvedBody).decode
detail: Parse[ChannelDetail] = Decoder(ChannelDetail).decode
details: Parse[list[ChannelDetail]] = Decoder(list[ChannelDetail]).decode
history: Parse[HistoryPage] = Decoder(HistoryPage).decode
feed: Parse[FeedPage] = Decoder(FeedPage).decode
export: Parse[Export] = Decoder(Export).decode
_text = Decoder(str).decode


class _Batch(msgspec.Struct):
    results: list[Mapping[str, Any]]


_batch = Decoder(_Batch).decode


def batch(body: bytes) -> list[ResolvedBody | BadAddress]:
    """Decodes the results of a batch; only its keys tell an error from an owner."""
    return [
        msgspec.convert(each, BadAddress)
        if "error" in each
        else msgspec.convert(each, ResolvedBody)
        for each in _batch(body).results
    ]


def nothing(body: bytes) -> None:
    """Decodes a success that is a constant text."""
    _text(body)
