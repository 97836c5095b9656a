"""Responses that do not match the OpenAPI description are reported."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from reachbook.domain.errors import Reason
from reachbook.http import app
from reachbook.http.openapi import document, examples
from reachbook.wire.errors import STATUS
from tests.support.openapi import Description, Json

DESCRIPTION = Description(json.loads(document.document(app.ROUTES)))
GET_ONE = DESCRIPTION.operation("GET", "/v2/contact/{contactID}/channel/{channelType}")
HEADERS = {"content-type": "application/json", "x-request-id": "1", "ratelimit": "a"}


def success() -> tuple[int, dict[str, str], Json]:
    [content] = GET_ONE["responses"]["200"]["content"].values()
    body = json.loads(json.dumps(content["examples"]["string_ids"]["value"]))
    return 200, {**HEADERS, "x-representation": "string_ids"}, body


def error_of(reason: Reason = Reason.NO_CONTACT) -> tuple[int, dict[str, str], Json]:
    return STATUS[reason.kind], dict(HEADERS), examples.error_body(reason)


def faults(status: int, headers: dict[str, str], body: Json) -> str:
    response = httpx.Response(status, headers=headers, content=json.dumps(body))
    return "\n".join(DESCRIPTION.faults_of_answer(GET_ONE, response))


@pytest.mark.parametrize("make", [success, error_of])
def test_a_described_response_has_no_faults(
    make: Callable[[], tuple[int, dict[str, str], Json]],
) -> None:
    assert faults(*make()) == ""


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ({"x-ghost": "1"}, "the header x-ghost is not described"),
        ({"x-representation": "strings"}, '"strings" is not one of'),
        ({"content-type": "text/html"}, "text/html is not described"),
    ],
)
def test_a_wrong_header_is_reported(headers: dict[str, str], fault: str) -> None:
    status, valid, body = success()

    assert fault in faults(status, {**valid, **headers}, body)


def test_a_missing_header_is_reported() -> None:
    status, headers, body = success()
    del headers["x-representation"]

    assert faults(status, headers, body) == "the header x-representation is missing"


@pytest.mark.parametrize("status", [201, 409])
def test_an_undescribed_status_code_is_reported(status: int) -> None:
    _, headers, body = success()

    assert faults(status, headers, body) == f"status {status} is not described"


@pytest.mark.parametrize("key", ["updated", "contact_id"])
def test_a_missing_field_is_reported(key: str) -> None:
    status, headers, body = success()
    del body[key]

    assert "is not valid under any" in faults(status, headers, body)


@pytest.mark.parametrize("wrong", [{"ghost": 1}, {"created": "today"}, {"id": 1}])
def test_a_wrong_field_is_reported(wrong: Json) -> None:
    """An unknown field, a malformed time, and a field of the other representation."""
    status, headers, body = success()

    assert "is not valid under any" in faults(status, headers, {**body, **wrong})


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"error_code": "address_taken"}, '"address_taken" is not one of'),
        ({"error": "conflict"}, '"not_found" was expected'),
        ({"ghost": 1}, "'ghost' was unexpected"),
    ],
)
def test_a_wrong_error_body_is_reported(wrong: Json, fault: str) -> None:
    status, headers, body = error_of()

    assert fault in faults(status, headers, {**body, **wrong})


def test_a_503_must_have_a_retry_after_header() -> None:
    assert "the header retry-after is missing" in faults(*error_of(Reason.STORE_UNAVAILABLE))
