"""A name or value that is as long as a body is neither compared nor returned whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches

import pytest

from reachbook.domain.errors import MAX_MESSAGE_CHARACTERS, Reason, Refusal
from reachbook.wire import query
from tests.support.http import alice, refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

MEGABYTE = 1_000_000
MAX_ERROR_CHARACTERS = 1000
QUERY_CHARACTERS = 8_000  # nearly the longest query that the server accepts


def hostile_names(length: int) -> Iterator[str]:
    """Yields names that are expensive to compare, or that look like the text around a name."""
    yield "e" * length
    yield "channel_id" * (length // 10)
    yield "\u202e\n\t`$.x` - at `$.y`" + "x" * length


BODIES: list[tuple[str, str, str]] = [
    ("POST", "/x/resolve", '{"channel_id": "15105553344", %s: 1}'),
    ("POST", "/x/resolve", '{"channel_id": "15105553344", "create": {%s: 1}}'),
    ("POST", "/x/resolve", '{"channel_id": "15105553344", "create": {"tags": [{%s: 1}]}}'),
    ("POST", "/x/resolve", '{"channel_id": "15105553344", "info_channel": 1, "channel_type": %s}'),
    ("PATCH", "/x/contact/{uuid}/channel/{id}", "{%s: 1}"),
    ("PATCH", "/x/contact/{uuid}/channel/{id}", '{"held_reason": %s}'),
    ("PATCH", "/x/contact/{uuid}/channel/{id}", '{"consent": %s}'),
    ("GET", "/x/events", "{%s: 1}"),
    ("POST", "/v2/contacts/list", '{"date": %s}'),
    ("POST", "/v2/contacts/list", '{"limit": %s}'),
    ("POST", "/v2/contact", '{"contact_channels": [{"channel_type": %s, "channel_id": "1"}]}'),
    ("POST", "/v2/contact", '{"phone": %s}'),
    ("POST", "/v2/contact", '{"email": %s}'),
    ("POST", "/v2/contact", '{"first": %s}'),
    ("PUT", "/v2/contact/{uuid}/channel", '{"channel_type": "line", "channel_id": %s}'),
    ("DELETE", "/v2/contacts", '{"contact_channels": [{"channel_type": %s, "channel_ids": []}]}'),
]


@pytest.mark.parametrize(("method", "path", "body"), BODIES)
@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_a_long_name_in_a_body_is_shortened(
    api: Api, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: str
) -> None:
    names = await alice(api)
    compared: list[int] = []

    def compare(name: str, known: list[str], *, n: int, cutoff: float) -> list[str]:
        compared.append(len(name))
        return get_close_matches(name, known, n=n, cutoff=cutoff)

    monkeypatch.setattr(query, "get_close_matches", compare)
    for text in hostile_names(MEGABYTE):
        response = await api.request(
            method, path.format(**names), (body % json.dumps(text, ensure_ascii=False)).encode()
        )

        assert response.status_code in (400, 413), response.text[:200]
        assert len(response.text) < MAX_ERROR_CHARACTERS
    assert all(length <= query.MAX_COMPARED_NAME_CHARACTERS for length in compared)


URLS = ["/x/events?{0}=1", "/x/events?after={0}", "/v2/contact/{0}", "/v2/contact?{0}={0}"]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_a_long_name_in_a_query_is_shortened(api: Api, url: str) -> None:
    response = await api.request("GET", url.format("x" * QUERY_CHARACTERS))

    assert response.status_code in (400, 404, 405)
    assert len(response.text) < MAX_ERROR_CHARACTERS


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_headers_are_not_returned(api: Api) -> None:
    for name in ("if-match", "if-none-match", "idempotency-key", "x-request-id"):
        by = {**api.bob.by_key(), name: "x" * QUERY_CHARACTERS}
        response = await api.request("POST", "/v2/contact", {"first": 1}, by=by)
        assert len(response.text) < MAX_ERROR_CHARACTERS
        assert max(len(value) for value in response.headers.values()) < MAX_ERROR_CHARACTERS


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_every_row_of_a_batch_is_shortened(api: Api) -> None:
    """The response to many long names in one body is not longer than the body."""
    rows = [{"channel_id": "15105553344", f"{number:03d}" + "e" * 900: 1} for number in range(900)]

    response = await api.request("POST", "/x/resolve/batch", {"addresses": rows})

    results = response.json()["results"]
    assert {row["error_code"] for row in results} == {"unknown_name"}
    assert max(len(result["message"]) for result in results) < 200


async def test_the_error_names_the_nearest_name(api: Api) -> None:
    response = await api.request("POST", "/x/resolve", {"chanel_id": "15105553344"})

    assert refusal(response) == (400, "unknown_name")
    assert "the nearest is channel_id" in response.json()["message"]
    assert response.json()["fields"] == {"chanel_id": "not a known key"}


def test_every_refusal_is_shortened() -> None:
    """This also holds for a message whose form is unknown."""
    refused = Refusal(Reason.BAD_VALUE, "x" * MEGABYTE, fields={"y" * MEGABYTE: "z" * MEGABYTE})

    [(name, fault)] = refused.fields.items()
    for text in (refused.message, str(refused), name, fault):
        assert len(text) == MAX_MESSAGE_CHARACTERS
        assert text.endswith("...")
