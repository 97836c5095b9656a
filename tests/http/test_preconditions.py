"""Conditions in headers: ETag, If-Match, If-None-Match (section 8)."""

from __future__ import annotations

import itertools

import pytest

from tests.support.http import (
    MANY,
    ONE,
    ONE_CONTACT,
    PHONE,
    TWO,
    WITHOUT_CHANGE,
    Call,
    alice,
    count,
    refusal,
    rev,
    send,
)
from tests.support.personas import NOBODY, Api

pytestmark = pytest.mark.anyio


PATHS_WITH_ETAG = [
    "/v2/contact/{uuid}",
    "/v2/contact/{uuid}/channels",
    "/v2/contact/{uuid}/channel/phone",
    "/x/contact/{uuid}/channels",
    "/x/contact/{uuid}/channel/{id}",
]


def variants_by_proxies(etag: str) -> list[str]:
    """Returns an ETag and its variants as compressing proxies write them."""
    text = etag.strip('"')
    codings = ("gzip", "br", "deflate", "zstd")
    return [
        *(etag, f"W/{etag}", f"w/{etag}"),
        *(f'"{text}{dash}{coding}"' for coding in codings for dash in ("-", "--", ";")),
        f'W/"{text}-gzip"',
    ]


MALFORMED_ETAGS = [
    *("nonsense", "1-string_ids", "W/1-string_ids", "'1-string_ids'", '"1-string_ids', '1"'),
    *('"1-string_ids" "2-string_ids"', '"1-string_ids", 2', '*, "1-string_ids"', "* *"),
    *('W/ "1-string_ids"', '\\"1-string_ids\\"', '"1"-gzip', "", " ", ",", " , ,"),
]


# ── ETag and If-None-Match ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", PATHS_WITH_ETAG)
async def test_a_matching_if_none_match_is_a_304(api: Api, path: str) -> None:
    """The response has the ETag and no body; another revision is sent whole."""
    names = await alice(api)
    first = await send(api, ("GET", path, None), names)
    etag = first.headers["etag"]
    for if_none_match in (*variants_by_proxies(etag), f'"x", {etag}', "*"):
        for method in ("GET", "HEAD"):
            response = await send(
                api, (method, path, None), names, {"if-none-match": if_none_match}
            )
            assert (response.status_code, response.content) == (304, b""), if_none_match
            assert response.headers["etag"] == etag
    await send(api, ("PUT", "/v2/contact/{uuid}", {"first": "A"}), names)

    response = await send(api, ("GET", path, None), names, {"if-none-match": etag})

    assert response.status_code == 200
    assert response.headers["etag"] != etag
    assert response.headers["vary"] == "Authorization"
    for other in ('"nonsense"', '"1-string_ids-x"', '"*"'):
        plain = await send(api, ("GET", path, None), names, {"if-none-match": other})
        assert plain.status_code == 200, other


async def test_a_malformed_if_none_match_is_refused(api: Api) -> None:
    """It is refused before the contact is looked up."""
    names = {**await alice(api), "uuid": NOBODY}
    for path, bad in itertools.product(PATHS_WITH_ETAG, MALFORMED_ETAGS):
        response = await send(api, ("GET", path, None), names, {"if-none-match": bad})

        assert refusal(response) == (400, "bad_value"), bad
        assert list(response.json()["fields"]) == ["If-None-Match"]


async def test_each_representation_has_its_own_etag(api: Api) -> None:
    names = await alice(api)
    path = "/v2/contact/{uuid}/channels"
    strings = (await send(api, ("GET", path, None), names)).headers["etag"]
    if_none_match = {"if-none-match": strings}

    response = await send(
        api, ("GET", f"{path}?representation=integer_ids", None), names, if_none_match
    )

    assert response.status_code == 200
    assert response.headers["etag"] != strings


async def test_a_write_returns_the_new_etag(api: Api) -> None:
    names = await alice(api)
    for call in (ONE_CONTACT[0], ONE_CONTACT[2], ONE_CONTACT[5], ONE_CONTACT[4]):
        query = f"?channel_id={ONE}" if call[0] == "DELETE" else ""
        written = await send(api, (call[0], call[1] + query, call[2]), names)
        read = await send(api, ("GET", "/v2/contact/{uuid}", None), names)
        assert written.headers["etag"] == read.headers["etag"], call


async def test_a_304_has_a_vary_header(api: Api) -> None:
    names = await alice(api)
    get = ("GET", "/v2/contact/{uuid}", None)
    response = await send(api, get, names, {"if-none-match": "*"})
    assert response.headers["vary"] == "Authorization"


