"""Client and server agree on every error of the table, in both directions."""

from __future__ import annotations

import json
import pickle
from typing import Any

import httpx
import msgspec
import pytest

from reachbook import client as public
from reachbook.client import (
    BadDataError,
    ConflictError,
    OwnershipConflictError,
    ReachbookError,
    ServerError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedResponseError,
)
from reachbook.client.errors import OF_KIND, OF_REASON, error_class
from reachbook.client.request import error_of
from reachbook.domain import channel as channel_list
from reachbook.domain import channel_rules
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.http.response import error_response
from reachbook.wire.models.error_table import SHAPES, status
from reachbook.wire.models.errors import ErrorBody
from tests.support.domain import NOW, TWO_PHONES, name, page, refusal
from tests.support.personas import ALICE

TAKEN = channel_list.address_taken(ALICE, page("phone:15105553344").channels[0])
SEVERAL = refusal(lambda: channel_rules.remove_channel(page(*TWO_PHONES), name("phone"), NOW))
FACTS: dict[Reason, dict[str, object]] = {
    Reason.ADDRESS_TAKEN: TAKEN.facts,
    Reason.SEVERAL: SEVERAL.facts,
    Reason.AMBIGUOUS: {"readings": ["+6465550123", "+16465550123"]},
    Reason.UUID_TAKEN: {"conflicting_contact_id": ALICE},
    Reason.EXTERNAL_ID_TAKEN: {"conflicting_contact_id": ALICE},
}
COMMON = set(ErrorBody.__struct_fields__)
CLASSES = [
    each
    for each in vars(public).values()
    if isinstance(each, type) and issubclass(each, ReachbookError)
]


def sent(reason: Reason) -> httpx.Response:
    """The response that the server sends for a reason."""
    no = Refusal(
        reason, "A sentence.", fields={"a": "why"}, facts=FACTS.get(reason, {}), retry_after=7
    )
    response = error_response(no, {"request_id": "request-1"}, Representation.STRING_IDS)
    headers = [(each.decode(), value.decode()) for each, value in response.headers]
    return httpx.Response(response.status, headers=headers, content=response.body)


def response(status_code: int, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status_code, content=content, headers={"x-request-id": "request-1"})


@pytest.mark.parametrize("reason", list(Reason))
def test_the_client_reads_what_the_server_sends(reason: Reason) -> None:
    error = error_of(sent(reason))

    assert type(error) is error_class(reason)
    assert (error.reason, error.kind, error.code) == (reason, reason.kind, reason.code)
    assert error.status == status(reason)
    assert (error.message, error.fields) == ("A sentence.", {"a": "why"})
    assert (error.request_id, error.retry_after) == ("request-1", 7.0)
    assert "A sentence." in str(error)


@pytest.mark.parametrize("reason", list(Reason))
def test_the_facts_are_attributes(reason: Reason) -> None:
    answer = sent(reason)
    facts = {key: value for key, value in answer.json().items() if key not in COMMON}

    error = error_of(answer)

    assert {key: msgspec.to_builtins(getattr(error, key)) for key in facts} == facts
    for shape in SHAPES.get(reason, (ErrorBody,)):
        assert set(shape.__struct_fields__) - COMMON == set(facts)


@pytest.mark.parametrize("reason", list(Reason))
def test_an_error_can_be_sent_between_processes(reason: Reason) -> None:
    error = error_of(sent(reason))

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_has_a_reason(cls: type[ReachbookError]) -> None:
    if cls not in (ReachbookError, UnexpectedResponseError):
        assert any(issubclass(error_class(reason), cls) for reason in Reason)


def test_every_kind_has_a_class_and_every_class_is_public() -> None:
    assert set(OF_KIND) == set(Kind)
    assert all(cls.kind is kind for kind, cls in OF_KIND.items())
    assert all(issubclass(cls, OF_KIND[reason.kind]) for reason, cls in OF_REASON.items())
    assert {*OF_KIND.values(), *OF_REASON.values()} <= set(CLASSES)


def test_a_reason_of_a_later_release_has_the_class_of_its_kind() -> None:
    body = {"error": "conflict", "error_code": "merged", "message": "M.", "request_id": "r"}

    error = error_of(response(418, body))

    assert type(error) is ConflictError
    assert (error.reason, error.code, error.status) == (None, "merged", 418)


def test_without_the_facts_of_its_reason_it_is_an_error_of_its_kind() -> None:
    body = {"error": "conflict", "error_code": "address_taken", "message": "M.", "request_id": "r"}

    error = error_of(response(409, body))

    assert type(error) is ConflictError
    assert not isinstance(error, OwnershipConflictError)
    assert error.reason is Reason.ADDRESS_TAKEN


@pytest.mark.parametrize(
    ("answer", "cls", "message"),
    [
        (response(400, {"error": "phone is required"}), BadDataError, "phone is required"),
        (response(401, b"Unauthorized"), UnauthorizedError, "Unauthorized"),
        (response(500, b""), ServerError, "Internal Server Error"),
        (response(503, b"<html>" + b"x" * 900), UnavailableError, "<html>" + "x" * 194),
        (response(409, b'{"error": 7}'), ConflictError, '{"error": 7}'),
        (response(400, b"\xff"), BadDataError, "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_another_servers_error_has_the_class_of_its_status(
    answer: httpx.Response, cls: type[ReachbookError], message: str
) -> None:
    error = error_of(answer)

    assert type(error) is cls
    assert (error.message, error.code, error.reason) == (message, "", None)
    assert error.request_id == "request-1"


@pytest.mark.parametrize("status_code", [302, 402, 502, 504])
def test_a_status_outside_the_table_is_unexpected(status_code: int) -> None:
    error = error_of(response(status_code, b"Bad Gateway"))

    assert type(error) is UnexpectedResponseError
    assert (error.status, error.kind, error.reason) == (status_code, None, None)
    assert str(status_code) in error.message
    assert "Bad Gateway" in error.message
