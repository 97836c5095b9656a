"""The two representations of a channel (contract section 2.1), and the body of an error."""

from __future__ import annotations

import httpx
import pytest

from reachbook.domain.credential import Representation
from reachbook.service.administration import CredentialOptions
from tests.support.personas import MASTER_KEY, Api, sign

pytestmark = pytest.mark.anyio

STRING_KEYS = ["id", "team_id", "contact_id", "channel_type", "channel_id", "created", "updated"]
INTEGER_KEYS = [
    "id",
    "team_id",
    "contact_id",
    "channel_type",
    "channel_id",
    "info_channel",
    "channel_handle",
    "created",
    "updated",
]
PHONE, EMAIL = ("phone", "15105553344"), ("email", "alice@example.com")


def body(channel: tuple[str, str], **fields: object) -> dict[str, object]:
    return {"channel_type": channel[0], "channel_id": channel[1], **fields}


def representation_of(response: httpx.Response) -> str:
    """Returns the representation of a response's channels, as seen from their keys and types."""
    assert response.status_code == 200, response.text
    listed = response.json()
    if isinstance(listed, dict):
        listed = listed.get("contact_channels", [listed])
    assert listed
    representations = {"string_ids": (str, STRING_KEYS), "integer_ids": (int, INTEGER_KEYS)}
    for name, (kind, keys) in representations.items():
        if all(list(channel) == keys and isinstance(channel["id"], kind) for channel in listed):
            return name
    raise AssertionError(response.text)


async def request_each_operation(api: Api, query: str, by: dict[str, str]) -> list[httpx.Response]:
    """Returns the responses of all operations that return channels, each requested once."""
    mark = "&" if query else "?"
    created = await api.request("POST", f"/v2/contact{query}", {"phone": PHONE[1]}, by=by)
    path = f"/v2/contact/{created.json()['uuid']}"
    requests = [
        ("POST", f"{path}/channel{query}", body(EMAIL)),
        ("PUT", f"{path}/channel{query}", body(("email", "new@example.com"))),
        ("GET", f"{path}/channels{query}", None),
        ("GET", f"{path}/channel/phone{query}", None),
        ("GET", f"{path}/channel/phone{query}{mark}channel_id={PHONE[1]}", None),
        ("DELETE", f"{path}/channel/email{query}", None),
        ("GET", f"{path}{query}", None),
    ]
    return [created, *[await api.request(*arguments, by=by) for arguments in requests]]


@pytest.mark.parametrize(
    ("credential", "query", "expected"),
    [
        ("by_key", "", "string_ids"),
        ("by_jwt", "", "integer_ids"),
        ("by_key", "?representation=integer_ids", "integer_ids"),
        ("by_jwt", "?representation=string_ids", "string_ids"),
        ("by_key", "?representation=string_ids", "string_ids"),
        ("by_jwt", "?representation=integer_ids", "integer_ids"),
    ],
)
async def test_each_response_is_in_the_representation_that_its_header_names(
    api: Api, credential: str, query: str, expected: str
) -> None:
    by = getattr(api.bob, credential)()
    for response in await request_each_operation(api, query, by):
        assert representation_of(response) == expected, response.request.url
        assert response.headers["x-representation"] == expected, response.request.url


