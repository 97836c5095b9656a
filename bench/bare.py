"""What is compared with: a bare ASGI function that checks the same token and runs the same SQL.

No routes, no rules, no refusals, no log: the least a server could do for the same answer.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import msgspec

from reachbook.domain import timestamps
from reachbook.storage import opening
from reachbook.storage.store import Store

SECRET_ID = os.environ["BENCH_SECRET_ID"]
SIGNING_KEY = f"{SECRET_ID}||{os.environ['BENCH_SECRET_KEY']}".encode()
TEAM_ID = int(os.environ["BENCH_TEAM"])
NUMBERS = count(10_000_000)

Row = Any
store: Store


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The whole application."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    _check(dict(scope["headers"])[b"authorization"][7:])
    uuid = scope["path"].split("/")[3]
    answer = _post if scope["method"] == "POST" else _get
    body = msgspec.json.encode(await answer(uuid, receive))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _check(token: bytes) -> None:
    signed, _, signature = token.rpartition(b".")
    digest = hmac.digest(SIGNING_KEY, signed, "sha256")
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=")
    claims = msgspec.json.decode(base64.urlsafe_b64decode(signed.split(b".")[1] + b"=="))
    if not hmac.compare_digest(expected, signature) or claims["iss"] != SECRET_ID:
        raise PermissionError


async def _get(uuid: str, _receive: Callable[[], Awaitable[Any]]) -> object:
    rows = await store.engine.read("channel_list", TEAM_ID, uuid)
    return next(_channel(uuid, row) for row in rows if row[5] == "phone")


async def _post(uuid: str, receive: Callable[[], Awaitable[Any]]) -> object:
    wanted = msgspec.json.decode((await receive())["body"])
    rows = await store.engine.read("channel_list", TEAM_ID, uuid)
    now, value, kind = timestamps.now(), wanted["channel_id"], wanted["channel_type"]
    known = ("", None, "unknown", "", None)
    new = (next(NUMBERS), kind, value, "", value, "", "", None, now, now, *known)
    await _commit(rows[0], new, now)
    return [_channel(uuid, row) for row in rows] + [_channel(uuid, (*rows[0][:4], *new))]


async def _commit(seen: Row, new: tuple[Any, ...], now: int) -> None:
    contact_id, rev = seen[0], seen[2]
    names = (
        "id", "channel_type", "channel_id", "scope", "identity", "channel_handle",
        "info_channel", "made_primary", "created", "updated", "label", "held_reason", "consent",
        "consent_source", "consent_at",
    )  # fmt: skip
    event = ("channel_added", '{"channels":[]}', "{}", "bench", "bench")
    engine: Any = store.engine
    if engine.name == "postgres":
        kept = msgspec.json.encode([dict(zip(names, new, strict=True))]).decode()
        await engine.write("commit", TEAM_ID, contact_id, rev, now, [], "[]", *event, kept)
        return
    kind, before, after, actor, request_id = event

    def job(connection: Any) -> None:
        sql = engine._sql
        key = (TEAM_ID, contact_id)
        connection.execute(sql["move_revision"], (*key, rev, now))
        connection.execute(sql["insert_channel"], (*key, *new))
        [[number]] = connection.execute(sql["reserve_ids"], ("event", 1)).fetchall()
        told = (TEAM_ID, number, contact_id, rev + 1, kind, actor, request_id, now)
        connection.execute(sql["insert_event"], told)
        connection.execute(sql["insert_event_body"], (TEAM_ID, number, before, after))

    await engine._writer.run(job)


def _channel(uuid: str, row: Row) -> dict[str, object]:
    return {
        "id": row[4],
        "team_id": TEAM_ID,
        "contact_id": row[0],
        "channel_type": row[5],
        "channel_id": row[6],
        "info_channel": row[10],
        "channel_handle": row[9],
        "created": timestamps.format_seconds(row[12]),
        "updated": timestamps.format_seconds(row[13]),
    }


async def _lifespan(receive: Any, send: Any) -> None:
    global store  # noqa: PLW0603 - the price of having no framework
    await receive()
    store = await opening.open_store(os.environ["BENCH_DATABASE"])
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await store.close()
    await send({"type": "lifespan.shutdown.complete"})