# ── If-Match ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", ONE_CONTACT, ids=lambda call: f"{call[0]} {call[1]}")
async def test_a_write_with_a_stale_if_match_is_refused(api: Api, call: Call) -> None:
    names = await alice(api)
    etag = (await send(api, ("GET", "/v2/contact/{uuid}", None), names)).headers["etag"]
    await send(api, ("PUT", "/v2/contact/{uuid}", {"last": "B"}), names)
    for old in (
        *variants_by_proxies(etag),
        '"1-integer_ids"',
        '"2"',
        '"nonsense"',
        '"2-x-y"',
        '"*"',
    ):
        response = await send(api, call, names, {"if-match": old})
        assert refusal(response) == (412, "stale_revision"), old
    assert await rev(api, names["uuid"]) == 2

    response = await send(api, call, names, {"if-match": f'{etag}, "2-string_ids"'})

    assert response.status_code == 200, response.text


async def test_if_match_accepts_both_representations_and_any_revision(api: Api) -> None:
    names = await alice(api)
    etags = ("*", '"2-integer_ids"', '"3-string_ids"', ' W/"4-string_ids" ')
    for number, etag in enumerate(etags):
        put = ("PUT", "/v2/contact/{uuid}", {"first": str(number)})
        assert (await send(api, put, names, {"if-match": etag})).status_code == 200


async def test_an_etag_with_the_suffix_of_a_proxy_matches(api: Api) -> None:
    names = await alice(api)
    for changed in variants_by_proxies('"1-string_ids"'):
        put = ("PUT", "/v2/contact/{uuid}", {"phone": ONE})
        response = await send(api, put, names, {"if-match": f'"x",, {changed} ,'})

        assert response.status_code == 200, changed


async def test_a_malformed_if_match_is_refused(api: Api) -> None:
    """It is refused before the contact is looked up, with a message that has an example."""
    names = {**await alice(api), "uuid": NOBODY}
    for operation, bad in itertools.product(ONE_CONTACT, MALFORMED_ETAGS):
        response = await send(api, operation, names, {"if-match": bad})

        assert refusal(response) == (400, "bad_value"), (operation, bad)
        assert list(response.json()["fields"]) == ["If-Match"]
        assert '"3-string_ids"' in response.json()["message"]


async def test_several_header_lines_are_one_list(api: Api) -> None:
    """See RFC 9110, section 5.3; some proxies send such lines."""
    names = await alice(api)
    path = f"/v2/contact/{names['uuid']}"
    key = ("authorization", api.bob.by_key()["authorization"])

    async def send_two_lines(method: str, name: str) -> int:
        etags = [(name, '"9-string_ids"'), (name, '"1-string_ids"')]
        response = await api.client.request(
            method, path, headers=[key, *etags], json={"first": "x"}
        )
        return response.status_code

    assert await send_two_lines("GET", "if-none-match") == 304
    assert await send_two_lines("PUT", "if-match") == 200


async def test_a_404_has_precedence_over_a_stale_if_match(api: Api) -> None:
    names, stale = await alice(api), {"if-match": '"9-string_ids"'}
    for call in ONE_CONTACT:
        response = await send(api, call, {**names, "uuid": NOBODY}, stale)
        assert refusal(response) == (404, "no_contact"), call
    for call in [
        ("PUT", "/v2/contact/{uuid}/channel", {"channel_type": "email", "channel_id": "a@b.test"}),
        ("DELETE", "/v2/contact/{uuid}/channel/email", None),
        ("PATCH", "/x/contact/{uuid}/channel/ch_999999999", {"label": "x"}),
    ]:
        assert refusal(await send(api, call, names, stale)) == (404, "no_channel"), call


async def test_a_stale_if_match_has_precedence_over_a_conflict(api: Api) -> None:
    """The conflict may not exist at the revision that the client has."""
    names = await alice(api)
    await api.contact(("phone", TWO))
    await api.request(
        "POST", f"/v2/contact/{names['uuid']}/channel", {**PHONE, "channel_id": "12125550199"}
    )
    stale = {"if-match": '"1-string_ids"'}
    for call in [
        ("POST", "/v2/contact/{uuid}/channel", {**PHONE, "channel_id": TWO}),
        ("PUT", "/v2/contact/{uuid}/channel?channel_id=12125550199", PHONE),
        ("DELETE", "/v2/contact/{uuid}/channel/phone", None),
    ]:
        assert refusal(await send(api, call, names, stale)) == (412, "stale_revision"), call
        assert (await send(api, call, names)).status_code == 409, call


@pytest.mark.parametrize("call", WITHOUT_CHANGE[:5], ids=lambda call: f"{call[0]} {call[1]}")
async def test_if_match_applies_to_a_write_that_changes_nothing(api: Api, call: Call) -> None:
    names = await alice(api)
    assert (await send(api, call, names, {"if-match": '"1-string_ids"'})).status_code == 200
    response = await send(api, call, names, {"if-match": '"2-string_ids"'})
    assert refusal(response) == (412, "stale_revision")


async def test_a_bulk_write_refuses_if_match(api: Api) -> None:
    names = await alice(api)
    for call in MANY[1:3]:
        for etag in ("*", '"1-string_ids"'):
            response = await send(api, call, names, {"if-match": etag})
            assert refusal(response) == (400, "bad_value")
            assert list(response.json()["fields"]) == ["If-Match"]
    assert (await count(api), await rev(api, names["uuid"])) == (1, 1)
