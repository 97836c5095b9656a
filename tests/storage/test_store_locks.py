"""The store under contention: locked contacts, deadlocks, lost connections."""

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
from tests.support.raw_sql import Raw, sql_runner

pytestmark = pytest.mark.anyio

TEAM = TeamId(1)
LOCKS = LockSet(TEAM, ChannelList, ALICE)
PHONE = addresses.channel_type("phone")


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """A store with one team and a contact, Alice, with one phone."""
    store = await open_store(database)
    team = await store.create_team("Bob's team", None, 1)
    assert team.team_id == TEAM
    await store.commit(create_commit(ALICE, "15105553344"))
    yield store
    await store.close()


def phone(digits: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, digits))


def create_commit(uuid: str, digits: str) -> Commit:
    made = contacts.create(TEAM, uuid, ContactInput((phone(digits),)), 1)
    return Commit(event.change(None, made), "a", "r")


def _commit_of(seen: ChannelList | None, after: ChannelList) -> Commit:
    return Commit(event.change(seen, after), "a", "r")


def add_phone(
    digits: str,
) -> Callable[[ChannelList | None, list[ChannelList], KnownSuppressions], Commit]:
    def attempt(
        seen: ChannelList | None, _owners: list[ChannelList], _known: KnownSuppressions
    ) -> Commit:
        return _commit_of(seen, channel_rules.add_channel(seen, phone(digits), 9))

    return attempt


async def commit_locked(store: Store, digits: str) -> Outcome:
    return await store.commit_locked(LOCKS, add_phone(digits))


async def commit_unlocked(store: Store, digits: str) -> Outcome:
    return await store.commit(add_phone(digits)(await store.read(ChannelList, TEAM, ALICE), [], {}))


async def stored_numbers(store: Store) -> list[str]:
    seen = await store.read(ChannelList, TEAM, ALICE)
    assert seen is not None
    return [channel.channel_id for channel in seen.channels]


async def test_a_locked_commit_is_saved(store: Store) -> None:
    outcome = await commit_locked(store, "15105553345")

    assert isinstance(outcome, Saved)
    assert await store.read(ChannelList, TEAM, ALICE) == outcome.after
    assert await stored_numbers(store) == ["15105553344", "15105553345"]


async def test_locked_commits_are_never_stale(store: Store) -> None:
    numbers = [f"1510555{number:04d}" for number in range(20)]

    outcomes = await asyncio.gather(*(commit_locked(store, digits) for digits in numbers))

    assert all(isinstance(outcome, Saved) for outcome in outcomes)
    assert sorted(await stored_numbers(store)) == sorted([*numbers, "15105553344"])


async def test_a_locked_commit_without_changes_writes_nothing(store: Store, database: str) -> None:
    outcome = await commit_locked(store, "15105553344")

    assert isinstance(outcome, Saved)
    assert outcome.after.rev == 1
    assert await sql_runner(database)("SELECT count(*) FROM event") == [(1,)]


async def test_a_refusal_releases_the_lock(store: Store) -> None:
    def refuse(
        _seen: ChannelList | None, _owners: list[ChannelList], _known: KnownSuppressions
    ) -> Commit:
        raise Refusal(Reason.NO_CHANNEL, "No.")

    with pytest.raises(Refusal, match=r"^No\.$"):
        await store.commit_locked(LOCKS, refuse)

    assert isinstance(await commit_locked(store, "15105553345"), Saved)


async def test_an_unknown_contact_is_passed_as_none(store: Store) -> None:
    seen: list[ChannelList | None] = []

    def attempt(
        channel_list: ChannelList | None, owners: list[ChannelList], known: KnownSuppressions
    ) -> Commit:
        seen.append(channel_list)
        return add_phone("15105553345")(channel_list, owners, known)

    with pytest.raises(Refusal, match="no contact"):
        await store.commit_locked(LockSet(TEAM, ChannelList, NOBODY), attempt)

    assert seen == [None]


async def test_possible_owners_are_locked_and_passed(store: Store) -> None:
    """An unknown UUID is ignored."""
    await store.commit(create_commit(NOBODY, "15105553399"))
    passed: list[ChannelList] = []

    def attempt(
        seen: ChannelList | None, owners: list[ChannelList], known: KnownSuppressions
    ) -> Commit:
        passed.extend(owners)
        return add_phone("15105553345")(seen, owners, known)

    locks = LockSet(TEAM, ChannelList, ALICE, frozenset({str(UUID(int=9)), NOBODY}))

    assert isinstance(await store.commit_locked(locks, attempt), Saved)
    assert passed == [await store.read(ChannelList, TEAM, NOBODY)]


async def test_a_conflict_names_the_owner_of_the_address(store: Store, database: str) -> None:
    await store.commit(create_commit(NOBODY, "15105553399"))
    before = await sql_runner(database)("SELECT * FROM contact ORDER BY id")

    for write in (commit_locked, commit_unlocked):
        outcome = await write(store, "15105553399")
        assert isinstance(outcome, Conflict)
        assert (outcome.owner_uuid, outcome.field) == (NOBODY, "address")

    assert await sql_runner(database)("SELECT * FROM contact ORDER BY id") == before


# ── only PostgreSQL ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def store_and_other(empty_postgres: str) -> AsyncIterator[tuple[Store, asyncpg.Connection]]:
    """A store, and another program's connection, which PostgreSQL never aborts in a deadlock."""
    raw: Raw = sql_runner(empty_postgres)
    name = urlsplit(empty_postgres).path[1:]
    await raw(f"ALTER DATABASE {name} SET deadlock_timeout = '100ms'")
    store = await open_store(empty_postgres)
    await store.migrate()
    await store.create_team("Bob's team", None, 1)
    await store.commit(create_commit(ALICE, "15105553344"))
    other = await asyncpg.connect(empty_postgres)
    await other.execute("SET deadlock_timeout = '20s'")
    yield store, other
    await other.close()
    await store.close()


