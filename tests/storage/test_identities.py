"""The migration of identities, on a database of the previous release."""

from __future__ import annotations

import asyncio
import random
from itertools import groupby
from pathlib import Path

import pytest

from reachbook.domain.address.parsing import stand_in
from reachbook.domain.errors import Reason, Refusal
from reachbook.storage import identities, open_store
from reachbook.storage.identities import Progress
from tests.support.previous_release import CREATED, Planted, plant
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

COLLIDING = [
    Planted(1, "telegram", "@Ann", "@Ann"),
    Planted(2, "telegram", "ann", "ann"),
    Planted(3, "telegram", "@@ann", "@@ann"),
    Planted(4, "telegram", "@ann", "@ann", CREATED - 1),
    Planted(5, "email", "max@fass.de", "max@fass.de", CREATED + 1),
    Planted(6, "email", "max@faß.de", "max@fass.de-old"),
    Planted(7, "phone", "525512345678", "525512345678"),
    Planted(8, "whatsapp", "447700900401 (work)", "447700900401 (work)"),
]


@pytest.fixture(params=["sqlite", "postgres"])
def old_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, in which tests create the rows of the previous release."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/reachbook.db"
    return str(request.getfixturevalue("empty_postgres"))


async def migrate(database: str) -> Progress | None:
    store = await open_store(database)
    try:
        await store.migrate()
        return await store.migrate_identities()
    finally:
        await store.close()


async def stored(database: str) -> dict[int, str]:
    rows = await sql_runner(database)("SELECT id, identity FROM contact_channel ORDER BY id")
    return dict(rows)


async def test_the_older_of_two_channels_gets_their_identity(old_database: str) -> None:
    """Only identities change; the younger channel gets a stand-in."""
    await plant(old_database, COLLIDING)
    raw = sql_runner(old_database)
    other_columns = (
        "SELECT id, contact_id, channel_type, channel_id, scope, created, updated"
        " FROM contact_channel ORDER BY id"
    )
    contacts = "SELECT id, rev, updated FROM contact ORDER BY id"
    before = [await raw(other_columns), await raw(contacts)]

    progress = await migrate(old_database)

    assert await stored(old_database) == {
        1: stand_in(1),
        2: stand_in(2),
        3: "@ann",
        4: "ann",
        5: "max@fass.de",
        6: "max@faß.de",
        7: "525512345678",
        8: "447700900401 (work)",
    }
    assert [await raw(other_columns), await raw(contacts)] == before
    assert await raw("SELECT count(*) FROM event") == [(len(COLLIDING),)]
    assert progress is not None
    assert (progress.is_complete, progress.collisions, progress.refused) == (True, 2, 1)
    assert sorted(progress.stand_ins) == [(1, 1), (1, 2)]
    assert await migrate(old_database) is None


async def test_an_invalid_address_keeps_an_identity_wanted_by_another_channel(
    old_database: str,
) -> None:
    rows = [Planted(1, "telegram", "@Ann", "@Ann", CREATED - 1), Planted(2, "telegram", "@", "ann")]
    await plant(old_database, rows)

    progress = await migrate(old_database)

    assert await stored(old_database) == {1: stand_in(1), 2: "ann"}
    assert progress is not None
    assert progress.stand_ins == [(1, 1)]


async def test_numbers_that_the_region_changes_are_counted(old_database: str) -> None:
    phones = ["6465550123", "15105553344", "+1"]
    await plant(old_database, [Planted(n, "phone", p, p) for n, p in enumerate(phones, 1)], "US")

    progress = await migrate(old_database)

    assert progress is not None
    assert progress.reread[1].count == 1
    assert progress.reread[1].region == "US"
    assert "6465550123" in progress.reread[1].examples[0]


async def test_the_result_does_not_depend_on_order_or_batches(
    old_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel gets an identity that another channel releases, with batches of three."""
    monkeypatch.setattr(identities, "BATCH", 3)
    choice = random.Random(9)
    names = [
        f"{'@' * signs}{name}" for name in ("ann", "Ann", "ANN", "bob", "Bob") for signs in range(4)
    ]
    choice.shuffle(names)
    rows = [
        Planted(n, "telegram", name, name, CREATED + choice.randrange(5))
        for n, name in enumerate(names, 1)
    ]
    await plant(old_database, rows)
    wanted: dict[int, str] = {}
    by_identity = sorted(rows, key=lambda row: (new_identity(row), row.created, row.id))
    for identity, group in groupby(by_identity, new_identity):
        owner, *others = group
        wanted |= {owner.id: identity, **{row.id: stand_in(row.id) for row in others}}

    progress = await migrate(old_database)

    assert await stored(old_database) == wanted
    assert progress is not None
    losers = sorted(number for number, identity in wanted.items() if identity == stand_in(number))
    assert sorted(number for _, number in progress.stand_ins) == losers
    assert progress.collisions == len(losers)


def new_identity(row: Planted) -> str:
    return row.channel_id.removeprefix("@").lower()


async def test_a_database_is_refused_until_its_identities_are_migrated(old_database: str) -> None:
    await plant(old_database, COLLIDING)
    store = await open_store(old_database)
    await store.migrate()
    with pytest.raises(Refusal, match="reachbook migrate") as refused:
        await store.require_identities()
    await store.migrate_identities()
    await store.require_identities()
    await sql_runner(old_database)(
        "UPDATE store_info SET value = '99' WHERE name = 'identity_version'"
    )
    await store.require_identities()  # the result is cached
    with pytest.raises(Refusal, match="version 99"):
        await store.require_identities(anew=True)
    await store.close()

    assert refused.value.reason is Reason.STORE_UNFIT


async def test_concurrent_migrations_take_turns(
    old_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "BATCH", 3)
    await plant(old_database, [Planted(n, "telegram", f"@U{n}", f"@U{n}") for n in range(1, 31)])
    first = await open_store(old_database)
    await first.migrate()
    second = await open_store(old_database, migrating=True)

    done = await asyncio.gather(first.migrate_identities(), second.migrate_identities())

    assert await stored(old_database) == {n: f"u{n}" for n in range(1, 31)}
    assert sum(each is not None for each in done) == 1
    await first.close()
    await second.close()
