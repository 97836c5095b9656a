"""Clients that write continuously and record the acknowledged writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

from tests.support.clients import ConnectionLostError, Requester, Response

PAUSE_SECONDS = 0.01
ADDS = 5

KnownAddresses = dict[str, bool | None]
"""Addresses of a contact: present, absent, or None while a write of it has no response."""


@dataclass
class WriteLog:
    """The writes that were sent and that were acknowledged, in order."""

    lines: list[tuple[str, KnownAddresses]] = field(default_factory=list)
    acknowledged: int = 0

    def record_sent(self, uuid: str, state: dict[str, bool]) -> None:
        """Record a write that was sent: until it is acknowledged, either state is possible."""
        self.lines.append((uuid, dict.fromkeys(state)))

    def record_acknowledged(self, uuid: str, state: dict[str, bool]) -> None:
        """Record a write that was acknowledged."""
        self.acknowledged += 1
        self.lines.append((uuid, dict(state)))

    def contacts(self) -> dict[str, KnownAddresses]:
        """Return the addresses of each contact."""
        known: dict[str, KnownAddresses] = {}
        for uuid, state in self.lines:
            known.setdefault(uuid, {}).update(state)
        return known


class Load:
    """Several clients that write; each waits `pause` seconds before a request."""

    def __init__(self, clients: Sequence[Requester], pause: float = PAUSE_SECONDS) -> None:
        self.log = WriteLog()
        self.served_at = [0.0] * len(clients)
        self.refused_at = [0.0] * len(clients)
        self.refused_after: list[float] = []
        self.cuts = 0
        self.wrong: list[str] = []
        self._clients = clients
        self._pause = pause
        self._numbers = count()
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        """Write until the block ends, and complete the last requests."""
        tasks = [asyncio.create_task(self._work(number)) for number in range(len(self._clients))]
        try:
            yield self
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    def all_served_since(self, time_of_check: float) -> bool:
        """Return whether each client was served since a time, and not refused after that."""
        last = zip(self.served_at, self.refused_at, strict=True)
        return all(served > max(time_of_check, refused) for served, refused in last)

    async def _work(self, number: int) -> None:
        while not self._stopping:
            await self._change_contact(number)
        self._clients[number].close()

    async def _change_contact(self, number: int) -> None:
        """Create a contact, add addresses, replace one and delete one."""
        uuid = await self._create(number)
        added: list[str] = []
        for _ in range(ADDS if uuid else 0):
            address = self._address()
            body = {"channel_type": "email", "channel_id": address}
            sent = ("POST", f"/v2/contact/{uuid}/channel", body)
            if await self._write(number, sent, {address: True}):
                added.append(address)
        if len(added) < 2:
            return
        new = self._address()
        body = {"channel_type": "email", "channel_id": new}
        path = f"/v2/contact/{uuid}/channel?channel_id={added[0]}"
        await self._write(number, ("PUT", path, body), {added[0]: False, new: True})
        path = f"/v2/contact/{uuid}/channel/email?channel_id={added[1]}"
        await self._write(number, ("DELETE", path, None), {added[1]: False})

    async def _create(self, number: int) -> str:
        address = self._address()
        body = {"contact_channels": [{"channel_type": "email", "channel_id": address}]}
        response = await self._request(number, ("POST", "/v2/contact", body))
        if response is None:
            return ""
        uuid = str(response.json()["uuid"])
        self.log.record_acknowledged(uuid, {address: True})
        return uuid

    async def _write(
        self, number: int, sent: tuple[str, str, object], state: dict[str, bool]
    ) -> bool:
        uuid = sent[1].split("/")[3]
        self.log.record_sent(uuid, state)
        response = await self._request(number, sent)
        if response is None:
            return False
        shown = {channel["channel_id"] for channel in response.json()}
        if {address for address, is_present in state.items() if is_present} - shown:
            self.wrong.append(f"{sent[0]} has a response without the written address")
        self.log.record_acknowledged(uuid, state)
        return True

    async def _request(self, number: int, sent: tuple[str, str, object]) -> Response | None:
        """Send a request; return the response if it was served, or None."""
        await asyncio.sleep(self._pause)
        try:
            response = await self._clients[number].request(*sent)
        except ConnectionLostError:
            self.cuts += 1
            return None
        if response.status == 200:
            self.served_at[number] = time.monotonic()
            return response
        if fault := fault_of_refusal(response):
            self.wrong.append(f"{sent[0]} {sent[1]}: {response.status} {fault} {response.body!r}")
        self.refused_at[number] = time.monotonic()
        self.refused_after.append(response.seconds)
        return None

    def _address(self) -> str:
        return f"w{next(self._numbers)}-{uuid4().hex[:6]}@example.test"


UNAVAILABLE_CODES = ("store_unavailable", "contended")


def fault_of_refusal(response: Response) -> str:
    """Return the fault of a refusal without a database; empty if it is as documented."""
    if response.status != 503:
        return "is no 503"
    error = response.json()
    # A connection whose responses are lost may have locked a contact: later writes are contended.
    if error["error"] != "unavailable" or error["error_code"] not in UNAVAILABLE_CODES:
        return "has another error"
    if not response.headers.get("retry-after", "").isdigit():
        return "has no Retry-After"
    return "" if response.headers["x-request-id"] == error["request_id"] else "has no X-Request-Id"
