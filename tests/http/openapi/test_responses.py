"""What is answered is what is described: a tour of every operation, granted and refused.

The allowance is counted, so that its headers are held against the description too.
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

MORE_THAN_WE_ASK = 1_000_000


@pytest.fixture
async def prepared(api_database: str) -> AsyncIterator[PreparedApi]:
    async with open_api(api_database, per_minute=MORE_THAN_WE_ASK) as api:
        yield await set_up(api)


@pytest.mark.parametrize("query", ["", "?representation=string_ids", "?representation=integer_ids"])
async def test_every_success_is_as_described(prepared: PreparedApi, query: str) -> None:
    """By API key and by JWT, in the credential's own representation and in either one asked for."""
    for by in (prepared.api.bob.by_key(), prepared.api.bob.by_jwt()):
        calls = await on_new_contacts(prepared, by)

        spelled = (
            replace(call, query=query) if "representation" in call.parameters else call
            for call in calls
        )

        assert await said(prepared, spelled) == set()


def in_other_ways(prepared: PreparedApi) -> Iterator[tuple[str, str, Json]]:
    """Successes of another form: the operation, its query, its body."""
    alice = {"channel_type": "email", "channel_id": "alice@example.com"}
    whole = {"first": "A", "custom": {"a": [1]}, "tags": [{"tag_id": 1}], "external_id": "E2"}
    now = f"?as_of={timestamps.format_micros(prepared.api.clock())}"
    yield "resolve_one", "?explain=true", alice
    yield "resolve_one", "?explain=true", {"channel_id": "nobody@example.com"}
    yield "resolve_one", "", {"channel_id": "new@example.com", "create": whole}
    yield (
        "resolve_batch",
        "",
        {"addresses": [alice, {"channel_id": "?"}, 1, {"channel_id": "1@a.b"}]},
    )
    yield (
        "contacts_write_many",
        "",
        {"contacts": [{"phone": "12"}, 1, {**whole, "contact_id": "1"}]},
    )
    yield "contacts_page", "", {"limit": 500, "date": "2024-01-15T10:00:00Z", "ascending": True}
    yield "contact_update", "?on_conflict=move", {"email": "carol@example.com"}
    yield "contact_update", "?overwrite=true", {**whole, "external_id": "E3", "is_opted_out": True}
    held = {"held": True, "held_reason": "recycled", "info_channel": "page-3"}
    said_yes = {"consent": "opted_in", "consent_source": "form", "channel_handle": None}
    yield "channel_detail_patch", "", {**held, **said_yes, "label": ""}
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


async def test_a_success_of_another_form_is_described(prepared: PreparedApi) -> None:
    """All that can be known of one contact, then deleted, erased, and the feed that tells it."""
    there = {call.name: call for call in prepared.calls()}

    for name, query, body in in_other_ways(prepared):
        call = replace(there[name], query=query, body=body or there[name].body)
        assert await said(prepared, [call]) == set(), name


async def test_what_a_client_can_be_refused_for_is_what_is_described(prepared: PreparedApi) -> None:
    tries = (provoke(prepared, call) for provoke in PROVOKE.values() for call in prepared.calls())

    heard = await said(prepared, [call for call in tries if call])

    assert heard == declared(*PROVOKE) - NEVER_ANOTHER_PATH


async def test_a_channel_is_named_in_the_query_where_that_is_described(
    prepared: PreparedApi,
) -> None:
    for call in prepared.calls():
        answer = await replace(call, query="?channel_id=no").send(prepared.api)
        strict = call.path.startswith("/x/")
        assert (answer.status_code == 400) is (strict or "channel_id" in call.parameters), call.name


async def test_what_the_caller_has_is_not_sent_again_where_that_is_described(
    prepared: PreparedApi,
) -> None:
    """`*` is whatever there is."""
    for call in await on_new_contacts(prepared):
        asked = replace(call, by={**call.by, "if-none-match": "*"})
        answer = await asked.send(prepared.api)
        known = "If-None-Match" in call.parameters
        assert answer.status_code == (NOT_MODIFIED if known else OK), call.name
        assert list(DESCRIPTION.faults_of_answer(call.operation, answer)) == [], call.name


async def test_a_retry_is_answered_as_before_where_a_key_is_described(
    prepared: PreparedApi,
) -> None:
    """Byte for byte, with the header that says so; without a key it is another request."""
    for call in await on_new_contacts(prepared):
        keyed = replace(call, by={**call.by, "idempotency-key": uuid4().hex})
        first, again = await keyed.send(prepared.api), await keyed.send(prepared.api)
        takes_keys = "Idempotency-Key" in call.parameters
        assert first.status_code == OK, (call.name, first.text)
        assert "idempotent-replayed" not in first.headers
        assert (again.headers.get("idempotent-replayed") == "true") is takes_keys, call.name
        assert list(DESCRIPTION.faults_of_answer(call.operation, again)) == [], call.name
        if takes_keys:
            assert again.content == first.content
            assert again.headers.get("etag") == first.headers.get("etag")


async def test_a_condition_that_holds_lets_the_write_pass(prepared: PreparedApi) -> None:
    """The ETag of the read just before."""
    for call in await on_new_contacts(prepared):
        if "If-Match" in call.parameters:
            seen = await prepared.api.request("GET", f"/v2/contact/{call.uuid}")
            by = {**call.by, "if-match": seen.headers["etag"]}
            assert await said(prepared, [replace(call, by=by)]) == set(), call.name


async def test_what_is_not_an_operation_is_refused_in_the_same_form(prepared: PreparedApi) -> None:
    refused = {"$ref": "#/components/schemas/ErrorBody"}
    for method, path in (("GET", "/v2/ghost"), ("PATCH", "/v1/team")):
        answer = await prepared.api.request(method, path)
        assert answer.status_code in (404, 405)
        assert DESCRIPTION.faults_of_value(refused, answer.json()) == []


async def test_every_path_answers_options_and_head_where_it_answers_get(
    prepared: PreparedApi,
) -> None:
    for call in prepared.calls():
        answer = await replace(call, method="OPTIONS", by={}).send(prepared.api)
        allowed = set(answer.headers["allow"].split(", "))
        described = {one.upper() for one in DESCRIPTION.document["paths"][call.path]}
        assert answer.status_code == 204
        assert allowed - {"HEAD", "OPTIONS"} == described
        assert ("HEAD" in allowed) is ("GET" in allowed)


def test_a_write_takes_a_key_and_a_read_does_not() -> None:
    """What may write is what a read-only credential can be refused for."""
    writes = {name for name, _ in declared(Reason.READ_ONLY)}

    assert {name for name, _ in declared(Reason.KEY_REUSED)} == writes
    assert {name for name, _ in declared(Reason.IN_PROGRESS)} == writes
