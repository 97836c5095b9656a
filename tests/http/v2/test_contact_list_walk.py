"""Property: a list that is walked by `date` ends, and contains every contact.

Each client passes the last row's `updated` back as its language's date type prints it. The stored
times are planted by SQL, so that many contacts share a second, a millisecond or a microsecond,
and contacts are changed, created and deleted between the pages.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from reachbook.domain import timestamps
from tests.support.corrupt import ruin
from tests.support.personas import Api, TeamClient, create_team_client

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 10, 0, 0, tzinfo=UTC)
START_MICROS = int(START.timestamp()) * timestamps.SECOND
CONTACTS = 40
WRITES = 25
MAX_PAGES = 2 * (CONTACTS + WRITES)
LIMITS = (1, 1, 2, 3, 5, 20, 500)


# ── clients ──────────────────────────────────────────────────────────────────────────────────


def unchanged(text: str) -> str:
    return text


def python(text: str) -> str:
    """`datetime.isoformat()`: six digits, or no fraction if the microseconds are 0."""
    return datetime.fromisoformat(text).isoformat()


def go(text: str) -> str:
    """`time.RFC3339Nano`: without trailing zeros."""
    return text.rstrip("Z").rstrip("0").rstrip(".") + "Z"


def java(text: str) -> str:
    """`Instant.toString()`: 0, 3 or 6 digits."""
    digits = text[20:26].removesuffix("000").removesuffix("000")
    return f"{text[:19]}.{digits}Z" if digits else f"{text[:19]}Z"


def javascript(text: str) -> str:
    """`Date.toISOString()`: three digits always."""
    return f"{text[:23]}Z"


def java_millis(text: str) -> str:
    """`Instant.truncatedTo(MILLIS)`: three digits, or no fraction."""
    return java(f"{text[:23]}000Z")


def ruby(text: str) -> str:
    """`Time#to_s`."""
    return f"{text[:10]} {text[11:19]} UTC"


def swift(text: str) -> str:
    """`ISO8601DateFormatter` in another zone: seconds."""
    local = datetime.fromisoformat(text).astimezone(timezone(timedelta(hours=5, minutes=30)))
    return local.isoformat(timespec="seconds")


Client = Callable[[str], str]
CLIENTS: list[Client] = [unchanged, python, go, java, javascript, java_millis, ruby, swift]
NEVER_REPEAT = {unchanged, javascript}


# ── a team whose contacts are changed while it is listed ─────────────────────────────────────


@dataclass
class Team:
    """Contacts at planted times, and a record of what was done to them."""

    api: Api
    by: TeamClient
    choose: random.Random
    uuids: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    writes_left: int = WRITES

    async def plant(self) -> None:
        """Create contacts; many share a second, a millisecond or a microsecond."""
        rows = {"contacts": [{"first": f"Person {number}"} for number in range(CONTACTS)]}
        made = (await self.request("POST", "/v2/contacts", rows))["contacts"]
        self.uuids = [one["uuid"] for one in made]
        times = self._times()
        cases = " ".join(f"WHEN {one['id']} THEN {next(times)}" for one in made)
        await ruin(
            self.api.database,
            f"UPDATE contact SET updated = CASE id {cases} END "
            f"WHERE team_id = {self.by.team.team_id}",
        )
        self.api.clock.now = START_MICROS + self.choose.choice([4, 5]) * timestamps.SECOND

    def _times(self) -> Any:
        seconds = self.choose.choice([1, 2, 5])
        crowded = self.choose.random() < 0.5
        millis = [0, 1, 500, 999] if crowded else range(1000)
        micros = [0, 1, 999] if crowded else range(1000)
        while True:
            second = self.choose.randrange(seconds)
            within = self.choose.choice(millis) * 1000 + self.choose.choice(micros)
            yield START_MICROS + second * timestamps.SECOND + within

    async def write(self) -> None:
        """A few random changes; the clock stands still, or moves by a little or by more."""
        for _ in range(min(self.choose.choice([0, 0, 1, 2]), self.writes_left)):
            self.writes_left -= 1
            self.api.clock.now += self.choose.choice([0, 1, 700, 300_000, 1_000_000])
            await self._write()

    async def _write(self) -> None:
        alive = [uuid for uuid in self.uuids if uuid not in self.deleted]
        uuid = self.choose.choice(alive)
        match self.choose.randrange(10):
            case 0:
                self.deleted.add(uuid)
                await self.request("DELETE", f"/v2/contact/{uuid}")
            case 1:
                await self.request("POST", "/v2/contact", {"first": "New"})
            case _:
                self.changed.add(uuid)
                await self.request(
                    "PUT", f"/v2/contact/{uuid}", {"last": f"turn {self.writes_left}"}
                )

    async def request(self, method: str, path: str, body: object = None) -> Any:
        """The body of a successful response."""
        answer = await self.api.request(method, path, body, by=self.by.by_key())
        assert answer.status_code == 200, (body, answer.text)
        return answer.json()

    def must_be_seen(self, *, ascending: bool) -> set[str]:
        """Returns the contacts that the list must contain."""
        there = set(self.uuids) - self.deleted
        return there if ascending else there - self.changed


async def walk(team: Team, client: Client, limit: int, *, ascending: bool) -> list[str]:
    """The UUIDs of a whole list; every page is in order, and no shorter than `limit`."""
    rows: list[dict[str, Any]] = []
    body: dict[str, Any] = {"limit": limit, "ascending": ascending, "page": 0}
    for _ in range(MAX_PAGES):
        page = await team.request("POST", "/v2/contacts/list", body)
        if not page:
            return [one["uuid"] for one in rows]
        times = [one["updated"] for one in page]
        assert times == sorted(times, reverse=not ascending)
        rows += page
        body["date"] = client(times[-1])
        await team.write()
    raise AssertionError(f"no end after {MAX_PAGES} pages: {body}")


@pytest.mark.parametrize("ascending", [True, False], ids=["ascending", "descending"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_walked_list_ends_and_contains_every_contact(
    api: Api, client: Client, *, ascending: bool
) -> None:
    for seed in range(3):
        choose = random.Random(f"{client.__name__} {ascending} {seed}")
        by = await create_team_client(api.administration, f"Team {seed}", api.clock)
        team = Team(api, by, choose)
        await team.plant()
        limit = choose.choice(LIMITS)

        seen = Counter(await walk(team, client, limit, ascending=ascending))

        missing = team.must_be_seen(ascending=ascending) - seen.keys()
        assert not missing, f"seed {seed}, limit {limit}: {len(missing)} are missing"
        if client in NEVER_REPEAT:
            still = team.must_be_seen(ascending=ascending) - team.changed
            assert {seen[uuid] for uuid in still} <= {1}
