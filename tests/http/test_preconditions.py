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


TAGGED = [
    "/v2/contact/{uuid}",
    "/v2/contact/{uuid}/channels",
    "/v2/contact/{uuid}/channel/phone",
    "/x/contact/{uuid}/channels",
    "/x/contact/{uuid}/channel/{id}",
]


def changed_by_proxies(tag: str) -> list[str]:
    """Yields a tag, and its variants by proxies that compress."""
    text = tag.strip('"')
    codings = ("gzip", "br", "deflate", "zstd")
    return [
        *(tag, f"W/{tag}", f"w/{tag}"),
        *(f'"{text}{dash}{coding}"' for coding in codings for dash in ("-", "--", ";")),
        f'W/"{text}-gzip"',
    ]


NO_TAGS = [
    *("nonsense", "1-string_ids", "W/1-string_ids", "'1-string_ids'", '"1-string_ids', '1"'),
    *('"1-string_ids" "2-string_ids"', '"1-string_ids", 2', '*, "1-string_ids"', "* *"),
    *('W/ "1-string_ids"', '\\"1-string_ids\\"', '"1"-gzip', "", " ", ",", " , ,"),
]


# ── ETag and If-None-Match ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", TAGGED)
async def test_it_works(api: Api, path: str) -> None:
    """One tag per revision; a read of what the caller has is 304, with the tag and no body."""
    names = await alice(api)
    first = await send(api, ("GET", path, None), names)
    tag = first.headers["etag"]
    for known in (*changed_by_proxies(tag), f'"x", {tag}', "*"):
        for method in ("GET", "HEAD"):
            answer = await send(api, (method, path, None), names, {"if-none-match": known})
            assert (answer.status_code, answer.content) == (304, b""), known
            assert answer.headers["etag"] == tag
    await send(api, ("PUT", "/v2/contact/{uuid}", {"first": "A"}), names)

    answer = await send(api, ("GET", path, None), names, {"if-none-match": tag})

    assert answer.status_code == 200
    assert answer.headers["etag"] != tag
    assert answer.headers["vary"] == "Authorization"
    for other in ('"nonsense"', '"1-string_ids-x"', '"*"'):
        plain = await send(api, ("GET", path, None), names, {"if-none-match": other})
        assert plain.status_code == 200, other


async def test_what_is_no_tag_is_refused_on_a_read(api: Api) -> None:
    """It is refused before the contact is looked up."""
    names = {**await alice(api), "uuid": NOBODY}
    for path, bad in itertools.product(TAGGED, NO_TAGS):
        answer = await send(api, ("GET", path, None), names, {"if-none-match": bad})

        assert refusal(answer) == (400, "bad_value"), bad
        assert list(answer.json()["fields"]) == ["If-None-Match"]


async def test_each_representation_has_its_tag(api: Api) -> None:
    names = await alice(api)
    path = "/v2/contact/{uuid}/channels"
    strings = (await send(api, ("GET", path, None), names)).headers["etag"]
    known = {"if-none-match": strings}

    answer = await send(api, ("GET", f"{path}?representation=integer_ids", None), names, known)

    assert answer.status_code == 200
    assert answer.headers["etag"] != strings


async def test_a_write_tells_the_new_tag(api: Api) -> None:
    names = await alice(api)
    for what in (ONE_CONTACT[0], ONE_CONTACT[2], ONE_CONTACT[5], ONE_CONTACT[4]):
        query = f"?channel_id={ONE}" if what[0] == "DELETE" else ""
        written = await send(api, (what[0], what[1] + query, what[2]), names)
        read = await send(api, ("GET", "/v2/contact/{uuid}", None), names)
        assert written.headers["etag"] == read.headers["etag"], what


async def test_a_304_says_that_it_varies(api: Api) -> None:
    names = await alice(api)
    get = ("GET", "/v2/contact/{uuid}", None)
    answer = await send(api, get, names, {"if-none-match": "*"})
    assert answer.headers["vary"] == "Authorization"


# ── If-Match ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("what", ONE_CONTACT, ids=lambda one: f"{one[0]} {one[1]}")
async def test_a_write_holds_only_at_the_revision_it_names(api: Api, what: Call) -> None:
    names = await alice(api)
    tag = (await send(api, ("GET", "/v2/contact/{uuid}", None), names)).headers["etag"]
    await send(api, ("PUT", "/v2/contact/{uuid}", {"last": "B"}), names)
    for old in (*changed_by_proxies(tag), '"1-integer_ids"', '"2"', '"nonsense"', '"2-x-y"', '"*"'):
        answer = await send(api, what, names, {"if-match": old})
        assert refusal(answer) == (412, "stale_revision"), old
    assert await rev(api, names["uuid"]) == 2

    answer = await send(api, what, names, {"if-match": f'{tag}, "2-string_ids"'})

    assert answer.status_code == 200, answer.text


