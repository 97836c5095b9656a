"""Calls the methods of both clients of `reachbook.client` from one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from reachbook.client import ApiKey, AsyncClient, Client, Credential
from tests.support.scripted_server import Scripted, ScriptedServer, scripted_server

KEY = ApiKey("rbk_1_0123456789abcdef_" + "0" * 40)
CLIENTS: list[type[Client | AsyncClient]] = [Client, AsyncClient]


@asynccontextmanager
async def opened(
    kind: type[Client | AsyncClient], url: str, credential: Credential, **options: Any
) -> AsyncIterator[Client | AsyncClient]:
    """Open a client, and close it when the block ends."""
    client = kind(url, credential, **options)
    try:
        yield client
    finally:
        await (client.aclose() if isinstance(client, AsyncClient) else _close(client))


@asynccontextmanager
async def scripted(
    kind: type[Client | AsyncClient],
    *responses: Scripted,
    credential: Credential = KEY,
    **options: Any,
) -> AsyncIterator[tuple[Client | AsyncClient, ScriptedServer]]:
    """Open a client of a server that sends these responses."""
    with scripted_server(*responses) as server:
        async with opened(kind, server.url, credential, **options) as client:
            yield client, server


async def call(client: Client | AsyncClient, name: str, *arguments: Any, **options: Any) -> Any:
    """Call a method; what a client without an event loop does is done in a thread."""
    method = getattr(client, name)
    if isinstance(client, AsyncClient):
        return await method(*arguments, **options)
    return await asyncio.to_thread(method, *arguments, **options)


async def collect(iterator: Any) -> list[Any]:
    """Return all that an iterator of either client yields."""
    if hasattr(iterator, "__aiter__"):
        return [each async for each in iterator]
    return await asyncio.to_thread(list, iterator)


async def _close(client: Client) -> None:
    await asyncio.to_thread(client.close)
