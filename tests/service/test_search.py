"""The search of the console: addresses in any spelling first, then names."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reachbook.service import WriteContext
from reachbook.service.search import SearchPage
from tests.support.names import named
from tests.support.personas import Api

pytestmark = pytest.mark.anyio


async def search(api: Api, text: str, region: str | None = None) -> SearchPage:
    return await api.service.search.page(replace(api.bob.team, default_region=region), text)


async def found_channels(api: Api, text: str, region: str | None = None) -> list[tuple[str, str]]:
    page = await search(api, text, region)
    return [(owner.contact.uuid, owner.channel.channel_id) for owner in page.owners]


@pytest.mark.parametrize(
    "text",
    [
        "+1 510 555 3344",
        "(510) 555-3344",
        "call me at (510) 555-3344 after 5!",
        "tel:+15105553344",
    ],
)
async def test_a_number_of_another_type_is_found_in_every_spelling(api: Api, text: str) -> None:
    owner = await api.contact(("whatsapp", "15105553344"))

    assert await found_channels(api, text, "US") == [(owner, "15105553344")]


@pytest.mark.parametrize(
    ("channel", "text"),
    [
        (("email", "alice@example.com"), "Alice <ALICE@example.com>"),
        (("telegram", "alice"), "@Alice"),
        (("webchat", "visitor 7"), "visitor 7"),
        (("facebook", "1789004512345678"), "1789004512345678"),
        (("sms", "32665"), "32665"),
    ],
)
async def test_an_address_of_each_type_is_found(
    api: Api, channel: tuple[str, str], text: str
) -> None:
    owner = await api.contact(channel)

    assert [uuid for uuid, _ in await found_channels(api, text)] == [owner]


async def test_the_owner_of_an_id_with_the_same_digits_is_not_owner_of_the_number(api: Api) -> None:
    owner = await api.contact(("facebook", "15105553344"))

    page = await search(api, "15105553344")

    assert [each.contact.uuid for each in page.owners] == [owner]
    assert [each.is_owned for each in page.addresses] == [False]


async def test_another_team_is_not_searched(api: Api) -> None:
    await api.contact(("phone", "15105553344"), ("webchat", "x"), by=api.charlie.by_key())

    assert await found_channels(api, "+15105553344") == []
    assert await found_channels(api, "x") == []


async def test_both_owners_of_ambiguous_digits_are_found(api: Api) -> None:
    first = await api.contact(("phone", "+6465550123"))
    second = await api.contact(("phone", "+16465550123"))

    page = await search(api, "(646) 555-0123", "US")

    assert [owner.contact.uuid for owner in page.owners] == [first, second]
    assert [each.is_owned for each in page.addresses] == [True, True]
    assert "ambiguous" in page.addresses[0].reading.explanation


@pytest.mark.parametrize("stored", ["+15105553344", "+5105553344"])
async def test_the_reading_of_the_owner_is_returned(api: Api, stored: str) -> None:
    await api.contact(("phone", stored))

    [address] = (await search(api, "(510) 555-3344", "US")).addresses

    assert f"+{address.reading.address.channel_id}" == stored


async def test_contacts_found_by_name_follow_the_owners_without_duplicates(
    api: Api, bob: WriteContext
) -> None:
    [found_by_name] = await named(api, bob, "Alice,Quark")
    owner = await api.contact(("telegram", "alice"))

    page = await search(api, "alice")

    assert [each.contact.uuid for each in page.owners] == [owner]
    assert [each.uuid for each in page.named.contacts] == [found_by_name.uuid]


async def test_the_suppression_of_an_address_without_an_owner_is_returned(api: Api) -> None:
    owner = await api.contact(("phone", "15105553344"))
    body = (await api.request("GET", f"/x/contact/{owner}/channels")).json()
    path = f"/x/contact/{owner}/channel/{body[0]['id']}"
    await api.request("PATCH", path, {"consent": "opted_out"})
    await api.request("DELETE", f"/v2/contact/{owner}")

    [address] = (await search(api, "+1 510 555 3344")).addresses

    assert not address.is_owned
    assert address.suppressed is not None
    assert address.suppressed.reason == "opted_out"
