"""The example program that moves contacts, between two sandboxes."""

from __future__ import annotations

import json
import operator
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from examples.move_from_vendor.move import CopyMap, Move, read_contacts
from reachbook.client import (
    ApiSecret,
    BulkRow,
    ChannelRequest,
    Client,
    ContactRequest,
    OnConflict,
    ResolveRequest,
    Retries,
    ServerError,
    StringIdsContact,
    Tag,
)
from reachbook.testing import Sandbox, run_sandbox

PROGRAM = Path(__file__).parents[2] / "examples" / "move_from_vendor" / "move.py"
X, Y, NEW = "13035550101", "13035550102", "13035550103"
EMPTY = "empty"


def phone_of(number: str, first: str = "") -> ContactRequest:
    return ContactRequest(contact_channels=[ChannelRequest("phone", number)], first=first)


@dataclass
class Sides:
    """The two sandboxes, and the map between them."""

    vendor: Sandbox
    reachbook: Sandbox
    source: Client
    target: Client
    map_file: Path

    def run(self) -> Move:
        move = Move(self.source, self.target, CopyMap(self.map_file))
        try:
            move.run()
        finally:
            move.map.close()
        return move

    def copies(self) -> dict[str, str]:
        copy_map = CopyMap(self.map_file)
        copy_map.close()
        return copy_map.copies

    def copy_of(self, contact: StringIdsContact) -> StringIdsContact:
        return self.target.get_contact(self.copies()[contact.uuid])

    def event_count(self) -> int:
        return len(list(self.target.events()))


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[list[Sandbox]]:
    """Two sandboxes without contacts."""
    options = ("--rate-limit", "0")
    with run_sandbox(*options) as vendor, run_sandbox(*options) as reachbook:
        for sandbox in (vendor, reachbook):
            with Client(sandbox.url, sandbox.credential) as client:
                client.delete_contacts([each.uuid for each in client.iterate_contacts()])
            sandbox.take_snapshot(EMPTY)
        yield [vendor, reachbook]


@pytest.fixture
def sides(sandboxes: list[Sandbox], tmp_path: Path) -> Iterator[Sides]:
    vendor, reachbook = sandboxes
    for sandbox in sandboxes:
        sandbox.restore(EMPTY)
        sandbox.faults.clear()
    once = Retries(attempts=1)
    with (
        Client(
            vendor.url, vendor.api_secret, retries=once, honours_idempotency_keys=False
        ) as source,
        Client(reachbook.url, reachbook.credential, retries=once) as target,
    ):
        yield Sides(vendor, reachbook, source, target, tmp_path / "map.jsonl")


def addresses(contact: StringIdsContact) -> list[tuple[str, str]]:
    return sorted((each.channel_type, each.channel_id) for each in contact.contact_channels)


def test_every_field_is_copied(sides: Sides) -> None:
    original = sides.source.create_contact(
        ContactRequest(
            contact_channels=[
                ChannelRequest("phone", X),
                ChannelRequest("phone", Y),
                ChannelRequest("whatsapp", X),
                ChannelRequest("facebook", "2451", "zoe", "page-1"),
            ],
            phone=Y,
            first="Zoe",
            last="Stone",
            display_name="Z",
            avatar="https://example.com/z.png",
            external_id="crm-1",
            assignee_id=7,
            is_opted_out=True,
            custom={"plan": "gold"},
            tags=[Tag(3)],
        )
    )

    assert sides.run().problems == []

    copy = sides.copy_of(original)
    keys = ("first", "last", "display_name", "avatar", "external_id", "assigned_user_id")
    for key in (*keys, "is_opted_out", "custom", "tags", "phone"):
        assert getattr(copy, key) == getattr(original, key), key
    assert addresses(copy) == addresses(original)
    assert [each.channel_handle for each in copy.contact_channels][-1] == "zoe"


