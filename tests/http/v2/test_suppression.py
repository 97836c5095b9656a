"""An opt-out or a bounce belongs to the address, and applies to each contact that gains it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reachbook.domain.address.parsing import IDENTITY_VERSION
from tests.support.http import refusal
from tests.support.personas import Api
from tests.support.raw_sql import sql_runner
from tests.support.suppressions import PHONE, channel, ok, opted_out, patch

pytestmark = pytest.mark.anyio

OTHER, EMAIL = "14155551234", "alice@example.com"
PAGE = {"channel_type": "facebook", "channel_id": "24681357", "info_channel": "page-1"}

LoseAddress = Callable[[Api, str], Awaitable[None]]
GainAddress = Callable[[Api], Awaitable[str]]


async def by_delete(api: Api, uuid: str) -> None:
    await ok(api, "DELETE", f"/v2/contact/{uuid}/channel/phone")


async def by_channel_id(api: Api, uuid: str) -> None:
    current = await channel(api, uuid)
    await ok(api, "DELETE", f"/x/contact/{uuid}/channel/{current['id']}")


async def by_another_address(api: Api, uuid: str) -> None:
    body = {"channel_type": "phone", "channel_id": OTHER}
    await ok(api, "PUT", f"/v2/contact/{uuid}/channel", body)


async def by_phone_of_the_contact(api: Api, uuid: str) -> None:
    await ok(api, "PUT", f"/v2/contact/{uuid}", {"phone": OTHER})


async def by_null(api: Api, uuid: str) -> None:
    await ok(api, "PUT", f"/v2/contact/{uuid}", {"phone": None})


async def by_deletion(api: Api, uuid: str) -> None:
    await ok(api, "DELETE", f"/v2/contact/{uuid}")


async def by_bulk_deletion(api: Api, uuid: str) -> None:
    body = {"contact_channels": [{"channel_type": "id", "channel_ids": [uuid]}]}
    await ok(api, "DELETE", "/v2/contacts", body)


async def by_bulk_update(api: Api, uuid: str) -> None:
    row = {"contact_id": uuid, "phone": None}
    assert not (await ok(api, "POST", "/v2/contacts", {"contacts": [row]}))["failed_contacts"]


async def by_move(api: Api, uuid: str) -> None:
    """Moves the opted-out address to another contact, which then loses it."""
    new_owner = await api.contact()
    body = {"channel_type": "phone", "channel_id": PHONE}
    await ok(api, "POST", f"/v2/contact/{new_owner}/channel?on_conflict=move", body)
    assert (await channel(api, new_owner))["consent"] == "opted_out"
    assert await ok(api, "GET", f"/x/contact/{uuid}/channels") == []
    await by_delete(api, new_owner)


async def by_erasure(api: Api, uuid: str) -> None:
    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")


async def by_deletion_and_erasure(api: Api, uuid: str) -> None:
    await by_deletion(api, uuid)
    await by_erasure(api, uuid)


LOSSES: list[LoseAddress] = [
    *(
        by_delete,
        by_channel_id,
        by_another_address,
        by_phone_of_the_contact,
        by_null,
        by_deletion,
        by_bulk_deletion,
    ),
    *(by_bulk_update, by_move),
]
ERASURES: list[LoseAddress] = [by_erasure, by_deletion_and_erasure]


async def gained_by_post(api: Api) -> str:
    uuid = await api.contact()
    await ok(
        api,
        "POST",
        f"/v2/contact/{uuid}/channel",
        {"channel_type": "phone", "channel_id": PHONE},
    )
    return uuid


async def gained_by_put(api: Api) -> str:
    uuid = await api.contact(("phone", "14155550000"))
    body = {"channel_type": "phone", "channel_id": PHONE}
    await ok(api, "PUT", f"/v2/contact/{uuid}/channel", body)
    return uuid


async def gained_by_phone_of_the_contact(api: Api) -> str:
    uuid = await api.contact(("phone", "14155550000"))
    await ok(api, "PUT", f"/v2/contact/{uuid}", {"phone": PHONE})
    return uuid


async def gained_by_creation(api: Api) -> str:
    return str((await ok(api, "POST", "/v2/contact", {"phone": PHONE}))["uuid"])


async def gained_by_bulk_creation(api: Api) -> str:
    rows = [{"contact_channels": [{"channel_type": "phone", "channel_id": PHONE}]}]
    return str((await ok(api, "POST", "/v2/contacts", {"contacts": rows}))["contacts"][0]["uuid"])


async def gained_by_bulk_move(api: Api) -> str:
    body = {"contacts": [{"phone": PHONE}]}
    done = await ok(api, "POST", "/v2/contacts?on_conflict=move", body)
    return str(done["contacts"][0]["uuid"])


async def gained_by_bulk_update(api: Api) -> str:
    uuid = await api.contact()
    body = {"contacts": [{"contact_id": uuid, "phone": PHONE}]}
    done = await ok(api, "POST", "/v2/contacts", body)
    return str(done["contacts"][0]["uuid"])


async def gained_by_resolve(api: Api) -> str:
    created = await ok(api, "POST", "/x/resolve", {"channel_id": PHONE, "create": {}})
    assert created["created"]
    assert created["channel"]["consent"] == "opted_out"
    return str(created["contact"]["uuid"])


GAINS: list[GainAddress] = [
    *(
        gained_by_post,
        gained_by_put,
        gained_by_phone_of_the_contact,
        gained_by_creation,
        gained_by_bulk_creation,
    ),
    *(gained_by_bulk_move, gained_by_bulk_update, gained_by_resolve),
]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
async def test_an_opt_out_survives_every_way_to_lose_the_address(
    api: Api, lose: LoseAddress
) -> None:
    """The opt-out has its original time, and `suppression` as its source."""
    uuid, at = await opted_out(api)
    await lose(api, uuid)

    current = await channel(api, await gained_by_post(api))

    assert (current["consent"], current["consent_source"]) == ("opted_out", "suppression")
    assert current["consent_at"] == at


@pytest.mark.parametrize("lose", ERASURES, ids=lambda lose: lose.__name__)
async def test_an_opt_out_survives_an_erasure_but_only_with_its_date(
    api: Api, lose: LoseAddress
) -> None:
    uuid, at = await opted_out(api)
    await patch(api, uuid, {"held": True, "held_reason": "bounced"})
    await lose(api, uuid)

    current = await channel(api, await gained_by_post(api))

    assert (current["consent"], current["consent_source"]) == ("opted_out", "suppression")
    assert current["consent_at"] == f"{at[:10]}T00:00:00.000000Z"
    assert current["held_reason"] is None


@pytest.mark.parametrize("gain", GAINS, ids=lambda gain: gain.__name__)
async def test_an_opt_out_applies_in_every_way_to_gain_the_address(
    api: Api, gain: GainAddress
) -> None:
    uuid, at = await opted_out(api)
    await by_delete(api, uuid)

    current = await channel(api, await gain(api))

    assert (current["consent"], current["consent_source"]) == ("opted_out", "suppression")
    assert current["consent_at"] == at


async def test_an_opt_out_applies_when_an_address_is_replaced_and_restored(api: Api) -> None:
    uuid, at = await opted_out(api)
    await by_another_address(api, uuid)
    assert (await channel(api, uuid, OTHER))["consent"] == "unknown"

    await ok(api, "PUT", f"/v2/contact/{uuid}", {"phone": PHONE})

    current = await channel(api, uuid)
    assert (current["consent"], current["consent_source"]) == ("opted_out", "suppression")
    assert current["consent_at"] == at


async def test_an_opt_out_applies_to_the_new_owner_of_a_moved_address(api: Api) -> None:
    """It is applied in the same commit, also if several addresses are moved."""
    uuid, at = await opted_out(api)
    await ok(
        api,
        "POST",
        f"/v2/contact/{uuid}/channel",
        {"channel_type": "email", "channel_id": EMAIL},
    )
    await patch(api, uuid, {"consent": "opted_in"}, EMAIL)

    row = {"phone": PHONE, "email": EMAIL}
    done = await ok(api, "POST", "/v2/contacts?on_conflict=move", {"contacts": [row]})

    new_owner = done["contacts"][0]["uuid"]
    current, other = await channel(api, new_owner), await channel(api, new_owner, EMAIL)
    assert (current["consent"], current["consent_at"]) == ("opted_out", at)
    assert (other["consent"], other["consent_at"]) == ("unknown", None)


@pytest.mark.parametrize("consent", ["opted_in", "unknown"])
async def test_an_explicit_consent_ends_an_opt_out(api: Api, consent: str) -> None:
    uuid, _ = await opted_out(api)
    await by_delete(api, uuid)
    again = await gained_by_post(api)
    assert (await patch(api, again, {"consent": consent}))["consent"] == consent
    await by_delete(api, again)

    current = await channel(api, await gained_by_post(api))

    assert (current["consent"], current["consent_source"], current["consent_at"]) == (
        "unknown",
        "",
        None,
    )


async def test_other_writes_do_not_end_an_opt_out(api: Api) -> None:
    """Writes an equal consent, `is_opted_out: false`, other fields, and a whole contact."""
    uuid, at = await opted_out(api)
    await by_delete(api, uuid)
    again = await gained_by_creation(api)
    whole = await ok(api, "GET", f"/v2/contact/{again}")
    before = await channel(api, again)

    await patch(api, again, {"consent": "opted_out"})
    await ok(api, "PUT", f"/v2/contact/{again}", whole)
    await ok(api, "POST", "/v2/contacts", {"contacts": [whole]})
    assert await channel(api, again) == before
    await ok(api, "PUT", f"/v2/contact/{again}", {"is_opted_out": False})
    await patch(api, again, {"label": "home", "held": True})
    await by_delete(api, again)

    current = await channel(api, await gained_by_post(api))
    assert (current["consent"], current["consent_at"]) == ("opted_out", at)
    assert current["held"] is False


@pytest.mark.parametrize("reason", ["wrong_person", "recycled", "other"])
async def test_an_opt_in_and_other_holds_end_with_the_channel(api: Api, reason: str) -> None:
    uuid = await api.contact(("phone", PHONE))
    await patch(api, uuid, {"consent": "opted_in", "held": True, "held_reason": reason})
    await by_delete(api, uuid)

    current = await channel(api, await gained_by_post(api))

    assert (current["consent"], current["held"]) == ("unknown", False)


@pytest.mark.parametrize("lose", LOSSES[:-1], ids=lambda lose: lose.__name__)
async def test_a_bounce_survives_every_way_to_lose_the_address(api: Api, lose: LoseAddress) -> None:
    uuid = await api.contact(("phone", PHONE))
    await patch(api, uuid, {"held": True, "held_reason": "bounced"})
    await lose(api, uuid)
    again = await gained_by_post(api)
    current = await channel(api, again)
    assert (current["held"], current["held_reason"], current["consent"]) == (
        True,
        "bounced",
        "unknown",
    )

    await patch(api, again, {"held": False})
    await by_delete(api, again)

    assert not (await channel(api, await gained_by_post(api)))["held"]


async def test_an_opt_out_applies_only_to_its_team_and_type(api: Api) -> None:
    uuid, _ = await opted_out(api)
    await by_delete(api, uuid)
    body = {"channel_type": "whatsapp", "channel_id": PHONE}

    ours = await ok(api, "POST", "/v2/contact", {"contact_channels": [body]})
    theirs = await api.contact(("phone", PHONE), by=api.charlie.by_key())

    assert (await channel(api, ours["uuid"]))["consent"] == "unknown"
    path = f"/x/contact/{theirs}/channels"
    [current] = (await api.request("GET", path, by=api.charlie.by_key())).json()
    assert current["consent"] == "unknown"


async def test_an_opt_out_of_a_facebook_id_applies_only_on_its_page(api: Api) -> None:
    """This also holds if a PATCH sets the page, or a PUT leaves it unchanged."""
    created = await ok(api, "POST", "/v2/contact", {"contact_channels": [PAGE]})
    await patch(api, created["uuid"], {"consent": "opted_out"}, PAGE["channel_id"])
    await ok(api, "DELETE", f"/v2/contact/{created['uuid']}")

    elsewhere = {**PAGE, "info_channel": "page-2"}
    uuid = (await ok(api, "POST", "/v2/contact", {"contact_channels": [elsewhere]}))["uuid"]
    assert (await channel(api, uuid, PAGE["channel_id"]))["consent"] == "unknown"
    current = await patch(api, uuid, {"info_channel": "page-1"}, PAGE["channel_id"])
    assert (current["consent"], current["consent_source"]) == ("opted_out", "suppression")
    other = {"channel_type": "facebook", "channel_id": "999"}
    await ok(api, "PUT", f"/v2/contact/{uuid}/channel", other)
    assert (await channel(api, uuid, "999"))["consent"] == "unknown"
    back = {"channel_type": "facebook", "channel_id": PAGE["channel_id"]}
    await ok(api, "PUT", f"/v2/contact/{uuid}/channel", back)
    assert (await channel(api, uuid, PAGE["channel_id"]))["consent"] == "opted_out"


# ── a contact that is opted out ──────────────────────────────────────────────────────────────


async def test_an_opted_out_contact_opts_its_phone_family_out(api: Api) -> None:
    channels = [
        {"channel_type": kind, "channel_id": PHONE} for kind in ("phone", "sms", "whatsapp")
    ] + [{"channel_type": "email", "channel_id": EMAIL}]
    uuid = (await ok(api, "POST", "/v2/contact", {"contact_channels": channels}))["uuid"]

    await ok(api, "PUT", f"/v2/contact/{uuid}", {"is_opted_out": True})

    listed = await ok(api, "GET", f"/x/contact/{uuid}/channels")
    consents = {each["channel_type"]: each["consent"] for each in listed}
    out = "opted_out"
    assert consents == {"phone": out, "sms": out, "whatsapp": out, "email": "unknown"}
    assert {each["consent_source"] for each in listed} == {"is_opted_out", ""}
    await ok(api, "DELETE", f"/v2/contact/{uuid}")
    assert (await channel(api, await gained_by_post(api)))["consent"] == "opted_out"


async def test_a_contact_is_opted_out_if_all_of_its_channels_are(api: Api) -> None:
    uuid, _ = await opted_out(api)
    await by_deletion(api, uuid)

    alone = await ok(api, "POST", "/v2/contact", {"phone": PHONE, "is_opted_out": False})
    assert alone["is_opted_out"] is True
    await by_deletion(api, alone["uuid"])
    with_email = await ok(api, "POST", "/v2/contact", {"phone": PHONE, "email": EMAIL})
    assert with_email["is_opted_out"] is False
    assert (await channel(api, with_email["uuid"]))["consent"] == "opted_out"


async def test_an_opt_out_of_an_older_release_survives(api: Api) -> None:
    """Such a release set the consent, or the contact's `is_opted_out`, and stored nothing else."""
    uuid, at = await opted_out(api)
    other = await api.contact(("phone", OTHER))
    execute = sql_runner(api.database)
    await execute(f"DELETE FROM suppression WHERE team_id = {api.bob.team.team_id}")
    true = "true" if api.database.startswith("postgres") else "1"
    await execute(f"UPDATE contact SET is_opted_out = {true} WHERE uuid = '{other}'")
    await by_delete(api, uuid)
    await by_deletion(api, other)

    assert (await channel(api, await gained_by_post(api)))["consent_at"] == at
    created = await ok(api, "POST", "/v2/contact", {"phone": OTHER})
    assert (await channel(api, created["uuid"], OTHER))["consent"] == "opted_out"


