"""Every operation is called by both clients, against the real server and a real store."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from reachbook.client import (
    AddressRequest,
    AddressTakenError,
    ApiKey,
    ApiSecret,
    AsyncClient,
    BadAddress,
    BulkRow,
    ChannelRequest,
    Client,
    Consent,
    ContactRequest,
    ErasedError,
    FailedRow,
    HeldReason,
    IdempotencyMismatchError,
    NewContact,
    NoChannelError,
    NoContactError,
    OnConflict,
    PatchRequest,
    PreconditionFailedError,
    ResolveRequest,
    SearchEntry,
    SeveralChannelsError,
    SuppressionReason,
    SuppressionRequest,
    TeamBody,
    UnauthorizedError,
    operations,
)
from reachbook.http import app
from reachbook.http.operation import Endpoint
from tests.support.personas import NOBODY, TeamClient
from tests.support.server_process import Server, serving
from tests.support.teams import create_team
from tests.support.typed_clients import CLIENTS, call, collect, opened

pytestmark = pytest.mark.anyio

PHONE, MOBILE, EMAIL = "15105550100", "15105550101", "carol@example.com"


@dataclass
class Caller:
    """Calls methods of a client, and notes their names."""

    client: Client | AsyncClient
    called: set[str] = field(default_factory=set)

    async def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.called.add(name)
        return await call(self.client, name, *arguments, **options)

    async def all(self, name: str, *arguments: Any, **options: Any) -> list[Any]:
        self.called.add(name)
        return await collect(getattr(self.client, name)(*arguments, **options))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, TeamClient]]:
    directory = tmp_path_factory.mktemp("client")
    database = f"sqlite:///{directory}/reachbook.db"
    bob = create_team(database)
    with serving(directory, database) as server:
        yield server, bob


@pytest.fixture(params=["key", "secret"])
def credential(request: pytest.FixtureRequest, served: tuple[Server, TeamClient]) -> Any:
    _, bob = served
    return (
        ApiKey(bob.api_key) if request.param == "key" else ApiSecret(bob.secret.id, bob.secret_key)
    )


@pytest.fixture(params=CLIENTS)
async def caller(
    request: pytest.FixtureRequest, served: tuple[Server, TeamClient], credential: Any
) -> AsyncIterator[Caller]:
    """A client of the server, whose team has no contacts."""
    server, _ = served
    async with opened(request.param, server.url, credential) as client:
        caller = Caller(client)
        contacts = await caller.all("iterate_contacts")
        await caller("delete_contacts", [each.uuid for each in contacts])
        yield caller
        missing = {contact.uuid for contact in await caller.all("iterate_contacts") if contact.uuid}
        await caller("delete_contacts", sorted(missing))


async def test_the_channels_of_a_contact(caller: Caller) -> None:
    carol = (await caller("create_contact", ContactRequest(first="Carol"))).uuid

    [phone] = await caller("add_channel", carol, ChannelRequest("phone", "+1 (510) 555-0100"))
    assert (phone.channel_id, phone.contact_id) == (PHONE, carol)
    assert re.fullmatch("ch_[0-9]{3,}", phone.id)
    email = ChannelRequest("email", EMAIL, channel_handle="Carol")
    assert len(await caller("add_channel", carol, email)) == 2
    assert await caller("get_channel", carol, "phone") == phone
    assert (await caller("get_channel", carol, "email", channel_id=EMAIL)).channel_handle == "Carol"
    await caller("replace_channel", carol, ChannelRequest("phone", MOBILE), replaced=PHONE)
    await caller("add_channel", carol, ChannelRequest("phone", PHONE))
    with pytest.raises(SeveralChannelsError) as raised:
        await caller("remove_channel", carol, "phone")
    assert [each.channel_id for each in raised.value.channels] == [MOBILE, PHONE]
    await caller("remove_channel", carol, "phone", channel_id=MOBILE)
    assert len(await caller("list_channels", carol)) == 2
    with pytest.raises(NoChannelError):
        await caller("get_channel", carol, "viber")


async def test_an_address_of_another_contact(caller: Caller) -> None:
    carol = await caller("create_contact", ContactRequest(first="Carol", phone=PHONE))
    dave = await caller("create_contact", ContactRequest(first="Dave"))

    with pytest.raises(AddressTakenError) as raised:
        await caller("add_channel", dave.uuid, ChannelRequest("phone", PHONE))

    assert raised.value.conflicting_contact_id == carol.uuid
    assert raised.value.conflicting_channel_id == carol.contact_channels[0].id
    assert raised.value.fields == {"channel_id": "already belongs to a contact"}
    move = {"on_conflict": OnConflict.MOVE}
    assert await caller("add_channel", dave.uuid, ChannelRequest("phone", PHONE), **move)
    assert await caller("list_channels", carol.uuid) == []


async def test_contacts(caller: Caller) -> None:
    wanted = ContactRequest([ChannelRequest("phone", PHONE)], first="Carol", custom={"a": 1})
    carol = await caller("create_contact", wanted)
    assert (carol.first, carol.phone, carol.custom) == ("Carol", PHONE, {"a": 1})
    assert await caller("get_contact", carol.uuid) == carol

    fields = ContactRequest(last="Carr", first=None, custom={"b": 2})
    updated = await caller("update_contact", carol.uuid, fields)
    assert (updated.first, updated.last, updated.custom) == ("", "Carr", {"a": 1, "b": 2})
    replaced = await caller("update_contact", carol.uuid, ContactRequest(custom={}), overwrite=True)
    assert (replaced.custom, replaced.rev) == ({}, carol.rev + 2)
    assert await caller("search_contacts", [SearchEntry([PHONE, EMAIL])]) == [replaced]
    assert await caller("list_contacts", limit=1) == [replaced]

    await caller("delete_contact", carol.uuid)
    with pytest.raises(NoContactError):
        await caller("get_contact", carol.uuid)
    await caller("delete_contacts", [carol.uuid, NOBODY])


async def test_the_options_of_a_write(caller: Caller) -> None:
    contact = await caller("create_contact", ContactRequest(first="Carol"))
    version = await caller("get_contact_version", contact.uuid)
    same = replace(caller, client=caller.client.with_options(idempotency_key=str(uuid4())))
    unchanged = replace(caller, client=caller.client.with_options(if_match=version.etag))

    once = await same("add_channel", contact.uuid, ChannelRequest("phone", PHONE))
    again = await same("add_channel", contact.uuid, ChannelRequest("phone", PHONE))
    with pytest.raises(IdempotencyMismatchError):
        await same("add_channel", contact.uuid, ChannelRequest("phone", MOBILE))
    with pytest.raises(PreconditionFailedError):
        await unchanged("delete_contact", contact.uuid)

    assert version.contact == contact
    assert once == again
    changed = await caller("get_contact_version", contact.uuid)
    current = replace(caller, client=caller.client.with_options(if_match=changed.etag))
    await current("delete_contact", contact.uuid)


async def test_a_bulk_write(caller: Caller) -> None:
    carol = await caller("create_contact", ContactRequest(first="Carol", phone=PHONE))
    rows = [BulkRow(contact_id=carol.uuid, last="Carr"), BulkRow(phone=PHONE), BulkRow(first="D")]

    written = await caller("write_contacts", rows)

    assert [each.first for each in written.contacts] == ["Carol", "D"]
    [failed] = written.failed_contacts
    assert isinstance(failed, FailedRow)
    assert (failed.index, failed.error_code) == (1, "address_taken")
    assert failed.conflicting_contact_id == carol.uuid


async def test_the_team(caller: Caller) -> None:
    team = await caller("get_team")

    assert isinstance(team, TeamBody)
    assert team.name == "Bob's team"
    assert await caller("list_inboxes") == []


async def test_resolve(caller: Caller) -> None:
    nobody = await caller("resolve", ResolveRequest(PHONE))
    assert (nobody.contact, nobody.created) == (None, False)
    create = NewContact(first="Carol")
    created = await caller("resolve", ResolveRequest(PHONE, create=create), explain=True)
    assert (created.contact.first, created.created) == ("Carol", True)
    assert created.explain.canonical == PHONE

    addresses = [AddressRequest("tel:+1 510 555 0100"), AddressRequest("+1 510", "phone")]
    found, bad = await caller("resolve_many", addresses)

    assert found.contact == created.contact
    assert isinstance(bad, BadAddress)
    assert bad.error_code == "bad_phone"


async def test_the_details_of_channels(caller: Caller) -> None:
    wanted = ContactRequest([ChannelRequest("phone", PHONE), ChannelRequest("phone", MOBILE)])
    carol = (await caller("create_contact", wanted)).uuid
    first, second = await caller("list_channel_details", carol)
    assert (first.primary, second.primary) == (True, False)

    assert (await caller("make_primary", carol, second.id)).primary
    patch = PatchRequest(label="home", held=True, held_reason=HeldReason.BOUNCED)
    held = await caller("patch_channel", carol, first.id, patch)
    assert (held.label, held.held_reason) == ("home", HeldReason.BOUNCED)
    assert await caller("get_channel_detail", carol, first.id) == held
    assert [each.id for each in await caller("remove_channel_by_id", carol, second.id)] == [
        first.id
    ]
    patch = PatchRequest(held=False, held_reason=None, consent=Consent.OPTED_OUT)
    await caller("patch_channel", carol, first.id, patch)
    past = await caller("list_channel_details", carol, as_of=datetime(2024, 1, 15, tzinfo=UTC))
    assert past == []
    now = datetime.now(UTC)
    assert (await caller("get_channel_detail", carol, first.id, as_of=now)).id == first.id

    await caller("delete_contact", carol)
    [suppressed] = await caller("resolve_many", [AddressRequest(PHONE)])
    assert suppressed.suppressed.reason is SuppressionReason.OPTED_OUT
    reason = SuppressionReason.OPTED_OUT
    await caller("end_suppression", SuppressionRequest("phone", PHONE, reason))
    assert (await caller("resolve", ResolveRequest(PHONE))).suppressed is None


async def test_history_export_and_erasure(caller: Caller) -> None:
    carol = (await caller("create_contact", ContactRequest(first="Carol", phone=PHONE))).uuid
    await caller("update_contact", carol, ContactRequest(last="Carr"))

    page = await caller("get_history", carol, limit=1)
    [event] = page.events
    assert (event.kind, event.before.last, event.after.last) == ("contact_updated", "", "Carr")
    older = await caller("get_history", carol, limit=1, cursor=page.next)
    assert older.events[0].after.channels[0].channel_id == PHONE
    assert await caller.all("iterate_history", carol, limit=1) == [*page.events, *older.events]
    exported = await caller("export_contact", carol)
    assert (exported.contact.last, len(exported.events)) == ("Carr", 2)

    await caller("erase_contact", carol)
    with pytest.raises(ErasedError):
        await caller("get_history", carol)
    events = await caller.all("events")
    assert events[-1].kind == "erased"
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_a_wrong_credential(served: tuple[Server, TeamClient]) -> None:
    server, bob = served
    for kind in CLIENTS:
        async with opened(kind, server.url, ApiSecret(bob.secret.id, "f" * 64)) as client:
            with pytest.raises(UnauthorizedError, match="bad_credential"):
                await call(client, "get_team")


def test_every_method_is_called_above() -> None:
    text = Path(__file__).read_text()
    called = set(re.findall(r'caller(?:\.all)?\(\s*"(\w+)"', text))

    public = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    # `events` calls `get_events`; `with_options` is called in the test of the options of a write.
    assert public - called == {"get_events", "with_options"}


def test_every_route_has_an_operation() -> None:
    functions = [each for _, each in inspect.getmembers(operations, inspect.isfunction)]
    prepared = re.findall(
        r"Prepare `(\w+) (\S+)`", " ".join(str(each.__doc__) for each in functions)
    )

    served = {
        (method, route.path)
        for route in app.ROUTES
        if isinstance(route.endpoint, Endpoint)
        for method in set(route.endpoint.operations) - {"HEAD"}
    }
    assert sorted(set(prepared)) == sorted(served)


def test_both_clients_have_the_same_methods_with_the_same_words() -> None:
    def public(cls: type) -> dict[str, tuple[list[str], str | None]]:
        return {
            name: (list(inspect.signature(method).parameters), inspect.getdoc(method))
            for name, method in vars(cls).items()
            if inspect.isfunction(method) and (not name.startswith("_") or name == "__init__")
        }

    of_sync, of_async = public(Client), public(AsyncClient)
    of_async["close"] = of_async.pop("aclose")
    assert of_async == of_sync
