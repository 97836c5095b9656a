"""A server that answers as the vendor documents it: its ids, its missing keys, its query."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reachbook.client import (
    ApiSecret,
    AsyncClient,
    BulkRow,
    ChannelRequest,
    Client,
    ContactRequest,
    UnexpectedResponseError,
)
from tests.support.personas import ALICE
from tests.support.scripted_server import Scripted
from tests.support.typed_clients import CLIENTS, call, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", CLIENTS)]

SECRET = ApiSecret("an-id-of-the-vendor", "a-key-of-the-vendor")
VENDOR: dict[str, Any] = {"credential": SECRET, "honours_idempotency_keys": False}
CHANNEL = {
    "id": 123,
    "team_id": 5,
    "contact_id": 77,
    "channel_type": "phone",
    "channel_id": "14155551234",
    "info_channel": "",
    "channel_handle": "",
    "created": "2024-01-15T10:00:00Z",
    "updated": "2024-01-15T10:00:00Z",
}
CONTACT = {"id": 77, "first": "Alice", "phone": "14155551234", "tags": None, "rev": 3}


def answering(body: Any) -> Scripted:
    return Scripted(200, json.dumps(body).encode())


async def test_integer_ids_become_their_digits(kind: type[Client | AsyncClient]) -> None:
    async with scripted(kind, answering([CHANNEL]), **VENDOR) as (client, server):
        channel = ChannelRequest("phone", "14155551234")
        [added] = await call(client, "add_channel", ALICE, channel)

    assert (added.id, added.contact_id, added.channel_id) == ("123", "77", "14155551234")
    [request] = server.requests
    assert request.target == f"/v2/contact/{ALICE}/channel"
    assert json.loads(request.body) == {"channel_type": "phone", "channel_id": "14155551234"}


@pytest.mark.parametrize(
    "body", [CONTACT, {**CONTACT, "contact_channels": [CHANNEL], "custom": None, "shared": True}]
)
async def test_keys_that_the_vendor_leaves_out_are_empty(
    kind: type[Client | AsyncClient], body: dict[str, Any]
) -> None:
    async with scripted(kind, answering(body), answering([body]), **VENDOR) as (client, _):
        contact = await call(client, "get_contact", ALICE)
        assert await call(client, "list_contacts") == [contact]

    assert (contact.id, contact.first, contact.rev) == (77, "Alice", 3)
    assert (contact.uuid, contact.custom, contact.tags) == ("", {}, [])
    assert [each.id for each in contact.contact_channels] == (
        ["123"] if "contact_channels" in body else []
    )


async def test_a_created_contact_may_be_three_keys(kind: type[Client | AsyncClient]) -> None:
    body = {"id": 77, "rev": 1, "uuid": ALICE}
    written = {"contacts": [body], "failed_contacts": []}
    async with scripted(kind, answering(body), answering(written), **VENDOR) as (client, server):
        created = await call(client, "create_contact", ContactRequest(phone="14155551234"))
        bulk = await call(client, "write_contacts", [BulkRow(first="Alice")])

    assert (created.uuid, created.rev, created.contact_channels) == (ALICE, 1, [])
    assert bulk.contacts == [created]
    assert json.loads(server.requests[1].body) == {"contacts": [{"first": "Alice"}]}


@pytest.mark.parametrize(
    ("sent", "error", "message", "index"),
    [
        ({}, "bad_data", "", 1),
        ({"error": "invalid phone"}, "bad_data", "invalid phone", 1),
        ({"error": "conflict", "message": "A sentence.", "index": 7}, "conflict", "A sentence.", 7),
    ],
)
async def test_a_failed_row_may_be_its_contact_alone(
    kind: type[Client | AsyncClient], sent: dict[str, Any], error: str, message: str, index: int
) -> None:
    failed = {"contact": {"phone": "bad"}, **sent}
    body = {
        "contacts": [{"id": 5, "rev": 1, "uuid": ALICE}],
        "failed_contacts": [{"contact": {}}, failed],
    }
    async with scripted(kind, answering(body), **VENDOR) as (client, _):
        bulk = await call(client, "write_contacts", [BulkRow(first="Alice")])

    row = bulk.failed_contacts[1]
    assert [contact.uuid for contact in bulk.contacts] == [ALICE]
    assert json.loads(bytes(row.contact)) == {"phone": "bad"}
    assert (row.error, row.message, row.index) == (error, message, index)


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[]", b"null", b'{"id": "x"}', b"\xff"])
async def test_a_success_that_cannot_be_read_is_an_error(
    kind: type[Client | AsyncClient], body: bytes
) -> None:
    async with scripted(kind, Scripted(200, body)) as (client, server):
        with pytest.raises(UnexpectedResponseError, match="/v2/contact/") as raised:
            await call(client, "get_contact", ALICE)

    assert raised.value.status == 200
    assert len(server.requests) == 1
