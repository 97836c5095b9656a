"""Channels of a contact."""

from __future__ import annotations

from reachbook.domain import channel_rules
from reachbook.domain.channel import ContactChannel, Named, Reach, by_number, found, found_by, pick
from reachbook.domain.channel_rules import Patch, Wanted
from reachbook.service.contact_writer import Asking, Changing


class Channels:
    """What one can ask of a contact's channels."""

    def __init__(self, changing: Changing) -> None:
        self.changing = changing

    async def all(self, asking: Asking, uuid: str) -> Reach:
        """How a contact can be reached."""
        return found(await self.changing.store.read(Reach, asking.team_id, uuid))

    async def get(self, asking: Asking, uuid: str, named: Named) -> tuple[Reach, ContactChannel]:
        """The primary channel of a type, or the one that is named."""
        reach = found_by(await self.changing.store.read(Reach, asking.team_id, uuid), named)
        return reach, pick(reach, named)

    async def exactly(self, asking: Asking, uuid: str, number: int) -> tuple[Reach, ContactChannel]:
        """The channel with an id."""
        reach = await self.all(asking, uuid)
        return reach, by_number(reach, number)

    async def add(self, asking: Asking, uuid: str, wanted: Wanted) -> Reach:
        """Add an address to a contact, or update what differs of one it has."""
        return await self.changing.change(
            asking, Reach, uuid, lambda seen, now: channel_rules.add(seen, wanted, now)
        )

    async def replace(self, asking: Asking, uuid: str, wanted: Wanted, named: Named) -> Reach:
        """Give a channel of a contact another address."""
        return await self.changing.change(
            asking, Reach, uuid, lambda seen, now: channel_rules.replace(seen, wanted, named, now)
        )

    async def remove(self, asking: Asking, uuid: str, named: Named) -> Reach:
        """Take a channel from a contact, for good."""
        return await self.changing.change(
            asking, Reach, uuid, lambda seen, now: channel_rules.remove(seen, named, now)
        )

    async def remove_exactly(self, asking: Asking, uuid: str, number: int) -> Reach:
        """Take the channel with an id from a contact, for good."""
        return await self.changing.change(
            asking, Reach, uuid, lambda seen, now: channel_rules.remove_exactly(seen, number, now)
        )

    async def patch(self, asking: Asking, uuid: str, number: int, wanted: Patch) -> Reach:
        """Set what is known of the channel with an id."""
        return await self.changing.change(
            asking, Reach, uuid, lambda seen, now: channel_rules.patch(seen, number, wanted, now)
        )

    async def make_primary(self, asking: Asking, uuid: str, number: int) -> Reach:
        """Make the channel with an id the primary one of its type."""
        return await self.changing.change(
            asking, Reach, uuid, lambda seen, now: channel_rules.make_primary(seen, number, now)
        )
