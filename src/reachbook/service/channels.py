"""Channels of a contact."""

from __future__ import annotations

from reachbook.domain import channel_rules
from reachbook.domain.channel import (
    ChannelList,
    ChannelSelector,
    ContactChannel,
    channel_by_number,
    require_channel,
    require_contact,
    select_channel,
)
from reachbook.domain.channel_rules import ChannelEdit, ChannelInput, Patch
from reachbook.service.contact_writer import ContactWriter, WriteContext


class Channels:
    """The use cases of a contact's channels."""

    def __init__(self, writer: ContactWriter) -> None:
        self.writer = writer

    async def all(self, context: WriteContext, uuid: str) -> ChannelList:
        """Returns the channels of a contact."""
        return require_contact(await self.writer.store.read(ChannelList, context.team_id, uuid))

    async def get(
        self, context: WriteContext, uuid: str, selector: ChannelSelector
    ) -> tuple[ChannelList, ContactChannel]:
        """Returns the primary channel of a type, or the channel with an address."""
        channel_list = require_channel(
            await self.writer.store.read(ChannelList, context.team_id, uuid), selector
        )
        return channel_list, select_channel(channel_list, selector)

    async def with_channel(self, context: WriteContext, uuid: str, number: int) -> ChannelList:
        """Returns the channels of a contact; raises `no_channel` if none has the id."""
        channel_list = await self.all(context, uuid)
        channel_by_number(channel_list, number)
        return channel_list

    async def add(self, context: WriteContext, uuid: str, wanted: ChannelInput) -> ChannelList:
        """Add an address to a contact, or update the fields that differ if it has the address."""
        return await self.writer.change(
            context,
            ChannelList,
            uuid,
            lambda seen, now: channel_rules.add_channel(seen, wanted, now),
        )

    async def replace(
        self, context: WriteContext, uuid: str, wanted: ChannelInput, selector: ChannelSelector
    ) -> ChannelList:
        """Give a channel of a contact another address."""
        return await self.writer.change(
            context,
            ChannelList,
            uuid,
            lambda seen, now: channel_rules.replace_channel(seen, wanted, selector, now),
        )

    async def remove(
        self, context: WriteContext, uuid: str, selector: ChannelSelector
    ) -> ChannelList:
        """Remove a channel from a contact."""
        return await self.writer.change(
            context,
            ChannelList,
            uuid,
            lambda seen, now: channel_rules.remove_channel(seen, selector, now),
        )

    async def remove_exactly(self, context: WriteContext, uuid: str, number: int) -> ChannelList:
        """Remove the channel with an id from a contact."""
        return await self.writer.change(
            context,
            ChannelList,
            uuid,
            lambda seen, now: channel_rules.remove_channel_by_number(seen, number, now),
        )

    async def patch(
        self, context: WriteContext, uuid: str, number: int, wanted: Patch
    ) -> ChannelList:
        """Set fields of the channel with an id."""
        return await self.writer.change(
            context,
            ChannelList,
            uuid,
            lambda seen, now: channel_rules.patch_channel(seen, number, wanted, now),
        )

    async def edit(
        self, context: WriteContext, uuid: str, number: int, edit: ChannelEdit
    ) -> ChannelList:
        """Give the channel with an id another address and other fields, in one change."""
        return await self.writer.change(
            context,
            ChannelList,
            uuid,
            lambda seen, now: channel_rules.edit_channel(seen, number, edit, now),
        )

    async def make_primary(self, context: WriteContext, uuid: str, number: int) -> ChannelList:
        """Make the channel with an id the primary one of its type."""
        return await self.writer.change(
            context,
            ChannelList,
            uuid,
            lambda seen, now: channel_rules.make_primary(seen, number, now),
        )
