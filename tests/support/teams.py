"""Creates teams in a database that no server has open yet."""

from __future__ import annotations

import asyncio

from reachbook.domain import timestamps
from reachbook.domain.credential import Representation
from reachbook.service.administration import Administration, CredentialOptions
from reachbook.storage import open_store
from tests.support.personas import Clock, TeamClient, create_team_client


def create_team(database: str) -> TeamClient:
    """Create a team with its credentials."""

    async def create() -> TeamClient:
        store = await open_store(database)
        try:
            return await create_team_client(Administration(store, clock), "Bob's team", clock)
        finally:
            await store.close()

    clock = Clock()
    return asyncio.run(create())


async def create_api_key(database: str) -> str:
    """Migrate a database, and create a team and an API key of it."""
    store = await open_store(database)
    try:
        await store.migrate()
        administration = Administration(store, timestamps.now)
        team = await administration.create_team("Bob's team", None)
        terms = CredentialOptions(Representation.STRING_IDS)
        return (await administration.create_key(team.team_id, terms))[1]
    finally:
        await store.close()
