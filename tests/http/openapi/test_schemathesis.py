"""Schemathesis reads the description and asks what it likes; every answer must be in it.

`REACHBOOK_CASES` is how many requests each store is asked; the long form is 5000.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import anyio.from_thread
import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from reachbook.http.ops import docs
from tests.support.openapi import ABOUT
from tests.support.personas import Api, open_api

CASES = int(os.environ.get("REACHBOOK_CASES", "150"))
SEED = 2024
OK = 200
HELD = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KNOWN = [("phone", "15105553344"), ("email", "alice@example.com")]
STYLE = next(iter(docs._assets()))

AnyCase = Case[Any]
AnyOperation = APIOperation[Any, Any, Any, Any]


class Asked:
    """The API, and its responses to the cases that it was sent."""

    def __init__(self, api: Api, portal: anyio.from_thread.BlockingPortal) -> None:
        self.api = api
        self.portal = portal
        self.heard: Counter[tuple[str, int]] = Counter()
        self._numbers = itertools.count()

    def contact(self) -> str:
        """A contact with channels that are only its own."""
        number = next(self._numbers)
        return self.portal.call(
            self.api.contact,
            ("phone", f"1206555{number:04}"),
            ("email", f"{number}@example.com"),
            ("facebook", f"{number}"),
        )

    def request(self, case: AnyCase, by: dict[str, str]) -> httpx.Response:
        """Send a case as requests would, to the application in this process."""
        kwargs = case.as_transport_kwargs(base_url="http://book", headers=by)
        kwargs.pop("cookies", None)
        ready = requests.Request(**kwargs).prepare()
        return self.portal.call(self._send, ready)

    async def _send(self, ready: requests.PreparedRequest) -> httpx.Response:
        body: Any = ready.body
        names: Any = dict(ready.headers)
        return await self.api.client.request(
            str(ready.method), str(ready.url), content=body, headers=names
        )


@pytest.fixture
def asked(database: str) -> Iterator[Asked]:
    with (
        anyio.from_thread.start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_api(database)) as api,
    ):
        yield Asked(api, portal)


def cases(operation: AnyOperation) -> st.SearchStrategy[AnyCase]:
    """What the description allows, and what it does not."""
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))


def near(case: AnyCase, uuid: str, draw: st.DataObject) -> AnyCase:
    """The same request about a contact that is there, so that it reaches the rules."""
    fresh = [("email", f"{uuid}@example.com"), ("facebook", uuid)]
    kind, value = draw.draw(st.sampled_from([*KNOWN, *fresh]))
    parts, channel = case.path_parameters, {"channel_type": kind, "channel_id": value}
    about = {"contactID": uuid, "channelType": kind, "id": "ch_001", "name": STYLE}
    parts.update({name: about[name] for name in parts})
    case.query = {name: value for name, value in case.query.items() if name == "representation"}
    if isinstance(case.body, dict) and (case.method.upper(), case.path) in ABOUT:
        case.body.update(ABOUT[case.method.upper(), case.path](channel))
    return case


def share(operation: AnyOperation, of: int) -> int:
    """How many cases an operation of so many gets: what asks for a credential gets the most."""
    return math.ceil(CASES / of) if operation.path.startswith(("/v", "/x")) else 2


def test_every_answer_is_in_the_description(asked: Asked) -> None:
    document = asked.portal.call(asked.api.request, "GET", "/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    bob, charlie = asked.api.bob, asked.api.charlie
    callers = [*(bob.by_key, bob.by_jwt) * 3, charlie.by_key, dict[str, str]]

    for operation in operations:

        @seed(SEED)
        @settings(
            max_examples=share(operation, len(operations)),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases(operation), by=st.sampled_from(callers), draw=st.data())
        def send(case: AnyCase, by: Callable[[], dict[str, str]], draw: st.DataObject) -> None:
            if draw.draw(st.booleans()):
                case = near(case, asked.contact(), draw)
            answer = asked.request(case, by())
            asked.heard[case.operation.label, answer.status_code] += 1
            case.validate_response(answer, checks=HELD)

        send()

    told = sorted(asked.heard.items())
    assert asked.heard.total() >= CASES * 0.8, told  # some operations have few forms
    granted = sum(times for (label, status), times in told if status == OK and "/v2/" in label)
    assert granted >= CASES * 0.05, told  # not only the door was tried
    assert {status for _, status in asked.heard} >= {OK, 400, 401, 404}, told
