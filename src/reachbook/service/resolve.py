"""Who is this? One contact for an address, under any concurrency."""

from __future__ import annotations

from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from reachbook import address as addresses
from reachbook import contact as contacts
from reachbook.address import Address
from reachbook.contact import Contact, WantedContact
from reachbook.contact_channel import Wanted
from reachbook.credential import TeamId
from reachbook.errors import Refusal
from reachbook.reach import ContactChannel, Named, has_address, pick
from reachbook.service.changing import Asking, Changing, settled
from reachbook.service.lookup import look_up
from reachbook.storage import Directory, Taken, contended
from reachbook.storage.directory import Owned, Sought

TRIES = 100


class Resolved(Struct, frozen=True):
    """Who owns an address: nobody is an answer."""

    contact: Contact | None = None
    channel: ContactChannel | None = None
    created: bool = False


class Resolving:
    """Finds the owners of addresses, and makes one when asked."""

    def __init__(self, changing: Changing, directory: Directory) -> None:
        self._changing = changing
        self._directory = directory

    async def one(self, asking: Asking, sought: Sought, create: WantedContact | None) -> Resolved:
        """The owner of an address; when nobody owns it, the contact to make, if any.

        Raises `ambiguous` if two contacts own its two readings, or if it is to be added.
        """
        found = await self._find(asking.team_id, sought)
        if found.contact or create is None:
            return found
        addresses.certain(sought.address)
        wanted = Wanted(sought.address, info_channel=sought.scope or "")
        new = replace(create, channels=(wanted, *create.channels))
        named = str(uuid4())
        finding = replace(asking, stays=sought.address)
        for _ in range(TRIES):
            outcome = await self._changing.create(
                finding, named, lambda now: contacts.create(asking.team_id, named, new, now)
            )
            if not _is_ours(outcome, sought):
                saved: Contact = settled(asking, outcome)
                return made(saved, sought.address)
            found = await self._find(asking.team_id, sought)
            if found.contact:
                return found
        raise contended()

    async def _find(self, team_id: TeamId, sought: Sought) -> Resolved:
        [found] = await self.many(team_id, [sought])
        if isinstance(found, Refusal):
            raise found
        return found

    async def many(self, team_id: TeamId, sought: list[Sought]) -> list[Resolved | Refusal]:
        """The owners of many addresses, in order; who moves between two reads is sought again.

        The entry of an address whose two readings belong to two contacts is a refusal.
        """
        answers: dict[int, Resolved | Refusal] = {}
        left = list(range(len(sought)))
        for _ in range(TRIES):
            owned = await look_up(self._directory, team_id, [sought[place] for place in left])
            first = [owners if isinstance(owners, Refusal) else owners[:1] for owners in owned]
            numbers = {
                each.contact_number
                for owners in first
                if not isinstance(owners, Refusal)
                for each in owners
            }
            found = await self._directory.contacts(team_id, numbers)
            seen = [_resolved(owners, found) for owners in first]
            answers |= {
                place: each for place, each in zip(left, seen, strict=True) if each is not None
            }
            left = [place for place, each in zip(left, seen, strict=True) if each is None]
            if not left:
                break
        return [answers.get(place, Resolved()) for place in range(len(sought))]


def made(contact: Contact, address: Address) -> Resolved:
    """A contact that was just made for an address, and the channel that has it."""
    channel = pick(contact, Named(address.channel_type, address))
    return Resolved(contact, channel, created=True)


def _is_ours(outcome: object, sought: Sought) -> bool:
    """Whether the address that was looked for is what somebody else took meanwhile."""
    return (
        isinstance(outcome, Taken)
        and outcome.channel is not None
        and has_address(outcome.channel, sought.address)
    )


def _resolved(
    owners: list[Owned] | Refusal, found: dict[int, Contact]
) -> Resolved | Refusal | None:
    """Returns what became of an address, or None if its owner has changed between two reads."""
    if isinstance(owners, Refusal):
        return owners
    if not owners:
        return Resolved()
    [owned] = owners
    contact = found.get(owned.contact_number)
    for channel in contact.channels if contact else ():
        if channel.id == owned.channel_number:
            return Resolved(contact, channel)
    return None
