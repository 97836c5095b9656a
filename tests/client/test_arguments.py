"""What a client can know to be wrong is refused before a request is sent, naming the argument."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from reachbook.client import (
    AddressRequest,
    AsyncClient,
    BulkRow,
    ChannelRequest,
    Client,
    ContactRequest,
    FeedCursor,
    NewContact,
    PatchRequest,
    ResolveRequest,
    SearchEntry,
    StrictChannel,
    SuppressionReason,
    SuppressionRequest,
)
from tests.support.personas import ALICE
from tests.support.scripted_server import Scripted
from tests.support.typed_clients import CLIENTS, KEY, call, collect, opened, scripted

pytestmark = pytest.mark.anyio

PHONE = ChannelRequest("phone", "15105553344")
NO_TYPE = ChannelRequest("", "15105553344")
NO_ADDRESS = ChannelRequest("phone", " ")
NAIVE = datetime(2024, 1, 15)  # noqa: DTZ001 - that is what is refused
WANTED = SuppressionRequest("phone", "15105553344", SuppressionReason.OPTED_OUT)

NOT_UUIDS = ["", "7", ALICE[:-1], f"{ALICE} ", ALICE.replace("-", ""), "\u0661" * 36, KEY.api_key]
TAKE_A_CONTACT: list[tuple[Any, ...]] = [
    ("list_channels",),
    ("get_channel", "phone"),
    ("add_channel", PHONE),
    ("replace_channel", PHONE),
    ("remove_channel", "phone"),
    ("get_contact",),
    ("update_contact", ContactRequest()),
    ("delete_contact",),
    ("list_channel_details",),
    ("get_channel_detail", "ch_001"),
    ("patch_channel", "ch_001", PatchRequest()),
    ("remove_channel_by_id", "ch_001"),
    ("make_primary", "ch_001"),
    ("get_history",),
    ("export_contact",),
    ("erase_contact",),
]
CASES: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = [
    *(
        ("contact_id", name, (uuid, *rest), {})
        for name, *rest in TAKE_A_CONTACT
        for uuid in NOT_UUIDS
    ),
    *(
        ("channel_type", name, (ALICE, kind), {})
        for name in ("get_channel", "remove_channel")
        for kind in ("", "id", "Phone", "pho/ne", "x" * 33)
    ),
    *(
        ("channel_id", name, (ALICE, "phone"), {"channel_id": ""})
        for name in ("get_channel", "remove_channel")
    ),
    *(
        (f"channel.{field}", name, (ALICE, channel), {})
        for name in ("add_channel", "replace_channel")
        for field, channel in (("channel_type", NO_TYPE), ("channel_id", NO_ADDRESS))
    ),
    ("replaced", "replace_channel", (ALICE, PHONE), {"replaced": ""}),
    ("on_conflict", "add_channel", (ALICE, PHONE), {"on_conflict": "steal"}),
    (
        "contact.contact_channels[1].channel_type",
        "create_contact",
        (ContactRequest([PHONE, NO_TYPE]),),
        {},
    ),
    (
        "contact.contact_channels[0].channel_id",
        "update_contact",
        (ALICE, ContactRequest([NO_ADDRESS])),
        {},
    ),
    ("limit", "list_contacts", (), {"limit": 0}),
    ("limit", "list_contacts", (), {"limit": 501}),
    ("page", "list_contacts", (), {"page": -1}),
    ("date", "list_contacts", (), {"date": ""}),
    ("entries[0].channel_type", "search_contacts", ([SearchEntry(["1"], "")],), {}),
    ("entries[0].channel_ids[1]", "search_contacts", ([SearchEntry(["1", ""])],), {}),
    ("entries", "search_contacts", ([SearchEntry(["1"] * 1001)],), {}),
    ("rows", "write_contacts", ([BulkRow()] * 1001,), {}),
    ("rows[1].contact_id", "write_contacts", ([BulkRow(), BulkRow(contact_id="7")],), {}),
    ("rows[0].uuid", "write_contacts", ([BulkRow(uuid=KEY.api_key)],), {}),
    ("contact_ids[1]", "delete_contacts", ([ALICE, "7"],), {}),
    ("contact_ids", "delete_contacts", ([ALICE] * 1001,), {}),
    ("address.channel_id", "resolve", (ResolveRequest(""),), {}),
    ("address.channel_type", "resolve", (ResolveRequest("1", ""),), {}),
    (
        "address.create.contact_channels[0].channel_id",
        "resolve",
        (ResolveRequest("1", create=NewContact([StrictChannel("phone", "")])),),
        {},
    ),
    ("addresses[1].channel_id", "resolve_many", ([AddressRequest("1"), AddressRequest("")],), {}),
    ("addresses", "resolve_many", ([AddressRequest("1")] * 1001,), {}),
    (
        "suppression.channel_type",
        "end_suppression",
        (SuppressionRequest("", "1", WANTED.reason),),
        {},
    ),
    (
        "suppression.channel_id",
        "end_suppression",
        (SuppressionRequest("phone", "", WANTED.reason),),
        {},
    ),
    ("as_of", "list_channel_details", (ALICE,), {"as_of": NAIVE}),
    ("as_of", "get_channel_detail", (ALICE, "ch_001"), {"as_of": NAIVE}),
    *(
        ("channel_number", name, (ALICE, number, *rest), {})
        for name, *rest in (
            ("get_channel_detail",),
            ("patch_channel", PatchRequest()),
            ("remove_channel_by_id",),
            ("make_primary",),
        )
        for number in ("", "phone", "ch_", "../channels", KEY.api_key)
    ),
    ("limit", "get_history", (ALICE,), {"limit": 501}),
    ("cursor", "get_history", (ALICE,), {"cursor": ""}),
    ("limit", "get_events", (), {"limit": 1001}),
    ("after", "get_events", (FeedCursor(-1),), {}),
]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_the_argument_is_named_and_nothing_is_sent(kind: type[Client | AsyncClient]) -> None:
    async with scripted(kind, Scripted(200, b"null")) as (client, server):
        for argument, name, values, options in CASES:
            with pytest.raises(ValueError, match=" must ") as raised:
                await call(client, name, *values, **options)

            case = (name, values, options)
            assert type(raised.value) is ValueError, case
            assert str(raised.value).startswith(f"{argument} must "), case
            assert KEY.api_key not in str(raised.value), case

    assert server.requests == []


@pytest.mark.parametrize("key", ["", "two words", "a\n", "é", "x" * 256, KEY.api_key])
@pytest.mark.parametrize("kind", CLIENTS)
def test_an_idempotency_key_is_visible_ascii(kind: type[Client | AsyncClient], key: str) -> None:
    with pytest.raises(ValueError, match=r"^idempotency_key must be 1 to 255 visible ASCII"):
        kind("http://127.0.0.1:9", KEY).with_options(idempotency_key=key)


@pytest.mark.parametrize("etag", ["", "1-string_ids", '""', '"a" ', '"a", "b"', KEY.api_key])
@pytest.mark.parametrize("kind", CLIENTS)
def test_if_match_is_an_etag(kind: type[Client | AsyncClient], etag: str) -> None:
    with pytest.raises(ValueError, match=r"^if_match must be the ETag") as raised:
        kind("http://127.0.0.1:9", KEY).with_options(if_match=etag)

    assert KEY.api_key not in str(raised.value)


@pytest.mark.parametrize("value", [float("nan"), [1, float("inf")], {"a": [-float("inf")]}])
@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_number_that_is_not_json_is_refused(
    kind: type[Client | AsyncClient], value: object
) -> None:
    async with scripted(kind) as (client, server):
        with pytest.raises(ValueError, match=r"^contact\.custom\.score.* must be a finite number"):
            await call(client, "create_contact", ContactRequest(custom={"score": value}))
        with pytest.raises(ValueError, match=r"^rows\[0\]\.custom\.score.* must be a finite"):
            await call(client, "write_contacts", [BulkRow(custom={"score": value})])

    assert server.requests == []


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_credential_has_its_class(kind: type[Client | AsyncClient]) -> None:
    with pytest.raises(TypeError, match=r"^credential must be an ApiKey or an ApiSecret"):
        kind("http://127.0.0.1:9", KEY.api_key)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", CLIENTS)
def test_if_match_is_refused_for_a_server_that_may_ignore_it(
    kind: type[Client | AsyncClient],
) -> None:
    client = kind("http://127.0.0.1:9", KEY, honours_idempotency_keys=False)
    with pytest.raises(ValueError, match=r"^if_match must not be set"):
        client.with_options(if_match='"1"')


@pytest.mark.parametrize("kind", CLIENTS)
async def test_an_iterator_names_its_argument(kind: type[Client | AsyncClient]) -> None:
    async with opened(kind, "http://127.0.0.1:9", KEY) as client:
        for argument, iterator in (
            ("contact_id", client.iterate_history("7")),
            ("limit", client.iterate_contacts(limit=501)),
            ("after", client.events(-1)),
        ):
            with pytest.raises(ValueError, match=f"^{argument} must be"):
                await collect(iterator)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8080", "ftp://a", "http://", "http://a?b=1", "http://a/#b", KEY.api_key],
)
@pytest.mark.parametrize("kind", CLIENTS)
def test_the_url_of_a_server_is_one(kind: type[Client | AsyncClient], url: str) -> None:
    with pytest.raises(ValueError, match=r"^base_url must be") as raised:
        kind(url, KEY)

    assert KEY.api_key not in str(raised.value)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_contact_id_may_be_a_uuid(kind: type[Client | AsyncClient]) -> None:
    async with scripted(kind, Scripted(200, b"[]")) as (client, server):
        await call(client, "list_channels", UUID(ALICE))

    assert server.requests[0].target.startswith(f"/v2/contact/{ALICE}/channels")
