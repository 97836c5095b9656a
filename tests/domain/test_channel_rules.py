"""The rules of POST and PUT, which are pure functions (contract section 2).

GET, DELETE and the properties of all rules are tested in `test_channel_selection`.
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


def test_adding_a_channel_increments_the_revision() -> None:
    after = channel_rules.add_channel(page(), want("phone:+1 510 555 3344", "@alice", "sms-1"), NOW)

    assert after.rev == 2
    assert after.updated == NOW
    (created,) = after.channels
    assert created == ContactChannel(
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
    ("existing", "posted"),
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
def test_adding_an_equal_channel_changes_nothing(
    existing: ChannelInput, posted: ChannelInput
) -> None:
    channel_list = page(existing)

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
def test_adding_an_existing_channel_updates_the_fields_that_differ(
    posted: ChannelInput, handle: str, info: str
) -> None:
    before = page(want("facebook:1789", "@a", "page-1"))
    (existing,) = before.channels

    (after,) = channel_rules.add_channel(before, posted, NOW).channels

    assert after == with_fields(
        existing, channel_handle=handle, info_channel=info, scope=info, updated=NOW
    )


def test_the_info_channel_of_a_number_is_not_part_of_its_key() -> None:
    (after,) = channel_rules.add_channel(
        page(), want("phone:15105553344", UNSET, "sms-1"), NOW
    ).channels

    assert (after.info_channel, after.scope) == ("sms-1", "")


def test_ambiguous_digits_are_not_added() -> None:
    error = refusal(
        lambda: channel_rules.add_channel(page(), want("phone:6465550123", region="US"), NOW)
    )

    assert error.reason is Reason.AMBIGUOUS


@pytest.mark.parametrize("existing", ["+6465550123", "+16465550123", "+5105553344", "+15105553344"])
def test_ambiguous_digits_match_a_channel_of_the_contact(existing: str) -> None:
    """Either reading is found, also the reading that a new address would not get."""
    posted = want(f"phone:{existing[-10:]}", region="US")
    channel_list = page(f"phone:{existing}", "phone:+14155551234")

    assert posted.address.other_reading
    assert channel_rules.add_channel(channel_list, posted, NOW) is channel_list
    assert channel_rules.replace_channel(channel_list, posted, name("phone"), NOW) is channel_list


def test_ambiguous_digits_prefer_the_channel_with_the_same_digits() -> None:
    """The contact has both readings, as two channels."""
    channel_list = page("phone:+16465550123", "phone:+6465550123")
    posted = want("phone:6465550123", "@alice", region="US")

    after = channel_rules.add_channel(channel_list, posted, NOW)

    assert [channel.channel_handle for channel in after.channels] == ["", "@alice"]


# ── several at once ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(20))
def test_adding_several_at_once_equals_adding_each(seed: int) -> None:
    """This includes the order, existing channels, and channels that are listed twice."""
    chooser = random.Random(seed)

    def random_channels(most: int) -> list[ChannelInput]:
        return [
            ChannelInput(
                want(chooser.choice(SEVERAL)).address,
                chooser.choice(TEXTS),
                chooser.choice(TEXTS),
            )
            for _ in range(chooser.randrange(most))
        ]

    before = page(*random_channels(8))
    before = with_fields(
        before,
        channels=tuple(
            with_fields(channel, made_primary=chooser.choice([None, 2]))
            for channel in before.channels
        ),
    )
    wanted = random_channels(12)

    expected = before
    for channel_input in wanted:
        step = channel_rules.add_channel(expected, channel_input, NOW)
        expected = with_fields(step, rev=before.rev, updated=before.updated)
    after = channel_rules.add_channels(before, wanted, NOW)

    assert after.channels == expected.channels
    assert (after is before) is (expected.channels == before.channels)


def test_no_channel_can_be_added_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    full, larger = page(*TWO_PHONES), page(*TWO_PHONES, "email:a@b.com")
    monkeypatch.setattr(channel_rules, "MAX_CHANNELS", 2)

    error = refusal(lambda: channel_rules.add_channel(full, want("email:a@b.com"), NOW))

    assert (error.reason, list(error.fields)) == (Reason.TOO_MANY, ["channel_id"])
    assert channel_rules.add_channel(full, want(TWO_PHONES[0]), NOW) is full
    changed = channel_rules.add_channel(larger, want("email:a@b.com", "@alice"), NOW)
    assert len(changed.channels) == 3


def test_releasing_several_addresses_is_one_revision() -> None:
    owner = page("phone:15105553344", "phone:14155551234", "email:a@b.com")
    taken = (owner.channels[0], owner.channels[2])

    after = channel_rules.release_addresses(owner, taken, NOW)

    assert (values(after), after.rev, after.updated) == (["14155551234"], owner.rev + 1, NOW)


def test_releasing_ignores_the_same_id_on_another_page() -> None:
    owner = page(want("facebook:1789", "", "page-1"))
    elsewhere = with_fields(owner.channels[0], scope="page-2")

    assert channel_rules.release_addresses(owner, [elsewhere], NOW) is owner


# ── PUT ──────────────────────────────────────────────────────────────────────────────────────


def test_replacing_does_not_change_id_and_created() -> None:
    before = page(want("phone:15105553344", "@a", "sms-1"), "email:a@b.com")
    existing = before.channels[0]

    after = channel_rules.replace_channel(before, want("phone:14155551234"), name("phone"), NOW)

    assert after.channels == (
        with_fields(existing, channel_id="14155551234", identity="14155551234", updated=NOW),
        before.channels[1],
    )
    assert (after.rev, after.updated) == (before.rev + 1, NOW)


def test_replacing_with_the_same_value_and_fields_changes_nothing() -> None:
    channel_list = page(want("phone:15105553344", "@a", "sms-1"))
    put = want("phone:+1 510 555 3344", "@a", "sms-1")

    assert channel_rules.replace_channel(channel_list, put, name("phone"), NOW) is channel_list


@pytest.mark.parametrize(
    ("existing", "put", "stored"),
    [
        ("phone:5511987654321", "phone:+55 11 8765-4321", "551187654321"),
        ("email:Alice@example.com", "email:alice@example.com", "alice@example.com"),
    ],
)
def test_replacing_stores_a_new_spelling_of_the_same_address(
    existing: str, put: str, stored: str
) -> None:
    before = page(existing)
    kind = existing.partition(":")[0]

    (after,) = channel_rules.replace_channel(before, want(put), name(kind), NOW).channels

    assert after == with_fields(before.channels[0], channel_id=stored, updated=NOW)


def test_replacing_by_type_replaces_the_primary_channel() -> None:
    after = channel_rules.replace_channel(
        page(*TWO_PHONES), want("phone:13105550000"), name("phone"), NOW
    )

    assert values(after) == ["13105550000", "14155551234"]


def test_replacing_with_a_selector_replaces_that_channel() -> None:
    selector = name("phone", "+1 415 555 1234")

    after = channel_rules.replace_channel(
        page(*TWO_PHONES), want("phone:13105550000"), selector, NOW
    )

    assert values(after) == ["15105553344", "13105550000"]


@pytest.mark.parametrize("selector", [name("email"), name("email", "no@b.com")])
def test_replacing_a_missing_channel_is_refused(selector: ChannelSelector) -> None:
    error = refusal(
        lambda: channel_rules.replace_channel(
            page(*TWO_PHONES), want("email:a@b.com"), selector, NOW
        )
    )

    assert error.reason is Reason.NO_CHANNEL


@pytest.mark.parametrize("put", ["phone:14155551234", "phone:+1 (415) 555-1234"])
def test_replacing_with_an_address_of_a_sibling_channel_is_refused(put: str) -> None:
    channel_list = page(*TWO_PHONES)

    error = refusal(
        lambda: channel_rules.replace_channel(channel_list, want(put), name("phone"), NOW)
    )

    assert error.reason is Reason.ADDRESS_TAKEN
    assert error.facts == {
        "conflicting_contact_id": ALICE,
        "conflicting_channel_id": channel_list.channels[1].id,
        "channel_id": "14155551234",
    }
    assert list(error.fields) == ["channel_id"]


def test_replacing_with_an_id_that_the_contact_has_on_another_page_is_refused() -> None:
    """Otherwise `?channel_id=` could not select a single channel."""
    channel_list = page(want("facebook:1", UNSET, "page-1"), want("facebook:2", UNSET, "page-2"))
    selector = name("facebook", "2")

    error = refusal(
        lambda: channel_rules.replace_channel(channel_list, want("facebook:1"), selector, NOW)
    )

    assert error.reason is Reason.ADDRESS_TAKEN


def test_replacing_with_ambiguous_digits_is_refused() -> None:
    put = want("phone:6465550123", region="US")

    error = refusal(
        lambda: channel_rules.replace_channel(page("phone:14155551234"), put, name("phone"), NOW)
    )

    assert error.reason is Reason.AMBIGUOUS


# ── edit ─────────────────────────────────────────────────────────────────────────────────────


def test_an_edit_is_one_revision_with_the_same_channel_id() -> None:
    before = page(*TWO_PHONES)
    edit = ChannelEdit(addressed("phone:12125550100"), Patch(label="home"))

    after = channel_rules.edit_channel(before, 2, edit, NOW)

    assert values(after) == ["15105553344", "12125550100"]
    assert after.channels[1].id == 2
    assert after.channels[1].label == "home"
    assert after.rev == before.rev + 1


def test_an_edit_resets_consent_unless_the_address_is_the_same() -> None:
    before = channel_rules.patch_channel(
        page("email:alice@example.com"), 1, Patch(consent=Consent.OPTED_IN), NOW
    )

    for spec, consent in [("Alice@example.com", "opted_in"), ("bob@example.com", "unknown")]:
        edit = ChannelEdit(addressed(f"email:{spec}"), Patch())
        after = channel_rules.edit_channel(before, 1, edit, NOW)
        assert after.channels[0].consent == consent


def test_an_edit_without_a_change_returns_the_same_object() -> None:
    before = page("phone:15105553344")

    for address in (None, addressed("phone:+1 510 555 3344")):
        assert (
            channel_rules.edit_channel(before, 1, ChannelEdit(address, Patch(label="")), NOW)
            is before
        )


def test_an_unchanged_address_is_not_parsed_again() -> None:
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
