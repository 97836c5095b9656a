"""The incarnation of a store: ETags and the feed after a restore (sections 7 and 8)."""

from __future__ import annotations

import re

import pytest

from tests.support.http import alice, ok, refusal, send
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

GET = ("GET", "/v2/contact/{uuid}", None)
PUT = ("PUT", "/v2/contact/{uuid}", {"last": "B"})


async def restart_after_restore(api: Api) -> str:
    """Marks the store as restored, and lets the application read that as it does at its start."""
    token = await api.store.renew_incarnation()
    state = api.app.state.state
    api.app.state.state = type(state)(
        state.service,
        state.authenticator,
        state.rate_limiter,
        state.metrics,
        await api.store.incarnation(),
    )
    return token


async def test_the_feed_has_the_incarnation_and_refuses_others(fresh_api: Api) -> None:
    """A reader with this incarnation gets a page, a reader with another gets 410."""
    api = fresh_api
    await alice(api)
    page = await ok(api, "GET", "/x/events")
    assert re.fullmatch("[0-9a-f]{16}", page["incarnation"])
    same = await ok(api, "GET", f"/x/events?after=1&incarnation={page['incarnation']}")
    assert same == {"events": [], "next": 1, "incarnation": page["incarnation"]}

    token = await restart_after_restore(api)

    for old in (page["incarnation"], "", "nonsense"):
        response = await api.request("GET", f"/x/events?after=0&incarnation={old}")
        assert refusal(response) == (410, "feed_restarted"), old
        assert response.json()["error"] == "gone"
        assert list(response.json()["fields"]) == ["incarnation"]
    assert token != page["incarnation"]
    restarted = await ok(api, "GET", f"/x/events?after=0&incarnation={token}")
    assert (restarted["incarnation"], len(restarted["events"])) == (token, 1)


async def test_a_position_beyond_the_newest_event_is_410(fresh_api: Api) -> None:
    api = fresh_api
    for after in (1, 2**53 - 1):
        response = await api.request("GET", f"/x/events?after={after}")
        assert refusal(response) == (410, "feed_restarted")
        assert list(response.json()["fields"]) == ["after"]
    await alice(api)  # its event has no number yet

    assert (await ok(api, "GET", "/x/events?after=1"))["events"] == []
    assert refusal(await api.request("GET", "/x/events?after=2")) == (410, "feed_restarted")
    by = api.charlie.by_key()
    assert refusal(await api.request("GET", "/x/events?after=1", by=by)) == (410, "feed_restarted")


async def test_an_etag_without_an_incarnation_matches_the_first_incarnation(fresh_api: Api) -> None:
    """Earlier releases sent such ETags; after a restore they match nothing."""
    api, old = fresh_api, '"1-string_ids"'
    names = await alice(api)
    assert (await send(api, GET, names, {"if-none-match": old})).status_code == 304

    await restart_after_restore(api)

    assert (await send(api, GET, names, {"if-none-match": old})).status_code == 200
    assert refusal(await send(api, PUT, names, {"if-match": old})) == (412, "stale_revision")


async def test_an_etag_of_another_incarnation_matches_nothing(fresh_api: Api) -> None:
    """The contact has the same revision, but its content may differ."""
    api = fresh_api
    names = await alice(api)
    old = (await send(api, GET, names)).headers["etag"]
    assert re.fullmatch('"1-string_ids-[0-9a-f]{16}"', old)

    token = await restart_after_restore(api)

    seen = await send(api, GET, names, {"if-none-match": old})
    assert (seen.status_code, seen.headers["etag"]) == (200, f'"1-string_ids-{token}"')
    text = old.strip('"')
    for changed in (old, f"W/{old}", f'"{text}-gzip"', f'"{text}--gzip"'):
        refused = await send(api, PUT, names, {"if-match": changed})
        assert refusal(refused) == (412, "stale_revision")
    both = f"{old}, {seen.headers['etag']}"
    assert (await send(api, GET, names, {"if-none-match": both})).status_code == 304
    assert (await send(api, PUT, names, {"if-match": both})).status_code == 200


async def test_a_stored_response_is_replayed_with_its_original_etag(fresh_api: Api) -> None:
    api = fresh_api
    names = await alice(api)
    key = {"idempotency-key": "k"}
    first = await send(api, PUT, names, key)

    await restart_after_restore(api)

    again = await send(api, PUT, names, key)
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
