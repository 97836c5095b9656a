"""Parsing of requests into values of the domain; an error names the wrong field."""

from __future__ import annotations

import json

import pytest
from msgspec import UNSET

from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Kind, Reason
from reachbook.wire import parse
from reachbook.wire import query as queries
from reachbook.wire.query import Options
from tests.support.domain import addressed, name, refusal, want
from tests.support.personas import ALICE

PHONE = {"channel_type": "phone", "channel_id": "+1 510 555 3344"}
EMAIL = {"channel_type": "email", "channel_id": "alice@example.com"}


def to_json(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_channel_is_parsed() -> None:
    body = to_json({**PHONE, "channel_handle": "@alice", "info_channel": "sms-1"})

    assert parse.channel_input(body, None) == want("phone:15105553344", "@alice", "sms-1")


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ({}, want("phone:15105553344")),
        ({"channel_handle": ""}, want("phone:15105553344", "")),
        ({"channel_handle": None}, want("phone:15105553344", "")),
        ({"info_channel": None}, want("phone:15105553344", UNSET, "")),
        ({"id": "ch_001", "team_id": 1, "created": "x", "odd": [{}]}, want("phone:15105553344")),
    ],
)
def test_null_clears_a_field_and_unknown_keys_are_ignored(
    extra: dict[str, object], wanted: ChannelInput
) -> None:
    assert parse.channel_input(to_json({**PHONE, **extra}), None) == wanted


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ({}, Reason.MISSING_FIELD, "channel_type"),
        ({"channel_id": "1"}, Reason.MISSING_FIELD, "channel_type"),
        ({"channel_type": "phone"}, Reason.MISSING_FIELD, "channel_id"),
        ([], Reason.WRONG_TYPE, "body"),
        ([PHONE], Reason.WRONG_TYPE, "body"),
        (None, Reason.WRONG_TYPE, "body"),
        ("phone", Reason.WRONG_TYPE, "body"),
        ({**PHONE, "channel_id": 15105553344}, Reason.WRONG_TYPE, "channel_id"),
        ({**PHONE, "channel_id": None}, Reason.WRONG_TYPE, "channel_id"),
        ({**PHONE, "channel_type": ["phone"]}, Reason.WRONG_TYPE, "channel_type"),
        ({**PHONE, "channel_handle": 5}, Reason.WRONG_TYPE, "channel_handle"),
        ({**PHONE, "info_channel": {}}, Reason.WRONG_TYPE, "info_channel"),
        ({**PHONE, "channel_type": "id"}, Reason.BAD_CHANNEL_TYPE, "channel_type"),
        ({**PHONE, "channel_type": "Phone"}, Reason.BAD_CHANNEL_TYPE, "channel_type"),
        ({**PHONE, "channel_id": "12"}, Reason.BAD_PHONE, "channel_id"),
        ({**EMAIL, "channel_id": "alice"}, Reason.BAD_EMAIL, "channel_id"),
        ({**PHONE, "channel_type": "line", "channel_id": ""}, Reason.BAD_CHANNEL_ID, "channel_id"),
        ({**PHONE, "channel_handle": "x" * 256}, Reason.BAD_VALUE, "channel_handle"),
        ({**PHONE, "info_channel": "\x00"}, Reason.BAD_VALUE, "info_channel"),
    ],
)
def test_the_error_names_the_wrong_field_of_a_channel(
    body: object, reason: Reason, field: str
) -> None:
    error = refusal(lambda: parse.channel_input(to_json(body), None))

    assert (error.reason, list(error.fields)) == (reason, [field])
    assert reason.kind is Kind.BAD_DATA


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b'{"channel_type": "phone"', b"channel_type=phone", b"{'a': 1}", b"{,}"),
        *(b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b'{"channel_type": "\xe9"}', b'{"a": 1,}'),
        *(b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 01}', b'{"a": nul}'),
        *(b'{"channel_id": "\\ud800"}', b'{"a": ' + b"[" * 100_000, b'{"a":' * 100_000),
        to_json(PHONE) + b" {}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_not_utf8_json_is_malformed(body: bytes) -> None:
    assert refusal(lambda: parse.channel_input(body, None)).reason is Reason.MALFORMED_JSON


def test_the_address_is_parsed_in_the_region() -> None:
    body = to_json({**PHONE, "channel_id": "5105553344"})

    assert parse.channel_input(body, "US").address.channel_id == "15105553344"
    assert parse.channel_input(body, None).address.channel_id == "5105553344"


