"""Errors: the status code and the body of a refusal, and the kind of a status code."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from reachbook.domain import channel as channel_list
from reachbook.domain import channel_rules
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.wire import errors as refusals
from reachbook.wire.render import channels
from tests.support.domain import NOW, TWO_PHONES, name, page, refusal, want
from tests.support.personas import ALICE

STRINGS, INTEGERS = Representation.STRING_IDS, Representation.INTEGER_IDS


def render_body(refused: Refusal, representation: Representation = STRINGS) -> dict[str, Any]:
    """Returns the body as a client decodes it."""
    encoded = msgspec.json.encode(refusals.body(refused, representation, "request-1"))
    decoded: dict[str, Any] = json.loads(encoded)
    return decoded


def test_an_error_body_has_error_code_message_and_fields() -> None:
    refused = Refusal(Reason.BAD_PHONE, "Write it with +.", fields={"channel_id": "not a phone"})

    assert render_body(refused) == {
        "error": "bad_data",
        "error_code": "bad_phone",
        "message": "Write it with +.",
        "fields": {"channel_id": "not a phone"},
        "request_id": "request-1",
    }


def test_the_keys_begin_with_error_and_end_with_request_id() -> None:
    refused = channel_list.address_taken(ALICE, page("phone:15105553344").channels[0])

    assert list(render_body(refused)) == [
        *("error", "error_code", "message", "fields"),
        *("conflicting_contact_id", "conflicting_channel_id", "channel_id", "request_id"),
    ]


def test_an_error_without_a_wrong_field_has_no_fields_key() -> None:
    refused = refusal(lambda: channel_list.require_contact(None))

    assert set(render_body(refused)) == {"error", "error_code", "message", "request_id"}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("bad_data", 400),
        ("unauthorized", 401),
        ("denied", 403),
        ("not_found", 404),
        ("method_not_allowed", 405),
        ("conflict", 409),
        ("too_large", 413),
        ("rate_limited", 429),
        ("server_error", 500),
        ("unavailable", 503),
    ],
)
def test_each_kind_has_a_status_code_and_the_reverse(kind: str, status: int) -> None:
    assert refusals.STATUS[Kind(kind)] == status
    assert refusals.KIND[status] is Kind(kind)


def test_every_kind_has_its_own_status_code() -> None:
    assert set(refusals.STATUS) == set(Kind)
    assert set(refusals.KIND.values()) == set(Kind)


def test_every_reason_has_a_unique_code_and_a_meaning() -> None:
    codes = [reason.code for reason in Reason]

    assert len(set(codes)) == len(codes)
    assert all(reason.meaning for reason in Reason)


@pytest.mark.parametrize(("representation", "expected"), [(STRINGS, "ch_001"), (INTEGERS, 1)])
def test_a_taken_address_names_the_owner_in_the_callers_representation(
    representation: Representation, expected: str | int
) -> None:
    refused = channel_list.address_taken(ALICE, page("phone:15105553344").channels[0])

    error = render_body(refused, representation)

    assert (error["error"], error["error_code"]) == ("conflict", "address_taken")
    assert error["conflicting_contact_id"] == ALICE
    assert error["conflicting_channel_id"] == expected
    assert error["channel_id"] == "15105553344"
    assert error["fields"] == {"channel_id": "already belongs to a contact"}


@pytest.mark.parametrize("representation", list(Representation))
def test_several_has_the_channels_in_the_callers_representation(
    representation: Representation,
) -> None:
    channel_list = page(*TWO_PHONES, "email:a@b.com")
    refused = refusal(lambda: channel_rules.remove_channel(channel_list, name("phone"), NOW))

    error = render_body(refused, representation)

    assert (error["error"], error["error_code"]) == ("conflict", "several")
    assert error["channels"] == msgspec.to_builtins(channels(channel_list, representation)[:2])


def test_ambiguous_digits_have_both_readings() -> None:
    posted = want("phone:6465550123", region="US")
    refused = refusal(lambda: channel_rules.add_channel(page(), posted, NOW))

    error = render_body(refused)

    assert (error["error"], error["error_code"]) == ("bad_data", "ambiguous")
    assert error["readings"] == ["+6465550123", "+16465550123"]
