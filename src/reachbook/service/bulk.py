"""Create or change many contacts in one transaction.

A contact that conflicts with another, or is refused, is left out. The caller then writes it by
itself, which raises the error.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from uuid import uuid4

from msgspec import Struct

from reachbook.domain import contact as contacts
from reachbook.domain.address.parsing import Address, readings
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Refusal
from reachbook.domain.suppression import SuppressionWrites
from reachbook.service.contact_writer import (
    ContactWriter,
    WriteContext,
    changed_contact,
    new_contact,
    with_response,
)
from reachbook.storage import Commit, Queries

CHUNK_ROWS = 100
"""The rows of a transaction: few enough to keep SQLite's writer for less than 50 ms."""

SLICE_ROWS = 16
"""The rows that are prepared before other requests may run: at most 2 ms."""

Claim = tuple[str, str]
"""A value that only one contact may have: a type and an identity, or an external id."""


class NewContact(Struct, frozen=True):
    """A contact to create."""

    context: WriteContext
    wanted: ContactInput


class ContactUpdate(Struct, frozen=True):
    """A contact to change; `overwrite` is as for a single update."""

    context: WriteContext
    uuid: str
    wanted: ContactInput
    overwrite: bool


class BulkWriter:
    """Creates and changes contacts of one team, a chunk at a time."""

    def __init__(self, writer: ContactWriter, queries: Queries) -> None:
        self._writer = writer
        self._queries = queries

    async def create(self, team_id: TeamId, rows: Sequence[NewContact]) -> list[Contact | None]:
        """Create at most `CHUNK_ROWS` contacts, all in one transaction.

        Returns for each row the contact, or None if it was not created: its address or external id
        is in use, it is refused, or the transaction conflicted with other writes.
        """
        taken = await self._taken(team_id, [row.wanted for row in rows])
        key = await self._writer.team_keys.of(team_id)
        numbers, commits = [], []
        for number, row in enumerate(rows):
            if number % SLICE_ROWS == 0:
                await asyncio.sleep(0)
            if taken.keys().isdisjoint(claims(row.wanted)):
                commit = self._commit(row, key)
                if commit is not None:
                    numbers.append(number)
                    commits.append((commit, partial(with_response, row.context)))
        saved = await self._writer.store.create_contacts(commits)
        created: list[Contact | None] = [None] * len(rows)
        for number, contact in zip(numbers, saved, strict=False):
            created[number] = contact
        return created

    async def update(self, team_id: TeamId, rows: Sequence[ContactUpdate]) -> list[Contact | None]:
        """Change at most `CHUNK_ROWS` contacts, all in one transaction; each row is of another.

        Returns for each row the contact, or None if it was not changed: for a reason as in
        `create`, because the contact does not exist, or because the change releases an address or
        an external id, which another row of the request may need.
        """
        known = await self._queries.contacts_by_uuid(team_id, {row.uuid for row in rows})
        taken = await self._taken(team_id, [row.wanted for row in rows])
        key = await self._writer.team_keys.of(team_id)
        commits: dict[int, Commit] = {}
        for number, row in enumerate(rows):
            if number % SLICE_ROWS == 0:
                await asyncio.sleep(0)
            before = known.get(row.uuid)
            if before is not None and not _is_owned_by_another(before, row.wanted, taken):
                commit = self._change(row, before, key)
                if commit is not None:
                    commits[number] = commit
        # Two transactions that change the same contacts must lock them in one order.
        numbers = sorted(commits, key=lambda number: commits[number].change.after.id)
        saved = await self._writer.store.update_contacts(
            [(commits[number], partial(with_response, rows[number].context)) for number in numbers]
        )
        changed: list[Contact | None] = [None] * len(rows)
        for number, contact in zip(numbers, saved, strict=False):
            changed[number] = contact
        return changed

    def _change(self, row: ContactUpdate, before: Contact, key: bytes) -> Commit | None:
        """Returns the commit of a row, or None if the row must be written by itself."""
        now = self._writer.clock()
        try:
            after = contacts.update(before, row.wanted, now, overwrite=row.overwrite)
        except Refusal:
            return None
        if _releases(before, after):
            return None
        return _without_suppressions(changed_contact(row.context, before, after, key))

    def _commit(self, row: NewContact, key: bytes) -> Commit | None:
        """Returns the commit of a row, or None if it is refused or changes a suppression."""
        now = self._writer.clock()
        try:
            contact = contacts.create(row.context.team_id, str(uuid4()), row.wanted, now)
        except Refusal:
            return None
        return _without_suppressions(new_contact(row.context, contact, key))

    async def _taken(self, team_id: TeamId, rows: Sequence[ContactInput]) -> dict[Claim, set[int]]:
        """Returns the claims of the rows that contacts of the team have, with the owners' ids.

        The owner of an external id is not looked up; its set is empty.
        """
        addresses = [address for wanted in rows for address in _addresses(wanted)]
        owned = await self._queries.owners(team_id, [AddressQuery(each) for each in addresses])
        external_ids = {each for wanted in rows for each in _external_ids(wanted)}
        known = await self._queries.known_external_ids(team_id, external_ids)
        taken: dict[Claim, set[int]] = {_external_id(each): set() for each in known}
        for address, owners in zip(addresses, owned, strict=True):
            if owners:
                claim = (address.channel_type, address.identity)
                taken[claim] = {each.contact_number for each in owners}
        return taken


def _is_owned_by_another(
    contact: Contact, wanted: ContactInput, taken: dict[Claim, set[int]]
) -> bool:
    """Returns whether another contact may have an address or external id of a row."""
    own = set() if contact.external_id is None else {_external_id(contact.external_id)}
    return any(
        taken[claim] != {contact.id}
        for claim in claims(wanted)
        if claim in taken and claim not in own
    )


def _releases(before: Contact, after: Contact) -> bool:
    """Returns whether a change releases an address or an external id."""
    lost = {each.id for each in before.channels} - {each.id for each in after.channels}
    return bool(lost) or before.external_id not in {None, after.external_id}


def _without_suppressions(commit: Commit) -> Commit | None:
    """Returns a commit, or None if it changes a suppression."""
    changes_suppression = commit.suppression != SuppressionWrites(commit.suppression.digests)
    return None if changes_suppression else commit


def claims_of_many(rows: Sequence[ContactInput]) -> set[Claim]:
    """Returns the claims of more than one row; these rows must be written in their order."""
    counts = Counter(claim for wanted in rows for claim in set(claims(wanted)))
    return {claim for claim, count in counts.items() if count > 1}


def claims(wanted: ContactInput) -> Iterator[Claim]:
    """Yields the addresses and the external id that a row claims, in any scope."""
    for address in _addresses(wanted):
        for reading in readings(address):
            yield reading.channel_type, reading.identity
    for external_id in _external_ids(wanted):
        yield _external_id(external_id)


def _addresses(wanted: ContactInput) -> Iterator[Address]:
    for channel in wanted.channels:
        yield channel.address
    for view in (wanted.phone, wanted.email):
        if isinstance(view, Address):
            yield view


def _external_ids(wanted: ContactInput) -> Iterator[str]:
    if isinstance(wanted.external_id, str):
        yield wanted.external_id


def _external_id(external_id: str) -> Claim:
    return "external_id", external_id
