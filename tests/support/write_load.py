"""Clients that write all the time and record what was acknowledged."""

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

Knowledge = dict[str, bool | None]
"""Addresses of a contact: present, absent, or None while a write of it has no response."""


@dataclass
class Ledger:
    """The writes that were sent and that were acknowledged, in order."""

    lines: list[tuple[str, Knowledge]] = field(default_factory=list)
    acknowledged: int = 0

    def record_sent(self, uuid: str, then: dict[str, bool]) -> None:
        """Record a write that was sent: until it is acknowledged, either state is possible."""
        self.lines.append((uuid, dict.fromkeys(then)))

    def record_acknowledged(self, uuid: str, then: dict[str, bool]) -> None:
        """Record a write that was acknowledged."""
        self.acknowledged += 1
        self.lines.append((uuid, dict(then)))

    def contacts(self) -> dict[str, Knowledge]:
        """Return the addresses of each contact."""
        known: dict[str, Knowledge] = {}
        for uuid, said in self.lines:
            known.setdefault(uuid, {}).update(said)
        return known


class Load:
    """Several clients that write; each waits `pause` seconds before a request."""

    def __init__(self, clients: Sequence[Requester], pause: float = PAUSE_SECONDS) -> None:
        self.ledger = Ledger()
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
        tasks = [asyncio.create_task(self._work(one)) for one in range(len(self._clients))]
        try:
            yield self
        finally:
            self._stopping = True
            await asyncio.gather(*tasks)

    def all_served_since(self, moment: float) -> bool:
        """Return whether each client was served since a time, and not refused after that."""
        last = zip(self.served_at, self.refused_at, strict=True)
        return all(served > max(moment, refused) for served, refused in last)

    async def _work(self, number: int) -> None:
        while not self._stopping:
            await self._change_contact(number)
        self._clients[number].close()

    async def _change_contact(self, number: int) -> None:
        """Create a contact, add addresses, replace one and delete one."""
        uuid = await self._create(number)
        held: list[str] = []
        for _ in range(ADDS if uuid else 0):
            address = self._address()
            body = {"channel_type": "email", "channel_id": address}
            sent = ("POST", f"/v2/contact/{uuid}/channel", body)
            if await self._write(number, sent, {address: True}):
                held.append(address)
        if len(held) < 2:
            return
        new = self._address()
        body = {"channel_type": "email", "channel_id": new}
        path = f"/v2/contact/{uuid}/channel?channel_id={held[0]}"
        await self._write(number, ("PUT", path, body), {held[0]: False, new: True})
        path = f"/v2/contact/{uuid}/channel/email?channel_id={held[1]}"
        await self._write(number, ("DELETE", path, None), {held[1]: False})

    async def _create(self, number: int) -> str:
        address = self._address()
        body = {"contact_channels": [{"channel_type": "email", "channel_id": address}]}
        answer = await self._request(number, ("POST", "/v2/contact", body))
        if answer is None:
            return ""
        uuid = str(answer.json()["uuid"])
        self.ledger.record_acknowledged(uuid, {address: True})
        return uuid

    async def _write(
        self, number: int, sent: tuple[str, str, object], then: dict[str, bool]
    ) -> bool:
        uuid = sent[1].split("/")[3]
        self.ledger.record_sent(uuid, then)
        answer = await self._request(number, sent)
        if answer is None:
            return False
        shown = {one["channel_id"] for one in answer.json()}
        if {address for address, there in then.items() if there} - shown:
            self.wrong.append(f"{sent[0]} was answered without what it wrote")
        self.ledger.record_acknowledged(uuid, then)
        return True

    async def _request(self, number: int, sent: tuple[str, str, object]) -> Response | None:
        """Send a request; return the response if it was served, or None."""
        await asyncio.sleep(self._pause)
        try:
            answer = await self._clients[number].request(*sent)
        except ConnectionLostError:
            self.cuts += 1
            return None
        if answer.status == 200:
            self.served_at[number] = time.monotonic()
            return answer
        if fault := untyped(answer):
            self.wrong.append(f"{sent[0]} {sent[1]}: {answer.status} {fault} {answer.body!r}")
        self.refused_at[number] = time.monotonic()
        self.refused_after.append(answer.seconds)
        return None

    def _address(self) -> str:
        return f"w{next(self._numbers)}-{uuid4().hex[:6]}@example.test"


FOR_WANT_OF_A_STORE = ("store_unavailable", "contended")


def untyped(answer: Response) -> str:
    """Return what a refusal without a store lacks; empty if it is as documented."""
    if answer.status != 503:
        return "is no 503"
    told = answer.json()
    # A connection that is deaf can hold a contact: then others are in the way of the next one.
    if told["error"] != "unavailable" or told["error_code"] not in FOR_WANT_OF_A_STORE:
        return "has another error"
    if not answer.headers.get("retry-after", "").isdigit():
        return "has no Retry-After"
    return "" if answer.headers["x-request-id"] == told["request_id"] else "has no X-Request-Id"
