"""An opt-out or a bounce belongs to the address, and applies to each contact that gains it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reachbook.domain.address.parsing import IDENTITY_VERSION
from tests.support.http import refusal
from tests.support.personas import Book
from tests.support.raw_sql import beside
from tests.support.suppressions import PHONE, channel, ok, opted_out, patch

pytestmark = pytest.mark.anyio

OTHER, EMAIL = "14155551234", "alice@example.com"
PAGE = {"channel_type": "facebook", "channel_id": "24681357", "info_channel": "page-1"}

Lose = Callable[[Book, str], Awaitable[None]]
Gain = Callable[[Book], Awaitable[str]]


async def by_delete(book: Book, uuid: str) -> None:
    await ok(book, "DELETE", f"/v2/contact/{uuid}/channel/phone")


async def by_id(book: Book, uuid: str) -> None:
    shown = await channel(book, uuid)
    await ok(book, "DELETE", f"/x/contact/{uuid}/channel/{shown['id']}")


async def by_another_address(book: Book, uuid: str) -> None:
    body = {"channel_type": "phone", "channel_id": OTHER}
    await ok(book, "PUT", f"/v2/contact/{uuid}/channel", body)


async def by_the_view(book: Book, uuid: str) -> None:
    await ok(book, "PUT", f"/v2/contact/{uuid}", {"phone": OTHER})


async def by_null(book: Book, uuid: str) -> None:
    await ok(book, "PUT", f"/v2/contact/{uuid}", {"phone": None})


async def by_deletion(book: Book, uuid: str) -> None:
    await ok(book, "DELETE", f"/v2/contact/{uuid}")


async def by_bulk_deletion(book: Book, uuid: str) -> None:
    body = {"contact_channels": [{"channel_type": "id", "channel_ids": [uuid]}]}
    await ok(book, "DELETE", "/v2/contacts", body)


async def by_a_row(book: Book, uuid: str) -> None:
    row = {"contact_id": uuid, "phone": None}
    assert not (await ok(book, "POST", "/v2/contacts", {"contacts": [row]}))["failed_contacts"]


async def by_a_move(book: Book, uuid: str) -> None:
    """Moves the opted-out address to another contact, which then loses it."""
    taker = await book.contact()
    body = {"channel_type": "phone", "channel_id": PHONE}
    await ok(book, "POST", f"/v2/contact/{taker}/channel?on_conflict=move", body)
    assert (await channel(book, taker))["consent"] == "opted_out"
    assert await ok(book, "GET", f"/x/contact/{uuid}/channels") == []
    await by_delete(book, taker)


async def by_erasure(book: Book, uuid: str) -> None:
    await ok(book, "DELETE", f"/x/contact/{uuid}/erase")


async def by_deletion_and_erasure(book: Book, uuid: str) -> None:
    await by_deletion(book, uuid)
    await by_erasure(book, uuid)


LOSSES: list[Lose] = [
    *(by_delete, by_id, by_another_address, by_the_view, by_null, by_deletion, by_bulk_deletion),
    *(by_a_row, by_a_move),
]
ERASURES: list[Lose] = [by_erasure, by_deletion_and_erasure]


async def gained_by_post(book: Book) -> str:
    uuid = await book.contact()
    await ok(
        book,
        "POST",
        f"/v2/contact/{uuid}/channel",
        {"channel_type": "phone", "channel_id": PHONE},
    )
    return uuid


async def gained_by_put(book: Book) -> str:
    uuid = await book.contact(("phone", "14155550000"))
    body = {"channel_type": "phone", "channel_id": PHONE}
    await ok(book, "PUT", f"/v2/contact/{uuid}/channel", body)
    return uuid


async def gained_by_the_view(book: Book) -> str:
    uuid = await book.contact(("phone", "14155550000"))
    await ok(book, "PUT", f"/v2/contact/{uuid}", {"phone": PHONE})
    return uuid


async def gained_by_creation(book: Book) -> str:
    return str((await ok(book, "POST", "/v2/contact", {"phone": PHONE}))["uuid"])


async def gained_by_a_new_row(book: Book) -> str:
    rows = [{"contact_channels": [{"channel_type": "phone", "channel_id": PHONE}]}]
    return str((await ok(book, "POST", "/v2/contacts", {"contacts": rows}))["contacts"][0]["uuid"])


async def gained_by_a_moving_row(book: Book) -> str:
    body = {"contacts": [{"phone": PHONE}]}
    done = await ok(book, "POST", "/v2/contacts?on_conflict=move", body)
    return str(done["contacts"][0]["uuid"])


async def gained_by_a_row_of_a_contact(book: Book) -> str:
    uuid = await book.contact()
    body = {"contacts": [{"contact_id": uuid, "phone": PHONE}]}
    done = await ok(book, "POST", "/v2/contacts", body)
    return str(done["contacts"][0]["uuid"])


async def gained_by_resolve(book: Book) -> str:
    made = await ok(book, "POST", "/x/resolve", {"channel_id": PHONE, "create": {}})
    assert made["created"]
    assert made["channel"]["consent"] == "opted_out"
    return str(made["contact"]["uuid"])


GAINS: list[Gain] = [
    *(gained_by_post, gained_by_put, gained_by_the_view, gained_by_creation, gained_by_a_new_row),
    *(gained_by_a_moving_row, gained_by_a_row_of_a_contact, gained_by_resolve),
]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
async def test_an_opt_out_survives_every_loss(book: Book, lose: Lose) -> None:
    """The opt-out has its old time, and `suppression` as its source."""
    uuid, at = await opted_out(book)
    await lose(book, uuid)

    shown = await channel(book, await gained_by_post(book))

    assert (shown["consent"], shown["consent_source"]) == ("opted_out", "suppression")
    assert shown["consent_at"] == at


@pytest.mark.parametrize("lose", ERASURES, ids=lambda lose: lose.__name__)
async def test_an_opt_out_survives_an_erasure_with_its_day(book: Book, lose: Lose) -> None:
    uuid, at = await opted_out(book)
    await patch(book, uuid, {"held": True, "held_reason": "bounced"})
    await lose(book, uuid)

    shown = await channel(book, await gained_by_post(book))

    assert (shown["consent"], shown["consent_source"]) == ("opted_out", "suppression")
    assert shown["consent_at"] == f"{at[:10]}T00:00:00.000000Z"
    assert shown["held_reason"] is None


@pytest.mark.parametrize("gain", GAINS, ids=lambda gain: gain.__name__)
async def test_an_opt_out_is_there_however_the_address_comes(book: Book, gain: Gain) -> None:
    uuid, at = await opted_out(book)
    await by_delete(book, uuid)

    shown = await channel(book, await gain(book))

    assert (shown["consent"], shown["consent_source"]) == ("opted_out", "suppression")
    assert shown["consent_at"] == at


async def test_a_put_there_and_back(book: Book) -> None:
    uuid, at = await opted_out(book)
    await by_another_address(book, uuid)
    assert (await channel(book, uuid, OTHER))["consent"] == "unknown"

    await ok(book, "PUT", f"/v2/contact/{uuid}", {"phone": PHONE})

    shown = await channel(book, uuid)
    assert (shown["consent"], shown["consent_source"]) == ("opted_out", "suppression")
    assert shown["consent_at"] == at


async def test_a_move_while_it_is_owned(book: Book) -> None:
    """The new owner has it opted out in the same commit, also for several addresses."""
    uuid, at = await opted_out(book)
    await ok(
        book,
        "POST",
        f"/v2/contact/{uuid}/channel",
        {"channel_type": "email", "channel_id": EMAIL},
    )
    await patch(book, uuid, {"consent": "opted_in"}, EMAIL)

    row = {"phone": PHONE, "email": EMAIL}
    done = await ok(book, "POST", "/v2/contacts?on_conflict=move", {"contacts": [row]})

    taker = done["contacts"][0]["uuid"]
    shown, other = await channel(book, taker), await channel(book, taker, EMAIL)
    assert (shown["consent"], shown["consent_at"]) == ("opted_out", at)
    assert (other["consent"], other["consent_at"]) == ("unknown", None)


@pytest.mark.parametrize("consent", ["opted_in", "unknown"])
async def test_an_explicit_consent_ends_it(book: Book, consent: str) -> None:
    uuid, _ = await opted_out(book)
    await by_delete(book, uuid)
    again = await gained_by_post(book)
    assert (await patch(book, again, {"consent": consent}))["consent"] == consent
    await by_delete(book, again)

    shown = await channel(book, await gained_by_post(book))

    assert (shown["consent"], shown["consent_source"], shown["consent_at"]) == ("unknown", "", None)


async def test_what_does_not_end_it(book: Book) -> None:
    """Tests an equal value, `is_opted_out: false`, another PATCH, and a contact sent back whole."""
    uuid, at = await opted_out(book)
    await by_delete(book, uuid)
    again = await gained_by_creation(book)
    whole = await ok(book, "GET", f"/v2/contact/{again}")
    before = await channel(book, again)

    await patch(book, again, {"consent": "opted_out"})
    await ok(book, "PUT", f"/v2/contact/{again}", whole)
    await ok(book, "POST", "/v2/contacts", {"contacts": [whole]})
    assert await channel(book, again) == before
    await ok(book, "PUT", f"/v2/contact/{again}", {"is_opted_out": False})
    await patch(book, again, {"label": "home", "held": True})
    await by_delete(book, again)

    shown = await channel(book, await gained_by_post(book))
    assert (shown["consent"], shown["consent_at"]) == ("opted_out", at)
    assert shown["held"] is False


@pytest.mark.parametrize("reason", ["wrong_person", "recycled", "other"])
async def test_an_opt_in_and_other_holds_end_with_the_channel(book: Book, reason: str) -> None:
    uuid = await book.contact(("phone", PHONE))
    await patch(book, uuid, {"consent": "opted_in", "held": True, "held_reason": reason})
    await by_delete(book, uuid)

    shown = await channel(book, await gained_by_post(book))

    assert (shown["consent"], shown["held"]) == ("unknown", False)


@pytest.mark.parametrize("lose", LOSSES[:-1], ids=lambda lose: lose.__name__)
async def test_a_bounce_survives(book: Book, lose: Lose) -> None:
    uuid = await book.contact(("phone", PHONE))
    await patch(book, uuid, {"held": True, "held_reason": "bounced"})
    await lose(book, uuid)
    again = await gained_by_post(book)
    shown = await channel(book, again)
    assert (shown["held"], shown["held_reason"], shown["consent"]) == (True, "bounced", "unknown")

    await patch(book, again, {"held": False})
    await by_delete(book, again)

    assert not (await channel(book, await gained_by_post(book)))["held"]


async def test_another_team_and_another_type_are_not_concerned(book: Book) -> None:
    uuid, _ = await opted_out(book)
    await by_delete(book, uuid)
    body = {"channel_type": "whatsapp", "channel_id": PHONE}

    ours = await ok(book, "POST", "/v2/contact", {"contact_channels": [body]})
    theirs = await book.contact(("phone", PHONE), by=book.charlie.by_key())

    assert (await channel(book, ours["uuid"]))["consent"] == "unknown"
    path = f"/x/contact/{theirs}/channels"
    [shown] = (await book.ask("GET", path, by=book.charlie.by_key())).json()
    assert shown["consent"] == "unknown"


async def test_an_id_of_a_page_within_its_page(book: Book) -> None:
    """This also holds if a PATCH sets the page, or a PUT keeps it."""
    made = await ok(book, "POST", "/v2/contact", {"contact_channels": [PAGE]})
    await patch(book, made["uuid"], {"consent": "opted_out"}, PAGE["channel_id"])
    await ok(book, "DELETE", f"/v2/contact/{made['uuid']}")

    elsewhere = {**PAGE, "info_channel": "page-2"}
    uuid = (await ok(book, "POST", "/v2/contact", {"contact_channels": [elsewhere]}))["uuid"]
    assert (await channel(book, uuid, PAGE["channel_id"]))["consent"] == "unknown"
    shown = await patch(book, uuid, {"info_channel": "page-1"}, PAGE["channel_id"])
    assert (shown["consent"], shown["consent_source"]) == ("opted_out", "suppression")
    other = {"channel_type": "facebook", "channel_id": "999"}
    await ok(book, "PUT", f"/v2/contact/{uuid}/channel", other)
    assert (await channel(book, uuid, "999"))["consent"] == "unknown"
    back = {"channel_type": "facebook", "channel_id": PAGE["channel_id"]}
    await ok(book, "PUT", f"/v2/contact/{uuid}/channel", back)
    assert (await channel(book, uuid, PAGE["channel_id"]))["consent"] == "opted_out"


# ── a contact that is opted out ──────────────────────────────────────────────────────────────


async def test_an_opted_out_contact_opts_its_phone_family_out(book: Book) -> None:
    channels = [
        {"channel_type": kind, "channel_id": PHONE} for kind in ("phone", "sms", "whatsapp")
    ] + [{"channel_type": "email", "channel_id": EMAIL}]
    uuid = (await ok(book, "POST", "/v2/contact", {"contact_channels": channels}))["uuid"]

    await ok(book, "PUT", f"/v2/contact/{uuid}", {"is_opted_out": True})

    listed = await ok(book, "GET", f"/x/contact/{uuid}/channels")
    consents = {one["channel_type"]: one["consent"] for one in listed}
    out = "opted_out"
    assert consents == {"phone": out, "sms": out, "whatsapp": out, "email": "unknown"}
    assert {one["consent_source"] for one in listed} == {"is_opted_out", ""}
    await ok(book, "DELETE", f"/v2/contact/{uuid}")
    assert (await channel(book, await gained_by_post(book)))["consent"] == "opted_out"


async def test_a_contact_is_shown_as_opted_out_when_all_of_it_is(book: Book) -> None:
    uuid, _ = await opted_out(book)
    await by_deletion(book, uuid)

    alone = await ok(book, "POST", "/v2/contact", {"phone": PHONE, "is_opted_out": False})
    assert alone["is_opted_out"] is True
    await by_deletion(book, alone["uuid"])
    beside_mail = await ok(book, "POST", "/v2/contact", {"phone": PHONE, "email": EMAIL})
    assert beside_mail["is_opted_out"] is False
    assert (await channel(book, beside_mail["uuid"]))["consent"] == "opted_out"


async def test_an_opt_out_of_an_older_release_survives(book: Book) -> None:
    """Such a release set the consent, or the contact's `is_opted_out`, and stored nothing else."""
    uuid, at = await opted_out(book)
    other = await book.contact(("phone", OTHER))
    sent = beside(book.database)
    await sent(f"DELETE FROM suppression WHERE team_id = {book.bob.team.team_id}")
    true = "true" if book.database.startswith("postgres") else "1"
    await sent(f"UPDATE contact SET is_opted_out = {true} WHERE uuid = '{other}'")
    await by_delete(book, uuid)
    await by_deletion(book, other)

    assert (await channel(book, await gained_by_post(book)))["consent_at"] == at
    made = await ok(book, "POST", "/v2/contact", {"phone": OTHER})
    assert (await channel(book, made["uuid"], OTHER))["consent"] == "opted_out"


