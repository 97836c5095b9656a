"""The first start: it creates a team, its credentials, and Alice as in the documentation."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from reachbook.domain import sealing, timestamps
from reachbook.domain.channel import ChannelList
from reachbook.domain.credential import Representation
from reachbook.metrics import Metrics
from reachbook.service.administration import Administration
from reachbook.service.authentication import Authenticator
from reachbook.service.bootstrap import bootstrap
from reachbook.storage import Store, open_store
from reachbook.wire import render
from tests.support.personas import ALICE, MASTER_KEY
from tests.support.raw_sql import sql_runner
from tests.support.vendor_documents import ALICE_LIST

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    opened = await open_store(database)
    yield opened
    await opened.close()


async def test_bootstrap_creates_a_team_with_alice(store: Store) -> None:
    created = await bootstrap(store, Administration(store, timestamps.now), MASTER_KEY)

    assert created is not None
    access = Authenticator(store, (MASTER_KEY,), timestamps.now, Metrics())
    caller = await access.caller(f"Bearer {created.api_key}")
    seen = await store.read(ChannelList, caller.team_id, ALICE)
    await access.close()
    assert seen is not None
    assert (created.team_id, created.contact) == (1, ALICE)
    assert msgspec.to_builtins(render.channels(seen, Representation.STRING_IDS)) == ALICE_LIST


async def test_each_credential_has_the_representation_of_its_documentation(store: Store) -> None:
    created = await bootstrap(store, Administration(store, timestamps.now), MASTER_KEY)

    assert created is not None
    [secret] = await store.credentials("api_secret", 1)
    [key] = await store.credentials("api_key", 1)
    assert (secret.id, secret.representation) == (created.secret_id, Representation.INTEGER_IDS)
    assert (key.id, key.representation) == (created.key_id, Representation.STRING_IDS)
    assert (secret.read_only, key.read_only) == (False, False)
    assert sealing.unseal(MASTER_KEY, secret.id, secret.proof) == created.secret_key


async def test_a_second_bootstrap_creates_nothing(store: Store, database: str) -> None:
    administration = Administration(store, timestamps.now)
    await bootstrap(store, administration, MASTER_KEY)

    assert await bootstrap(store, administration, MASTER_KEY) is None
    for table in ("team", "api_secret", "api_key", "contact"):
        assert await sql_runner(database)(f"SELECT count(*) FROM {table}") == [(1,)]


async def test_bootstrap_creates_nothing_if_there_is_a_team(store: Store) -> None:
    administration = Administration(store, timestamps.now)
    await administration.create_team("Bob's team", None)

    assert await bootstrap(store, administration, MASTER_KEY) is None
    assert len(await administration.teams()) == 1


async def test_bootstrap_records_the_events_of_alice(store: Store, database: str) -> None:
    await bootstrap(store, Administration(store, timestamps.now), MASTER_KEY)

    assert await sql_runner(database)("SELECT kind, contact_rev, at FROM event ORDER BY id") == [
        ("contact_created", 1, 1_705_312_800_000_000),
        ("channel_added", 2, 1_705_313_100_000_000),
    ]
