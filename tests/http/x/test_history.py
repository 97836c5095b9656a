"""What happened: a contact's history, the team's feed, and how it stood at a moment."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from tests.support.histories import EMAIL, ONE, TWO, history, told_of_alice
from tests.support.http import ok, refusal
from tests.support.personas import NOBODY, Api, TeamClient

pytestmark = pytest.mark.anyio


async def feed(api: Api, query: str = "", by: TeamClient | None = None) -> Any:
    answer = await api.request("GET", f"/x/events{query}", by=(by or api.bob).by_key())
    assert answer.status_code == 200, answer.text
    return answer.json()


KINDS = [
    "contact_created",
    "channel_added",
    "channel_updated",
    "channel_removed",
    "contact_updated",
    "contact_deleted",
]


# ── one contact ──────────────────────────────────────────────────────────────────────────────


async def test_it_works(api: Api) -> None:
    """Newest first, a deleted contact's too; each event with what it touched, before and after."""
    uuid = await told_of_alice(api)

    told = await history(api, uuid)

    assert told["next"] is None
    events = told["events"]
    assert [one["kind"] for one in events] == KINDS[::-1]
    assert [one["rev"] for one in events] == [6, 5, 4, 3, 2, 1]
    assert {one["contact_id"] for one in events} == {uuid}
    deleted, updated, removed, replaced, _, created = events
    assert created["before"] is None
    assert created["after"]["first"] == "Alice"
    assert created["after"]["tags"] == [{"tag_id": 3}]
    touched = [[one["channel_id"] for one in replaced[side]["channels"]] for side in BOTH]
    assert touched == [[TWO], ["12125550199"]]
    assert replaced["before"]["channels"][0]["id"] == replaced["after"]["channels"][0]["id"]
    told_of = [{one["id"]: one["primary"] for one in removed[side]["channels"]} for side in BOTH]
    assert [list(one.values()) for one in told_of] == [[True, False], [True]]
    assert (updated["before"]["last"], updated["after"]["last"]) == ("", "Liddell")
    assert "first" not in updated["after"]
    assert deleted["after"]["deleted"] == deleted["at"]
    assert len(deleted["before"]["channels"]) == 2


BOTH = ("before", "after")


async def test_a_history_is_the_same_before_and_after_the_feed_was_read(api: Api) -> None:
    """`seq` is the feed's."""
    uuid = await told_of_alice(api)
    before = await history(api, uuid)
    await feed(api)

    assert await history(api, uuid) == before
    keys = {"kind", "contact_id", "rev", "before", "after", "actor", "request_id", "at"}
    assert {frozenset(one) for one in before["events"]} == {frozenset(keys)}


async def test_a_cursor_is_for_the_history_that_gave_it(api: Api) -> None:
    alice, other = await told_of_alice(api), await api.contact()
    cursor = (await history(api, alice, "?limit=1"))["next"]

    answer = await api.request("GET", f"/x/contact/{other}/history?cursor={cursor}")

    assert refusal(answer) == (400, "bad_cursor")


async def test_the_channels_that_events_tell_of_add_up_to_the_present(api: Api) -> None:
    """Which of them are primary included, whether a channel was made so or became so."""
    uuid = await api.contact(("phone", ONE), ("phone", TWO), ("email", EMAIL))
    first, second, _ = await ok(api, "GET", f"/x/contact/{uuid}/channels")
    steps = [
        ("POST", f"/channel/{second['id']}/primary", None),
        ("PATCH", f"/channel/{first['id']}", {"held": True, "consent": "opted_in"}),
        ("DELETE", f"/channel/{second['id']}", None),
    ]
    for method, path, body in steps:
        await ok(api, method, f"/x/contact/{uuid}{path}", body)

        told: dict[str, Any] = {}
        for event in (await history(api, uuid))["events"][::-1]:
            for one in (event["before"] or {}).get("channels", []):
                assert told.pop(one["id"]) == one
            told |= {one["id"]: one for one in event["after"]["channels"]}
        present = await ok(api, "GET", f"/x/contact/{uuid}/channels")
        assert [told[key] for key in sorted(told, key=lambda id_: int(id_[3:]))] == present


async def test_an_event_names_who_did_it_and_in_which_request(api: Api) -> None:
    by = {**api.bob.by_jwt(), "x-request-id": "asked-for"}
    made = (await api.request("POST", "/v2/contact", {}, by=by)).json()

    [event] = (await history(api, made["uuid"]))["events"]

    assert event["actor"] == {"credential_id": api.bob.secret.id, "label": api.bob.secret.label}
    assert event["request_id"] == "asked-for"
    assert event["at"] == made["created"]