async def test_a_new_credential_has_the_representation_that_is_given(api: Api) -> None:
    team = api.bob.team.team_id
    uuid = await api.contact(PHONE)
    _, api_key = await api.administration.create_key(
        team, CredentialOptions(Representation.INTEGER_IDS)
    )
    options = CredentialOptions(Representation.STRING_IDS)
    secret, secret_key = await api.administration.create_secret(team, options, MASTER_KEY)
    claims: dict[str, object] = {"iss": secret.id, "iat": api.clock() // 1_000_000}
    jwt = sign(claims, secret.id, secret_key)

    for token, expected in [(api_key, "integer_ids"), (jwt, "string_ids")]:
        by = {"authorization": f"Bearer {token}"}
        assert (
            representation_of(await api.request("GET", f"/v2/contact/{uuid}/channels", by=by))
            == expected
        )


@pytest.mark.parametrize("name", ["", "strings", "String_ids", "string_ids ", "%00", "1"])
async def test_an_unknown_representation_is_refused(api: Api, name: str) -> None:
    uuid = await api.contact(PHONE)
    for method, path in [
        ("GET", f"/v2/contact/{uuid}/channels"),
        ("GET", f"/v2/contact/{uuid}/channel/phone"),
        ("POST", f"/v2/contact/{uuid}/channel"),
        ("PUT", f"/v2/contact/{uuid}/channel"),
        ("DELETE", f"/v2/contact/{uuid}/channel/phone"),
        ("GET", "/v1/team"),
    ]:
        response = await api.request(method, f"{path}?representation={name}", body(EMAIL))

        assert response.status_code == 400, path
        assert (response.json()["error"], response.json()["error_code"]) == (
            "bad_data",
            "bad_value",
        )
        assert list(response.json()["fields"]) == ["representation"]
        assert "string_ids" in response.json()["message"]
    assert len((await api.request("GET", f"/v2/contact/{uuid}/channels")).json()) == 1


async def test_other_query_parameters_are_ignored(api: Api) -> None:
    uuid = await api.contact(PHONE)
    query = "?Representation=x&limit=none&representation[]=x&on_conflict=refuse&&=&a"

    assert (
        representation_of(await api.request("GET", f"/v2/contact/{uuid}/channels{query}"))
        == "string_ids"
    )


async def test_keys_are_in_the_order_of_the_vendor_documents(api: Api) -> None:
    uuid = await api.contact()
    whole = body(("facebook", "9"), channel_handle="@a", info_channel="page")
    path = f"/v2/contact/{uuid}/channel"

    [strings] = (await api.request("POST", path, whole)).json()
    [integers] = (await api.request("POST", f"{path}?representation=integer_ids", whole)).json()

    assert list(strings) == [*STRING_KEYS[:5], "channel_handle", "info_channel", *STRING_KEYS[5:]]
    assert list(integers) == INTEGER_KEYS
    assert strings["id"] == f"ch_{integers['id']:03d}"
    assert strings["contact_id"] == uuid
    assert integers["contact_id"] == (await api.request("GET", f"/v2/contact/{uuid}")).json()["id"]


@pytest.mark.parametrize(("set_index", "unset_index"), [(0, 1), (1, 0)])
async def test_only_a_field_without_a_value_is_omitted(
    api: Api, set_index: int, unset_index: int
) -> None:
    names = ("channel_handle", "info_channel")
    uuid = await api.contact()

    response = await api.request(
        "POST", f"/v2/contact/{uuid}/channel", body(EMAIL, **{names[set_index]: "x"})
    )

    assert response.json()[0][names[set_index]] == "x"
    assert names[unset_index] not in response.json()[0]


async def test_channel_ids_can_have_more_than_three_digits(api: Api) -> None:
    """`"ch_%03d"` pads to three digits and never truncates."""
    listed = []
    for start in (0, 500, 1000):  # a contact has at most 500 channels
        values = [str(number) for number in range(start, start + 500)]
        uuid = await api.contact(*(("facebook", channel_id) for channel_id in values))
        listed += (await api.request("GET", f"/v2/contact/{uuid}/channels")).json()

    numbers = {int(channel["id"].removeprefix("ch_")) for channel in listed}
    assert max(numbers) >= 1000
    assert {channel["id"] for channel in listed} == {f"ch_{number:03d}" for number in numbers}


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_conflict_is_in_the_representation_of_the_request(
    api: Api, representation: str
) -> None:
    owner = await api.contact(PHONE, ("phone", "14155551234"))
    uuid = await api.contact(EMAIL)
    query = f"?representation={representation}"
    theirs = (await api.request("GET", f"/v2/contact/{owner}/channels{query}")).json()

    taken = await api.request("POST", f"/v2/contact/{uuid}/channel{query}", body(PHONE))
    several = await api.request("DELETE", f"/v2/contact/{owner}/channel/phone{query}")

    assert taken.json()["conflicting_contact_id"] == owner
    assert taken.json()["conflicting_channel_id"] == theirs[0]["id"]
    assert several.json()["channels"] == theirs
    assert [list(channel) for channel in several.json()["channels"]] == [
        list(item) for item in theirs
    ]


@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_conflict_names_its_representation_in_a_header(
    api: Api, representation: str
) -> None:
    uuid = await api.contact(PHONE, ("phone", "14155551234"))

    response = await api.request(
        "DELETE", f"/v2/contact/{uuid}/channel/phone?representation={representation}"
    )

    assert response.status_code == 409
    assert response.headers.get("x-representation") == representation


async def test_an_error_body_has_the_documented_keys(api: Api) -> None:
    """`fields` is present only if a field is wrong; no key is without a value."""
    uuid = await api.contact(EMAIL)
    path = f"/v2/contact/{uuid}/channel"
    common = ["error", "error_code", "message", "request_id"]
    with_fields = ["error", "error_code", "message", "fields", "request_id"]
    for method, url, sent, keys in [
        ("POST", path, body(("phone", "x")), with_fields),
        ("POST", path, {"channel_type": "phone"}, with_fields),
        ("POST", path, {"channel_type": 1, "channel_id": "1"}, with_fields),
        ("GET", "/v2/contact/1/channels", None, with_fields),
        ("GET", f"{path}/phone", None, common),
        ("GET", "/nowhere", None, common),
        ("PATCH", path, None, common),
        ("POST", path, b"{", common),
    ]:
        response = await api.request(method, url, sent)

        error = response.json()
        assert list(error) == keys, response.text
        assert response.headers["content-type"] == "application/json"
        assert error["message"].endswith(".")
        assert error["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        ({"channel_id": "1"}, "missing_field", "channel_type"),
        ({"channel_type": "phone"}, "missing_field", "channel_id"),
        ({"channel_type": None, "channel_id": "1"}, "wrong_type", "channel_type"),
        ({"channel_type": "phone", "channel_id": 15105553344}, "wrong_type", "channel_id"),
        ({"channel_type": "phone", "channel_id": None}, "wrong_type", "channel_id"),
        ({"channel_type": "phone", "channel_id": ["1"]}, "wrong_type", "channel_id"),
        (body(PHONE, channel_handle=1), "wrong_type", "channel_handle"),
        (body(PHONE, info_channel={}), "wrong_type", "info_channel"),
        ({"Channel_Type": "phone", "channel_id": "1"}, "missing_field", "channel_type"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_error_names_the_missing_or_wrong_field(
    api: Api, method: str, sent: dict[str, object], code: str, field: str
) -> None:
    uuid = await api.contact(PHONE)

    response = await api.request(method, f"/v2/contact/{uuid}/channel", sent)

    error = response.json()
    assert (response.status_code, error["error"], error["error_code"]) == (400, "bad_data", code)
    assert list(error["fields"]) == [field]
    assert field in error["message"]
