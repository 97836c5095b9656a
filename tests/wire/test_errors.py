"""The one table of errors: a refusal's status and body, and the way back."""

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


def body(no: Refusal, representation: Representation = STRINGS) -> dict[str, Any]:
    """The body as a client reads it."""
    sent = msgspec.json.encode(refusals.body(no, representation, "request-1"))
    read: dict[str, Any] = json.loads(sent)
    return read


def test_it_works() -> None:
    no = Refusal(Reason.BAD_PHONE, "Write it with +.", fields={"channel_id": "not a phone"})

    assert body(no) == {
        "error": "bad_data",
        "error_code": "bad_phone",
        "message": "Write it with +.",
        "fields": {"channel_id": "not a phone"},
        "request_id": "request-1",
    }


def test_the_request_id_comes_last_and_the_class_first() -> None:
    no = channel_list.address_taken(ALICE, page("phone:15105553344").channels[0])

    assert list(body(no)) == [
        *("error", "error_code", "message", "fields"),
        *("conflicting_contact_id", "conflicting_channel_id", "channel_id", "request_id"),
    ]


def test_when_no_field_is_to_blame_none_is_named() -> None:
    no = refusal(lambda: channel_list.require_contact(None))

    assert set(body(no)) == {"error", "error_code", "message", "request_id"}


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
def test_the_table_reads_both_ways(kind: str, status: int) -> None:
    assert refusals.STATUS[Kind(kind)] == status
    assert refusals.KIND[status] is Kind(kind)


def test_every_kind_has_a_status_of_its_own() -> None:
    assert set(refusals.STATUS) == set(Kind)
    assert set(refusals.KIND.values()) == set(Kind)


def test_every_reason_has_a_code_of_its_own_and_says_what_it_means() -> None:
    codes = [reason.code for reason in Reason]

    assert len(set(codes)) == len(codes)
    assert all(reason.meaning for reason in Reason)


@pytest.mark.parametrize(("representation", "shown"), [(STRINGS, "ch_001"), (INTEGERS, 1)])
def test_a_taken_address_names_who_has_it_in_the_callers_representation(
    representation: Representation, shown: str | int
) -> None:
    no = channel_list.address_taken(ALICE, page("phone:15105553344").channels[0])

    said = body(no, representation)

    assert (said["error"], said["error_code"]) == ("conflict", "address_taken")
    assert said["conflicting_contact_id"] == ALICE
    assert said["conflicting_channel_id"] == shown
    assert said["channel_id"] == "15105553344"
    assert said["fields"] == {"channel_id": "already belongs to a contact"}


@pytest.mark.parametrize("representation", list(Representation))
def test_several_lists_the_channels_in_the_callers_representation(
    representation: Representation,
) -> None:
    channel_list = page(*TWO_PHONES, "email:a@b.com")
    no = refusal(lambda: channel_rules.remove_channel(channel_list, name("phone"), NOW))

    said = body(no, representation)

    assert (said["error"], said["error_code"]) == ("conflict", "several")
    assert said["channels"] == msgspec.to_builtins(channels(channel_list, representation)[:2])


def test_ambiguous_digits_are_shown_in_both_readings() -> None:
    posted = want("phone:6465550123", region="US")
    no = refusal(lambda: channel_rules.add_channel(page(), posted, NOW))

    said = body(no)

    assert (said["error"], said["error_code"]) == ("bad_data", "ambiguous")
    assert said["readings"] == ["+6465550123", "+16465550123"]