async def test_history_and_export_show_the_source(api: Api) -> None:
    uuid, _ = await opted_out(api)
    await by_delete(api, uuid)
    again = await gained_by_post(api)

    past = await ok(api, "GET", f"/x/contact/{again}/history")
    export = await ok(api, "GET", f"/x/contact/{again}/export")

    [added] = past["events"][0]["after"]["channels"]
    assert (added["consent"], added["consent_source"]) == ("opted_out", "suppression")
    assert export["channels"][0]["consent_source"] == "suppression"


async def test_the_address_is_not_stored_in_clear_text(api: Api) -> None:
    uuid, _ = await opted_out(api)
    await by_erasure(api, uuid)

    rows = await sql_runner(api.database)(
        f"SELECT * FROM suppression WHERE team_id = {api.bob.team.team_id}"
    )

    [[_, digest, reason, version, at]] = rows
    assert len(digest) == 64
    assert PHONE not in digest
    assert (reason, version, at % 86_400_000_000) == ("opted_out", IDENTITY_VERSION, 0)


# ── addresses without an owner ───────────────────────────────────────────────────────────────

SUPPRESSED = {"channel_type": "phone", "channel_id": PHONE, "reason": "opted_out"}


async def test_resolve_returns_the_suppression_of_an_address(api: Api) -> None:
    uuid, at = await opted_out(api)
    body_of_phone = {"channel_id": PHONE}
    assert (await ok(api, "POST", "/x/resolve", body_of_phone))["suppressed"] is None
    await patch(api, uuid, {"held": True, "held_reason": "bounced"})
    await by_delete(api, uuid)

    found = await ok(api, "POST", "/x/resolve", body_of_phone)
    batch = {"addresses": [body_of_phone, {"channel_id": OTHER}]}
    several = (await ok(api, "POST", "/x/resolve/batch", batch))["results"]

    assert found["contact"] is None
    assert found["suppressed"] == {"reason": "opted_out", "at": at}
    assert [each["suppressed"] for each in several] == [found["suppressed"], None]


