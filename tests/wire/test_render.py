"""Rendering as the vendor's JSON: the examples of the vendor's documents, key for key."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace as with_fields

from reachbook.domain import channel_rules
from reachbook.domain.channel import ChannelList, ContactChannel
from reachbook.domain.contact import Contact
from reachbook.domain.credential import Representation
from reachbook.wire import render
from tests.support.domain import name, page, want
from tests.support.personas import ALICE

STRINGS, INTEGERS = Representation.STRING_IDS, Representation.INTEGER_IDS
TEN = 1_705_312_800_000_000
FIVE_PAST = TEN + 300_000_000

EXAMPLE_000 = """[
  {
    "id": "ch_001",
    "team_id": 1,
    "contact_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "channel_type": "phone",
    "channel_id": "15105553344",
    "created": "2024-01-15T10:00:00Z",
    "updated": "2024-01-15T10:00:00Z"
  },
  {
    "id": "ch_002",
    "team_id": 1,
    "contact_id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "channel_type": "email",
    "channel_id": "alice@example.com",
    "created": "2024-01-15T10:05:00Z",
    "updated": "2024-01-15T10:05:00Z"
  }
]"""
ORDER_OF_000 = [
    *("id", "team_id", "contact_id", "channel_type", "channel_id"),
    *("channel_handle", "info_channel", "created", "updated"),
]
ORDER_OF_001 = [
    *("id", "team_id", "contact_id", "channel_type", "channel_id"),
    *("info_channel", "channel_handle", "created", "updated"),
]


def example_channels() -> ChannelList:
    """Returns Alice's channels as in document 000, with the integer id 7."""
    channel_list = page("phone:15105553344", "email:alice@example.com")
    phone, email = channel_list.channels
    return with_fields(
        channel_list,
        channels=(
            with_fields(phone, created=TEN, updated=TEN),
            with_fields(email, created=FIVE_PAST, updated=FIVE_PAST),
        ),
    )


def full_channel() -> ContactChannel:
    """Returns a channel with all optional fields."""
    (channel,) = page(want("facebook:1789", "@alice", "page-1")).channels
    return channel


def text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def test_string_ids_render_the_example_of_the_vendor() -> None:
    rendered = text(render.channels(example_channels(), STRINGS))

    assert msgspec.json.format(rendered, indent=2) == EXAMPLE_000


def test_integer_ids_have_all_nine_keys() -> None:
    rendered = text(render.channels(example_channels(), INTEGERS))

    assert rendered == (
        '[{"id":1,"team_id":1,"contact_id":7,"channel_type":"phone","channel_id":"15105553344",'
        '"info_channel":"","channel_handle":"",'
        '"created":"2024-01-15T10:00:00Z","updated":"2024-01-15T10:00:00Z"},'
        '{"id":2,"team_id":1,"contact_id":7,"channel_type":"email",'
        '"channel_id":"alice@example.com","info_channel":"","channel_handle":"",'
        '"created":"2024-01-15T10:05:00Z","updated":"2024-01-15T10:05:00Z"}]'
    )


@pytest.mark.parametrize(
    ("representation", "order"), [(STRINGS, ORDER_OF_000), (INTEGERS, ORDER_OF_001)]
)
def test_the_keys_are_in_the_order_of_the_vendor_documents(
    representation: Representation, order: list[str]
) -> None:
    rendered = msgspec.to_builtins(
        render.channel(example_channels(), full_channel(), representation)
    )

    assert list(rendered) == order
    assert (rendered["channel_handle"], rendered["info_channel"]) == ("@alice", "page-1")


@pytest.mark.parametrize(
    ("handle", "info", "omitted"),
    [
        ("", "", {"channel_handle", "info_channel"}),
        ("@a", "", {"info_channel"}),
        ("", "p", {"channel_handle"}),
    ],
)
def test_string_ids_omit_empty_optional_fields(handle: str, info: str, omitted: set[str]) -> None:
    stored = with_fields(full_channel(), channel_handle=handle, info_channel=info)

    rendered = msgspec.to_builtins(render.channel(example_channels(), stored, STRINGS))

    assert set(ORDER_OF_000) - set(rendered) == omitted


