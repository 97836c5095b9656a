"""The rules of POST and PUT: pure, so no store is needed to try them (contract section 2).

GET, DELETE and what every rule has in common stand in `test_channel_selection`.
"""

from __future__ import annotations

import random

import pytest
from msgspec import UNSET, UnsetType
from msgspec.structs import replace as with_fields

from reachbook.domain import channel_rules
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.channel import NOT_NUMBERED, ChannelSelector, ContactChannel
from reachbook.domain.channel_rules import ChannelEdit, ChannelInput, Patch
from reachbook.domain.consent import Consent
from reachbook.domain.errors import Reason
from tests.support.domain import NOW, TWO_PHONES, addressed, name, page, refusal, values, want
from tests.support.personas import ALICE

SEVERAL = [
    *("phone:15105553344", "phone:+1 510 555-3344", "phone:14155551234", "sms:15105553344"),
    *("email:alice@example.com", "email:Alice@example.com", "facebook:1", "facebook:2"),
]
TEXTS: list[str | UnsetType] = ["", "a", UNSET]


def test_it_works() -> None:
    after = channel_rules.add_channel(page(), want("phone:+1 510 555 3344", "@alice", "sms-1"), NOW)

    assert after.rev == 2
    assert after.updated == NOW
    (made,) = after.channels
    assert made == ContactChannel(
        id=NOT_NUMBERED,
        channel_type=ChannelType("phone"),
        channel_id="15105553344",
        scope="",
        identity="15105553344",
        channel_handle="@alice",
        info_channel="sms-1",
        made_primary=None,
        created=NOW,
        updated=NOW,
    )


# ── POST ─────────────────────────────────────────────────────────────────────────────────────


def test_a_contact_can_have_several_channels_of_a_type() -> None:
    after = channel_rules.add_channel(page("phone:15105553344"), want("phone:14155551234"), NOW)

    assert values(after) == ["15105553344", "14155551234"]


@pytest.mark.parametrize(
    ("held", "posted"),
    [
        (want("phone:15105553344"), want("phone:15105553344")),
        (want("phone:5511987654321"), want("phone:551187654321")),
        (want("email:Alice@example.com"), want("email:alice@EXAMPLE.com")),
        (want("email:a@b.com", "@a", "x"), want("email:a@b.com", "@a", "x")),
        (want("email:a@b.com", "@a", "x"), want("email:a@b.com", "@a")),
        (want("email:a@b.com"), want("email:a@b.com", "", "")),
        (want("facebook:1789", "", "page-1"), want("facebook:1789", UNSET, "page-1")),
        (want("facebook:1789", "", "page-1"), want("facebook:1789")),
    ],
)
def test_adding_what_is_there_with_every_supplied_field_equal_changes_nothing(
    held: ChannelInput, posted: ChannelInput
) -> None:
    channel_list = page(held)

    assert channel_rules.add_channel(channel_list, posted, NOW) is channel_list


@pytest.mark.parametrize(
    ("posted", "handle", "info"),
    [
        (want("facebook:1789", "@b"), "@b", "page-1"),
        (want("facebook:1789", ""), "", "page-1"),
        (want("facebook:1789", UNSET, "page-2"), "@a", "page-2"),
        (want("facebook:1789", UNSET, ""), "@a", ""),
        (want("facebook:1789", "@b", "page-2"), "@b", "page-2"),
    ],
)
def test_adding_what_is_there_updates_the_fields_that_differ(
    posted: ChannelInput, handle: str, info: str
) -> None:
    before = page(want("facebook:1789", "@a", "page-1"))
    (held,) = before.channels

    (after,) = channel_rules.add_channel(before, posted, NOW).channels

    assert after == with_fields(
        held, channel_handle=handle, info_channel=info, scope=info, updated=NOW
    )


def test_the_info_channel_of_a_number_is_no_part_of_what_is_unique() -> None:
    (after,) = channel_rules.add_channel(
        page(), want("phone:15105553344", UNSET, "sms-1"), NOW
    ).channels

    assert (after.info_channel, after.scope) == ("sms-1", "")


def test_digits_in_doubt_are_not_added() -> None:
    no = refusal(
        lambda: channel_rules.add_channel(page(), want("phone:6465550123", region="US"), NOW)
    )

    assert no.reason is Reason.AMBIGUOUS


