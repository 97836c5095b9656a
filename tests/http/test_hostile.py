"""Hostile text is sent to both stores: both return the same response, and never a 500."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reachbook.storage import open_store
from tests.support.personas import Api, open_api

CASES = 5000


class Case(NamedTuple):
    """A request; `{uuid}` in the path is replaced by the UUID of an existing contact."""

    method: str
    path: str
    body: object


NASTY = st.sampled_from(
    ["", " ", "\x00", "a\x00", "\x1f", "\x7f", "\x85", "\u2028", "\ud800", "\udfff\ud800", "\ufeff",
     "\ufffe", "\uffff", "\U0010ffff", "e\u0301", "\u202eabc", "\u200d", "ﬀ", "İ", "ß", "Σς",
     "%", "%00", "%2F", "..", "../..", "'", '"', "\\", "\\u0000", "; DROP TABLE contact", "$1",
     "?1", "null", "NaN", "-0", "1e999", "\u0661\u0665", "\uff11\uff15", "00", "+", "++1", "+0",
     "id", "phone", "a@b", "a@b.c", "@", "a@xn--", "a@xn--a.com", "a@ⅷ.com", "a@b..c", "a@-b.com",
     "a@1.1.1.1", "\u3000@b.test", "a@b。test", "a@\u200d.test", "ﬀ@b.test", "İ@İ.test"]
)  # fmt: skip
DIGITS = st.text("+0123456789 .()-/", max_size=70)
NUMBERS = st.builds(
    lambda plus, code, rest: plus + code + rest,
    st.sampled_from(["", "+", " ", "00"]),
    st.sampled_from(["1", "1510555", "521", "549", "54", "559", "5511", "44", "0", "800", "999"]),
    st.text("0123456789", min_size=4, max_size=12),
)
ANY_CHARACTER = st.text(st.characters(), max_size=40)
LONG = st.builds(
    lambda text, count: (text * count)[:5000], NASTY, st.sampled_from([64, 254, 255, 256, 5000])
)
EMAILS = st.builds("{}@{}".format, ANY_CHARACTER | NASTY, ANY_CHARACTER | NASTY) | st.builds(
    "{}@{}.test".format, st.text(max_size=20), st.text(max_size=20)
)
HOSTILE = ANY_CHARACTER | NASTY | DIGITS | NUMBERS | LONG | EMAILS
SCALARS: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.just([])
)
TYPES = st.sampled_from(["phone", "email", "facebook", "whatsapp", "viber", "sms", "x-1"])
BODIES = st.fixed_dictionaries(
    {"channel_type": TYPES | HOSTILE, "channel_id": HOSTILE | SCALARS},
    optional={"channel_handle": HOSTILE | SCALARS, "info_channel": HOSTILE | SCALARS},
)
WELL_TYPED = st.fixed_dictionaries({"channel_type": TYPES, "channel_id": HOSTILE})
CONTACTS = st.fixed_dictionaries(
    {},
    optional={
        "first": HOSTILE,
        "display_name": HOSTILE,
        "external_id": HOSTILE,
        "custom": st.dictionaries(HOSTILE, HOSTILE | SCALARS, max_size=3),
        "assignee_id": st.integers(),
        "unheard": HOSTILE,
    },
)
IN_URL = HOSTILE.map(lambda text: quote(text[:2000].encode("utf-8", "surrogatepass"), safe=""))
READS = st.sampled_from(["GET", "DELETE", "HEAD"])
CHANNEL = "/v2/contact/{uuid}/channel"


def reads(path: st.SearchStrategy[str]) -> st.SearchStrategy[Case]:
    return st.builds(Case, READS, path, st.none())


REQUESTS = st.one_of(
    st.builds(Case, st.just("POST"), st.just(CHANNEL), BODIES | WELL_TYPED),
    st.builds(Case, st.just("POST"), st.just(CHANNEL), WELL_TYPED),
    st.builds(Case, st.just("PUT"), st.just(CHANNEL), BODIES | WELL_TYPED),
    st.builds(Case, st.just("POST"), st.just("/v2/contact"), CONTACTS),
    reads(IN_URL.map((CHANNEL + "/").__add__)),
    reads(IN_URL.map("/v2/contact/{}/channels".format)),
    reads(IN_URL.map("/{}".format)),
    reads(st.builds("{}/{}?channel_id={}".format, st.just(CHANNEL), TYPES, IN_URL)),
    reads(IN_URL.map((CHANNEL + "s?representation=").__add__)),
    reads(IN_URL.map((CHANNEL + "s?").__add__)),
)


class Target:
    """The API with a contact, which is created again after a case has changed it."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.uuid = ""

    async def recreate(self) -> None:
        if self.uuid:
            await self.api.request("DELETE", f"/v2/contact/{self.uuid}")
        channels = [("phone", "15105553344"), ("email", "alice@example.com"), ("facebook", "100")]
        self.uuid = await self.api.contact(*channels)

    async def outcome(self, case: Case) -> object:
        """Returns the status code and the parts of the body that must be equal on both stores."""
        path = case.path.replace("{uuid}", self.uuid)
        response = await self.api.request(case.method, path, case.body)
        assert response.status_code < 500, (case, response.text)
        comparable = self._comparable_body(case, response)
        if response.status_code == 200 and case.method != "GET":
            if case.method in ("POST", "PUT") and path.startswith("/v2/contact/"):
                await self._check_lookup(response)
            await self.recreate()
        return response.status_code, comparable

    def _comparable_body(self, case: Case, response: httpx.Response) -> object:
        if case.method == "HEAD":
            return None
        body: Any = response.json()
        if isinstance(body, list):
            return [_comparable_fields(channel) for channel in body]
        if response.status_code == 200:
            return _comparable_fields(body) if isinstance(body, dict) else body
        return body["error"], body["error_code"], body.get("fields")

    async def _check_lookup(self, response: httpx.Response) -> None:
        """Checks that each stored channel is found by the `channel_id` that was returned."""
        for channel in response.json():
            query = f"?channel_id={quote(channel['channel_id'], safe='')}"
            path = f"/v2/contact/{self.uuid}/channel/{channel['channel_type']}{query}"
            assert (await self.api.request("GET", path)).json() == channel


def _comparable_fields(fields: dict[str, Any]) -> dict[str, Any]:
    names = (
        "channel_type",
        "channel_id",
        "channel_handle",
        "info_channel",
        "first",
        "display_name",
    )
    return {key: fields.get(key) for key in (*names, "external_id", "custom")}


class BothStores(NamedTuple):
    """An API on each store, and their event loop."""

    runner: asyncio.Runner
    targets: list[Target]

    async def outcomes(self, case: Case) -> list[object]:
        return [await target.outcome(case) for target in self.targets]


@pytest.fixture
def both_stores(empty_postgres: str, tmp_path: Path) -> Iterator[BothStores]:
    """Open one API on each store for the whole test."""

    async def open_all(stack: AsyncExitStack) -> list[Target]:
        store = await open_store(empty_postgres)
        await store.migrate()
        await store.close()
        urls = [f"sqlite:///{tmp_path}/reachbook.db", empty_postgres]
        targets = [Target(await stack.enter_async_context(open_api(url))) for url in urls]
        for target in targets:
            await target.recreate()
        return targets

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield BothStores(runner, runner.run(open_all(stack)))
        runner.run(stack.aclose())


# All cases use the same two databases, so that thousands of cases are fast.
@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=REQUESTS)
def test_both_stores_return_equal_responses(both_stores: BothStores, case: Case) -> None:
    on_sqlite, on_postgres = both_stores.runner.run(both_stores.outcomes(case))

    assert on_sqlite == on_postgres
