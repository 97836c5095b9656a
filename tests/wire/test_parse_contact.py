"""Parsing of the body of POST /v2/contact; an error names the wrong field."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Struct

from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.limits import MAX_TAGS
from reachbook.wire import parse
from tests.support.domain import refusal, want
from tests.support.strategies import json_values

PHONE = {"channel_type": "phone", "channel_id": "+1 510 555 3344"}
EMAIL = {"channel_type": "email", "channel_id": "alice@example.com"}


def to_json(value: object) -> bytes:
    return json.dumps(value).encode()


def make_tags(count: int) -> list[dict[str, int]]:
    return [{"tag_id": number} for number in range(count)]


def test_a_contact_is_parsed() -> None:
    body = {
        "contact_channels": [PHONE],
        "email": "alice@example.com",
        "first": "Alice",
        "last": None,
        "display_name": "",
        "assignee_id": 5,
        "external_id": "crm-1",
        "is_opted_out": True,
        "custom": {"12": "cats"},
        "tags": make_tags(2),
        "odd": 1,
    }

    assert parse.contact_input(to_json(body), None) == ContactInput(
        channels=(want("phone:15105553344"),),
        email=want("email:alice@example.com").address,
        first="Alice",
        last="",
        display_name="",
        avatar=UNSET,
        assigned_user_id=5,
        external_id="crm-1",
        is_opted_out=True,
        custom={"12": "cats"},
        tags=(0, 1),
    )


@pytest.mark.parametrize("body", [{}, [], {"odd": 1}, {"contact_channels": None}])
def test_absent_fields_are_unset(body: object) -> None:
    assert parse.contact_input(to_json(body), None) == ContactInput(())


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ({"contact_channels": []}, "channels", ()),
        ({"phone": ""}, "phone", None),
        ({"email": None}, "email", None),
        ({"phone": "15105553344"}, "phone", want("phone:15105553344").address),
        ({"contact_channels": [EMAIL]}, "channels", (want("email:alice@example.com"),)),
        ({"first": None}, "first", ""),
        ({"avatar": ""}, "avatar", ""),
        ({"assignee_id": -1}, "assigned_user_id", None),
        ({"assignee_id": None}, "assigned_user_id", None),
        ({"external_id": None}, "external_id", None),
        ({"external_id": ""}, "external_id", None),
        ({"assigned_user_id": 5}, "assigned_user_id", 5),
        ({"is_opted_out": None}, "is_opted_out", False),
        ({"custom": None}, "custom", None),
        ({"custom": []}, "custom", {}),
        ({"custom": {"12": []}}, "custom", {"12": []}),
        ({"custom": {"12": {"deep": [1.5, None]}}}, "custom", {"12": {"deep": [1.5, None]}}),
        ({"tags": None}, "tags", ()),
        ({"tags": make_tags(MAX_TAGS)}, "tags", tuple(range(MAX_TAGS))),
    ],
)
def test_null_or_an_empty_value_clears_a_field(body: object, field: str, value: object) -> None:
    assert getattr(parse.contact_input(to_json(body), None), field) == value


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ([1], Reason.WRONG_TYPE, "body"),
        ({"contact_channels": {}}, Reason.WRONG_TYPE, "contact_channels"),
        ({"contact_channels": [1]}, Reason.WRONG_TYPE, "contact_channels[0]"),
        (
            {"contact_channels": [PHONE, {}]},
            Reason.MISSING_FIELD,
            "contact_channels[1].channel_type",
        ),
        (
            {"contact_channels": [{**PHONE, "channel_id": 1}]},
            Reason.WRONG_TYPE,
            "contact_channels[0].channel_id",
        ),
        ({"phone": 15105553344}, Reason.WRONG_TYPE, "phone"),
        ({"first": 5}, Reason.WRONG_TYPE, "first"),
        ({"first": "x" * 256}, Reason.BAD_VALUE, "first"),
        ({"last": "\x00"}, Reason.BAD_VALUE, "last"),
        ({"display_name": "\x85"}, Reason.BAD_VALUE, "display_name"),
        ({"avatar": "a\nb"}, Reason.BAD_VALUE, "avatar"),
        ({"external_id": "\x00"}, Reason.BAD_VALUE, "external_id"),
        ({"assignee_id": "5"}, Reason.WRONG_TYPE, "assignee_id"),
        ({"assignee_id": True}, Reason.WRONG_TYPE, "assignee_id"),
        ({"assignee_id": -2}, Reason.WRONG_TYPE, "assignee_id"),
        ({"assignee_id": 2**53}, Reason.WRONG_TYPE, "assignee_id"),
        ({"is_opted_out": "yes"}, Reason.WRONG_TYPE, "is_opted_out"),
        ({"custom": [1]}, Reason.WRONG_TYPE, "custom"),
        ({"custom": [[]]}, Reason.WRONG_TYPE, "custom"),
        ({"tags": [{}]}, Reason.MISSING_FIELD, "tags[0].tag_id"),
        ({"tags": [{"tag_id": -1}]}, Reason.WRONG_TYPE, "tags[0].tag_id"),
        ({"tags": make_tags(MAX_TAGS + 1)}, Reason.BAD_VALUE, "tags"),
        ({"phone": "12"}, Reason.BAD_PHONE, "phone"),
        ({"email": "alice"}, Reason.BAD_EMAIL, "email"),
        (
            {"contact_channels": [PHONE, {**EMAIL, "channel_id": "alice"}]},
            Reason.BAD_EMAIL,
            "contact_channels[1].channel_id",
        ),
    ],
)
def test_the_error_names_the_wrong_field_of_a_contact(
    body: object, reason: Reason, field: str
) -> None:
    error = refusal(lambda: parse.contact_input(to_json(body), None))

    assert (error.reason, list(error.fields)) == (reason, [field])


@given(json_values(), st.sampled_from(["channel_type", "channel_id", "first", "tags", "custom"]))
def test_any_json_is_parsed_or_refused(value: object, field: str) -> None:
    parsers: list[Callable[[bytes, None], object]] = [parse.channel_input, parse.contact_input]

    for parser in parsers:
        for body in (value, {**PHONE, field: value}):
            assert parse_or_kind(parser, to_json(body)) in (Kind.BAD_DATA, Struct)


def parse_or_kind(parser: Callable[[bytes, None], object], body: bytes) -> object:
    """Returns Struct if the body is parsed, or the kind of the refusal."""
    try:
        return Struct if isinstance(parser(body, None), Struct) else None
    except Refusal as error:
        return error.reason.kind
