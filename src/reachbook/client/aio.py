"""The client for code with an event loop. `sync.py` has the same methods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from copy import copy
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

import httpx
from tenacity import AsyncRetrying

from reachbook.client import arguments, operations
from reachbook.client.credentials import Authorization, Credential
from reachbook.client.feed import START, AsyncEvents, FeedCursor
from reachbook.client.operations import MAX_CONTACTS, MAX_EVENTS, MAX_HISTORY, ContactId
from reachbook.client.request import Exchange, PreparedRequest, T, read_response
from reachbook.client.results import ContactVersion
from reachbook.client.retries import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Retries
from reachbook.domain.on_conflict import OnConflict
from reachbook.wire.models.v2 import (
    BulkRow,
    ChannelRequest,
    ContactRequest,
    SearchEntry,
    StringIdsBulk,
    StringIdsChannel,
    StringIdsContact,
    TeamBody,
)
from reachbook.wire.models.x import (
    AddressRequest,
    BadAddress,
    ChannelDetail,
    Event,
    Export,
    FeedPage,
    HistoryPage,
    PatchRequest,
    ResolvedBody,
    ResolveRequest,
    SuppressionRequest,
)


class AsyncClient:
    """A client of one server with one credential; tasks may share it.

    Results have string ids. A method raises `ValueError` if an argument cannot be right, a
    `ReachbookError` if the server refuses the request, and `httpx.TransportError` if there is no
    response. `honours_idempotency_keys` is false for a server that may not know the
    Idempotency-Key of a write, such as the vendor's: its writes are not sent again after a broken
    connection.
    """

    def __init__(  # noqa: PLR0913 # size exception: the options of a client
        self,
        base_url: str,
        credential: Credential,
        *,
        retries: Retries = DEFAULT_RETRIES,
        timeout: httpx.Timeout | float | None = DEFAULT_TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
        honours_idempotency_keys: bool = True,
    ) -> None:
        self._exchange = Exchange(Authorization(credential), honours_keys=honours_idempotency_keys)
        self._retrying = {
            repeatable: AsyncRetrying(**retries.options(repeatable=repeatable))
            for repeatable in (False, True)
        }
        self._http = httpx.AsyncClient(
            base_url=arguments.base_url(base_url), timeout=timeout, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def with_options(
        self, *, idempotency_key: str | None = None, if_match: str | None = None
    ) -> Self:
        """Returns a client whose writes have an Idempotency-Key of the caller, or an If-Match.

        It shares the connections of this one. A key is for one write: another write with it raises
        `IdempotencyMismatchError`. With the `etag` of a `ContactVersion` as `if_match`, a write
        raises `PreconditionFailedError` if the contact has changed since.
        """
        options = copy(self)
        options._exchange = self._exchange.with_options(  # noqa: SLF001 # of this class
            idempotency_key, if_match
        )
        return options

    # ── channels ─────────────────────────────────────────────────────────────────────────────

    async def list_channels(self, contact_id: ContactId) -> list[StringIdsChannel]:
        """Returns the channels of a contact, oldest first."""
        return await self._send(operations.list_channels(contact_id))

    async def get_channel(
        self, contact_id: ContactId, channel_type: str, *, channel_id: str | None = None
    ) -> StringIdsChannel:
        """Returns the channel of a type: the primary one, or the one with an address."""
        return await self._send(operations.get_channel(contact_id, channel_type, channel_id))

    async def add_channel(
        self,
        contact_id: ContactId,
        channel: ChannelRequest,
        *,
        on_conflict: OnConflict | None = None,
    ) -> list[StringIdsChannel]:
        """Add a channel; returns the channels of the contact.

        Raises `AddressTakenError` if another contact owns the address, unless `on_conflict` is
        `move`.
        """
        return await self._send(operations.add_channel(contact_id, channel, on_conflict))

    async def replace_channel(
        self,
        contact_id: ContactId,
        channel: ChannelRequest,
        *,
        replaced: str | None = None,
        on_conflict: OnConflict | None = None,
    ) -> list[StringIdsChannel]:
        """Give the channel of a type another address; returns the channels of the contact.

        `replaced` is the present address of the channel, if it is not the primary one.
        """
        return await self._send(
            operations.replace_channel(contact_id, channel, replaced, on_conflict)
        )

    async def remove_channel(
        self, contact_id: ContactId, channel_type: str, *, channel_id: str | None = None
    ) -> list[StringIdsChannel]:
        """Remove the channel of a type; returns the channels that are left.

        Raises `SeveralChannelsError` if there are several, unless `channel_id` names an address.
        """
        return await self._send(operations.remove_channel(contact_id, channel_type, channel_id))

    # ── contacts ─────────────────────────────────────────────────────────────────────────────

    async def get_contact(self, contact_id: ContactId) -> StringIdsContact:
        """Returns a contact."""
        return await self._send(operations.get_contact(contact_id))

    async def get_contact_version(self, contact_id: ContactId) -> ContactVersion:
        """Returns a contact with its ETag, for `with_options(if_match=...)`."""
        return await self._send(operations.get_contact_version(contact_id))

    async def create_contact(
        self, contact: ContactRequest, *, on_conflict: OnConflict | None = None
    ) -> StringIdsContact:
        """Create a contact; returns it."""
        return await self._send(operations.create_contact(contact, on_conflict))

    async def update_contact(
        self,
        contact_id: ContactId,
        contact: ContactRequest,
        *,
        on_conflict: OnConflict | None = None,
        overwrite: bool = False,
    ) -> StringIdsContact:
        """Set the fields of a contact that are present; returns the contact.

        `custom` is merged key by key, or replaced if `overwrite` is true.
        """
        return await self._send(
            operations.update_contact(contact_id, contact, on_conflict, overwrite=overwrite)
        )

    async def delete_contact(self, contact_id: ContactId) -> None:
        """Delete a contact; its addresses are free, and its history remains."""
        await self._send(operations.delete_contact(contact_id))

    async def list_contacts(
        self,
        *,
        limit: int = 30,
        date: str | None = None,
        ascending: bool = False,
        page: int = 0,
    ) -> list[StringIdsContact]:
        """Returns contacts by the time of their last change, after a `date`.

        `date` is the `updated` of the last contact of the previous page, unchanged.
        """
        return await self._send(operations.list_contacts(limit, date, page, ascending=ascending))

    async def iterate_contacts(
        self, *, date: str | None = None, ascending: bool = False, limit: int = MAX_CONTACTS
    ) -> AsyncIterator[StringIdsContact]:
        """Yields all contacts by the time of their last change, in requests of `limit` contacts.

        To continue later, pass the `updated` of the last contact as `date`. A contact that changes
        meanwhile may come again if `ascending`, and may be missed otherwise.
        """
        while found := await self.list_contacts(limit=limit, date=date, ascending=ascending):
            for contact in found:
                yield contact
            if date == found[-1].updated:  # a server that does not move on would never end
                return
            date = found[-1].updated

    async def search_contacts(self, entries: Sequence[SearchEntry]) -> list[StringIdsContact]:
        """Returns the contacts that own any of some addresses."""
        return await self._send(operations.search_contacts(entries))

    async def write_contacts(
        self,
        rows: Sequence[BulkRow],
        *,
        on_conflict: OnConflict | None = None,
        overwrite: bool = False,
    ) -> StringIdsBulk:
        """Create and update up to 1,000 contacts; returns those written, and the rows that failed.

        A row with a `contact_id` is an update.
        """
        return await self._send(operations.write_contacts(rows, on_conflict, overwrite=overwrite))

    async def delete_contacts(self, contact_ids: Sequence[ContactId]) -> None:
        """Delete up to 1,000 contacts; those that do not exist are skipped."""
        await self._send(operations.delete_contacts(contact_ids))

    async def get_team(self) -> TeamBody:
        """Returns the team of the credential."""
        return await self._send(operations.get_team())

    async def list_inboxes(self) -> list[dict[str, Any]]:
        """Returns the inboxes of the team; Reachbook has none."""
        return await self._send(operations.list_inboxes())

    # ── extensions of Reachbook ──────────────────────────────────────────────────────────────

    async def resolve(
        self,
        address: ResolveRequest,
        *,
        on_conflict: OnConflict | None = None,
        explain: bool = False,
    ) -> ResolvedBody:
        """Returns the owner of an address, or a result whose `contact` is None if nobody owns it.

        With `address.create`, a contact is created if nobody owns the address. With `explain`,
        the result's `explain` describes how the address was read.
        """
        return await self._send(operations.resolve(address, on_conflict, explain=explain))

    async def resolve_many(
        self, addresses: Sequence[AddressRequest]
    ) -> list[ResolvedBody | BadAddress]:
        """Returns the owner of each of up to 1,000 addresses, or why it cannot be read."""
        return await self._send(operations.resolve_many(addresses))

    async def end_suppression(self, suppression: SuppressionRequest) -> None:
        """End the opt-out or the bounce of an address that nobody owns."""
        await self._send(operations.end_suppression(suppression))

    async def list_channel_details(
        self, contact_id: ContactId, *, as_of: datetime | None = None
    ) -> list[ChannelDetail]:
        """Returns the channels of a contact with label, hold and consent, now or at a time."""
        return await self._send(operations.list_channel_details(contact_id, as_of))

    async def get_channel_detail(
        self, contact_id: ContactId, channel_number: str, *, as_of: datetime | None = None
    ) -> ChannelDetail:
        """Returns the channel with an id like `ch_001`, now or at a time."""
        return await self._send(operations.get_channel_detail(contact_id, channel_number, as_of))

    async def patch_channel(
        self, contact_id: ContactId, channel_number: str, patch: PatchRequest
    ) -> ChannelDetail:
        """Set the fields of a channel that are present; returns the channel."""
        return await self._send(operations.patch_channel(contact_id, channel_number, patch))

    async def remove_channel_by_id(
        self, contact_id: ContactId, channel_number: str
    ) -> list[ChannelDetail]:
        """Remove the channel with an id; returns the channels that are left."""
        return await self._send(operations.remove_channel_by_id(contact_id, channel_number))

    async def make_primary(self, contact_id: ContactId, channel_number: str) -> ChannelDetail:
        """Make a channel the primary one of its type; returns the channel."""
        return await self._send(operations.make_primary(contact_id, channel_number))

    async def get_history(
        self, contact_id: ContactId, *, limit: int = 50, cursor: str | None = None
    ) -> HistoryPage:
        """Returns events of a contact, newest first; `cursor` is the `next` of a page."""
        return await self._send(operations.get_history(contact_id, limit, cursor))

    async def iterate_history(
        self, contact_id: ContactId, *, limit: int = MAX_HISTORY
    ) -> AsyncIterator[Event]:
        """Yields all events of a contact, newest first, in requests of `limit` events."""
        page = await self.get_history(contact_id, limit=limit)
        for event in page.events:
            yield event
        while page.next is not None:
            page = await self.get_history(contact_id, limit=limit, cursor=page.next)
            for event in page.events:
                yield event

    async def get_events(
        self,
        cursor: FeedCursor = START,
        *,
        limit: int = 100,
    ) -> FeedPage:
        """Returns events of the team after a cursor, in order."""
        return await self._send(operations.get_events(cursor, limit))

    def events(self, after: FeedCursor | int = 0, *, limit: int = MAX_EVENTS) -> AsyncEvents:
        """Returns an iterator over the events of the team, in requests of `limit` events.

        Its `cursor` is the place to continue from: pass it as `after`.
        """
        cursor = FeedCursor(after) if isinstance(after, int) else after
        return AsyncEvents(partial(self.get_events, limit=limit), cursor)

    async def export_contact(self, contact_id: ContactId) -> Export:
        """Returns all data about a contact."""
        return await self._send(operations.export_contact(contact_id))

    async def erase_contact(self, contact_id: ContactId) -> None:
        """Erase a person for good, history included."""
        await self._send(operations.erase_contact(contact_id))

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    async def _send(self, request: PreparedRequest[T]) -> T:
        """Returns the result of a request, which is sent again if that is safe."""
        url, headers = self._exchange.url(request), self._exchange.headers(request)

        async def attempt() -> T:
            headers["Authorization"] = self._exchange.authorization()
            response = await self._http.request(
                request.method, url, content=request.body, headers=headers
            )
            return read_response(request, response)

        return await self._retrying[self._exchange.is_repeatable(request)](attempt)
