"""What the store does when others are in its way: held contacts, locks, deadlocks, lost lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from reachbook.domain import channel_rules, event
from reachbook.domain import contact as contacts
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ChannelList
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.suppression import KnownSuppressions
from reachbook.storage import (
    STALE,
    Commit,
    Conflict,
    LockSet,
    Outcome,
    Saved,
    Store,
    open_store,
    retry,
)
from tests.support.personas import ALICE, NOBODY
from tests.support.raw_sql import Raw, beside

pytestmark = pytest.mark.anyio

TEAM = TeamId(1)
HOLD = LockSet(TEAM, ChannelList, ALICE)
PHONE = addresses.channel_type("phone")


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Store]:
    """A store with one team and Alice, who has one phone."""
    opened = await open_store(database)
    team = await opened.create_team("Bob's team", None, 1)
    assert team.team_id == TEAM
    await opened.commit(new(ALICE, "15105553344"))
    yield opened
    await opened.close()


def phone(digits: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, digits))


def new(uuid: str, digits: str) -> Commit:
    made = contacts.create(TEAM, uuid, ContactInput((phone(digits),)), 1)
    return Commit(event.change(None, made), "a", "r")


def _step(seen: ChannelList | None, after: ChannelList) -> Commit:
    return Commit(event.change(seen, after), "a", "r")


def adding(
    digits: str,
) -> Callable[[ChannelList | None, list[ChannelList], KnownSuppressions], Commit]:
    def attempt(
        seen: ChannelList | None, _owners: list[ChannelList], _known: KnownSuppressions
    ) -> Commit:
        return _step(seen, channel_rules.add_channel(seen, phone(digits), 9))

    return attempt


async def held(opened: Store, digits: str) -> Outcome:
    return await opened.commit_locked(HOLD, adding(digits))


async def free(opened: Store, digits: str) -> Outcome:
    return await opened.commit(adding(digits)(await opened.read(ChannelList, TEAM, ALICE), [], {}))


async def digits_of(opened: Store) -> list[str]:
    seen = await opened.read(ChannelList, TEAM, ALICE)
    assert seen is not None
    return [one.channel_id for one in seen.channels]


async def test_it_works(opened: Store) -> None:
    outcome = await held(opened, "15105553345")

    assert isinstance(outcome, Saved)
    assert await opened.read(ChannelList, TEAM, ALICE) == outcome.after
    assert await digits_of(opened) == ["15105553344", "15105553345"]


async def test_who_holds_a_contact_is_never_stale(opened: Store) -> None:
    numbers = [f"1510555{number:04d}" for number in range(20)]

    outcomes = await asyncio.gather(*(held(opened, one) for one in numbers))

    assert all(isinstance(one, Saved) for one in outcomes)
    assert sorted(await digits_of(opened)) == sorted([*numbers, "15105553344"])


async def test_a_held_change_of_nothing_writes_nothing(opened: Store, database: str) -> None:
    outcome = await held(opened, "15105553344")

    assert isinstance(outcome, Saved)
    assert outcome.after.rev == 1
    assert await beside(database)("SELECT count(*) FROM event") == [(1,)]


async def test_a_rule_that_refuses_lets_go(opened: Store) -> None:
    def refuse(
        _seen: ChannelList | None, _owners: list[ChannelList], _known: KnownSuppressions
    ) -> Commit:
        raise Refusal(Reason.NO_CHANNEL, "No.")

    with pytest.raises(Refusal, match=r"^No\.$"):
        await opened.commit_locked(HOLD, refuse)

    assert isinstance(await held(opened, "15105553345"), Saved)


async def test_a_held_contact_that_is_not_there_is_seen_as_none(opened: Store) -> None:
    seen: list[ChannelList | None] = []

    def attempt(
        channel_list: ChannelList | None, owners: list[ChannelList], known: KnownSuppressions
    ) -> Commit:
        seen.append(channel_list)
        return adding("15105553345")(channel_list, owners, known)

    with pytest.raises(Refusal, match="no contact"):
        await opened.commit_locked(LockSet(TEAM, ChannelList, NOBODY), attempt)

    assert seen == [None]


async def test_those_who_may_have_to_make_way_are_held_and_shown(opened: Store) -> None:
    """A UUID that is nobody's is passed over."""
    await opened.commit(new(NOBODY, "15105553399"))
    shown: list[ChannelList] = []

    def attempt(
        seen: ChannelList | None, owners: list[ChannelList], known: KnownSuppressions
    ) -> Commit:
        shown.extend(owners)
        return adding("15105553345")(seen, owners, known)

    hold = LockSet(TEAM, ChannelList, ALICE, frozenset({str(UUID(int=9)), NOBODY}))

    assert isinstance(await opened.commit_locked(hold, attempt), Saved)
    assert shown == [await opened.read(ChannelList, TEAM, NOBODY)]


async def test_an_address_that_is_taken_is_told_with_its_owner(
    opened: Store, database: str
) -> None:
    await opened.commit(new(NOBODY, "15105553399"))
    before = await beside(database)("SELECT * FROM contact ORDER BY id")

    for way in (held, free):
        outcome = await way(opened, "15105553399")
        assert isinstance(outcome, Conflict)
        assert (outcome.owner_uuid, outcome.field) == (NOBODY, "address")

    assert await beside(database)("SELECT * FROM contact ORDER BY id") == before