@pytest.mark.parametrize(
    ("number", "rendered"),
    [(1, "ch_001"), (999, "ch_999"), (1000, "ch_1000"), (2**48, f"ch_{2**48}")],
)
def test_the_id_of_a_channel_depends_on_the_representation(number: int, rendered: str) -> None:
    assert render.channel_id(number, STRINGS) == rendered
    assert render.channel_id(number, INTEGERS) == number
    stored = with_fields(full_channel(), id=number)
    assert render.channel(example_channels(), stored, STRINGS).id == rendered
    assert render.channel(example_channels(), stored, INTEGERS).id == number


@pytest.mark.parametrize("representation", list(Representation))
def test_a_contact_without_channels_has_an_empty_list(representation: Representation) -> None:
    left = channel_rules.remove_channel(page("phone:15105553344"), name("phone"), TEN)

    assert text(render.channels(left, representation)) == "[]"


@pytest.mark.parametrize("microseconds", [0, 1, 999_999])
def test_the_times_of_a_channel_are_in_whole_seconds(microseconds: int) -> None:
    stored = with_fields(
        full_channel(), created=TEN + microseconds, updated=FIVE_PAST + microseconds
    )

    rendered = render.channel(example_channels(), stored, INTEGERS)

    assert (rendered.created, rendered.updated) == ("2024-01-15T10:00:00Z", "2024-01-15T10:05:00Z")


# ── the contact and the team ─────────────────────────────────────────────────────────────────


def make_contact(*channels: ContactChannel, **fields: Any) -> Contact:
    """Returns a contact with these channels and fields."""
    return Contact(1, 7, ALICE, 3, FIVE_PAST + 42, channels, TEN, **fields)


def test_a_contact_has_all_keys() -> None:
    phone, email = example_channels().channels
    fields = {"first": "Alice", "custom": {"12": "cats"}, "tags": (3, 4), "assigned_user_id": 5}

    rendered = msgspec.to_builtins(render.contact(make_contact(phone, email, **fields), STRINGS))

    channels = rendered.pop("contact_channels")
    assert [channel["id"] for channel in channels] == ["ch_001", "ch_002"]
    assert rendered == {
        "id": 7,
        "uuid": ALICE,
        "rev": 3,
        "team_id": 1,
        "first": "Alice",
        "last": "",
        "display_name": "",
        "phone": "15105553344",
        "email": "alice@example.com",
        "avatar": "",
        "assigned_user_id": 5,
        "external_id": None,
        "is_opted_out": False,
        "tags": [{"tag_id": 3}, {"tag_id": 4}],
        "custom": {"12": "cats"},
        "created": "2024-01-15T10:00:00.000000Z",
        "updated": "2024-01-15T10:05:00.000042Z",
    }


def test_the_channels_of_a_contact_are_in_the_representation_of_the_caller() -> None:
    rendered = render.contact(make_contact(*example_channels().channels), INTEGERS)

    assert rendered.contact_channels == render.channels(example_channels(), INTEGERS)


def test_the_phone_of_a_contact_is_its_primary_phone() -> None:
    first, second = page("phone:15105553344", "phone:14155551234").channels
    chosen = with_fields(second, made_primary=2)

    assert render.contact(make_contact(first, second), STRINGS).phone == "15105553344"
    assert render.contact(make_contact(first, chosen), STRINGS).phone == "14155551234"


def test_a_contact_without_phone_and_email_has_empty_values() -> None:
    rendered = render.contact(make_contact(full_channel()), STRINGS)

    assert (rendered.phone, rendered.email) == ("", "")


def test_a_team_has_id_name_and_members() -> None:
    assert text(render.team(1, "Bob's team")) == '{"id":1,"name":"Bob\'s team","members":[]}'