# ── the path and the query ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "uuid", [ALICE, "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
)
def test_a_uuid_of_any_version_and_letter_case_is_accepted(uuid: str) -> None:
    assert parse.contact_uuid(uuid) == uuid
    assert parse.contact_uuid(uuid.upper()) == uuid


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "alice",
            "-1",
            "1.5",
            ALICE[:-1],
            ALICE + "0",
            ALICE.replace("-", ""),
            f"{{{ALICE}}}",
        ),
        *(ALICE + "\n", " " + ALICE, ALICE.replace("a", "g"), ALICE.replace("1", "\u0661")),
        *("urn:uuid:" + ALICE, "a1b2c3d4e-5f6-7890-abcd-ef1234567890"),
    ],
)
def test_the_error_for_a_malformed_uuid_has_an_example(text: str) -> None:
    error = refusal(lambda: parse.contact_uuid(text))

    assert (error.reason, list(error.fields)) == (Reason.BAD_UUID, ["contactID"])
    assert ALICE in error.message


@pytest.mark.parametrize("text", ["1", "7", "123456789012345678901"])
def test_the_error_for_an_integer_id_names_the_uuid(text: str) -> None:
    assert "got an integer id" in refusal(lambda: parse.contact_uuid(text)).message


@pytest.mark.parametrize(
    ("query", "options"),
    [
        (b"", Options()),
        (b"representation=string_ids", Options(Representation.STRING_IDS)),
        (b"representation=integer_ids", Options(Representation.INTEGER_IDS)),
        (b"channel_id=%2B15105553344", Options(None, "+15105553344")),
        (b"channel_id=", Options(None, "")),
        (b"on_conflict=refuse", Options()),
        (b"page=2&x&=&representation=string_ids", Options(Representation.STRING_IDS)),
    ],
)
def test_known_options_are_parsed_and_others_ignored(query: bytes, options: Options) -> None:
    assert queries.parse_options(query) == options


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"representation=", "representation"),
        (b"representation=String_IDs", "representation"),
        (b"representation=nine_keys", "representation"),
        (b"on_conflict=", "on_conflict"),
        (b"on_conflict=steal", "on_conflict"),
    ],
)
def test_the_error_for_an_unknown_option_value_names_the_known_values(
    query: bytes, field: str
) -> None:
    error = refusal(lambda: queries.parse_options(query))

    assert (error.reason, list(error.fields)) == (Reason.BAD_VALUE, [field])
    assert ("string_ids or integer_ids" in error.message) or ("refuse" in error.message)


@pytest.mark.parametrize("query", [b"\xff", b"channel_id=%ff", b"channel_id=%ed%a0%80"])
def test_a_query_that_is_not_utf8_is_refused(query: bytes) -> None:
    assert refusal(lambda: queries.parse_options(query)).reason is Reason.BAD_VALUE


def test_the_error_for_too_many_query_parameters_names_the_limit() -> None:
    error = refusal(lambda: queries.parse_options(b"&".join([b"utm=1"] * 101)))

    assert error.reason is Reason.BAD_VALUE
    assert "100" in error.message


def test_a_channel_is_selected_by_the_path_and_an_option() -> None:
    assert parse.channel_selector("phone", Options()) == name("phone")
    selector = parse.channel_selector("phone", Options(None, "+1 510 555 3344"))
    assert (selector.address, selector.text) == (addressed("phone:15105553344"), "+1 510 555 3344")


def test_digits_that_select_a_channel_are_parsed_in_the_region() -> None:
    options = Options(None, "5105553344")

    selector, in_a_region = (
        parse.channel_selector("phone", options),
        parse.channel_selector("phone", options, "US"),
    )

    assert selector.address == addressed("phone:5105553344")
    assert in_a_region.address == addressed("phone:5105553344", "US")


@pytest.mark.parametrize(
    ("path_type", "value", "reason"),
    [
        ("id", None, Reason.BAD_CHANNEL_TYPE),
        ("Phone", None, Reason.BAD_CHANNEL_TYPE),
        ("phone", "", Reason.BAD_PHONE),
        ("email", "alice", Reason.BAD_EMAIL),
        ("line", "", Reason.BAD_CHANNEL_ID),
    ],
)
def test_a_malformed_channel_selector_is_refused(
    path_type: str, value: str | None, reason: Reason
) -> None:
    assert refusal(lambda: parse.channel_selector(path_type, Options(None, value))).reason is reason
