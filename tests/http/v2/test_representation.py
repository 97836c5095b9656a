"""The seeds disagree, and each is right (contract section 2.1); and the body of a refusal."""

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


def ids(answer: httpx.Response) -> str:
    """The representation that an answer's channels are in, judged by the channels alone."""
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    if isinstance(shown, dict):
        shown = shown.get("contact_channels", [shown])
    assert shown
    known = {"string_ids": (str, STRING_KEYS), "integer_ids": (int, INTEGER_KEYS)}
    for name, (kind, keys) in known.items():
        if all(list(one) == keys and isinstance(one["id"], kind) for one in shown):
            return name
    raise AssertionError(answer.text)


async def every_answer(api: Api, query: str, by: dict[str, str]) -> list[httpx.Response]:
    """Each operation that shows channels, once."""
    mark = "&" if query else "?"
    made = await api.request("POST", f"/v2/contact{query}", {"phone": PHONE[1]}, by=by)
    path = f"/v2/contact/{made.json()['uuid']}"
    asked = [
        ("POST", f"{path}/channel{query}", body(EMAIL)),
        ("PUT", f"{path}/channel{query}", body(("email", "new@example.com"))),
        ("GET", f"{path}/channels{query}", None),
        ("GET", f"{path}/channel/phone{query}", None),
        ("GET", f"{path}/channel/phone{query}{mark}channel_id={PHONE[1]}", None),
        ("DELETE", f"{path}/channel/email{query}", None),
        ("GET", f"{path}{query}", None),
    ]
    return [made, *[await api.request(*one, by=by) for one in asked]]


@pytest.mark.parametrize(
    ("credential", "query", "used"),
    [
        ("by_key", "", "string_ids"),
        ("by_jwt", "", "integer_ids"),
        ("by_key", "?representation=integer_ids", "integer_ids"),
        ("by_jwt", "?representation=string_ids", "string_ids"),
        ("by_key", "?representation=string_ids", "string_ids"),
        ("by_jwt", "?representation=integer_ids", "integer_ids"),
    ],
)
async def test_each_answer_is_in_it_and_says_so(
    api: Api, credential: str, query: str, used: str
) -> None:
    by = getattr(api.bob, credential)()
    for answer in await every_answer(api, query, by):
        assert ids(answer) == used, answer.request.url
        assert answer.headers["x-representation"] == used, answer.request.url


async def test_it_is_chosen_when_a_credential_is_made(api: Api) -> None:
    team = api.bob.team.team_id
    uuid = await api.contact(PHONE)
    _, api_key = await api.administration.create_key(
        team, CredentialOptions(Representation.INTEGER_IDS)
    )
    terms = CredentialOptions(Representation.STRING_IDS)
    secret, secret_key = await api.administration.create_secret(team, terms, MASTER_KEY)
    claims: dict[str, object] = {"iss": secret.id, "iat": api.clock() // 1_000_000}
    jwt = sign(claims, secret.id, secret_key)

    for token, used in [(api_key, "integer_ids"), (jwt, "string_ids")]:
        by = {"authorization": f"Bearer {token}"}
        assert ids(await api.request("GET", f"/v2/contact/{uuid}/channels", by=by)) == used


@pytest.mark.parametrize("name", ["", "strings", "String_ids", "string_ids ", "%00", "1"])
async def test_an_unknown_name_is_refused(api: Api, name: str) -> None:
    uuid = await api.contact(PHONE)
    for method, path in [
        ("GET", f"/v2/contact/{uuid}/channels"),
        ("GET", f"/v2/contact/{uuid}/channel/phone"),
        ("POST", f"/v2/contact/{uuid}/channel"),
        ("PUT", f"/v2/contact/{uuid}/channel"),
        ("DELETE", f"/v2/contact/{uuid}/channel/phone"),
        ("GET", "/v1/team"),
    ]:
        answer = await api.request(method, f"{path}?representation={name}", body(EMAIL))

        assert answer.status_code == 400, path
        assert (answer.json()["error"], answer.json()["error_code"]) == ("bad_data", "bad_value")
        assert list(answer.json()["fields"]) == ["representation"]
        assert "string_ids" in answer.json()["message"]
    assert len((await api.request("GET", f"/v2/contact/{uuid}/channels")).json()) == 1


async def test_other_query_parameters_are_ignored(api: Api) -> None:
    uuid = await api.contact(PHONE)
    query = "?Representation=x&limit=none&representation[]=x&on_conflict=refuse&&=&a"

    assert ids(await api.request("GET", f"/v2/contact/{uuid}/channels{query}")) == "string_ids"


async def test_keys_that_apply_are_shown_in_the_order_of_the_seed(api: Api) -> None:
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


@pytest.mark.parametrize(("set_one", "other"), [(0, 1), (1, 0)])
async def test_only_the_unset_one_is_left_out(api: Api, set_one: int, other: int) -> None:
    names = ("channel_handle", "info_channel")
    uuid = await api.contact()

    answer = await api.request(
        "POST", f"/v2/contact/{uuid}/channel", body(EMAIL, **{names[set_one]: "x"})
    )

    assert answer.json()[0][names[set_one]] == "x"
    assert names[other] not in answer.json()[0]


async def test_numbers_grow_past_three_digits(api: Api) -> None:
    """`"ch_%03d"` pads to three digits and never cuts."""
    shown = []
    for start in (0, 500, 1000):  # a contact has at most 500 channels
        ids = [str(number) for number in range(start, start + 500)]
        uuid = await api.contact(*(("facebook", channel_id) for channel_id in ids))
        shown += (await api.request("GET", f"/v2/contact/{uuid}/channels")).json()

    numbers = {int(one["id"].removeprefix("ch_")) for one in shown}
    assert max(numbers) >= 1000
    assert {one["id"] for one in shown} == {f"ch_{number:03d}" for number in numbers}


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_conflict_speaks_the_representation_of_the_request(
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
    assert [list(one) for one in several.json()["channels"]] == [list(one) for one in theirs]


@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_conflict_says_which_representation_its_ids_are_in(
    api: Api, representation: str
) -> None:
    uuid = await api.contact(PHONE, ("phone", "14155551234"))

    answer = await api.request(
        "DELETE", f"/v2/contact/{uuid}/channel/phone?representation={representation}"
    )

    assert answer.status_code == 409
    assert answer.headers.get("x-representation") == representation


async def test_a_refusal_has_the_documented_keys(api: Api) -> None:
    """`fields` when a field is to blame, and never a key without a value."""
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
        answer = await api.request(method, url, sent)

        said = answer.json()
        assert list(said) == keys, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert said["message"].endswith(".")
        assert said["request_id"] == answer.headers["x-request-id"]


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
async def test_a_missing_or_wrong_field_is_named(
    api: Api, method: str, sent: dict[str, object], code: str, field: str
) -> None:
    uuid = await api.contact(PHONE)

    answer = await api.request(method, f"/v2/contact/{uuid}/channel", sent)

    said = answer.json()
    assert (answer.status_code, said["error"], said["error_code"]) == (400, "bad_data", code)
    assert list(said["fields"]) == [field]
    assert field in said["message"]
