"""An opt-out or a bounce of an address is lost only by an explicit end of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.support.full_size import scaled
from tests.support.personas import Api, open_api

MACHINES, STEPS = scaled(12, 200), 20
PEOPLE = st.integers(0, 1)
ADDRESSES = st.integers(0, 2)
MOVES = st.sampled_from(["", "?on_conflict=move"])
NUMBERS = count(1)


class Suppressions(RuleBasedStateMachine):
    """Two contacts, two phones and an email, and which of the addresses are suppressed."""

    def __init__(self, api: Api, runner: asyncio.Runner) -> None:
        super().__init__()
        self.api = api
        self.runner = runner
        number = next(NUMBERS)
        self.addresses = [
            ("phone", f"1510555{number % 10000:04d}"),
            ("phone", f"1415555{number % 10000:04d}"),
            ("email", f"p{number}@example.com"),
        ]
        self.uuids = ["", ""]
        self.out: set[str] = set()
        self.bounced: set[str] = set()
        self.ever: dict[str, set[str]] = {}

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of a granted request, or None."""
        answer = self.runner.run(self.api.request(method, path, body))
        assert answer.status_code in (200, 404, 409), answer.text
        return answer.json() if answer.status_code == 200 else None

    def channels(self, who: int) -> list[dict[str, Any]]:
        return self.request("GET", f"/x/contact/{self.uuids[who]}/channels") or []

    def body(self, which: int) -> dict[str, str]:
        kind, value = self.addresses[which]
        return {"channel_type": kind, "channel_id": value}

    def start_anew(self, who: int, done: dict[str, Any] | None) -> None:
        if done:
            self.uuids[who] = done["uuid"]

    def lose(self, who: int) -> None:
        """Remember the addresses without any consent that an opted-out contact loses as a whole.

        An older release did not opt them out, so the loss does.
        """
        if (self.request("GET", f"/v2/contact/{self.uuids[who]}") or {}).get("is_opted_out"):
            self.out |= {
                one["channel_id"]
                for one in self.channels(who)
                if one["channel_type"] == "phone" and one["consent_at"] is None
            }

    @initialize()
    def begin(self) -> None:
        for who in (0, 1):
            self.start_anew(who, self.request("POST", "/v2/contact", {}))

    @rule(who=PEOPLE, which=ADDRESSES, move=MOVES)
    def add(self, who: int, which: int, move: str) -> None:
        self.request("POST", f"/v2/contact/{self.uuids[who]}/channel{move}", self.body(which))

    @rule(who=PEOPLE, which=ADDRESSES, move=MOVES)
    def replace(self, who: int, which: int, move: str) -> None:
        self.request("PUT", f"/v2/contact/{self.uuids[who]}/channel{move}", self.body(which))

    @rule(who=PEOPLE, which=ADDRESSES, move=MOVES, value=st.sampled_from([None, True, False]))
    def update_in_bulk(self, who: int, which: int, move: str, value: bool | None) -> None:
        """A row with an address and `is_opted_out`."""
        before = self.request("GET", f"/v2/contact/{self.uuids[who]}")
        row = {"contact_id": self.uuids[who], "contact_channels": [self.body(which)]}
        done = self.request(
            "POST", f"/v2/contacts{move}", {"contacts": [{**row, "is_opted_out": value or False}]}
        )
        if done["contacts"] and value and before and not before["is_opted_out"]:
            self.out |= {
                one["channel_id"] for one in self.channels(who) if one["channel_type"] == "phone"
            }

    @rule(who=PEOPLE, which=ADDRESSES)
    def remove(self, who: int, which: int) -> None:
        kind, value = self.addresses[which]
        self.request("DELETE", f"/v2/contact/{self.uuids[who]}/channel/{kind}?channel_id={value}")

    @rule(who=PEOPLE, which=ADDRESSES, move=MOVES, resolve=st.booleans())
    def delete_and_create(self, who: int, which: int, move: str, *, resolve: bool) -> None:
        self.lose(who)
        self.request("DELETE", f"/v2/contact/{self.uuids[who]}")
        if resolve:
            found = self.request("POST", "/x/resolve", {**self.body(which), "create": {}})
            if found["created"]:
                self.start_anew(who, found["contact"])
                return
        body = {"contact_channels": [self.body(which)]}
        made = self.request("POST", f"/v2/contact{move}", body) or self.request(
            "POST", "/v2/contact", {}
        )
        self.start_anew(who, made)

    @rule(who=PEOPLE, deleted=st.booleans())
    def erase(self, who: int, *, deleted: bool) -> None:
        uuid = self.uuids[who]
        self.lose(who)
        if deleted:
            self.request("DELETE", f"/v2/contact/{uuid}")
        assert self.request("DELETE", f"/x/contact/{uuid}/erase") == "contact erased"
        others = {one["channel_id"] for one in self.channels(1 - who)}
        self.bounced -= self.ever.get(uuid, set()) - others
        self.start_anew(who, self.request("POST", "/v2/contact", {}))

    @rule(
        who=PEOPLE,
        which=ADDRESSES,
        consent=st.sampled_from([None, "opted_out", "opted_out", "opted_in", "unknown"]),
        held=st.sampled_from([None, "bounced", "other", ""]),
    )
    def patch(self, who: int, which: int, consent: str | None, held: str | None) -> None:
        value = self.addresses[which][1]
        for one in self.channels(who):
            if one["channel_id"] != value:
                continue
            body: dict[str, object] = {} if consent is None else {"consent": consent}
            if held is not None:
                body |= {"held": True, "held_reason": held} if held else {"held": False}
            path = f"/x/contact/{self.uuids[who]}/channel/{one['id']}"
            assert self.request("PATCH", path, body) is not None
            if consent is not None:
                (self.out.add if consent == "opted_out" else self.out.discard)(value)
            if held == "bounced":
                self.bounced.add(value)
            elif held == "" and one["held"]:
                self.bounced.discard(value)

    @rule(which=ADDRESSES, reason=st.sampled_from(["opted_out", "bounced"]))
    def end(self, which: int, reason: str) -> None:
        if self.request("DELETE", "/x/suppression", {**self.body(which), "reason": reason}):
            (self.out if reason == "opted_out" else self.bounced).remove(self.addresses[which][1])

    @invariant()
    def agrees(self) -> None:
        """Every channel, and every address that nobody owns, is as the model says."""
        owned = set()
        for who in (0, 1):
            for one in self.channels(who) if self.uuids[who] else ():
                value = one["channel_id"]
                owned.add(value)
                self.ever.setdefault(self.uuids[who], set()).add(value)
                assert (one["consent"] == "opted_out") is (value in self.out), one
                if one["held_reason"] in (None, "bounced"):
                    assert one["held"] is (value in self.bounced), one
        for which, (_, value) in enumerate(self.addresses):
            found = self.request("POST", "/x/resolve", self.body(which))
            reason = "opted_out" if value in self.out else "bounced"
            suppressed = value not in owned and value in self.out | self.bounced
            assert (found["suppressed"] or {}).get("reason") == (reason if suppressed else None)


@pytest.fixture
def opened(database: str) -> Iterator[tuple[Api, asyncio.Runner]]:
    """Open the API on one event loop for all steps of Hypothesis."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(stack.enter_async_context(open_api(database))), runner
        runner.run(stack.aclose())


def test_no_path_loses_a_suppression(opened: tuple[Api, asyncio.Runner]) -> None:
    bound = settings(
        max_examples=MACHINES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )

    class OnThisBook(Suppressions):
        def __init__(self) -> None:
            super().__init__(*opened)

    run_state_machine_as_test(OnThisBook, settings=bound)