async def test_delete_ends_a_suppression_and_records_it(api: Api) -> None:
    uuid, _ = await opted_out(api)
    await patch(api, uuid, {"held": True, "held_reason": "bounced"})
    await by_delete(api, uuid)

    assert await ok(api, "DELETE", "/x/suppression", SUPPRESSED) == "suppression ended"

    found = await ok(api, "POST", "/x/resolve", {"channel_id": PHONE})
    assert found["suppressed"]["reason"] == "bounced"
    again = await api.request("DELETE", "/x/suppression", SUPPRESSED)
    assert refusal(again) == (404, "no_suppression")
    current = await channel(api, await gained_by_post(api))
    assert (current["consent"], current["held_reason"]) == ("unknown", "bounced")
    rows = await sql_runner(api.database)(
        f"SELECT reason, ended, actor FROM ended_suppression WHERE team_id = {api.bob.team.team_id}"
    )
    assert rows == [("opted_out", api.clock(), api.bob.key.id)]


async def test_a_suppression_of_an_owned_address_cannot_be_deleted(api: Api) -> None:
    uuid, _ = await opted_out(api)

    response = await api.request("DELETE", "/x/suppression", SUPPRESSED)

    assert response.status_code == 409
    assert response.json()["error_code"] == "address_taken"
    assert response.json()["conflicting_contact_id"] == uuid
    assert (await channel(api, uuid))["consent"] == "opted_out"
    path, by = "/x/suppression", api.charlie.by_key()
    assert (await api.request("DELETE", path, SUPPRESSED, by=by)).status_code == 404


@pytest.mark.parametrize(
    "change", [{"reason": "wrong_person"}, {"reason": None}, {"channel_id": "x"}, {"more": 1}]
)
async def test_a_malformed_delete_is_refused(api: Api, change: dict[str, Any]) -> None:
    response = await api.request("DELETE", "/x/suppression", {**SUPPRESSED, **change})
    assert response.status_code == 400
