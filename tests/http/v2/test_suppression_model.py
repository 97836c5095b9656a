"""An opt-out or a bounce of an address ends only by an explicit request."""

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
CONTACT_INDEXES = st.integers(0, 1)
ADDRESS_INDEXES = st.integers(0, 2)
MOVES = st.sampled_from(["", "?on_conflict=move"])
NUMBERS = count(1)


class Suppressions(RuleBasedStateMachine):
    """Two contacts, two phones and an email, and the set of suppressed addresses."""

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
        self.opted_out: set[str] = set()
        self.bounced: set[str] = set()
        self.addresses_by_contact: dict[str, set[str]] = {}

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Returns the JSON of a successful response, or None for status code 404 or 409."""
        response = self.runner.run(self.api.request(method, path, body))
        assert response.status_code in (200, 404, 409), response.text
        return response.json() if response.status_code == 200 else None

    def channels(self, index: int) -> list[dict[str, Any]]:
        return self.request("GET", f"/x/contact/{self.uuids[index]}/channels") or []

    def body(self, address: int) -> dict[str, str]:
        kind, value = self.addresses[address]
        return {"channel_type": kind, "channel_id": value}

    def set_contact(self, index: int, created: dict[str, Any] | None) -> None:
        if created:
            self.uuids[index] = created["uuid"]

    def record_contact_opt_out(self, index: int) -> None:
        """Add the phones of an opted-out contact whose consent was never set, before its deletion.

        An older release did not opt them out, so deleting the contact does.
        """
        if (self.request("GET", f"/v2/contact/{self.uuids[index]}") or {}).get("is_opted_out"):
            self.opted_out |= {
                channel["channel_id"]
                for channel in self.channels(index)
                if channel["channel_type"] == "phone" and channel["consent_at"] is None
            }

    @initialize()
    def begin(self) -> None:
        for index in (0, 1):
            self.set_contact(index, self.request("POST", "/v2/contact", {}))

    @rule(index=CONTACT_INDEXES, address=ADDRESS_INDEXES, move=MOVES)
    def add(self, index: int, address: int, move: str) -> None:
        self.request("POST", f"/v2/contact/{self.uuids[index]}/channel{move}", self.body(address))

    @rule(index=CONTACT_INDEXES, address=ADDRESS_INDEXES, move=MOVES)
    def replace(self, index: int, address: int, move: str) -> None:
        self.request("PUT", f"/v2/contact/{self.uuids[index]}/channel{move}", self.body(address))

    @rule(
        index=CONTACT_INDEXES,
        address=ADDRESS_INDEXES,
        move=MOVES,
        value=st.sampled_from([None, True, False]),
    )
    def update_in_bulk(self, index: int, address: int, move: str, value: bool | None) -> None:
        """A row with an address and `is_opted_out`."""
        before = self.request("GET", f"/v2/contact/{self.uuids[index]}")
        row = {"contact_id": self.uuids[index], "contact_channels": [self.body(address)]}
        result = self.request(
            "POST", f"/v2/contacts{move}", {"contacts": [{**row, "is_opted_out": value or False}]}
        )
        if result["contacts"] and value and before and not before["is_opted_out"]:
            self.opted_out |= {
                channel["channel_id"]
                for channel in self.channels(index)
                if channel["channel_type"] == "phone"
            }

    @rule(index=CONTACT_INDEXES, address=ADDRESS_INDEXES)
    def remove(self, index: int, address: int) -> None:
        kind, value = self.addresses[address]
        self.request("DELETE", f"/v2/contact/{self.uuids[index]}/channel/{kind}?channel_id={value}")

    @rule(index=CONTACT_INDEXES, address=ADDRESS_INDEXES, move=MOVES, resolve=st.booleans())
    def delete_and_create(self, index: int, address: int, move: str, *, resolve: bool) -> None:
        self.record_contact_opt_out(index)
        self.request("DELETE", f"/v2/contact/{self.uuids[index]}")
        if resolve:
            resolved = self.request("POST", "/x/resolve", {**self.body(address), "create": {}})
            if resolved["created"]:
                self.set_contact(index, resolved["contact"])
                return
        body = {"contact_channels": [self.body(address)]}
        new = self.request("POST", f"/v2/contact{move}", body) or self.request(
            "POST", "/v2/contact", {}
        )
        self.set_contact(index, new)

    @rule(index=CONTACT_INDEXES, deleted=st.booleans())
    def erase(self, index: int, *, deleted: bool) -> None:
        uuid = self.uuids[index]
        self.record_contact_opt_out(index)
        if deleted:
            self.request("DELETE", f"/v2/contact/{uuid}")
        assert self.request("DELETE", f"/x/contact/{uuid}/erase") == "contact erased"
        others = {channel["channel_id"] for channel in self.channels(1 - index)}
        self.bounced -= self.addresses_by_contact.get(uuid, set()) - others
        self.set_contact(index, self.request("POST", "/v2/contact", {}))

    @rule(
        index=CONTACT_INDEXES,
        address=ADDRESS_INDEXES,
        consent=st.sampled_from([None, "opted_out", "opted_out", "opted_in", "unknown"]),
        held=st.sampled_from([None, "bounced", "other", ""]),
    )
    def patch(self, index: int, address: int, consent: str | None, held: str | None) -> None:
        value = self.addresses[address][1]
        for channel in self.channels(index):
            if channel["channel_id"] != value:
                continue
            body: dict[str, object] = {} if consent is None else {"consent": consent}
            if held is not None:
                body |= {"held": True, "held_reason": held} if held else {"held": False}
            path = f"/x/contact/{self.uuids[index]}/channel/{channel['id']}"
            assert self.request("PATCH", path, body) is not None
            if consent is not None:
                (self.opted_out.add if consent == "opted_out" else self.opted_out.discard)(value)
            if held == "bounced":
                self.bounced.add(value)
            elif held == "" and channel["held"]:
                self.bounced.discard(value)

    @rule(address=ADDRESS_INDEXES, reason=st.sampled_from(["opted_out", "bounced"]))
    def end(self, address: int, reason: str) -> None:
        if self.request("DELETE", "/x/suppression", {**self.body(address), "reason": reason}):
            (self.opted_out if reason == "opted_out" else self.bounced).remove(
                self.addresses[address][1]
            )

    @invariant()
    def check_channels_and_suppressions(self) -> None:
        """An address, with or without an owner, is suppressed exactly if the model has it."""
        owned = set()
        for index in (0, 1):
            for channel in self.channels(index) if self.uuids[index] else ():
                value = channel["channel_id"]
                owned.add(value)
                self.addresses_by_contact.setdefault(self.uuids[index], set()).add(value)
                assert (channel["consent"] == "opted_out") is (value in self.opted_out), channel
                if channel["held_reason"] in (None, "bounced"):
                    assert channel["held"] is (value in self.bounced), channel
        for address, (_, value) in enumerate(self.addresses):
            found = self.request("POST", "/x/resolve", self.body(address))
            reason = "opted_out" if value in self.opted_out else "bounced"
            suppressed = value not in owned and value in self.opted_out | self.bounced
            assert (found["suppressed"] or {}).get("reason") == (reason if suppressed else None)


@pytest.fixture
def api_and_runner(database: str) -> Iterator[tuple[Api, asyncio.Runner]]:
    """Open the API on one event loop for all steps of Hypothesis."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(stack.enter_async_context(open_api(database))), runner
        runner.run(stack.aclose())


def test_no_sequence_of_requests_loses_a_suppression(
    api_and_runner: tuple[Api, asyncio.Runner],
) -> None:
    bound = settings(
        max_examples=MACHINES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )

    class SuppressionsOfThisApi(Suppressions):
        def __init__(self) -> None:
            super().__init__(*api_and_runner)

    run_state_machine_as_test(SuppressionsOfThisApi, settings=bound)
