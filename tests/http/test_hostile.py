"""Text made to break a store, sent to both stores side by side: one verdict, and never a 500."""

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
    """One request; `{uuid}` in the path stands for a contact that is there."""

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
    lambda one, many: (one * many)[:5000], NASTY, st.sampled_from([64, 254, 255, 256, 5000])
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


def asked(path: st.SearchStrategy[str]) -> st.SearchStrategy[Case]:
    return st.builds(Case, READS, path, st.none())


REQUESTS = st.one_of(
    st.builds(Case, st.just("POST"), st.just(CHANNEL), BODIES | WELL_TYPED),
    st.builds(Case, st.just("POST"), st.just(CHANNEL), WELL_TYPED),
    st.builds(Case, st.just("PUT"), st.just(CHANNEL), BODIES | WELL_TYPED),
    st.builds(Case, st.just("POST"), st.just("/v2/contact"), CONTACTS),
    asked(IN_URL.map((CHANNEL + "/").__add__)),
    asked(IN_URL.map("/v2/contact/{}/channels".format)),
    asked(IN_URL.map("/{}".format)),
    asked(st.builds("{}/{}?channel_id={}".format, st.just(CHANNEL), TYPES, IN_URL)),
    asked(IN_URL.map((CHANNEL + "s?representation=").__add__)),
    asked(IN_URL.map((CHANNEL + "s?").__add__)),
)


class Victim:
    """The API with a contact, which is created again after a case has changed it."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.uuid = ""

    async def renew(self) -> None:
        if self.uuid:
            await self.api.request("DELETE", f"/v2/contact/{self.uuid}")
        channels = [("phone", "15105553344"), ("email", "alice@example.com"), ("facebook", "100")]
        self.uuid = await self.api.contact(*channels)

    async def verdict(self, case: Case) -> object:
        """What a case is told, apart from what differs from store to store."""
        path = case.path.replace("{uuid}", self.uuid)
        answer = await self.api.request(case.method, path, case.body)
        assert answer.status_code < 500, (case, answer.text)
        told = self._told(case, answer)
        if answer.status_code == 200 and case.method != "GET":
            if case.method in ("POST", "PUT") and path.startswith("/v2/contact/"):
                await self._finds_again(answer)
            await self.renew()
        return answer.status_code, told

    def _told(self, case: Case, answer: httpx.Response) -> object:
        if case.method == "HEAD":
            return None
        said: Any = answer.json()
        if isinstance(said, list):
            return [_texts(one) for one in said]
        if answer.status_code == 200:
            return _texts(said) if isinstance(said, dict) else said
        return said["error"], said["error_code"], said.get("fields")

    async def _finds_again(self, answer: httpx.Response) -> None:
        """What a store has taken it gives back, by the very text that it returned."""
        for one in answer.json():
            query = f"?channel_id={quote(one['channel_id'], safe='')}"
            path = f"/v2/contact/{self.uuid}/channel/{one['channel_type']}{query}"
            assert (await self.api.request("GET", path)).json() == one


def _texts(shown: dict[str, Any]) -> dict[str, Any]:
    kept = ("channel_type", "channel_id", "channel_handle", "info_channel", "first", "display_name")
    return {key: shown.get(key) for key in (*kept, "external_id", "custom")}


class Both(NamedTuple):
    """The two stores, and the event loop that they live on."""

    runner: asyncio.Runner
    victims: list[Victim]

    async def verdicts(self, case: Case) -> list[object]:
        return [await one.verdict(case) for one in self.victims]


@pytest.fixture
def both(empty_postgres: str, tmp_path: Path) -> Iterator[Both]:
    """Open one API on each store for the whole test."""

    async def open_all(stack: AsyncExitStack) -> list[Victim]:
        store = await open_store(empty_postgres)
        await store.migrate()
        await store.close()
        urls = [f"sqlite:///{tmp_path}/reachbook.db", empty_postgres]
        victims = [Victim(await stack.enter_async_context(open_api(url))) for url in urls]
        for one in victims:
            await one.renew()
        return victims

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield Both(runner, runner.run(open_all(stack)))
        runner.run(stack.aclose())


# The fixture is meant to be one for all the cases: that is what makes thousands of them cheap.
@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=REQUESTS)
def test_both_stores_give_one_verdict(both: Both, case: Case) -> None:
    on_sqlite, on_postgres = both.runner.run(both.verdicts(case))

    assert on_sqlite == on_postgres
