"""A contact's channels beside a model of them that is only lists: many steps, one answer."""

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
    """What a client types, what is kept of it, and what makes it the same as another."""

    kind: str
    typed: str
    kept: str
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
PEOPLE = st.integers(0, 1)
HANDLES = st.sampled_from([LEFT_OUT, None, "", "@a", "@b"])
PAGES = st.sampled_from([LEFT_OUT, None, "", "page-1", "page-2"])


@dataclass
class Known:
    """A channel as the model remembers it."""

    kind: str
    kept: str
    identity: str
    handle: str = ""
    page: str = ""

    @property
    def owned(self) -> tuple[str, str, str]:
        """What only one contact may have: Facebook ids are issued per page."""
        return self.kind, self.identity, self.page if self.kind == "facebook" else ""

    def supplied(self, handle: str | None, page: str | None) -> Known:
        """With the fields that a request carries; null clears, what is left out stays."""
        return replace(
            self,
            handle=self.handle if handle == LEFT_OUT else handle or "",
            page=self.page if page == LEFT_OUT else page or "",
        )


@dataclass
class Model:
    """Two contacts of one team, and what each is expected to have, oldest first."""

    held: list[list[Known]] = field(default_factory=lambda: [[], []])

    def named(self, who: int, kind: str, identity: str | None) -> list[Known]:
        return [
            one for one in self.held[who] if one.kind == kind and identity in (None, one.identity)
        ]

    def owner(self, who: int, wanted: Known, but_for: Known | None) -> int | None:
        """Which contact has the address that `who` wants, the channel `but_for` left aside.

        To the contact itself a page tells nothing apart; to another one it does.
        """
        if any(one is not but_for for one in self.named(who, wanted.kind, wanted.identity)):
            return who
        theirs = self.held[1 - who]
        return 1 - who if any(one.owned == wanted.owned for one in theirs) else None

    def put(self, who: int, before: Known | None, after: Known) -> None:
        if before is None:
            self.held[who].append(after)
        else:
            self.held[who] = [after if one is before else one for one in self.held[who]]


