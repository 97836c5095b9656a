"""Requests and responses under `/x`: channel details, resolve and suppressions."""

from __future__ import annotations

import re

from msgspec import UNSET, UnsetType

from reachbook.domain import timestamps
from reachbook.domain.address import explain
from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.channel import ChannelList, ContactChannel, primaries
from reachbook.domain.channel_rules import Patch
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.suppression import Suppression
from reachbook.wire import bulk
from reachbook.wire.models.x import (
    AddressRequest,
    BadAddress,
    ChannelDetail,
    ExplanationBody,
    PatchRequest,
    SuppressionBody,
    SuppressionRequest,
)

_CHANNEL_NUMBER = re.compile(r"(?:ch_)?([0-9]{1,18})")


def suppression(found: Suppression | None) -> SuppressionBody | None:
    """Returns a suppression as it is shown, or None."""
    return (
        None if found is None else SuppressionBody(found.reason, timestamps.format_micros(found.at))
    )


def channel_detail(channel_list: ChannelList, channel: ContactChannel) -> ChannelDetail:
    """Returns a channel of a contact with all its fields."""
    return channel_snapshot(
        channel_list.team_id,
        channel_list.uuid,
        channel,
        primary=channel.id in _primary_ids(channel_list),
    )


def channel_details(channel_list: ChannelList) -> list[ChannelDetail]:
    """Returns the channels of a contact with all their fields, oldest first."""
    first = _primary_ids(channel_list)
    return [
        channel_snapshot(
            channel_list.team_id, channel_list.uuid, channel, primary=channel.id in first
        )
        for channel in channel_list.channels
    ]


def channel_snapshot(
    team_id: int, uuid: str, channel: ContactChannel, *, primary: bool | UnsetType
) -> ChannelDetail:
    """Returns a channel with all its fields, and whether it is the primary one of its type."""
    return ChannelDetail(
        id=f"ch_{channel.id:03d}",
        team_id=team_id,
        contact_id=uuid,
        channel_type=channel.channel_type,
        channel_id=channel.channel_id,
        channel_handle=channel.channel_handle or UNSET,
        info_channel=channel.info_channel or UNSET,
        created=timestamps.format_seconds(channel.created),
        updated=timestamps.format_seconds(channel.updated),
        primary=primary,
        label=channel.label,
        held=channel.held_reason is not None,
        held_reason=channel.held_reason,
        consent=channel.consent,
        consent_source=channel.consent_source,
        consent_at=None
        if channel.consent_at is None
        else timestamps.format_micros(channel.consent_at),
    )


def channel_number(text: str) -> int:
    """Returns the number in a channel's id: `ch_001`, or the integer."""
    match = _CHANNEL_NUMBER.fullmatch(text)
    if match is None:
        raise Refusal(
            Reason.BAD_VALUE,
            "A channel is named by its id, like ch_001.",
            fields={"id": "not a channel's id"},
        )
    return int(match[1])


def address_query(request: AddressRequest | SuppressionRequest, region: str | None) -> AddressQuery:
    """Returns the address that a request names; without an info channel it has no scope."""
    address = bulk.address_query(request.channel_type, request.channel_id, region)
    if request.info_channel is None:
        return AddressQuery(address, text=request.channel_id)
    info_channel = addresses.validate_text("info_channel", request.info_channel)
    scope = addresses.scope(address.channel_type, info_channel)
    return AddressQuery(address, scope, info_channel, request.channel_id)


def bad_address(refusal: Refusal) -> BadAddress:
    """Returns the entry of a batch for an address that cannot be read."""
    return BadAddress(
        refusal.reason.kind,
        refusal.reason.code,
        refusal.message,
        fields=refusal.fields or UNSET,
        readings=refusal.facts.get("readings", UNSET),  # type: ignore[arg-type]  # always a list
    )


def patch(request: PatchRequest) -> Patch:
    """Returns the fields that a PATCH sets, with texts checked."""
    return Patch(
        channel_handle=_text("channel_handle", request.channel_handle),
        info_channel=_text("info_channel", request.info_channel),
        label=_text("label", request.label),
        held=request.held,
        held_reason=request.held_reason,
        consent=request.consent,
        consent_source=_text("consent_source", request.consent_source),
    )


def explanation(
    typed: str,
    address: addresses.Address,
    owned: ContactChannel | None,
    region: str | None = None,
) -> ExplanationBody:
    """Returns how an address was read, and which rule joined it to the channel that owns it.

    `region` is the team's default region. Of two readings, the reading that has an owner is shown.
    """
    identity = owned.identity if owned else None
    chosen = explain.reading_of(address, identity) if identity is not None else address
    return ExplanationBody(
        typed=typed,
        channel_type=address.channel_type,
        read_as=explain.read_as(typed, address, region, identity),
        canonical=chosen.channel_id,
        identity=chosen.identity,
        rule=_rule(chosen, owned),
    )


def _rule(address: addresses.Address, owned: ContactChannel | None) -> str:
    if owned is None:
        return "nobody owns it"
    if owned.channel_type != address.channel_type:
        return f"the same number as a {owned.channel_type} channel, which the phone family shares"
    if owned.channel_id == address.channel_id:
        return "the same address"
    return explain.joined(address, owned.channel_id)


def _primary_ids(channel_list: ChannelList) -> set[int]:
    return {each.id for each in primaries(channel_list)}


def _text(field: str, value: str | UnsetType | None) -> str | UnsetType:
    return UNSET if value is UNSET else addresses.validate_text(field, value or "")