async def test_any_revision_and_any_representation_match(api: Api) -> None:
    names = await alice(api)
    tags = ("*", '"2-integer_ids"', '"3-string_ids"', ' W/"4-string_ids" ')
    for number, tag in enumerate(tags):
        put = ("PUT", "/v2/contact/{uuid}", {"first": str(number)})
        assert (await send(api, put, names, {"if-match": tag})).status_code == 200


async def test_a_tag_that_a_proxy_changed_is_still_ours(api: Api) -> None:
    names = await alice(api)
    for changed in changed_by_proxies('"1-string_ids"'):
        put = ("PUT", "/v2/contact/{uuid}", {"phone": ONE})
        answer = await send(api, put, names, {"if-match": f'"x",, {changed} ,'})

        assert answer.status_code == 200, changed


async def test_what_is_no_tag_is_refused_on_a_write(api: Api) -> None:
    """It is refused before the contact is looked up, with a message that shows a tag."""
    names = {**await alice(api), "uuid": NOBODY}
    for operation, bad in itertools.product(ONE_CONTACT, NO_TAGS):
        answer = await send(api, operation, names, {"if-match": bad})

        assert refusal(answer) == (400, "bad_value"), (operation, bad)
        assert list(answer.json()["fields"]) == ["If-Match"]
        assert '"3-string_ids"' in answer.json()["message"]


async def test_a_list_may_come_on_several_lines(api: Api) -> None:
    """As RFC 9110 (5.3) has it, and as some proxies write it."""
    names = await alice(api)
    path = f"/v2/contact/{names['uuid']}"
    key = ("authorization", api.bob.by_key()["authorization"])

    async def two_lines(method: str, name: str) -> int:
        tags = [(name, '"9-string_ids"'), (name, '"1-string_ids"')]
        answer = await api.client.request(method, path, headers=[key, *tags], json={"first": "x"})
        return answer.status_code

    assert await two_lines("GET", "if-none-match") == 304
    assert await two_lines("PUT", "if-match") == 200


async def test_what_is_not_there_is_404_first(api: Api) -> None:
    names, stale = await alice(api), {"if-match": '"9-string_ids"'}
    for what in ONE_CONTACT:
        answer = await send(api, what, {**names, "uuid": NOBODY}, stale)
        assert refusal(answer) == (404, "no_contact"), what
    for what in [
        ("PUT", "/v2/contact/{uuid}/channel", {"channel_type": "email", "channel_id": "a@b.test"}),
        ("DELETE", "/v2/contact/{uuid}/channel/email", None),
        ("PATCH", "/x/contact/{uuid}/channel/ch_999999999", {"label": "x"}),
    ]:
        assert refusal(await send(api, what, names, stale)) == (404, "no_channel"), what


async def test_an_old_revision_is_told_before_a_conflict(api: Api) -> None:
    """What conflicts may be different at the revision that is there."""
    names = await alice(api)
    await api.contact(("phone", TWO))
    await api.request(
        "POST", f"/v2/contact/{names['uuid']}/channel", {**PHONE, "channel_id": "12125550199"}
    )
    stale = {"if-match": '"1-string_ids"'}
    for what in [
        ("POST", "/v2/contact/{uuid}/channel", {**PHONE, "channel_id": TWO}),
        ("PUT", "/v2/contact/{uuid}/channel?channel_id=12125550199", PHONE),
        ("DELETE", "/v2/contact/{uuid}/channel/phone", None),
    ]:
        assert refusal(await send(api, what, names, stale)) == (412, "stale_revision"), what
        assert (await send(api, what, names)).status_code == 409, what


@pytest.mark.parametrize("what", WITHOUT_CHANGE[:5], ids=lambda one: f"{one[0]} {one[1]}")
async def test_a_write_that_changes_nothing_is_conditional_too(api: Api, what: Call) -> None:
    names = await alice(api)
    assert (await send(api, what, names, {"if-match": '"1-string_ids"'})).status_code == 200
    answer = await send(api, what, names, {"if-match": '"2-string_ids"'})
    assert refusal(answer) == (412, "stale_revision")


async def test_a_bulk_write_takes_no_if_match(api: Api) -> None:
    names = await alice(api)
    for what in MANY[1:3]:
        for tag in ("*", '"1-string_ids"'):
            answer = await send(api, what, names, {"if-match": tag})
            assert refusal(answer) == (400, "bad_value")
            assert list(answer.json()["fields"]) == ["If-Match"]
    assert (await count(api), await rev(api, names["uuid"])) == (1, 1)
