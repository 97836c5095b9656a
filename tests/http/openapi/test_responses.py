"""The responses of every operation, successes and errors, match the OpenAPI description.

The rate limit is on, so that its headers are compared with the description too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from reachbook.domain import timestamps
from reachbook.domain.errors import Reason
from tests.support.openapi import Json
from tests.support.openapi_walk import (
    DESCRIPTION,
    NEVER_ANOTHER_PATH,
    NOT_MODIFIED,
    OK,
    PROVOKE,
    PreparedApi,
    declared,
    on_new_contacts,
    said,
    set_up,
)
from tests.support.personas import open_api

pytestmark = pytest.mark.anyio

HIGH_RATE_LIMIT = 1_000_000


@pytest.fixture
async def prepared(api_database: str) -> AsyncIterator[PreparedApi]:
    async with open_api(api_database, per_minute=HIGH_RATE_LIMIT) as api:
        yield await set_up(api)


@pytest.mark.parametrize("query", ["", "?representation=string_ids", "?representation=integer_ids"])
async def test_every_successful_response_is_described(prepared: PreparedApi, query: str) -> None:
    """By API key and by JWT, in the representation of the credential and in both others."""
    for by in (prepared.api.bob.by_key(), prepared.api.bob.by_jwt()):
        calls = await on_new_contacts(prepared, by)

        requests = (
            replace(call, query=query) if "representation" in call.parameters else call
            for call in calls
        )

        assert await said(prepared, requests) == set()


def other_successes(prepared: PreparedApi) -> Iterator[tuple[str, str, Json]]:
    """Yields requests with other successful responses: the operation, its query and its body."""
    alice = {"channel_type": "email", "channel_id": "alice@example.com"}
    contact = {"first": "A", "custom": {"a": [1]}, "tags": [{"tag_id": 1}], "external_id": "E2"}
    now = f"?as_of={timestamps.format_micros(prepared.api.clock())}"
    yield "resolve_one", "?explain=true", alice
    yield "resolve_one", "?explain=true", {"channel_id": "nobody@example.com"}
    yield "resolve_one", "", {"channel_id": "new@example.com", "create": contact}
    yield (
        "resolve_batch",
        "",
        {"addresses": [alice, {"channel_id": "?"}, 1, {"channel_id": "1@a.b"}]},
    )
    yield (
        "contacts_write_many",
        "",
        {"contacts": [{"phone": "12"}, 1, {**contact, "contact_id": "1"}]},
    )
    yield "contacts_page", "", {"limit": 500, "date": "2024-01-15T10:00:00Z", "ascending": True}
    yield "contact_update", "?on_conflict=move", {"email": "carol@example.com"}
    yield (
        "contact_update",
        "?overwrite=true",
        {**contact, "external_id": "E3", "is_opted_out": True},
    )
    held = {"held": True, "held_reason": "recycled", "info_channel": "page-3"}
    opted_in = {"consent": "opted_in", "consent_source": "form", "channel_handle": None}
    yield "channel_detail_patch", "", {**held, **opted_in, "label": ""}
    yield "channel_detail_make_primary", "", {}
    yield "channel_detail_list_all", now, {}
    yield "channel_detail_get", now, {}
    yield "history_of_contact", "?limit=1", {}
    yield "history_export", "", {}
    yield "contact_delete", "", {}
    yield "history_of_contact", "", {}
    yield "history_export", "", {}
    yield "history_erase", "", {}
    yield "history_feed", "?after=1&limit=1000", {}


async def test_other_successful_responses_are_described(prepared: PreparedApi) -> None:
    """These are options, partial failures, and a contact that is deleted and then erased."""
    calls = {call.name: call for call in prepared.calls()}

    for name, query, body in other_successes(prepared):
        call = replace(calls[name], query=query, body=body or calls[name].body)
        assert await said(prepared, [call]) == set(), name


async def test_the_errors_that_requests_cause_are_those_described(prepared: PreparedApi) -> None:
    attempts = (
        provoke(prepared, call) for provoke in PROVOKE.values() for call in prepared.calls()
    )

    received = await said(prepared, [call for call in attempts if call])

    assert received == declared(*PROVOKE) - NEVER_ANOTHER_PATH


async def test_channel_id_in_the_query_is_accepted_if_it_is_described(
    prepared: PreparedApi,
) -> None:
    for call in prepared.calls():
        response = await replace(call, query="?channel_id=no").send(prepared.api)
        strict = call.path.startswith("/x/")
        assert (response.status_code == 400) is (strict or "channel_id" in call.parameters), (
            call.name
        )


async def test_if_none_match_is_supported_if_it_is_described(
    prepared: PreparedApi,
) -> None:
    """`*` matches every revision."""
    for call in await on_new_contacts(prepared):
        conditional = replace(call, by={**call.by, "if-none-match": "*"})
        response = await conditional.send(prepared.api)
        supported = "If-None-Match" in call.parameters
        assert response.status_code == (NOT_MODIFIED if supported else OK), call.name
        assert list(DESCRIPTION.faults_of_answer(call.operation, response)) == [], call.name


async def test_idempotency_keys_are_supported_if_they_are_described(
    prepared: PreparedApi,
) -> None:
    """The stored response is replayed byte for byte, with the header Idempotent-Replayed."""
    for call in await on_new_contacts(prepared):
        keyed = replace(call, by={**call.by, "idempotency-key": uuid4().hex})
        first, again = await keyed.send(prepared.api), await keyed.send(prepared.api)
        supports_keys = "Idempotency-Key" in call.parameters
        assert first.status_code == OK, (call.name, first.text)
        assert "idempotent-replayed" not in first.headers
        assert (again.headers.get("idempotent-replayed") == "true") is supports_keys, call.name
        assert list(DESCRIPTION.faults_of_answer(call.operation, again)) == [], call.name
        if supports_keys:
            assert again.content == first.content
            assert again.headers.get("etag") == first.headers.get("etag")


async def test_a_write_with_a_current_if_match_succeeds(prepared: PreparedApi) -> None:
    """The ETag is that of a GET just before."""
    for call in await on_new_contacts(prepared):
        if "If-Match" in call.parameters:
            seen = await prepared.api.request("GET", f"/v2/contact/{call.uuid}")
            by = {**call.by, "if-match": seen.headers["etag"]}
            assert await said(prepared, [replace(call, by=by)]) == set(), call.name


async def test_unknown_paths_and_methods_have_the_described_error_body(
    prepared: PreparedApi,
) -> None:
    schema = {"$ref": "#/components/schemas/ErrorBody"}
    for method, path in (("GET", "/v2/ghost"), ("PATCH", "/v1/team")):
        response = await prepared.api.request(method, path)
        assert response.status_code in (404, 405)
        assert DESCRIPTION.faults_of_value(schema, response.json()) == []


async def test_every_path_supports_options_and_every_get_supports_head(
    prepared: PreparedApi,
) -> None:
    for call in prepared.calls():
        response = await replace(call, method="OPTIONS", by={}).send(prepared.api)
        allowed = set(response.headers["allow"].split(", "))
        described = {method.upper() for method in DESCRIPTION.document["paths"][call.path]}
        assert response.status_code == 204
        assert allowed - {"HEAD", "OPTIONS"} == described
        assert ("HEAD" in allowed) is ("GET" in allowed)


def test_idempotency_keys_are_described_for_writes_only() -> None:
    """An operation is a write if `read_only` is among its errors."""
    writes = {name for name, _ in declared(Reason.READ_ONLY)}

    assert {name for name, _ in declared(Reason.KEY_REUSED)} == writes
    assert {name for name, _ in declared(Reason.IN_PROGRESS)} == writes
