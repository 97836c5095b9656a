"""The history of a contact, and the event feed of a team."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from tests.support.histories import EMAIL, ONE, TWO, create_alice_with_history, history
from tests.support.http import ok, refusal
from tests.support.personas import NOBODY, Api, TeamClient

pytestmark = pytest.mark.anyio


async def get_feed(api: Api, query: str = "", by: TeamClient | None = None) -> Any:
    response = await api.request("GET", f"/x/events{query}", by=(by or api.bob).by_key())
    assert response.status_code == 200, response.text
    return response.json()


KINDS = [
    "contact_created",
    "channel_added",
    "channel_updated",
    "channel_removed",
    "contact_updated",
    "contact_deleted",
]


# ── one contact ──────────────────────────────────────────────────────────────────────────────


async def test_a_history_has_each_event_newest_first(api: Api) -> None:
    """Each event has the changed fields before and after; a deleted contact has a history too."""
    uuid = await create_alice_with_history(api)

    page = await history(api, uuid)

    assert page["next"] is None
    events = page["events"]
    assert [event["kind"] for event in events] == KINDS[::-1]
    assert [event["rev"] for event in events] == [6, 5, 4, 3, 2, 1]
    assert {event["contact_id"] for event in events} == {uuid}
    deleted, updated, removed, replaced, _, created = events
    assert created["before"] is None
    assert created["after"]["first"] == "Alice"
    assert created["after"]["tags"] == [{"tag_id": 3}]
    addresses = [
        [channel["channel_id"] for channel in replaced[side]["channels"]]
        for side in BEFORE_AND_AFTER
    ]
    assert addresses == [[TWO], ["12125550199"]]
    assert replaced["before"]["channels"][0]["id"] == replaced["after"]["channels"][0]["id"]
    primary_by_id = [
        {channel["id"]: channel["primary"] for channel in removed[side]["channels"]}
        for side in BEFORE_AND_AFTER
    ]
    assert [list(channels.values()) for channels in primary_by_id] == [[True, False], [True]]
    assert (updated["before"]["last"], updated["after"]["last"]) == ("", "Liddell")
    assert "first" not in updated["after"]
    assert deleted["after"]["deleted"] == deleted["at"]
    assert len(deleted["before"]["channels"]) == 2


BEFORE_AND_AFTER = ("before", "after")


async def test_reading_the_feed_does_not_change_a_history(api: Api) -> None:
    """`seq` is a field of the feed only."""
    uuid = await create_alice_with_history(api)
    before = await history(api, uuid)
    await get_feed(api)

    assert await history(api, uuid) == before
    keys = {"kind", "contact_id", "rev", "before", "after", "actor", "request_id", "at"}
    assert {frozenset(event) for event in before["events"]} == {frozenset(keys)}


async def test_a_cursor_of_another_contact_is_refused(api: Api) -> None:
    alice, other = await create_alice_with_history(api), await api.contact()
    cursor = (await history(api, alice, "?limit=1"))["next"]

    response = await api.request("GET", f"/x/contact/{other}/history?cursor={cursor}")

    assert refusal(response) == (400, "bad_cursor")


async def test_applying_all_events_gives_the_current_channels(api: Api) -> None:
    """This includes `primary`, whether it was set explicitly or followed from another change."""
    uuid = await api.contact(("phone", ONE), ("phone", TWO), ("email", EMAIL))
    first, second, _ = await ok(api, "GET", f"/x/contact/{uuid}/channels")
    steps = [
        ("POST", f"/channel/{second['id']}/primary", None),
        ("PATCH", f"/channel/{first['id']}", {"held": True, "consent": "opted_in"}),
        ("DELETE", f"/channel/{second['id']}", None),
    ]
    for method, path, body in steps:
        await ok(api, method, f"/x/contact/{uuid}{path}", body)

        state: dict[str, Any] = {}
        for event in (await history(api, uuid))["events"][::-1]:
            for channel in (event["before"] or {}).get("channels", []):
                assert state.pop(channel["id"]) == channel
            state |= {channel["id"]: channel for channel in event["after"]["channels"]}
        present = await ok(api, "GET", f"/x/contact/{uuid}/channels")
        assert [state[key] for key in sorted(state, key=lambda id_: int(id_[3:]))] == present


async def test_an_event_has_its_actor_and_request_id(api: Api) -> None:
    by = {**api.bob.by_jwt(), "x-request-id": "asked-for"}
    created = (await api.request("POST", "/v2/contact", {}, by=by)).json()

    [event] = (await history(api, created["uuid"]))["events"]

    assert event["actor"] == {"credential_id": api.bob.secret.id, "label": api.bob.secret.label}
    assert event["request_id"] == "asked-for"
    assert event["at"] == created["created"]


async def test_following_the_cursor_reads_the_whole_history(api: Api) -> None:
    uuid = await create_alice_with_history(api)
    for limit, sizes in [(1, [1] * 6), (4, [4, 2]), (6, [6]), (3, [3, 3])]:
        pages, query = [], f"?limit={limit}"
        for _ in range(7):
            page = await history(api, uuid, query)
            pages.append([event["rev"] for event in page["events"]])
            if page["next"] is None:
                break
            query = f"?limit={limit}&cursor={page['next']}"
        assert [len(page) for page in pages] == sizes
        assert [rev for page in pages for rev in page] == [6, 5, 4, 3, 2, 1]


async def test_a_new_event_does_not_shift_the_next_page(api: Api) -> None:
    uuid = await api.contact()
    await ok(api, "PUT", f"/v2/contact/{uuid}", {"first": "A"})
    page = await history(api, uuid, "?limit=1")
    await ok(api, "PUT", f"/v2/contact/{uuid}", {"first": "B"})

    rest = await history(api, uuid, f"?limit=1&cursor={page['next']}")

    assert ([event["rev"] for event in rest["events"]], rest["next"]) == ([1], None)


MALFORMED_CURSORS = [
    "",
    "x",
    "1",
    "*",
    "é",
    *("{}", "{}:", "{}:-1", "{}:x", "{}:²", "{}:" + "9" * 19),
]


@pytest.mark.parametrize("text", MALFORMED_CURSORS)
async def test_a_malformed_cursor_is_refused(api: Api, text: str) -> None:
    """The text is sent as it is, and in base64 as the API encodes its cursors."""
    uuid = await api.contact()
    encoded = base64.urlsafe_b64encode(text.format(uuid).encode()).decode().rstrip("=")
    for cursor in {text.format(uuid), encoded}:
        response = await api.request("GET", f"/x/contact/{uuid}/history?cursor={cursor}")
        assert refusal(response) == (400, "bad_cursor"), cursor


@pytest.mark.parametrize(
    ("path", "code", "in_message"),
    [
        ("/x/contact/{uuid}/history?limit=0", "bad_value", "limit"),
        ("/x/contact/{uuid}/history?limit=501", "bad_value", "limit"),
        ("/x/contact/{uuid}/history?limit=x", "bad_value", "limit"),
        ("/x/contact/{uuid}/history?curser=x", "unknown_name", "nearest is cursor"),
        ("/x/contact/7/history", "bad_uuid", "integer"),
        ("/x/events?after=-1", "bad_value", "after"),
        ("/x/events?limit=1001", "bad_value", "limit"),
        ("/x/events?afer=1", "unknown_name", "nearest is after"),
        ("/x/contact/{uuid}/channels?as_of=yesterday", "bad_value", "as_of"),
        ("/x/contact/{uuid}/channels?as_of=2026-01-01T00:00:00", "bad_value", "as_of"),
        ("/x/contact/{uuid}/channels?as_of=2999-01-01T00:00:00Z", "bad_value", "future"),
        ("/x/contact/{uuid}/channel/1?as_of=2999-01-01T00:00:00Z", "bad_value", "future"),
        (f"/x/contact/{NOBODY}/channels?as_of=2999-01-01T00:00:00Z", "bad_value", "future"),
        ("/x/contact/{uuid}/export?limit=1", "unknown_name", "limit"),
    ],
)
async def test_a_wrong_query_is_refused(api: Api, path: str, code: str, in_message: str) -> None:
    uuid = await api.contact()
    response = await api.request("GET", path.replace("{uuid}", uuid))

    assert refusal(response) == (400, code)
    assert in_message in response.json()["message"]


# ── the feed ─────────────────────────────────────────────────────────────────────────────────


async def test_the_feed_is_numbered_in_order_without_gaps(api: Api) -> None:
    incarnation = (await api.store.incarnation()).current
    assert await get_feed(api) == {"events": [], "next": 0, "incarnation": incarnation}
    uuid = await create_alice_with_history(api)

    page = await get_feed(api)

    assert [event["kind"] for event in page["events"]] == KINDS
    assert page["next"] == 6
    assert [event.pop("seq") for event in page["events"]] == [1, 2, 3, 4, 5, 6]
    assert page["events"][::-1] == (await history(api, uuid))["events"]
    at_the_end = {"events": [], "next": 6, "incarnation": incarnation}
    assert await get_feed(api, f"?after=6&incarnation={incarnation}") == at_the_end


async def test_a_reader_of_the_feed_gets_every_event_during_writes(api: Api) -> None:
    """Each team has its own numbers."""

    async def follow(limit: int) -> list[tuple[int, str]]:
        seen: list[tuple[int, str]] = []
        for _ in range(200):
            page = await get_feed(api, f"?after={len(seen)}&limit={limit}")
            seen += [(event["seq"], event["contact_id"]) for event in page["events"]]
            assert page["next"] == len(seen)
            if len(seen) == 30:
                break
        return seen

    async def write(by: dict[str, str]) -> list[str]:
        return [await api.contact(by=by) for _ in range(10)]

    by_bob, by_charlie = api.bob.by_key(), api.charlie.by_key()
    followers, created, foreign = await asyncio.gather(
        asyncio.gather(*(follow(limit) for limit in (3, 7, 1000))),
        asyncio.gather(*(write(by_bob) for _ in range(3))),
        write(by_charlie),
    )

    assert [seq for seq, _ in followers[0]] == list(range(1, 31))
    assert followers[0] == followers[1] == followers[2]
    expected = sorted(uuid for uuids in created for uuid in uuids)
    assert sorted(uuid for _, uuid in followers[0]) == expected
    charlies_events = (await get_feed(api, by=api.charlie))["events"]
    assert [event["seq"] for event in charlies_events] == list(range(1, 11))
    assert [event["contact_id"] for event in charlies_events] == foreign


# ── other teams ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "tail", ["/history", "/export", "/channels?as_of=2001-01-01T00:00:00Z", "/channels"]
)
async def test_a_contact_of_another_team_and_a_missing_contact_have_equal_responses(
    api: Api, tail: str
) -> None:
    uuid = await api.contact(("phone", ONE))
    by = {**api.charlie.by_key(), "x-request-id": "same"}

    foreign = await api.request("GET", f"/x/contact/{uuid}{tail}", by=by)
    missing = await api.request("GET", f"/x/contact/{NOBODY}{tail}", by=by)

    assert refusal(foreign) == (404, "no_contact")
    assert foreign.content == missing.content
    assert foreign.headers.multi_items() == missing.headers.multi_items()
    page = await get_feed(api, by=api.charlie)
    assert (page["events"], page["next"]) == ([], 0)
