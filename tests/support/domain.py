"""Short forms of contacts, channels and changes for the tests of the domain."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import UNSET, UnsetType
from msgspec.structs import replace as with_fields

from reachbook.domain import channel_rules
from reachbook.domain.address import parsing
from reachbook.domain.address.parsing import Address, ChannelType
from reachbook.domain.channel import ChannelList, ChannelSelector
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.errors import Refusal
from tests.support.personas import ALICE

SECOND = 1_000_000
BEFORE = 1_705_312_800 * SECOND
NOW = BEFORE + 60 * SECOND
TWO_PHONES = ("phone:15105553344", "phone:14155551234")


def addressed(spec: str, region: str | None = None) -> Address:
    """The address of a spec like `phone:15105553344`."""
    kind, _, value = spec.partition(":")
    return parsing.parse(ChannelType(kind), value, region)


def want(
    spec: str,
    handle: str | UnsetType = UNSET,
    info: str | UnsetType = UNSET,
    region: str | None = None,
) -> ChannelInput:
    """The body of a POST or PUT."""
    return ChannelInput(addressed(spec, region), handle, info)


def name(kind: str, value: str | None = None) -> ChannelSelector:
    """The channel of a type, or exactly the one with that value."""
    one = None if value is None else parsing.parse(ChannelType(kind), value)
    return ChannelSelector(ChannelType(kind), one)


def numbered(channel_list: ChannelList) -> ChannelList:
    """The page as the store gives it back: every channel has its number."""
    channels = tuple(
        with_fields(one, id=one.id or number) for number, one in enumerate(channel_list.channels, 1)
    )
    return with_fields(channel_list, channels=channels)


def page(*wanted: str | ChannelInput) -> ChannelList:
    """Alice's page with these channels, a second apart, the last of them made at BEFORE."""
    channel_list = ChannelList(1, 7, ALICE, 1, BEFORE - len(wanted) * SECOND, ())
    for one in wanted:
        asked = want(one) if isinstance(one, str) else one
        channel_list = numbered(
            channel_rules.add_channel(channel_list, asked, channel_list.updated + SECOND)
        )
    return channel_list


def values(channel_list: ChannelList) -> list[str]:
    """The addresses on a page, in their order."""
    return [one.channel_id for one in channel_list.channels]


def refusal(rule: Callable[[], object]) -> Refusal:
    """What a rule says when it refuses."""
    with pytest.raises(Refusal) as caught:
        rule()
    return caught.value