@pytest.mark.parametrize("held", ["+6465550123", "+16465550123", "+5105553344", "+15105553344"])
def test_digits_in_doubt_that_the_contact_has_are_in_no_doubt(held: str) -> None:
    """It is found in either reading, also in the reading that a new address would not get."""
    posted = want(f"phone:{held[-10:]}", region="US")
    channel_list = page(f"phone:{held}", "phone:+14155551234")

    assert posted.address.other_reading
    assert channel_rules.add_channel(channel_list, posted, NOW) is channel_list
    assert channel_rules.replace_channel(channel_list, posted, name("phone"), NOW) is channel_list


def test_digits_that_were_returned_mean_the_channel_that_they_came_from() -> None:
    """The contact has both readings, as two channels."""
    channel_list = page("phone:+16465550123", "phone:+6465550123")
    posted = want("phone:6465550123", "@alice", region="US")

    after = channel_rules.add_channel(channel_list, posted, NOW)

    assert [channel.channel_handle for channel in after.channels] == ["", "@alice"]


# ── making way ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(20))
def test_adding_several_at_once_does_what_adding_each_does(seed: int) -> None:
    """In order and in value, whichever of them are there and whichever are listed twice."""
    choose = random.Random(seed)

    def some(most: int) -> list[ChannelInput]:
        return [
            ChannelInput(
                want(choose.choice(SEVERAL)).address,
                choose.choice(TEXTS),
                choose.choice(TEXTS),
            )
            for _ in range(choose.randrange(most))
        ]

    before = page(*some(8))
    before = with_fields(
        before,
        channels=tuple(
            with_fields(one, made_primary=choose.choice([None, 2])) for one in before.channels
        ),
    )
    wanted = some(12)

    each = before
    for one in wanted:
        step = channel_rules.add_channel(each, one, NOW)
        each = with_fields(step, rev=before.rev, updated=before.updated)
    after = channel_rules.add_channels(before, wanted, NOW)

    assert after.channels == each.channels
    assert (after is before) is (each.channels == before.channels)


def test_a_contact_with_500_channels_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    full, larger = page(*TWO_PHONES), page(*TWO_PHONES, "email:a@b.com")
    monkeypatch.setattr(channel_rules, "MAX_CHANNELS", 2)

    no = refusal(lambda: channel_rules.add_channel(full, want("email:a@b.com"), NOW))

    assert (no.reason, list(no.fields)) == (Reason.TOO_MANY, ["channel_id"])
    assert channel_rules.add_channel(full, want(TWO_PHONES[0]), NOW) is full
    changed = channel_rules.add_channel(larger, want("email:a@b.com", "@alice"), NOW)
    assert len(changed.channels) == 3


def test_an_owner_gives_up_all_that_is_taken_in_one_step() -> None:
    owner = page("phone:15105553344", "phone:14155551234", "email:a@b.com")
    taken = (owner.channels[0], owner.channels[2])

    after = channel_rules.release_addresses(owner, taken, NOW)

    assert (values(after), after.rev, after.updated) == (["14155551234"], owner.rev + 1, NOW)


def test_an_owner_keeps_the_same_id_of_another_page() -> None:
    owner = page(want("facebook:1789", "", "page-1"))
    elsewhere = with_fields(owner.channels[0], scope="page-2")

    assert channel_rules.release_addresses(owner, [elsewhere], NOW) is owner


# ── PUT ──────────────────────────────────────────────────────────────────────────────────────


def test_replacing_keeps_the_id_and_the_time_of_creation() -> None:
    before = page(want("phone:15105553344", "@a", "sms-1"), "email:a@b.com")
    held = before.channels[0]

    after = channel_rules.replace_channel(before, want("phone:14155551234"), name("phone"), NOW)

    assert after.channels == (
        with_fields(held, channel_id="14155551234", identity="14155551234", updated=NOW),
        before.channels[1],
    )
    assert (after.rev, after.updated) == (before.rev + 1, NOW)


def test_replacing_with_the_same_value_and_fields_changes_nothing() -> None:
    channel_list = page(want("phone:15105553344", "@a", "sms-1"))
    put = want("phone:+1 510 555 3344", "@a", "sms-1")

    assert channel_rules.replace_channel(channel_list, put, name("phone"), NOW) is channel_list


@pytest.mark.parametrize(
    ("held", "put", "stored"),
    [
        ("phone:5511987654321", "phone:+55 11 8765-4321", "551187654321"),
        ("email:Alice@example.com", "email:alice@example.com", "alice@example.com"),
    ],
)
def test_replacing_rewrites_a_new_spelling_of_the_same_identity(
    held: str, put: str, stored: str
) -> None:
    before = page(held)
    kind = held.partition(":")[0]

    (after,) = channel_rules.replace_channel(before, want(put), name(kind), NOW).channels

    assert after == with_fields(before.channels[0], channel_id=stored, updated=NOW)