# ── PostgreSQL alone ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def on_postgres(empty_postgres: str) -> AsyncIterator[tuple[Store, asyncpg.Connection]]:
    """The same store, and another program's connection that is never the victim of a deadlock."""
    raw: Raw = beside(empty_postgres)
    name = urlsplit(empty_postgres).path[1:]
    await raw(f"ALTER DATABASE {name} SET deadlock_timeout = '100ms'")
    opened = await open_store(empty_postgres)
    await opened.migrate()
    await opened.create_team("Bob's team", None, 1)
    await opened.commit(new(ALICE, "15105553344"))
    other = await asyncpg.connect(empty_postgres)
    await other.execute("SET deadlock_timeout = '20s'")
    yield opened, other
    await other.close()
    await opened.close()


@pytest.mark.parametrize("way", [free, held])
async def test_a_deadlock_is_tried_again(
    on_postgres: tuple[Store, asyncpg.Connection],
    way: Callable[[Store, str], Coroutine[Any, Any, Outcome]],
) -> None:
    """The other one holds the address, we hold the contact, and each wants what the other has."""
    opened, other = on_postgres
    await opened.commit(new(NOBODY, "15105553399"))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE contact_channel SET identity = '15105553345' WHERE id > 1")
    ours = asyncio.create_task(way(opened, "15105553345"))
    await asyncio.sleep(0.05)
    await other.execute(f"UPDATE contact SET last = 'x' WHERE uuid = '{ALICE}'", timeout=10)
    await transaction.rollback()

    assert isinstance(await asyncio.wait_for(ours, 10), Saved)
    assert await digits_of(opened) == ["15105553344", "15105553345"]


async def test_an_address_whose_owner_is_not_locked_is_not_waited_for(
    on_postgres: tuple[Store, asyncpg.Connection],
) -> None:
    """Another program is about to release it, and may wait for what this commit has locked."""
    opened, other = on_postgres
    await opened.commit(new(NOBODY, "15105553399"))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("DELETE FROM contact_channel WHERE identity = '15105553399'")

    outcome = await asyncio.wait_for(held(opened, "15105553399"), 1)
    await transaction.rollback()

    assert isinstance(outcome, Conflict)
    assert outcome.owner_uuid == NOBODY


async def test_a_deadlock_outside_a_commit_is_tried_again(
    on_postgres: tuple[Store, asyncpg.Connection],
) -> None:
    """The sweeper deletes old responses, and another program the same ones in another order."""
    opened, other = on_postgres
    for number in (1, 2):
        await other.execute(
            "INSERT INTO idempotency (team_id, key, request_hash, status, headers, body, created) "
            f"VALUES (1, 'k{number}', '', 200, '[]', '', {number})"
        )
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT key FROM idempotency WHERE key = 'k2' FOR UPDATE")
    sweeping = asyncio.create_task(opened.purge_expired_responses(TEAM, 9))
    await asyncio.sleep(0.05)
    await other.execute("SELECT key FROM idempotency WHERE key = 'k1' FOR UPDATE", timeout=10)
    await transaction.rollback()

    assert not await asyncio.wait_for(sweeping, 10)
    assert await other.fetch("SELECT key FROM idempotency") == []


@pytest.mark.parametrize(
    "error", [asyncpg.DeadlockDetectedError("no"), asyncpg.SerializationError("no")]
)
async def test_tries_end_before_the_request_does(
    on_postgres: tuple[Store, asyncpg.Connection],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """PostgreSQL takes a second to see a deadlock: the third try would begin too late."""
    opened, tries = on_postgres[0], 0
    second = 0.1
    monkeypatch.setattr(retry, "RETRY_SECONDS", retry.RETRY_SECONDS * second)

    async def deadlock(_connection: object) -> None:
        nonlocal tries
        tries += 1
        await asyncio.sleep(second)
        raise error

    with pytest.raises(Refusal) as refused:
        await opened.engine._contended(deadlock)  # type: ignore[attr-defined]

    assert (refused.value.reason, tries) == (Reason.CONTENDED, 2)


async def test_connections_that_were_lost_are_made_anew(
    on_postgres: tuple[Store, asyncpg.Connection],
) -> None:
    opened, other = on_postgres
    await asyncio.gather(*(opened.read(ChannelList, TEAM, ALICE) for _ in range(5)))
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    for _ in range(20):
        try:
            outcome = await free(opened, "15105553345")
        except Refusal as no:
            assert no.reason is Reason.STORE_UNAVAILABLE  # noqa: PT017 - it may also answer at once
        else:
            break
    else:
        pytest.fail("it never came back")

    assert isinstance(outcome, Saved)


async def test_a_database_that_is_gone_is_unavailable(
    on_postgres: tuple[Store, asyncpg.Connection], postgres: str
) -> None:
    opened, other = on_postgres
    name = await other.fetchval("SELECT current_database()")
    await beside(postgres)(f"DROP DATABASE {name} WITH (FORCE)")

    for _ in range(3):
        with pytest.raises(Refusal) as refused:
            await opened.read(ChannelList, TEAM, ALICE)
        assert refused.value.reason is Reason.STORE_UNAVAILABLE
        assert refused.value.retry_after == 1


async def test_a_database_that_became_read_only_is_unavailable(
    on_postgres: tuple[Store, asyncpg.Connection], empty_postgres: str
) -> None:
    """As after a failover, when the old primary has become a standby."""
    opened, other = on_postgres
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    standby = await open_store(empty_postgres)
    try:
        with pytest.raises(Refusal) as refused:
            await free(standby, "15105553345")
    finally:
        await standby.close()

    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert await digits_of(opened) == ["15105553344"]


async def test_a_commit_that_is_overtaken_for_ever_ends(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unique key that refuses while nobody is found in the way: tried again, but not for ever."""

    async def nobody(_commit: Commit) -> None:
        return None

    await opened.commit(new(NOBODY, "15105553399"))
    monkeypatch.setattr(opened, "_find_conflict", nobody)

    assert await free(opened, "15105553399") is STALE
    assert await held(opened, "15105553399") is STALE
