"""Addresses that are accepted, refused, owned and found over HTTP (section 3).

Numbers with two readings are tested in `test_address_readings`.
"""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest

from reachbook.domain.errors import Reason
from tests.support.address_cases import FINDINGS
from tests.support.personas import Api, create_team_client

pytestmark = pytest.mark.anyio


def channel(kind: object, value: object, **fields: object) -> dict[str, object]:
    return {"channel_type": kind, "channel_id": value, **fields}


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()
    return response.status_code, error["error"], error["error_code"]


async def post_to_new_contact(api: Api, kind: str, value: str) -> httpx.Response:
    uuid = await api.contact()
    return await api.request("POST", f"/v2/contact/{uuid}/channel", channel(kind, value))


@pytest.mark.parametrize(
    ("kind", "sent", "returned"),
    [
        ("phone", "+1 510-555-3344", "15105553344"),
        ("phone", "  1.510.555.3344 ", "15105553344"),
        ("phone", "1(510)555/3344", "15105553344"),
        ("phone", "15550100123", "15550100123"),
        ("phone", "5215512345678", "525512345678"),
        ("phone", "+5491123456789", "5491123456789"),
        ("phone", "551133334444", "551133334444"),
        ("sms", "+1 510 555 3344", "15105553344"),
        ("rcs", "+1 510 555 3344", "15105553344"),
        ("viber", "+1 510 555 3344", "15105553344"),
        ("viber", "abc==", "abc=="),
        ("whatsapp", "BR.1234", "BR.1234"),
        ("email", "Alice.B+tag@EXAMPLE.com", "Alice.B+tag@example.com"),
        ("email", "a@b.test", "a@b.test"),
        ("email", "e\u0301@xn--bcher-kva.example", "\u00e9@bücher.example"),
        ("facebook", " as Given\u202e ", "as Given\u202e"),
        ("a_b-9", "\U0001f600" * 255, "\U0001f600" * 255),
    ],
)
async def test_an_address_is_stored_in_canonical_form(
    api: Api, kind: str, sent: str, returned: str
) -> None:
    response = await post_to_new_contact(api, kind, sent)

    assert response.status_code == 200, response.text
    assert [(channel["channel_type"], channel["channel_id"]) for channel in response.json()] == [
        (kind, returned)
    ]


@pytest.mark.parametrize(
    ("kind", "sent", "code", "example"),
    [
        ("phone", "alice", "bad_phone", "15105553344"),
        ("phone", "001510555334", "bad_phone", "15105553344"),
        ("phone", "fax:+15105553344", "bad_phone", "15105553344"),
        ("phone", "15105553344;ext=1", "bad_phone", "15105553344"),
        ("phone", "1510555334\u00b2", "bad_phone", "15105553344"),
        ("phone", "++15105553344", "bad_phone", "15105553344"),
        ("phone", "+", "bad_phone", "15105553344"),
        ("phone", "", "bad_phone", "15105553344"),
        ("phone", "510555\n3344", "bad_phone", "15105553344"),
        ("phone", "999123456789", "bad_phone", "15105553344"),
        ("phone", "1510555", "bad_phone", "15105553344"),
        ("whatsapp", "123", "bad_phone", "15105553344"),
        ("viber", "001510555334", "bad_phone", "15105553344"),
        ("rcs", "abc!", "bad_phone", "15105553344"),
        ("email", "alice", "bad_email", "alice@example.com"),
        ("email", '"a b"@example.com', "bad_email", "alice@example.com"),
        ("email", "a@[127.0.0.1]", "bad_email", "alice@example.com"),
        ("email", "a@localhost", "bad_email", "alice@example.com"),
        ("email", "a@my_host.example", "bad_email", "alice@example.com"),
        ("email", "a" * 65 + "@example.com", "bad_email", "alice@example.com"),
        ("email", "a@" + "b" * 60 + ".c" * 100, "bad_email", "alice@example.com"),
        ("email", "Alice <alice@example.com>", "bad_email", "alice@example.com"),
        ("email", "a\u0000@example.com", "bad_email", "alice@example.com"),
        ("facebook", "", "bad_channel_id", "1789004512"),
        ("facebook", "a" * 256, "bad_channel_id", "1789004512"),
        ("facebook", "a\u0000", "bad_channel_id", "1789004512"),
        ("facebook", "a\u0085b", "bad_channel_id", "1789004512"),
    ],
)
async def test_the_error_message_has_an_example_of_a_valid_address(
    api: Api, kind: str, sent: str, code: str, example: str
) -> None:
    response = await post_to_new_contact(api, kind, sent)

    assert refusal(response) == (400, "bad_data", code)
    assert example in response.json()["message"]
    assert list(response.json()["fields"]) == ["channel_id"]