def test_replacing_by_type_means_the_primary_one() -> None:
    after = channel_rules.replace_channel(
        page(*TWO_PHONES), want("phone:13105550000"), name("phone"), NOW
    )

    assert values(after) == ["13105550000", "14155551234"]


def test_replacing_can_name_the_channel() -> None:
    named = name("phone", "+1 415 555 1234")

    after = channel_rules.replace_channel(page(*TWO_PHONES), want("phone:13105550000"), named, NOW)

    assert values(after) == ["15105553344", "13105550000"]


@pytest.mark.parametrize("named", [name("email"), name("email", "no@b.com")])
def test_replacing_does_not_create(named: ChannelSelector) -> None:
    no = refusal(
        lambda: channel_rules.replace_channel(page(*TWO_PHONES), want("email:a@b.com"), named, NOW)
    )

    assert no.reason is Reason.NO_CHANNEL


@pytest.mark.parametrize("put", ["phone:14155551234", "phone:+1 (415) 555-1234"])
def test_replacing_with_what_another_channel_of_the_contact_has_is_refused(put: str) -> None:
    channel_list = page(*TWO_PHONES)

    no = refusal(lambda: channel_rules.replace_channel(channel_list, want(put), name("phone"), NOW))

    assert no.reason is Reason.ADDRESS_TAKEN
    assert no.facts == {
        "conflicting_contact_id": ALICE,
        "conflicting_channel_id": channel_list.channels[1].id,
        "channel_id": "14155551234",
    }
    assert list(no.fields) == ["channel_id"]


def test_replacing_never_gives_a_contact_one_id_twice() -> None:
    """Under two pages, too: `?channel_id=` could not name one of them exactly."""
    channel_list = page(want("facebook:1", UNSET, "page-1"), want("facebook:2", UNSET, "page-2"))
    named = name("facebook", "2")

    no = refusal(
        lambda: channel_rules.replace_channel(channel_list, want("facebook:1"), named, NOW)
    )

    assert no.reason is Reason.ADDRESS_TAKEN


def test_replacing_with_digits_in_doubt_is_refused() -> None:
    put = want("phone:6465550123", region="US")

    no = refusal(
        lambda: channel_rules.replace_channel(page("phone:14155551234"), put, name("phone"), NOW)
    )

    assert no.reason is Reason.AMBIGUOUS


# ── edit ─────────────────────────────────────────────────────────────────────────────────────


def test_an_edit_is_one_change_and_keeps_the_id() -> None:
    before = page(*TWO_PHONES)
    edit = ChannelEdit(addressed("phone:12125550100"), Patch(label="home"))

    after = channel_rules.edit_channel(before, 2, edit, NOW)

    assert values(after) == ["15105553344", "12125550100"]
    assert after.channels[1].id == 2
    assert after.channels[1].label == "home"
    assert after.rev == before.rev + 1


def test_consent_ends_with_an_address_and_not_with_another_spelling() -> None:
    before = channel_rules.patch_channel(
        page("email:alice@example.com"), 1, Patch(consent=Consent.OPTED_IN), NOW
    )

    for spec, consent in [("Alice@example.com", "opted_in"), ("bob@example.com", "unknown")]:
        edit = ChannelEdit(addressed(f"email:{spec}"), Patch())
        after = channel_rules.edit_channel(before, 1, edit, NOW)
        assert after.channels[0].consent == consent


def test_an_edit_without_a_change_returns_the_same() -> None:
    before = page("phone:15105553344")

    for address in (None, addressed("phone:+1 510 555 3344")):
        assert (
            channel_rules.edit_channel(before, 1, ChannelEdit(address, Patch(label="")), NOW)
            is before
        )


def test_an_address_that_stays_need_not_be_readable_today() -> None:
    before = page("phone:15105553344")
    odd = with_fields(before, channels=(with_fields(before.channels[0], channel_id="x"),))

    after = channel_rules.edit_channel(odd, 1, ChannelEdit(None, Patch(label="old")), NOW)

    assert after.channels[0].channel_id == "x"


@pytest.mark.parametrize(
    ("address", "reason"),
    [("phone:15105553344", Reason.ADDRESS_TAKEN), ("phone:(646) 555-0123", Reason.AMBIGUOUS)],
)
def test_an_edit_to_an_address_of_another_channel_or_two_numbers_is_refused(
    address: str, reason: Reason
) -> None:
    edit = ChannelEdit(addressed(address, "US"), Patch())

    refused = refusal(lambda: channel_rules.edit_channel(page(*TWO_PHONES), 2, edit, NOW))

    assert refused.reason is reason