def test_a_second_run_changes_nothing(sides: Sides) -> None:
    for request in (
        ContactRequest(phone=X, first="X", external_id="crm-1"),
        phone_of(Y, first="Y"),
        ContactRequest(first="nobody", custom={"a": 1}, is_opted_out=True),
        ContactRequest(email="Zoe@EXAMPLE.com", first="Zoe"),
        ContactRequest(contact_channels=[ChannelRequest("whatsapp", X)]),
    ):
        sides.source.create_contact(request)
    assert sides.run().created == 5
    before = sides.event_count()

    again = sides.run()

    assert (again.created, again.deleted, again.problems) == (0, 0, [])
    assert sides.event_count() == before


def test_an_address_that_changed_changes_in_the_copy(sides: Sides) -> None:
    original = sides.source.create_contact(phone_of(X))
    sides.run()
    sides.source.update_contact(original.uuid, ContactRequest(phone=NEW, custom={"a": 1}))

    assert sides.run().created == 0

    assert addresses(sides.copy_of(original)) == [("phone", NEW)]
    assert len(list(sides.target.iterate_contacts())) == 1


@pytest.mark.parametrize("last", ["x", "y"])
def test_an_address_that_passed_to_another_contact_moves(sides: Sides, last: str) -> None:
    x, y = (sides.source.create_contact(phone_of(number, first=number)) for number in (X, Y))
    sides.run()
    uuids = sides.copies()
    sides.source.update_contact(y.uuid, ContactRequest(phone=NEW))
    sides.source.update_contact(x.uuid, ContactRequest(phone=Y))
    sides.source.update_contact({"x": x, "y": y}[last].uuid, ContactRequest(last="changed"))

    assert sides.run().problems == []

    assert sides.copies() == uuids
    assert (sides.copy_of(x).first, addresses(sides.copy_of(x))) == (X, [("phone", Y)])
    assert (sides.copy_of(y).first, addresses(sides.copy_of(y))) == (Y, [("phone", NEW)])


def test_external_ids_that_were_exchanged_are_exchanged(sides: Sides) -> None:
    x, y = (sides.source.create_contact(ContactRequest(external_id=each)) for each in "xy")
    sides.run()
    for uuid, external_id in ((x.uuid, None), (y.uuid, "x"), (x.uuid, "y")):
        sides.source.update_contact(uuid, ContactRequest(external_id=external_id))

    assert sides.run().problems == []

    assert [sides.copy_of(each).external_id for each in (x, y)] == ["y", "x"]


def test_a_channel_that_was_removed_is_removed(sides: Sides) -> None:
    original = sides.source.create_contact(phone_of(X))
    for channel in (("phone", Y), ("email", "zoe@example.com"), ("whatsapp", X)):
        sides.source.add_channel(original.uuid, ChannelRequest(*channel))
    sides.run()
    assert len(sides.copy_of(original).contact_channels) == 4
    for kind, address in (("phone", X), ("email", "zoe@example.com")):
        sides.source.remove_channel(original.uuid, kind, channel_id=address)

    sides.run()

    assert addresses(sides.copy_of(original)) == [("phone", Y), ("whatsapp", X)]


def test_a_contact_that_was_deleted_is_deleted(sides: Sides) -> None:
    gone, heir = (sides.source.create_contact(phone_of(number)) for number in (X, Y))
    sides.run()
    sides.source.delete_contact(gone.uuid)
    sides.source.update_contact(heir.uuid, ContactRequest(phone=X))

    assert sides.run().deleted == 1

    [remaining] = sides.target.iterate_contacts()
    assert (sides.copies(), remaining.phone) == ({heir.uuid: remaining.uuid}, X)


def test_a_list_without_any_known_contact_deletes_nothing(sides: Sides) -> None:
    original = sides.source.create_contact(phone_of(X))
    sides.run()
    sides.source.delete_contact(original.uuid)

    with pytest.raises(SystemExit, match="another team"):
        sides.run()

    assert sides.copy_of(original).phone == X