async def test_pages_are_joined_by_the_cursor(api: Api) -> None:
    uuid = await told_of_alice(api)
    for limit, sizes in [(1, [1] * 6), (4, [4, 2]), (6, [6]), (3, [3, 3])]:
        pages, query = [], f"?limit={limit}"
        for _ in range(7):
            page = await history(api, uuid, query)
            pages.append([one["rev"] for one in page["events"]])
            if page["next"] is None:
                break
            query = f"?limit={limit}&cursor={page['next']}"
        assert [len(page) for page in pages] == sizes
        assert [rev for page in pages for rev in page] == [6, 5, 4, 3, 2, 1]


async def test_a_page_is_not_moved_by_what_happens_meanwhile(api: Api) -> None:
    uuid = await api.contact()
    await ok(api, "PUT", f"/v2/contact/{uuid}", {"first": "A"})
    page = await history(api, uuid, "?limit=1")
    await ok(api, "PUT", f"/v2/contact/{uuid}", {"first": "B"})

    rest = await history(api, uuid, f"?limit=1&cursor={page['next']}")

    assert ([one["rev"] for one in rest["events"]], rest["next"]) == ([1], None)


NOT_OURS = ["", "x", "1", "*", "é", *("{}", "{}:", "{}:-1", "{}:x", "{}:²", "{}:" + "9" * 19)]


@pytest.mark.parametrize("text", NOT_OURS)
async def test_a_cursor_that_is_not_ours_is_refused(api: Api, text: str) -> None:
    """As it stands, and dressed as ours are."""
    uuid = await api.contact()
    dressed = base64.urlsafe_b64encode(text.format(uuid).encode()).decode().rstrip("=")
    for cursor in {text.format(uuid), dressed}:
        answer = await api.request("GET", f"/x/contact/{uuid}/history?cursor={cursor}")
        assert refusal(answer) == (400, "bad_cursor"), cursor


@pytest.mark.parametrize(
    ("path", "code", "said"),
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
async def test_a_wrong_question_is_refused(api: Api, path: str, code: str, said: str) -> None:
    uuid = await api.contact()
    answer = await api.request("GET", path.replace("{uuid}", uuid))

    assert refusal(answer) == (400, code)
    assert said in answer.json()["message"]


# ── the feed ─────────────────────────────────────────────────────────────────────────────────


async def test_the_feed_is_in_order_and_gapless_from_one(api: Api) -> None:
    incarnation = (await api.store.incarnation()).current
    assert await feed(api) == {"events": [], "next": 0, "incarnation": incarnation}
    uuid = await told_of_alice(api)

    told = await feed(api)

    assert [one["kind"] for one in told["events"]] == KINDS
    assert told["next"] == 6
    assert [one.pop("seq") for one in told["events"]] == [1, 2, 3, 4, 5, 6]
    assert told["events"][::-1] == (await history(api, uuid))["events"]
    at_the_end = {"events": [], "next": 6, "incarnation": incarnation}
    assert await feed(api, f"?after=6&incarnation={incarnation}") == at_the_end


async def test_a_follower_misses_nothing_while_others_write(api: Api) -> None:
    """Each team counts for itself."""

    async def follow(limit: int) -> list[tuple[int, str]]:
        seen: list[tuple[int, str]] = []
        for _ in range(200):
            page = await feed(api, f"?after={len(seen)}&limit={limit}")
            seen += [(one["seq"], one["contact_id"]) for one in page["events"]]
            assert page["next"] == len(seen)
            if len(seen) == 30:
                break
        return seen

    async def write(by: dict[str, str]) -> list[str]:
        return [await api.contact(by=by) for _ in range(10)]

    by_bob, by_charlie = api.bob.by_key(), api.charlie.by_key()
    followers, made, foreign = await asyncio.gather(
        asyncio.gather(*(follow(limit) for limit in (3, 7, 1000))),
        asyncio.gather(*(write(by_bob) for _ in range(3))),
        write(by_charlie),
    )

    assert [seq for seq, _ in followers[0]] == list(range(1, 31))
    assert followers[0] == followers[1] == followers[2]
    expected = sorted(uuid for some in made for uuid in some)
    assert sorted(uuid for _, uuid in followers[0]) == expected
    own = (await feed(api, by=api.charlie))["events"]
    assert [one["seq"] for one in own] == list(range(1, 11))
    assert [one["contact_id"] for one in own] == foreign


# ── who is not there ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "tail", ["/history", "/export", "/channels?as_of=2001-01-01T00:00:00Z", "/channels"]
)
async def test_a_foreign_past_reads_as_one_that_never_was(api: Api, tail: str) -> None:
    uuid = await api.contact(("phone", ONE))
    by = {**api.charlie.by_key(), "x-request-id": "same"}

    foreign = await api.request("GET", f"/x/contact/{uuid}{tail}", by=by)
    missing = await api.request("GET", f"/x/contact/{NOBODY}{tail}", by=by)

    assert refusal(foreign) == (404, "no_contact")
    assert foreign.content == missing.content
    assert foreign.headers.multi_items() == missing.headers.multi_items()
    page = await feed(api, by=api.charlie)
    assert (page["events"], page["next"]) == ([], 0)