@pytest.mark.parametrize(
    "kind", ["id", "", "Phone", "1a", "_a", "a" * 33, "a b", "phone\n", "télé", "a\u0000"]
)
async def test_a_malformed_channel_type_is_refused(api: Api, kind: str) -> None:
    response = await post_to_new_contact(api, kind, "15105553344")

    assert refusal(response) == (400, "bad_data", "bad_channel_type")
    assert list(response.json()["fields"]) == ["channel_type"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("kind", ["id", "Phone", "1a", "a" * 33, "a%20b", "phone%0A", "%00", "%FF"])
async def test_a_malformed_channel_type_in_the_path_is_refused(
    api: Api, method: str, kind: str
) -> None:
    uuid = await api.contact(("phone", "15105553344"))

    response = await api.request(method, f"/v2/contact/{uuid}/channel/{kind}")

    assert refusal(response) == (400, "bad_data", "bad_channel_type")


@pytest.mark.parametrize("field", ["channel_handle", "info_channel"])
@pytest.mark.parametrize("value", ["a\u0000", "\u007f", "a\u009f"])
async def test_control_characters_are_refused(api: Api, field: str, value: str) -> None:
    uuid = await api.contact()
    wanted = channel("facebook", "1", **{field: value})

    response = await api.request("POST", f"/v2/contact/{uuid}/channel", wanted)

    assert refusal(response) == (400, "bad_data", "bad_value")
    assert list(response.json()["fields"]) == [field]


@pytest.mark.parametrize(
    "field", ["channel_type", "channel_id", "channel_handle", "info_channel", "unheard"]
)
@pytest.mark.parametrize("surrogate", ["\ud800", "a\udfff", "\udc00\ud800"])
async def test_an_unpaired_surrogate_is_refused(api: Api, field: str, surrogate: str) -> None:
    uuid = await api.contact()
    wanted = {**channel("facebook", "1"), field: surrogate}

    response = await api.request("POST", f"/v2/contact/{uuid}/channel", wanted)

    assert refusal(response)[:2] == (400, "bad_data")


async def test_every_reported_spelling_has_its_expected_address(api: Api) -> None:
    """The cases of a region run in sequence in one team, because many are the same number."""
    regions = {case.region for case in FINDINGS}
    teams = {
        region: await create_team_client(
            api.administration, f"Team {region}", api.clock, region=region
        )
        for region in regions
    }
    for case in FINDINGS:
        by = teams[case.region].by_key()
        uuid = await api.contact(by=by)
        path, body = f"/v2/contact/{uuid}/channel", channel(case.kind, case.sent)

        response = await api.request("POST", path, body, by=by)

        if isinstance(case.expected, Reason):
            assert refusal(response) == (400, "bad_data", case.expected.code), case
        else:
            assert [each["channel_id"] for each in response.json()] == [case.expected], case
            for value in (case.sent, case.expected):
                named = f"{path}/{case.kind}?{urlencode({'channel_id': value})}"
                assert (await api.request("GET", named, by=by)).status_code == 200, case
        await api.request("DELETE", f"/v2/contact/{uuid}", by=by)


# ── one owner ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("owned", "wanted"),
    [
        (("phone", "15105553344"), "+1 510 555 3344"),
        (("phone", "5491123456789"), "541123456789"),
        (("phone", "5511987654321"), "551187654321"),
        (("email", "Alice@example.com"), "alice@EXAMPLE.com"),
        (("facebook", "100"), "100"),
        (("telegram", "Alice"), "@alice"),
        (("whatsapp", "447700900401"), "447700900401:3@s.whatsapp.net"),
        (("sms", "SUPPORT"), "Support"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_an_address_has_one_owner_that_the_error_names(
    api: Api, method: str, owned: tuple[str, str], wanted: str
) -> None:
    kind, address = owned
    owner = await api.contact(owned)
    theirs = (await api.request("GET", f"/v2/contact/{owner}/channels")).json()
    mine = "bob@example.com" if kind == "email" else "14155551234"
    uuid = await api.contact((kind, mine))

    response = await api.request(method, f"/v2/contact/{uuid}/channel", channel(kind, wanted))

    assert refusal(response) == (409, "conflict", "address_taken")
    error = response.json()
    assert error["conflicting_contact_id"] == owner
    assert error["conflicting_channel_id"] == theirs[0]["id"]
    assert error["channel_id"] == address
    assert list(error["fields"]) == ["channel_id"]
    left = (await api.request("GET", f"/v2/contact/{uuid}/channels")).json()
    assert [channel["channel_id"] for channel in left] == [mine]


@pytest.mark.parametrize("kind", ["facebook", "telegram"])
async def test_the_same_id_on_two_pages_is_two_addresses(api: Api, kind: str) -> None:
    first, second = await api.contact(), await api.contact()
    for uuid, page in ((first, "page-1"), (second, "page-2")):
        wanted = channel(kind, "100", info_channel=page)
        response = await api.request("POST", f"/v2/contact/{uuid}/channel", wanted)
        assert response.status_code == 200, response.text
    into_the_other = channel(kind, "100", info_channel="page-1")

    response = await api.request("PUT", f"/v2/contact/{second}/channel", into_the_other)

    assert refusal(response) == (409, "conflict", "address_taken")
    assert response.json()["conflicting_contact_id"] == first


@pytest.mark.parametrize("kind", ["phone", "sms", "whatsapp", "viber", "rcs", "email"])
async def test_a_page_does_not_make_a_phone_or_email_another_address(api: Api, kind: str) -> None:
    value = "alice@example.com" if kind == "email" else "15105553344"
    owner, other = await api.contact((kind, value)), await api.contact()
    wanted = channel(kind, value, info_channel="page-2")

    response = await api.request("POST", f"/v2/contact/{other}/channel", wanted)

    assert refusal(response) == (409, "conflict", "address_taken")
    assert response.json()["conflicting_contact_id"] == owner


async def test_a_number_under_two_types_is_two_addresses(api: Api) -> None:
    await api.contact(("phone", "15105553344"))

    assert (await post_to_new_contact(api, "sms", "15105553344")).status_code == 200


# ── lookups ──────────────────────────────────────────────────────────────────────────────────


async def test_a_search_ignores_unreadable_addresses_beside_readable_ones(api: Api) -> None:
    uuid = await api.contact(("phone", "15105553344"), ("email", "alice@example.com"))
    entries: list[dict[str, object]] = [
        {"channel_type": "phone", "channel_ids": ["12", "15105553344"]},
        {"channel_type": "email", "channel_ids": ["alice@"]},
        {"channel_ids": ["alice", "447700900401.0"]},
    ]
    readable, unreadable = {"contact_channels": entries}, {"contact_channels": entries[1:]}

    found = await api.request("POST", "/v2/contacts/search", readable)
    refused = await api.request("POST", "/v2/contacts/search", unreadable)
    wrong = {"contact_channels": [{**entries[0], "channel_type": "Phone"}, *entries[1:]]}
    malformed = await api.request("POST", "/v2/contacts/search", wrong)

    assert [each["uuid"] for each in found.json()] == [uuid]
    assert refusal(refused) == (400, "bad_data", "bad_email")
    assert list(refused.json()["fields"]) == ["contact_channels[0].channel_ids[0]"]
    assert refusal(malformed) == (400, "bad_data", "bad_channel_type")


@pytest.mark.parametrize(
    ("owned", "value"),
    [
        (("whatsapp", "447700900401"), "447700900401:3@s.whatsapp.net"),
        (("phone", "447700900401"), "tel:+44 7700 900401"),
        (("phone", "447700900401"), "\u0664\u0664 7700 900401"),
        (("email", "alice@example.com"), "mailto:alice@example.com"),
    ],
)
async def test_the_type_is_inferred_from_a_uri_or_a_messenger_id(
    api: Api, owned: tuple[str, str], value: str
) -> None:
    uuid = await api.contact(owned)
    body = {"contact_channels": [{"channel_ids": [value]}]}

    found = await api.request("POST", "/v2/contacts/search", body)
    resolved = await api.request("POST", "/x/resolve", {"channel_id": value})

    assert [each["uuid"] for each in found.json()] == [uuid]
    assert resolved.json()["contact"]["uuid"] == uuid


async def test_a_short_code_of_sms_is_not_found_as_rcs(api: Api) -> None:
    await api.contact(("sms", "68849"))
    entry = {"channel_type": "rcs", "channel_ids": ["68849"]}

    found = await api.request("POST", "/v2/contacts/search", {"contact_channels": [entry]})

    assert found.json() == []
