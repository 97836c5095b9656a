"""Schemathesis generates requests from the description; it must describe every response.

`REACHBOOK_CASES` is the number of requests to each store; the long form is 5000.
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
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CHANNELS = [("phone", "15105553344"), ("email", "alice@example.com")]
STYLE = next(iter(docs._assets()))

AnyCase = Case[Any]
AnyOperation = APIOperation[Any, Any, Any, Any]


class ApiTester:
    """The API, and a count of its responses to the cases."""

    def __init__(self, api: Api, portal: anyio.from_thread.BlockingPortal) -> None:
        self.api = api
        self.portal = portal
        self.responses: Counter[tuple[str, int]] = Counter()
        self._numbers = itertools.count()

    def contact(self) -> str:
        """Creates a contact with channels that no other contact has."""
        number = next(self._numbers)
        return self.portal.call(
            self.api.contact,
            ("phone", f"1206555{number:04}"),
            ("email", f"{number}@example.com"),
            ("facebook", f"{number}"),
        )

    def request(self, case: AnyCase, by: dict[str, str]) -> httpx.Response:
        """Sends a case, prepared by requests, to the application in this process."""
        kwargs = case.as_transport_kwargs(base_url="http://book", headers=by)
        kwargs.pop("cookies", None)
        prepared = requests.Request(**kwargs).prepare()
        return self.portal.call(self._send, prepared)

    async def _send(self, prepared: requests.PreparedRequest) -> httpx.Response:
        body: Any = prepared.body
        names: Any = dict(prepared.headers)
        return await self.api.client.request(
            str(prepared.method), str(prepared.url), content=body, headers=names
        )


@pytest.fixture
def tester(database: str) -> Iterator[ApiTester]:
    with (
        anyio.from_thread.start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_api(database)) as api,
    ):
        yield ApiTester(api, portal)


def cases(operation: AnyOperation) -> st.SearchStrategy[AnyCase]:
    """Generates requests that the description allows, and requests that it does not."""
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))


def about_contact(case: AnyCase, uuid: str, draw: st.DataObject) -> AnyCase:
    """Returns the request with an existing contact and channel, so that it is not just a 404."""
    fresh = [("email", f"{uuid}@example.com"), ("facebook", uuid)]
    kind, value = draw.draw(st.sampled_from([*CHANNELS, *fresh]))
    parts, channel = case.path_parameters, {"channel_type": kind, "channel_id": value}
    values = {"contactID": uuid, "channelType": kind, "id": "ch_001", "name": STYLE}
    parts.update({name: values[name] for name in parts})
    case.query = {name: value for name, value in case.query.items() if name == "representation"}
    if isinstance(case.body, dict) and (case.method.upper(), case.path) in ABOUT:
        case.body.update(ABOUT[case.method.upper(), case.path](channel))
    return case


def cases_of(operation: AnyOperation, operations: int) -> int:
    """Returns the number of cases of an operation: public operations get two."""
    return math.ceil(CASES / operations) if operation.path.startswith(("/v", "/x")) else 2


def test_every_response_is_described(tester: ApiTester) -> None:
    document = tester.portal.call(tester.api.request, "GET", "/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    bob, charlie = tester.api.bob, tester.api.charlie
    callers = [*(bob.by_key, bob.by_jwt) * 3, charlie.by_key, dict[str, str]]

    for operation in operations:

        @seed(SEED)
        @settings(
            max_examples=cases_of(operation, len(operations)),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases(operation), by=st.sampled_from(callers), draw=st.data())
        def send(case: AnyCase, by: Callable[[], dict[str, str]], draw: st.DataObject) -> None:
            if draw.draw(st.booleans()):
                case = about_contact(case, tester.contact(), draw)
            response = tester.request(case, by())
            tester.responses[case.operation.label, response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        send()

    counts = sorted(tester.responses.items())
    assert tester.responses.total() >= CASES * 0.8, counts  # some operations have few variants
    granted = sum(times for (label, status), times in counts if status == OK and "/v2/" in label)
    assert granted >= CASES * 0.05, counts  # not only authentication was tested
    assert {status for _, status in tester.responses} >= {OK, 400, 401, 404}, counts
