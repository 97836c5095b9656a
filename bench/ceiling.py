"""The ceiling: a bare ASGI function that sends the same responses with the least work.

It verifies the same token, once for each token. It runs the ideal statement on the same tables, and
writes the same rows. It has no routes, no validation, no errors, no log and no metrics.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

DATABASE = os.environ.get("BENCH_DATABASE", "")
TEAMS: dict[str, tuple[int, str]] = json.loads(os.environ.get("BENCH_TEAMS", "{}"))
MAX_TOKENS = 100_000

_HEADERS = (b"content-type", b"application/json")


class Channel(msgspec.Struct):
    """A channel in the representation `integer_ids`."""

    id: int
    team_id: int
    contact_id: int
    channel_type: str
    channel_id: str
    info_channel: str
    channel_handle: str
    created: datetime
    updated: datetime


class NewChannel(msgspec.Struct):
    """The body of an add."""

    channel_type: str
    channel_id: str


Row = Any
"""The columns of `Channel` without the team, with times in microseconds."""


class Tables(Protocol):
    """The three operations on one of the stores."""

    async def get(self, team_id: int, uuid: str, channel_type: str) -> Row:
        """Returns the primary channel of a type."""

    async def get_all(self, team_id: int, uuid: str) -> list[Row]:
        """Returns all channels of a contact, oldest first."""

    async def add(self, team_id: int, uuid: str, channel: NewChannel) -> list[Row]:
        """Insert a channel and its event; returns all channels of the contact."""

    async def close(self) -> None:
        """Close all connections."""


_tables: Tables
_verified: dict[bytes, int] = {}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(NewChannel).decode


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Respond to one request: `/v2/contact/{uuid}/channel`, `/channel/{type}` or `/channels`."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    authorization = next((v for k, v in scope["headers"] if k == b"authorization"), b"")
    token = authorization[7:]
    team_id = _verified.get(token) or _verify(token)
    parts = scope["path"].split("/")
    value: Channel | list[Channel]
    if len(parts) < 5:
        value = []
    elif scope["method"] == "POST":
        channel = _decode((await receive())["body"])
        value = _channels(team_id, await _tables.add(team_id, parts[3], channel))
    elif len(parts) == 6:
        value = _channel(team_id, await _tables.get(team_id, parts[3], parts[5]))
    else:
        value = _channels(team_id, await _tables.get_all(team_id, parts[3]))
    body = _encode(value)
    headers = [_HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _verify(token: bytes) -> int:
    """Returns the team of a new token."""
    if not token:  # only the request that waits for the start
        return 0
    signed, _, signature = token.rpartition(b".")
    encoded = signed.split(b".")[1]
    claims = msgspec.json.decode(base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
    team_id, secret_key = TEAMS[claims["iss"]]
    key = f"{claims['iss']}||{secret_key}".encode()
    digest = hmac.digest(key, signed, "sha256")
    if not hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), signature):
        raise PermissionError
    if len(_verified) >= MAX_TOKENS:
        _verified.clear()
    _verified[token] = team_id
    return team_id


def _channels(team_id: int, rows: list[Row]) -> list[Channel]:
    return [_channel(team_id, row) for row in rows]


def _channel(team_id: int, row: Row) -> Channel:
    ident, contact_id, kind, value, info, handle, created, updated = row
    times = (_time(created), _time(updated))
    return Channel(ident, team_id, contact_id, kind, value, info, handle, *times)


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(micros // 1_000_000, UTC)


async def _lifespan(receive: Any, send: Any) -> None:
    global _tables  # noqa: PLW0603 - an application without a class has its state here
    await receive()
    if DATABASE.startswith("sqlite"):
        from bench.ceiling_sqlite import SqliteTables

        _tables = SqliteTables.open(DATABASE.removeprefix("sqlite://"))
    else:
        from bench.ceiling_postgres import PostgresTables

        _tables = await PostgresTables.open(DATABASE)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _tables.close()
    await send({"type": "lifespan.shutdown.complete"})