class Contacts(RuleBasedStateMachine):
    """Two new contacts of an open API; each step is sent and compared with the model."""

    def __init__(self, api: Api, runner: asyncio.Runner) -> None:
        super().__init__()
        self.api, self.runner, self.model = api, runner, Model()
        self.uuids: list[str] = []

    def request(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self.runner.run(self.api.request(method, path, body))

    @initialize()
    def meet(self) -> None:
        self.uuids = [self.runner.run(self.api.contact()) for _ in range(2)]

    @rule(who=PEOPLE, spelling=st.sampled_from(SPELLINGS), handle=HANDLES, page=PAGES)
    def add(self, who: int, spelling: Spelling, handle: str | None, page: str | None) -> None:
        new = Known(spelling.kind, spelling.kept, spelling.identity).supplied(handle, page)
        held = next(iter(self.model.named(who, spelling.kind, spelling.identity)), None)
        after = held.supplied(handle, page) if held else new
        answer = self.request("POST", self._path(who), self._body(spelling, handle, page))
        self._changed(answer, who, held, after)

    @rule(
        who=PEOPLE,
        spelling=st.sampled_from(SPELLINGS),
        handle=HANDLES,
        page=PAGES,
        named=st.none() | st.sampled_from(SPELLINGS),
    )
    def replace(
        self,
        who: int,
        spelling: Spelling,
        handle: str | None,
        page: str | None,
        named: Spelling | None,
    ) -> None:
        if named and named.kind != spelling.kind:
            named = None
        found = self.model.named(who, spelling.kind, named.identity if named else None)
        path = self._path(who) + self._query(named)
        answer = self.request("PUT", path, self._body(spelling, handle, page))
        if not found:
            self._refused(answer, 404, "no_channel", who)
            return
        moved = replace(found[0], kept=spelling.kept, identity=spelling.identity)
        self._changed(answer, who, found[0], moved.supplied(handle, page))

    @rule(who=PEOPLE, kind=st.sampled_from(KINDS))
    def remove_by_type(self, who: int, kind: str) -> None:
        self._remove(who, kind, None)

    @rule(who=PEOPLE, named=st.sampled_from(SPELLINGS))
    def remove_by_name(self, who: int, named: Spelling) -> None:
        self._remove(who, named.kind, named)

    @rule(who=PEOPLE, named=st.sampled_from(SPELLINGS), by_type=st.booleans())
    def get(self, who: int, named: Spelling, by_type: bool) -> None:
        found = self.model.named(who, named.kind, None if by_type else named.identity)
        query = self._query(None if by_type else named)
        answer = self.request("GET", f"{self._path(who)}/{named.kind}{query}")
        if found:
            assert self._shown([answer.json()]) == found[:1]
        else:
            self._refused(answer, 404, "no_channel", who)

    @rule(who=PEOPLE)
    @precondition(lambda self: any(self.model.held))
    def list_all(self, who: int) -> None:
        answer = self.request("GET", f"/v2/contact/{self.uuids[who]}/channels")
        assert self._shown(answer.json()) == self.model.held[who]

    def teardown(self) -> None:
        """The next two contacts find every address free."""
        for who, uuid in enumerate(self.uuids):
            self.list_all(who)
            self.request("DELETE", f"/v2/contact/{uuid}")

    # ── how a step is judged ─────────────────────────────────────────────────────────────────

    def _remove(self, who: int, kind: str, named: Spelling | None) -> None:
        found = self.model.named(who, kind, named.identity if named else None)
        answer = self.request("DELETE", f"{self._path(who)}/{kind}{self._query(named)}")
        if not found:
            self._refused(answer, 404, "no_channel", who)
        elif len(found) > 1:
            self._refused(answer, 409, "several", who)
            assert self._shown(answer.json()["channels"]) == found
        else:
            self.model.held[who] = [one for one in self.model.held[who] if one is not found[0]]
            self._agrees(answer, who)
            reachable = None if self.model.held[who] else "false"
            assert answer.headers.get("x-contact-reachable") == reachable

    def _changed(
        self, answer: httpx.Response, who: int, before: Known | None, after: Known
    ) -> None:
        owner = self.model.owner(who, after, before)
        if owner is not None:
            self._refused(answer, 409, "address_taken", who)
            assert answer.json()["conflicting_contact_id"] == self.uuids[owner]
            return
        self.model.put(who, before, after)
        self._agrees(answer, who)

    def _agrees(self, answer: httpx.Response, who: int) -> None:
        assert answer.status_code == 200, answer.text
        assert self._shown(answer.json()) == self.model.held[who]

    def _refused(self, answer: httpx.Response, status: int, code: str, who: int) -> None:
        assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.text
        self.list_all(who)

    def _shown(self, channels: list[dict[str, Any]]) -> list[Known]:
        identities = {(one.kind, one.kept): one.identity for one in SPELLINGS}
        keys = ("channel_type", "channel_id", "channel_handle", "info_channel")
        told = [[one.get(key, "") for key in keys] for one in channels]
        return [Known(kind, kept, identities[kind, kept], *rest) for kind, kept, *rest in told]

    def _path(self, who: int) -> str:
        return f"/v2/contact/{self.uuids[who]}/channel"

    def _query(self, named: Spelling | None) -> str:
        return f"?channel_id={quote(named.typed, safe='')}" if named else ""

    def _body(self, spelling: Spelling, handle: str | None, page: str | None) -> dict[str, Any]:
        body = {"channel_type": spelling.kind, "channel_id": spelling.typed}
        given = {"channel_handle": handle, "info_channel": page}
        return {**body, **{key: value for key, value in given.items() if value != LEFT_OUT}}


@pytest.fixture
def opened(database: str) -> Iterator[tuple[Api, asyncio.Runner]]:
    """Open the API on one event loop for all steps of Hypothesis."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(stack.enter_async_context(open_api(database))), runner
        runner.run(stack.aclose())


def test_the_book_and_the_model_agree_at_every_step(opened: tuple[Api, asyncio.Runner]) -> None:
    bound = settings(
        max_examples=MACHINES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )

    class OnThisBook(Contacts):
        def __init__(self) -> None:
            super().__init__(*opened)

    run_state_machine_as_test(OnThisBook, settings=bound)
