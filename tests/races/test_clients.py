"""Many clients at once over real HTTP: PostgreSQL with two workers, SQLite with its one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.home import Home
from tests.support.server_process import worker_arguments

pytestmark = pytest.mark.anyio

CLIENTS = 50
ROUNDS = 20
SECONDS = 20

Outcome = tuple[int, tuple[str, ...] | None]


@pytest.fixture
def served(database: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URL of a server, and an API key."""
    home = Home(tmp_path / "data").having(database=database)
    _, api_key = home.team_with_key()
    with home.serve(*worker_arguments(database)) as server:
        yield server.url, api_key


@pytest.fixture
async def client(served: tuple[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client with as many connections as there are clients in a race."""
    url, api_key = served
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    headers = {"authorization": f"Bearer {api_key}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=SECONDS
    ) as opened:
        yield opened


async def contacts(client: httpx.AsyncClient, count: int) -> list[str]:
    answers = await asyncio.gather(*(client.post("/v2/contact", json={}) for _ in range(count)))
    return [str(one.json()["uuid"]) for one in answers]


def add(client: httpx.AsyncClient, uuid: str, address: str) -> asyncio.Task[httpx.Response]:
    body = {"channel_type": "phone", "channel_id": address}
    return asyncio.ensure_future(client.post(f"/v2/contact/{uuid}/channel", json=body))


async def listed(client: httpx.AsyncClient, uuid: str) -> list[str]:
    answer = await client.get(f"/v2/contact/{uuid}/channels")
    return [str(one["channel_id"]) for one in answer.json()]


async def test_it_works(client: httpx.AsyncClient) -> None:
    """Fifty add one address to fifty contacts: one gets it, and the others are told who has it."""
    uuids = await contacts(client, CLIENTS)
    for number in range(ROUNDS):
        digits = f"151055510{number:02d}"
        spellings = itertools.cycle((digits, f"+{digits}", f"+1 (510) 555-10{number:02d}"))
        answers = await asyncio.gather(
            *(add(client, uuid, text) for uuid, text in zip(uuids, spellings, strict=False))
        )

        [owner] = [
            (uuid, one.json()[-1])
            for uuid, one in zip(uuids, answers, strict=True)
            if one.status_code == 200
        ]
        refusals = [one.json() for one in answers if one.status_code == 409]
        assert len(refusals) == CLIENTS - 1, {one.status_code for one in answers}
        for refusal in refusals:
            assert refusal["error_code"] == "address_taken"
            assert refusal["conflicting_contact_id"] == owner[0]
            assert refusal["conflicting_channel_id"] == owner[1]["id"]
            assert refusal["channel_id"] == owner[1]["channel_id"] == digits

    lists = await asyncio.gather(*(listed(client, uuid) for uuid in uuids))
    assert sorted(itertools.chain(*lists)) == [f"151055510{n:02d}" for n in range(ROUNDS)]


async def test_fifty_addresses_for_one_contact_all_land(client: httpx.AsyncClient) -> None:
    [uuid] = await contacts(client, 1)
    numbers = [f"1510555{number:04d}" for number in range(CLIENTS)]

    answers = await asyncio.gather(*(add(client, uuid, one) for one in numbers))

    assert {one.status_code for one in answers} == {200}
    for number, answer in zip(numbers, answers, strict=True):
        assert number in [one["channel_id"] for one in answer.json()]
    assert sorted(await listed(client, uuid)) == numbers
    contact = (await client.get(f"/v2/contact/{uuid}")).json()
    assert contact["rev"] == 1 + CLIENTS
    assert len({one["id"] for one in contact["contact_channels"]}) == CLIENTS


async def test_two_contacts_that_swap_addresses_end_with_an_owner_each(
    client: httpx.AsyncClient,
) -> None:
    """Each takes the address of the other and releases its own; no request hangs or fails."""
    first, second = await contacts(client, 2)
    await add(client, first, "15105551001")
    await add(client, second, "15105551002")

    for _ in range(ROUNDS):
        puts = [
            client.put(
                f"/v2/contact/{uuid}/channel", json={"channel_type": "phone", "channel_id": number}
            )
            for uuid, number in itertools.product((first, second), ("15105551001", "15105551002"))
        ]
        statuses = {one.status_code for one in await asyncio.gather(*puts)}
        assert statuses <= {200, 409}
        assert sorted([*await listed(client, first), *await listed(client, second)]) == [
            "15105551001",
            "15105551002",
        ]


async def test_a_contact_that_is_deleted_meanwhile_keeps_no_address(
    client: httpx.AsyncClient,
) -> None:
    for number in range(ROUNDS):
        gone, other = await contacts(client, 2)
        address = f"151055520{number:02d}"
        deleted, _ = await asyncio.gather(
            client.delete(f"/v2/contact/{gone}"), add(client, gone, address)
        )

        assert deleted.status_code == 200
        assert (await add(client, other, address)).status_code == 200


# ── PUT and DELETE on one contact ────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Operation:
    """A request on the phones of one contact."""

    method: str
    address: str = ""

    def told(self, had: tuple[str, ...]) -> Outcome:
        """What a single client would be answered: the status and, if it worked, the list."""
        if self.method == "POST":
            return 200, had if self.address in had else (*had, self.address)
        if not had:
            return 404, None
        if self.method == "DELETE":
            return (409, None) if len(had) > 1 else (200, ())
        if self.address in had[1:]:
            return 409, None
        return 200, (self.address, *had[1:])

    async def send(self, client: httpx.AsyncClient, uuid: str) -> Outcome:
        path = f"/v2/contact/{uuid}/channel"
        if self.method == "DELETE":
            answer = await client.delete(f"{path}/phone")
        else:
            body = {"channel_type": "phone", "channel_id": self.address}
            answer = await client.request(self.method, path, json=body)
        if answer.status_code != 200:
            return answer.status_code, None
        return 200, tuple(one["channel_id"] for one in answer.json())


RACERS = [
    Operation("PUT", "15105551002"),
    Operation("DELETE"),
    Operation("PUT", "15105551003"),
    Operation("POST", "15105551004"),
    Operation("DELETE"),
]


def explained(start: tuple[str, ...], told: Sequence[Outcome], end: tuple[str, ...]) -> bool:
    """Whether one after the other, in some order, they would have been told the same."""
    for order in itertools.permutations(range(len(RACERS))):
        had = start
        for number in order:
            outcome = RACERS[number].told(had)
            if outcome != told[number]:
                break
            had = had if outcome[1] is None else outcome[1]
        else:
            if had == end:
                return True
    return False


def test_the_judge_of_orders_is_not_blind() -> None:
    start, one_by_one = ("15105551001",), []
    had: tuple[str, ...] = start
    for racer in RACERS:
        one_by_one.append(racer.told(had))
        had = had if one_by_one[-1][1] is None else one_by_one[-1][1]

    assert explained(start, one_by_one, had)
    assert not explained(start, one_by_one, ("15105551002",))
    assert not explained(start, [(200, ("15105551002",)), *one_by_one[2:], (200, ())], had)


async def test_racing_put_and_delete_leave_what_some_order_explains(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(ROUNDS):
        [uuid] = await contacts(client, 1)
        assert (await add(client, uuid, "15105551001")).status_code == 200

        told = await asyncio.gather(*(racer.send(client, uuid) for racer in RACERS))
        end = tuple(await listed(client, uuid))

        assert explained(("15105551001",), told, end), (told, end)
        assert (await client.delete(f"/v2/contact/{uuid}")).status_code == 200