async def test_history_and_export_show_the_source(book: Book) -> None:
    uuid, _ = await opted_out(book)
    await by_delete(book, uuid)
    again = await gained_by_post(book)

    past = await ok(book, "GET", f"/x/contact/{again}/history")
    export = await ok(book, "GET", f"/x/contact/{again}/export")

    [added] = past["events"][0]["after"]["channels"]
    assert (added["consent"], added["consent_source"]) == ("opted_out", "suppression")
    assert export["channels"][0]["consent_source"] == "suppression"


async def test_nothing_readable_is_stored(book: Book) -> None:
    uuid, _ = await opted_out(book)
    await by_erasure(book, uuid)

    rows = await beside(book.database)(
        f"SELECT * FROM suppression WHERE team_id = {book.bob.team.team_id}"
    )

    [[_, digest, reason, version, at]] = rows
    assert len(digest) == 64
    assert PHONE not in digest
    assert (reason, version, at % 86_400_000_000) == ("opted_out", IDENTITY_VERSION, 0)


# ── addresses that nobody owns ───────────────────────────────────────────────────────────────

SUPPRESSED = {"channel_type": "phone", "channel_id": PHONE, "reason": "opted_out"}


async def test_resolve_tells_of_a_suppression(book: Book) -> None:
    uuid, at = await opted_out(book)
    look = {"channel_id": PHONE}
    assert (await ok(book, "POST", "/x/resolve", look))["suppressed"] is None
    await patch(book, uuid, {"held": True, "held_reason": "bounced"})
    await by_delete(book, uuid)

    found = await ok(book, "POST", "/x/resolve", look)
    batch = {"addresses": [look, {"channel_id": OTHER}]}
    several = (await ok(book, "POST", "/x/resolve/batch", batch))["results"]

    assert found["contact"] is None
    assert found["suppressed"] == {"reason": "opted_out", "at": at}
    assert [one["suppressed"] for one in several] == [found["suppressed"], None]


