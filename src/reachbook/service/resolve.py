"""Who is this? One contact for an address, under any concurrency."""

from __future__ import annotations

from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from reachbook.domain import contact as contacts
from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import Address, readings
from reachbook.domain.channel import ContactChannel, Named, has_address, pick
from reachbook.domain.channel_rules import Wanted
from reachbook.domain.contact import Contact, WantedContact
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.suppression import Location, Suppression, SuppressionReason, digest_of
from reachbook.service.contact_writer import Asking, Changing, settled
from reachbook.service.lookup import look_up
from reachbook.storage import Directory, Taken, contended
from reachbook.storage.queries import Owned, Sought

TRIES = 100


class Resolved(Struct, frozen=True):
    """The owner of an address, or None with the suppression of the address, if any."""

    contact: Contact | None = None
    channel: ContactChannel | None = None
    created: bool = False
    suppressed: Suppression | None = None


class Resolving:
    """Finds the owners of addresses, and makes one when asked."""

    def __init__(self, changing: Changing, directory: Directory) -> None:
        self._changing = changing
        self._directory = directory

    async def one(self, asking: Asking, sought: Sought, create: WantedContact | None) -> Resolved:
        """Returns the owner of an address; makes a contact if there is no owner and one is given.

        Raises `ambiguous` if two contacts own its two readings, or if it must be added.
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
        """Returns the owners of many addresses, in order. Looks up again those that move meanwhile.

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
        in_order = [answers.get(place, Resolved()) for place in range(len(sought))]
        return await self._with_suppressions(team_id, sought, in_order)

    async def _with_suppressions(
        self, team_id: TeamId, sought: list[Sought], answers: list[Resolved | Refusal]
    ) -> list[Resolved | Refusal]:
        """Returns the results; those without an owner get the suppression of either reading."""
        unowned = {
            place: answer
            for place, answer in enumerate(answers)
            if isinstance(answer, Resolved) and answer.contact is None
        }
        key = await self._changing.team_keys.find(team_id) if unowned else None
        if key is None:
            return answers
        digests = {
            place: [digest_of(key, each) for each in _locations(sought[place])] for place in unowned
        }
        wanted = [digest for some in digests.values() for digest in some]
        known = await self._changing.store.suppressions(team_id, wanted)
        for place, some in digests.items():
            rows = [row for digest in some for row in known.get(digest, ())]
            if rows:  # an opt-out takes precedence over a bounce
                row = max(rows, key=lambda row: row.reason)
                answers[place] = replace(unowned[place], suppressed=row)
        return answers

    async def end_suppression(
        self, asking: Asking, sought: Sought, reason: SuppressionReason
    ) -> None:
        """End a suppression of an address that nobody owns, and record the actor.

        Raises `address_taken` if a contact owns the address, and `no_suppression` if there is none.
        """
        store, now = self._changing.store, self._changing.clock()
        key = await self._changing.team_keys.of(asking.team_id)
        locations = _locations(sought)
        for location in locations:
            ended = (asking.team_id, digest_of(key, location), reason, *location)
            if await store.end_suppression((*ended, now, asking.actor)):
                return
        for location in locations:
            owner = await store.owner(asking.team_id, location)
            if owner is not None and owner.channel is not None:
                raise _owned_by(owner.owner_uuid, owner.channel)
        raise Refusal(
            Reason.NO_SUPPRESSION,
            f"The address is not suppressed as {reason}; POST /x/resolve shows its suppression.",
        )


def _locations(sought: Sought) -> list[Location]:
    """Returns the address as it is stored, in each of its readings."""
    return [
        (each.channel_type, sought.scope or "", each.identity) for each in readings(sought.address)
    ]


def _owned_by(uuid: str, channel: ContactChannel) -> Refusal:
    return Refusal(
        Reason.ADDRESS_TAKEN,
        f"Contact {uuid} owns {channel.channel_type} {channel.channel_id}; send PATCH to "
        f"/x/contact/{uuid}/channel/{channel.id} with consent or held instead.",
        fields={"channel_id": "belongs to a contact"},
        facts={
            "conflicting_contact_id": uuid,
            "conflicting_channel_id": channel.id,
            "channel_id": channel.channel_id,
        },
    )


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
    """Returns the result for an address, or None if its owner has changed between two reads."""
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
