"""Many concurrent clients over HTTP: PostgreSQL with two workers, SQLite with one."""

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
def url_and_key(database: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URL of a server, and an API key."""
    home = Home(tmp_path / "data").having(database=database)
    _, api_key = home.team_with_key()
    with home.serve(*worker_arguments(database)) as server:
        yield server.url, api_key


@pytest.fixture
async def client(url_and_key: tuple[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client with as many connections as there are clients in a race."""
    url, api_key = url_and_key
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    headers = {"authorization": f"Bearer {api_key}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=SECONDS
    ) as opened:
        yield opened


async def create_contacts(client: httpx.AsyncClient, count: int) -> list[str]:
    responses = await asyncio.gather(*(client.post("/v2/contact", json={}) for _ in range(count)))
    return [str(response.json()["uuid"]) for response in responses]


def add(client: httpx.AsyncClient, uuid: str, address: str) -> asyncio.Task[httpx.Response]:
    body = {"channel_type": "phone", "channel_id": address}
    return asyncio.ensure_future(client.post(f"/v2/contact/{uuid}/channel", json=body))


async def list_addresses(client: httpx.AsyncClient, uuid: str) -> list[str]:
    response = await client.get(f"/v2/contact/{uuid}/channels")
    return [str(channel["channel_id"]) for channel in response.json()]


async def test_only_one_of_fifty_contacts_gets_an_address(client: httpx.AsyncClient) -> None:
    """Fifty clients add an address to a contact each: the others get 409 with the owner."""
    uuids = await create_contacts(client, CLIENTS)
    for number in range(ROUNDS):
        digits = f"151055510{number:02d}"
        spellings = itertools.cycle((digits, f"+{digits}", f"+1 (510) 555-10{number:02d}"))
        responses = await asyncio.gather(
            *(add(client, uuid, text) for uuid, text in zip(uuids, spellings, strict=False))
        )

        [owner] = [
            (uuid, response.json()[-1])
            for uuid, response in zip(uuids, responses, strict=True)
            if response.status_code == 200
        ]
        refusals = [response.json() for response in responses if response.status_code == 409]
        assert len(refusals) == CLIENTS - 1, {response.status_code for response in responses}
        for refusal in refusals:
            assert refusal["error_code"] == "address_taken"
            assert refusal["conflicting_contact_id"] == owner[0]
            assert refusal["conflicting_channel_id"] == owner[1]["id"]
            assert refusal["channel_id"] == owner[1]["channel_id"] == digits

    lists = await asyncio.gather(*(list_addresses(client, uuid) for uuid in uuids))
    assert sorted(itertools.chain(*lists)) == [f"151055510{n:02d}" for n in range(ROUNDS)]


async def test_fifty_concurrent_addresses_are_added_to_one_contact(
    client: httpx.AsyncClient,
) -> None:
    [uuid] = await create_contacts(client, 1)
    numbers = [f"1510555{number:04d}" for number in range(CLIENTS)]

    responses = await asyncio.gather(*(add(client, uuid, number) for number in numbers))

    assert {response.status_code for response in responses} == {200}
    for number, response in zip(numbers, responses, strict=True):
        assert number in [channel["channel_id"] for channel in response.json()]
    assert sorted(await list_addresses(client, uuid)) == numbers
    contact = (await client.get(f"/v2/contact/{uuid}")).json()
    assert contact["rev"] == 1 + CLIENTS
    assert len({channel["id"] for channel in contact["contact_channels"]}) == CLIENTS


async def test_two_contacts_that_replace_each_others_address_have_one_each(
    client: httpx.AsyncClient,
) -> None:
    """Requests for both addresses run on both contacts; each responds with 200 or 409."""
    first, second = await create_contacts(client, 2)
    await add(client, first, "15105551001")
    await add(client, second, "15105551002")

    for _ in range(ROUNDS):
        puts = [
            client.put(
                f"/v2/contact/{uuid}/channel", json={"channel_type": "phone", "channel_id": number}
            )
            for uuid, number in itertools.product((first, second), ("15105551001", "15105551002"))
        ]
        statuses = {response.status_code for response in await asyncio.gather(*puts)}
        assert statuses <= {200, 409}
        assert sorted(
            [*await list_addresses(client, first), *await list_addresses(client, second)]
        ) == [
            "15105551001",
            "15105551002",
        ]


async def test_an_address_added_during_a_deletion_is_released(
    client: httpx.AsyncClient,
) -> None:
    for number in range(ROUNDS):
        gone, other = await create_contacts(client, 2)
        address = f"151055520{number:02d}"
        deleted, _ = await asyncio.gather(
            client.delete(f"/v2/contact/{gone}"), add(client, gone, address)
        )

        assert deleted.status_code == 200
        assert (await add(client, other, address)).status_code == 200


# ── PUT and DELETE on one contact ────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Operation:
    """A request on the phones of one contact."""

    method: str
    address: str = ""

    def expected_outcome(self, before: tuple[str, ...]) -> Outcome:
        """Return the expected status and list of channels without concurrency."""
        if self.method == "POST":
            return 200, before if self.address in before else (*before, self.address)
        if not before:
            return 404, None
        if self.method == "DELETE":
            return (409, None) if len(before) > 1 else (200, ())
        if self.address in before[1:]:
            return 409, None
        return 200, (self.address, *before[1:])

    async def send(self, client: httpx.AsyncClient, uuid: str) -> Outcome:
        path = f"/v2/contact/{uuid}/channel"
        if self.method == "DELETE":
            response = await client.delete(f"{path}/phone")
        else:
            body = {"channel_type": "phone", "channel_id": self.address}
            response = await client.request(self.method, path, json=body)
        if response.status_code != 200:
            return response.status_code, None
        return 200, tuple(channel["channel_id"] for channel in response.json())


OPERATIONS = [
    Operation("PUT", "15105551002"),
    Operation("DELETE"),
    Operation("PUT", "15105551003"),
    Operation("POST", "15105551004"),
    Operation("DELETE"),
]


def is_serializable(
    start: tuple[str, ...], outcomes: Sequence[Outcome], end: tuple[str, ...]
) -> bool:
    """Return whether some order of the operations, one after the other, has the same outcomes."""
    for order in itertools.permutations(range(len(OPERATIONS))):
        before = start
        for number in order:
            outcome = OPERATIONS[number].expected_outcome(before)
            if outcome != outcomes[number]:
                break
            before = before if outcome[1] is None else outcome[1]
        else:
            if before == end:
                return True
    return False


def test_is_serializable_detects_an_impossible_outcome() -> None:
    start, outcomes = ("15105551001",), []
    before: tuple[str, ...] = start
    for operation in OPERATIONS:
        outcomes.append(operation.expected_outcome(before))
        before = before if outcomes[-1][1] is None else outcomes[-1][1]

    assert is_serializable(start, outcomes, before)
    assert not is_serializable(start, outcomes, ("15105551002",))
    assert not is_serializable(start, [(200, ("15105551002",)), *outcomes[2:], (200, ())], before)


async def test_concurrent_put_and_delete_are_serializable(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(ROUNDS):
        [uuid] = await create_contacts(client, 1)
        assert (await add(client, uuid, "15105551001")).status_code == 200

        outcomes = await asyncio.gather(*(operation.send(client, uuid) for operation in OPERATIONS))
        end = tuple(await list_addresses(client, uuid))

        assert is_serializable(("15105551001",), outcomes, end), (outcomes, end)
        assert (await client.delete(f"/v2/contact/{uuid}")).status_code == 200