async def test_delete_ends_a_suppression_and_records_it(book: Book) -> None:
    uuid, _ = await opted_out(book)
    await patch(book, uuid, {"held": True, "held_reason": "bounced"})
    await by_delete(book, uuid)

    assert await ok(book, "DELETE", "/x/suppression", SUPPRESSED) == "suppression ended"

    found = await ok(book, "POST", "/x/resolve", {"channel_id": PHONE})
    assert found["suppressed"]["reason"] == "bounced"
    again = await book.ask("DELETE", "/x/suppression", SUPPRESSED)
    assert refusal(again) == (404, "no_suppression")
    shown = await channel(book, await gained_by_post(book))
    assert (shown["consent"], shown["held_reason"]) == ("unknown", "bounced")
    rows = await beside(book.database)(
        "SELECT reason, ended, actor FROM ended_suppression "
        f"WHERE team_id = {book.bob.team.team_id}"
    )
    assert rows == [("opted_out", book.clock(), book.bob.key.id)]


async def test_delete_is_for_addresses_that_nobody_owns(book: Book) -> None:
    uuid, _ = await opted_out(book)

    answer = await book.ask("DELETE", "/x/suppression", SUPPRESSED)

    assert answer.status_code == 409
    assert answer.json()["error_code"] == "address_taken"
    assert answer.json()["conflicting_contact_id"] == uuid
    assert (await channel(book, uuid))["consent"] == "opted_out"
    path, by = "/x/suppression", book.charlie.by_key()
    assert (await book.ask("DELETE", path, SUPPRESSED, by=by)).status_code == 404


@pytest.mark.parametrize(
    "change", [{"reason": "wrong_person"}, {"reason": None}, {"channel_id": "x"}, {"more": 1}]
)
async def test_a_bad_delete_is_refused(book: Book, change: dict[str, Any]) -> None:
    answer = await book.ask("DELETE", "/x/suppression", {**SUPPRESSED, **change})
    assert answer.status_code == 400
