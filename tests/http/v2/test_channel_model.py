"""Random operations on channels have the same results as a model that is made of lists."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.personas import Api, open_api

MACHINES, STEPS = 50, 30
LEFT_OUT = "(left out)"


class Spelling(NamedTuple):
    """An address as a client writes it, as it is stored, and the identity that it has."""

    kind: str
    typed: str
    stored: str
    identity: str


SPELLINGS = [
    Spelling("phone", "15105553344", "15105553344", "A"),
    Spelling("phone", "+1 (510) 555-3344", "15105553344", "A"),
    Spelling("phone", "5491123456789", "5491123456789", "B"),
    Spelling("phone", "+54 11 2345 6789", "541123456789", "B"),
    Spelling("phone", "5215512345678", "525512345678", "C"),
    Spelling("phone", "525512345678", "525512345678", "C"),
    Spelling("email", "alice@example.com", "alice@example.com", "D"),
    Spelling("email", "ALICE@Example.com", "ALICE@example.com", "D"),
    Spelling("email", "bob@example.com", "bob@example.com", "E"),
    Spelling("facebook", "100", "100", "F"),
    Spelling("facebook", "200", "200", "G"),
]
KINDS = ["phone", "email", "facebook"]
CONTACT_INDEXES = st.integers(0, 1)
HANDLES = st.sampled_from([LEFT_OUT, None, "", "@a", "@b"])
PAGES = st.sampled_from([LEFT_OUT, None, "", "page-1", "page-2"])


@dataclass
class ModelChannel:
    """A channel of the model."""

    kind: str
    stored: str
    identity: str
    handle: str = ""
    page: str = ""

    @property
    def unique_key(self) -> tuple[str, str, str]:
        """The key that only one contact may have: Facebook ids are issued per page."""
        return self.kind, self.identity, self.page if self.kind == "facebook" else ""

    def with_fields(self, handle: str | None, page: str | None) -> ModelChannel:
        """Returns the channel with the fields of a request; null clears, an absent field stays."""
        return replace(
            self,
            handle=self.handle if handle == LEFT_OUT else handle or "",
            page=self.page if page == LEFT_OUT else page or "",
        )


@dataclass
class Model:
    """Two contacts of one team, and the channels that each is expected to have, oldest first."""

    channels: list[list[ModelChannel]] = field(default_factory=lambda: [[], []])

    def find(self, index: int, kind: str, identity: str | None) -> list[ModelChannel]:
        return [
            channel
            for channel in self.channels[index]
            if channel.kind == kind and identity in (None, channel.identity)
        ]

    def owner(self, index: int, wanted: ModelChannel, but_for: ModelChannel | None) -> int | None:
        """Returns the contact that has the address of `wanted`, or None; ignores `but_for`.

        The page is a part of the key only when two contacts are compared.
        """
        if any(
            channel is not but_for for channel in self.find(index, wanted.kind, wanted.identity)
        ):
            return index
        theirs = self.channels[1 - index]
        return (
            1 - index
            if any(channel.unique_key == wanted.unique_key for channel in theirs)
            else None
        )

    def put(self, index: int, before: ModelChannel | None, after: ModelChannel) -> None:
        if before is None:
            self.channels[index].append(after)
        else:
            self.channels[index] = [
                after if channel is before else channel for channel in self.channels[index]
            ]


class Contacts(RuleBasedStateMachine):
    """Two new contacts; each step is sent to the API and its response compared with the model."""

    def __init__(self, api: Api, runner: asyncio.Runner) -> None:
        super().__init__()
        self.api, self.runner, self.model = api, runner, Model()
        self.uuids: list[str] = []

    def request(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self.runner.run(self.api.request(method, path, body))

    @initialize()
    def create_contacts(self) -> None:
        self.uuids = [self.runner.run(self.api.contact()) for _ in range(2)]

    @rule(index=CONTACT_INDEXES, spelling=st.sampled_from(SPELLINGS), handle=HANDLES, page=PAGES)
    def add(self, index: int, spelling: Spelling, handle: str | None, page: str | None) -> None:
        new = ModelChannel(spelling.kind, spelling.stored, spelling.identity).with_fields(
            handle, page
        )
        held = next(iter(self.model.find(index, spelling.kind, spelling.identity)), None)
        after = held.with_fields(handle, page) if held else new
        response = self.request("POST", self._path(index), self._body(spelling, handle, page))
        self._check_changed(response, index, held, after)

    @rule(
        index=CONTACT_INDEXES,
        spelling=st.sampled_from(SPELLINGS),
        handle=HANDLES,
        page=PAGES,
        selected=st.none() | st.sampled_from(SPELLINGS),
    )
    def replace(
        self,
        index: int,
        spelling: Spelling,
        handle: str | None,
        page: str | None,
        selected: Spelling | None,
    ) -> None:
        if selected and selected.kind != spelling.kind:
            selected = None
        found = self.model.find(index, spelling.kind, selected.identity if selected else None)
        path = self._path(index) + self._query(selected)
        response = self.request("PUT", path, self._body(spelling, handle, page))
        if not found:
            self._check_refused(response, 404, "no_channel", index)
            return
        moved = replace(found[0], stored=spelling.stored, identity=spelling.identity)
        self._check_changed(response, index, found[0], moved.with_fields(handle, page))

    @rule(index=CONTACT_INDEXES, kind=st.sampled_from(KINDS))
    def remove_by_type(self, index: int, kind: str) -> None:
        self._remove(index, kind, None)

    @rule(index=CONTACT_INDEXES, selected=st.sampled_from(SPELLINGS))
    def remove_by_name(self, index: int, selected: Spelling) -> None:
        self._remove(index, selected.kind, selected)

    @rule(index=CONTACT_INDEXES, selected=st.sampled_from(SPELLINGS), by_type=st.booleans())
    def get(self, index: int, selected: Spelling, by_type: bool) -> None:
        found = self.model.find(index, selected.kind, None if by_type else selected.identity)
        query = self._query(None if by_type else selected)
        response = self.request("GET", f"{self._path(index)}/{selected.kind}{query}")
        if found:
            assert self._parse([response.json()]) == found[:1]
        else:
            self._check_refused(response, 404, "no_channel", index)

    @rule(index=CONTACT_INDEXES)
    @precondition(lambda self: any(self.model.channels))
    def list_all(self, index: int) -> None:
        response = self.request("GET", f"/v2/contact/{self.uuids[index]}/channels")
        assert self._parse(response.json()) == self.model.channels[index]

    def teardown(self) -> None:
        """Delete both contacts, so that the next two can have their addresses."""
        for index, uuid in enumerate(self.uuids):
            self.list_all(index)
            self.request("DELETE", f"/v2/contact/{uuid}")

    # ── the checks of a step ─────────────────────────────────────────────────────────────────

    def _remove(self, index: int, kind: str, selected: Spelling | None) -> None:
        found = self.model.find(index, kind, selected.identity if selected else None)
        response = self.request("DELETE", f"{self._path(index)}/{kind}{self._query(selected)}")
        if not found:
            self._check_refused(response, 404, "no_channel", index)
        elif len(found) > 1:
            self._check_refused(response, 409, "several", index)
            assert self._parse(response.json()["channels"]) == found
        else:
            others = [channel for channel in self.model.channels[index] if channel is not found[0]]
            self.model.channels[index] = others
            self._check_equal(response, index)
            reachable = None if self.model.channels[index] else "false"
            assert response.headers.get("x-contact-reachable") == reachable

    def _check_changed(
        self, response: httpx.Response, index: int, before: ModelChannel | None, after: ModelChannel
    ) -> None:
        owner = self.model.owner(index, after, before)
        if owner is not None:
            self._check_refused(response, 409, "address_taken", index)
            assert response.json()["conflicting_contact_id"] == self.uuids[owner]
            return
        self.model.put(index, before, after)
        self._check_equal(response, index)

    def _check_equal(self, response: httpx.Response, index: int) -> None:
        assert response.status_code == 200, response.text
        assert self._parse(response.json()) == self.model.channels[index]

    def _check_refused(self, response: httpx.Response, status: int, code: str, index: int) -> None:
        assert (response.status_code, response.json().get("error_code")) == (status, code), (
            response.text
        )
        self.list_all(index)

    def _parse(self, channels: list[dict[str, Any]]) -> list[ModelChannel]:
        identities = {(spelling.kind, spelling.stored): spelling.identity for spelling in SPELLINGS}
        keys = ("channel_type", "channel_id", "channel_handle", "info_channel")
        values = [[channel.get(key, "") for key in keys] for channel in channels]
        return [
            ModelChannel(kind, stored, identities[kind, stored], *rest)
            for kind, stored, *rest in values
        ]

    def _path(self, index: int) -> str:
        return f"/v2/contact/{self.uuids[index]}/channel"

    def _query(self, selected: Spelling | None) -> str:
        return f"?channel_id={quote(selected.typed, safe='')}" if selected else ""

    def _body(self, spelling: Spelling, handle: str | None, page: str | None) -> dict[str, Any]:
        body = {"channel_type": spelling.kind, "channel_id": spelling.typed}
        given = {"channel_handle": handle, "info_channel": page}
        return {**body, **{key: value for key, value in given.items() if value != LEFT_OUT}}


@pytest.fixture
def api_and_runner(database: str) -> Iterator[tuple[Api, asyncio.Runner]]:
    """Open the API on one event loop for all steps of Hypothesis."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(stack.enter_async_context(open_api(database))), runner
        runner.run(stack.aclose())


def test_the_api_and_the_model_agree_after_every_step(
    api_and_runner: tuple[Api, asyncio.Runner],
) -> None:
    bound = settings(
        max_examples=MACHINES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )

    class ContactsOfThisApi(Contacts):
        def __init__(self) -> None:
            super().__init__(*api_and_runner)

    run_state_machine_as_test(ContactsOfThisApi, settings=bound)