@pytest.mark.parametrize("write", [commit_unlocked, commit_locked])
async def test_a_deadlock_is_retried(
    store_and_other: tuple[Store, asyncpg.Connection],
    write: Callable[[Store, str], Coroutine[Any, Any, Outcome]],
) -> None:
    """The other connection locks the address and waits for the contact; the store vice versa."""
    store, other = store_and_other
    await store.commit(create_commit(NOBODY, "15105553399"))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE contact_channel SET identity = '15105553345' WHERE id > 1")
    ours = asyncio.create_task(write(store, "15105553345"))
    await asyncio.sleep(0.05)
    await other.execute(f"UPDATE contact SET last = 'x' WHERE uuid = '{ALICE}'", timeout=10)
    await transaction.rollback()

    assert isinstance(await asyncio.wait_for(ours, 10), Saved)
    assert await stored_numbers(store) == ["15105553344", "15105553345"]


async def test_a_commit_does_not_wait_for_an_owner_that_is_not_locked(
    store_and_other: tuple[Store, asyncpg.Connection],
) -> None:
    """Another program is about to release the address, and may wait for this commit's locks."""
    store, other = store_and_other
    await store.commit(create_commit(NOBODY, "15105553399"))
    transaction = other.transaction()
    await transaction.start()
    await other.execute("DELETE FROM contact_channel WHERE identity = '15105553399'")

    outcome = await asyncio.wait_for(commit_locked(store, "15105553399"), 1)
    await transaction.rollback()

    assert isinstance(outcome, Conflict)
    assert outcome.owner_uuid == NOBODY


async def test_a_deadlock_outside_a_commit_is_retried(
    store_and_other: tuple[Store, asyncpg.Connection],
) -> None:
    """Another program locks the expired responses in another order."""
    store, other = store_and_other
    for number in (1, 2):
        await other.execute(
            "INSERT INTO idempotency (team_id, key, request_hash, status, headers, body, created) "
            f"VALUES (1, 'k{number}', '', 200, '[]', '', {number})"
        )
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT key FROM idempotency WHERE key = 'k2' FOR UPDATE")
    sweeping = asyncio.create_task(store.purge_expired_responses(TEAM, 9))
    await asyncio.sleep(0.05)
    await other.execute("SELECT key FROM idempotency WHERE key = 'k1' FOR UPDATE", timeout=10)
    await transaction.rollback()

    assert not await asyncio.wait_for(sweeping, 10)
    assert await other.fetch("SELECT key FROM idempotency") == []


@pytest.mark.parametrize(
    "error", [asyncpg.DeadlockDetectedError("no"), asyncpg.SerializationError("no")]
)
async def test_retries_end_before_the_request_timeout(
    store_and_other: tuple[Store, asyncpg.Connection],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """PostgreSQL takes a second to detect a deadlock: a third attempt would start too late."""
    store, attempts = store_and_other[0], 0
    attempt_seconds = 0.1
    monkeypatch.setattr(retry, "RETRY_SECONDS", retry.RETRY_SECONDS * attempt_seconds)

    async def deadlock(_connection: object) -> None:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(attempt_seconds)
        raise error

    with pytest.raises(Refusal) as refused:
        await store.engine._contended(deadlock)  # type: ignore[attr-defined]

    assert (refused.value.reason, attempts) == (Reason.CONTENDED, 2)


async def test_lost_connections_are_replaced(
    store_and_other: tuple[Store, asyncpg.Connection],
) -> None:
    store, other = store_and_other
    await asyncio.gather(*(store.read(ChannelList, TEAM, ALICE) for _ in range(5)))
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    for _ in range(20):
        try:
            outcome = await commit_unlocked(store, "15105553345")
        except Refusal as refused:
            assert refused.reason is Reason.STORE_UNAVAILABLE  # noqa: PT017 - it may also succeed
        else:
            break
    else:
        pytest.fail("the connections were not replaced")

    assert isinstance(outcome, Saved)


async def test_a_dropped_database_is_store_unavailable(
    store_and_other: tuple[Store, asyncpg.Connection], postgres: str
) -> None:
    store, other = store_and_other
    name = await other.fetchval("SELECT current_database()")
    await sql_runner(postgres)(f"DROP DATABASE {name} WITH (FORCE)")

    for _ in range(3):
        with pytest.raises(Refusal) as refused:
            await store.read(ChannelList, TEAM, ALICE)
        assert refused.value.reason is Reason.STORE_UNAVAILABLE
        assert refused.value.retry_after == 1


async def test_a_read_only_database_is_store_unavailable(
    store_and_other: tuple[Store, asyncpg.Connection], empty_postgres: str
) -> None:
    """As after a failover, if the old primary has become a standby."""
    store, other = store_and_other
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    standby = await open_store(empty_postgres)
    try:
        with pytest.raises(Refusal) as refused:
            await commit_unlocked(standby, "15105553345")
    finally:
        await standby.close()

    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert await stored_numbers(store) == ["15105553344"]


async def test_a_unique_violation_without_a_conflict_ends_as_stale(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conflicting contact is not found: the commit is retried a limited number of times."""

    async def find_no_conflict(_commit: Commit) -> None:
        return None

    await store.commit(create_commit(NOBODY, "15105553399"))
    monkeypatch.setattr(store, "_find_conflict", find_no_conflict)

    assert await commit_unlocked(store, "15105553399") is STALE
    assert await commit_locked(store, "15105553399") is STALE