def test_a_contact_that_the_list_missed_is_not_deleted(sides: Sides) -> None:
    original = sides.source.create_contact(phone_of(X))
    sides.run()
    sides.source.update_contact(original.uuid, ContactRequest(first="Zoe"))
    move = Move(sides.source, sides.target, CopyMap(sides.map_file))

    move.check_missing(original.uuid)
    move.map.close()

    assert (move.deleted, sides.copy_of(original).first) == (0, "Zoe")


def test_a_list_that_breaks_off_changes_nothing(sides: Sides) -> None:
    original = sides.source.create_contact(phone_of(X))
    sides.run()
    before = sides.event_count()
    sides.source.delete_contact(original.uuid)
    sides.source.create_contact(phone_of(Y))
    sides.vendor.faults.add("500", path="/v2/contacts/list")

    with pytest.raises(ServerError):
        sides.run()

    assert sides.event_count() == before


def test_the_copy_of_a_killed_run_is_not_created_again(sides: Sides) -> None:
    """The response of the write is lost, and the original changes before the next run."""
    original = sides.source.create_contact(phone_of(X, first="Zoe"))
    sides.reachbook.faults.add("disconnect_after", method="POST", path="/v2/contact")
    environment = {
        **os.environ,
        "SOURCE_SECRET_ID": sides.vendor.secret_id,
        "SOURCE_SECRET_KEY": sides.vendor.secret_key,
        "TARGET_API_KEY": sides.reachbook.api_key,
    }
    with pytest.raises(Exception, match="disconnected"):
        sides.run()
    sides.source.update_contact(original.uuid, ContactRequest(first="Zoë", phone=NEW))
    command = ["--source", sides.vendor.url, "--target", sides.reachbook.url]

    done = subprocess.run(
        [sys.executable, PROGRAM, *command, "--map", sides.map_file],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "contacts: 1, created: 1, deleted: 0, problems: 0\n", done.stderr
    assert done.returncode == 0
    [copy] = sides.target.iterate_contacts()
    assert (copy.first, addresses(copy)) == ("Zoë", [("phone", NEW)])


def test_a_move_can_begin_again_with_a_new_map(sides: Sides) -> None:
    original = sides.source.create_contact(phone_of(X))
    sides.run()
    sides.target.delete_contacts(list(sides.copies().values()))
    assert [uuid for uuid, _ in sides.run().problems] == [original.uuid]
    sides.map_file.unlink()

    assert sides.run().problems == []

    assert sides.copy_of(original).phone == X


def test_a_line_of_the_map_that_was_cut_is_dropped(sides: Sides) -> None:
    for number in (X, Y):
        sides.source.create_contact(phone_of(number))
    sides.run()
    with sides.map_file.open("r+") as file:
        file.truncate(sides.map_file.stat().st_size - 10)

    sides.run()

    assert sorted(each.phone for each in sides.target.iterate_contacts()) == [X, Y]
    assert len(sides.copies()) == 2


def test_an_address_of_two_originals_stays_with_the_first(sides: Sides) -> None:
    """Reachbook as the source refuses that, so the address is changed after the list was read."""
    first, second = (sides.source.create_contact(phone_of(number)) for number in (X, Y))
    sides.run()
    contacts = read_contacts(sides.source)
    contacts[second.uuid].contact_channels[0].channel_id = X
    contacts[second.uuid].phone = X
    counts = []
    for _ in range(2):
        move = Move(sides.source, sides.target, CopyMap(sides.map_file))
        for contact in contacts.values():
            move.copy(contact)
        move.map.close()
        [(uuid, message)] = move.problems
        assert uuid == second.uuid
        assert message == f"phone {X} belongs to contact {sides.copies()[first.uuid]}"
        counts.append(sides.event_count())

    assert counts[0] == counts[1]
    assert (sides.copy_of(first).phone, sides.copy_of(second).phone) == (X, "")


def test_an_address_of_a_contact_that_is_no_copy_is_reported(sides: Sides) -> None:
    stranger = sides.target.create_contact(phone_of(X))
    original = sides.source.create_contact(
        ContactRequest(phone=X, email="zoe@example.com", first="Zoe")
    )

    [(uuid, message)] = sides.run().problems

    assert (uuid, message) == (original.uuid, f"phone {X} belongs to contact {stranger.uuid}")
    assert addresses(sides.copy_of(original)) == [("email", "zoe@example.com")]
    assert sides.target.get_contact(stranger.uuid).phone == X


def test_an_unreadable_address_is_reported_and_the_rest_is_copied(sides: Sides) -> None:
    """Reachbook as the source refuses it, so the address is changed after the list was read."""
    bad = sides.source.create_contact(
        ContactRequest(phone=X, email="zoe@example.com", first="Zoe", last="Stone")
    )
    good = sides.source.create_contact(phone_of(Y))
    contacts = read_contacts(sides.source)
    contacts[bad.uuid].contact_channels[0].channel_id = "12"
    contacts[bad.uuid].phone = "12"
    move = Move(sides.source, sides.target, CopyMap(sides.map_file))
    for contact in contacts.values():
        move.copy(contact)
    move.map.close()

    [(uuid, message)] = move.problems

    assert uuid == bad.uuid
    assert message.startswith("phone 12: This channel_id is not an international phone number")
    copy = sides.copy_of(bad)
    assert (copy.first, addresses(copy)) == ("Zoe", [("email", "zoe@example.com")])
    assert sides.copy_of(good).phone == Y


def test_an_opt_out_remains_and_is_reported(sides: Sides) -> None:
    original = sides.source.create_contact(ContactRequest(phone=X, is_opted_out=True))
    assert sides.run().problems == []
    sides.source.update_contact(original.uuid, ContactRequest(is_opted_out=False))

    [(uuid, message)] = sides.run().problems

    copy = sides.copy_of(original)
    assert (uuid, message) == (original.uuid, f"the copy {copy.uuid} remains opted out")
    assert copy.is_opted_out
    found = sides.target.resolve(ResolveRequest(X)).channel
    assert found is not None
    assert found.consent == "opted_out"


def test_contacts_of_one_time_are_read_whole(sides: Sides) -> None:
    """Moves give two contacts one time."""
    rows = [BulkRow(phone=f"1303555{100 + number:04d}") for number in range(9)]
    sides.source.write_contacts(rows)
    originals = list(sides.source.iterate_contacts(ascending=True))
    for taken, taker in zip(originals[:4], originals[4:8], strict=True):
        channel = ChannelRequest("phone", taken.phone)
        sides.source.add_channel(taker.uuid, channel, on_conflict=OnConflict.MOVE)
    times = {each.updated for each in sides.source.iterate_contacts()}
    assert len(times) < 9

    for limit in (1, 2, 3, 500):
        assert len(read_contacts(sides.source, limit)) == 9


@pytest.mark.parametrize("limit", [2, 3, 4, 500])
@pytest.mark.parametrize("knows_page", [True, False])
@pytest.mark.parametrize("after", [operator.gt, operator.ge], ids=["after", "from"])
def test_lists_of_other_servers_are_read_whole(
    limit: int, knows_page: bool, after: Callable[[str, str], bool]
) -> None:
    """The vendor does not say whether `date` itself is included, and how exact its times are."""
    times = "11233345567"
    rows = [
        {"id": number, "uuid": f"uuid-{number}", "updated": time}
        for number, time in enumerate(times)
    ]

    def handle(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        listed = [row for row in rows if after(str(row["updated"]), body.get("date", ""))]
        start = limit * body.get("page", 0) if knows_page else 0
        return httpx.Response(200, json=listed[start : start + limit])

    credential = ApiSecret("an-id-of-the-vendor", "a-key-of-the-vendor")
    transport = httpx.MockTransport(handle)
    with Client("http://vendor.test", credential, transport=transport) as client:
        found = read_contacts(client, limit)

    if knows_page or limit > 3:  # three contacts have one time
        assert len(found) == len(rows)
