"""Create many contacts in one transaction.

A contact that conflicts with another one, or is refused, is left out. The caller then writes it by
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
from reachbook.service.contact_writer import ContactWriter, WriteContext, new_contact, with_response
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


class BulkCreator:
    """Creates contacts of one team, a chunk at a time."""

    def __init__(self, writer: ContactWriter, queries: Queries) -> None:
        self._writer = writer
        self._queries = queries

    async def create(self, team_id: TeamId, rows: Sequence[NewContact]) -> list[Contact | None]:
        """Create at most `CHUNK_ROWS` contacts, all in one transaction.

        Returns for each row the contact, or None if it was not created: its address or external id
        is in use, it is refused, or the transaction met other writes.
        """
        taken = await self._taken(team_id, rows)
        key = await self._writer.team_keys.of(team_id)
        numbers, commits = [], []
        for number, row in enumerate(rows):
            if number % SLICE_ROWS == 0:
                await asyncio.sleep(0)
            if taken.isdisjoint(claims(row.wanted)):
                commit = self._commit(row, key)
                if commit is not None:
                    numbers.append(number)
                    commits.append((commit, partial(with_response, row.context)))
        saved = await self._writer.store.create_contacts(commits)
        created: list[Contact | None] = [None] * len(rows)
        for number, contact in zip(numbers, saved, strict=False):
            created[number] = contact
        return created

    def _commit(self, row: NewContact, key: bytes) -> Commit | None:
        """Returns the commit of a row, or None if it is refused or changes a suppression."""
        now = self._writer.clock()
        try:
            contact = contacts.create(row.context.team_id, str(uuid4()), row.wanted, now)
        except Refusal:
            return None
        commit = new_contact(row.context, contact, key)
        changes_suppression = commit.suppression != SuppressionWrites(commit.suppression.digests)
        return None if changes_suppression else commit

    async def _taken(self, team_id: TeamId, rows: Sequence[NewContact]) -> set[Claim]:
        """Returns what the rows claim and other contacts of the team have."""
        addresses = [address for row in rows for address in _addresses(row.wanted)]
        owned = await self._queries.owners(team_id, [AddressQuery(each) for each in addresses])
        external_ids = {each for row in rows for each in _external_ids(row.wanted)}
        known = await self._queries.known_external_ids(team_id, external_ids)
        taken = {
            (address.channel_type, address.identity)
            for address, owners in zip(addresses, owned, strict=True)
            if owners
        }
        return taken | {_external_id(each) for each in known}


def claims_of_many(rows: Sequence[ContactInput]) -> set[Claim]:
    """Returns what more than one row claims: the rows must be written in their order."""
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
