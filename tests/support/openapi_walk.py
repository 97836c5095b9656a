"""Sends a request to each operation, and requests for each reason of a refusal.

Each provocation is tried on each operation that it can be tried on, so a reason that is given and
not described is noticed, and one that is described and cannot be given is noticed too.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason
from reachbook.domain.limits import MAX_CHANNELS, MAX_CUSTOM_BYTES
from reachbook.http import app
from reachbook.http.openapi import document
from reachbook.http.request import MAX_BODY_BYTES
from reachbook.service.administration import CredentialOptions
from tests.support.openapi import (
    ABOUT,
    BULK_DELETE,
    OTHERWISE,
    Body,
    Call,
    Description,
    about_contacts,
)
from tests.support.personas import NOBODY, Api, TeamClient, create_team_client, sign

DESCRIPTION = Description(json.loads(document.document([*app.ROUTES, app.METRICS])))
OK, NOT_MODIFIED = 200, 304
USED_KEY = "used"


@dataclass
class PreparedApi:
    """An API with contacts and credentials: Alice, Carol, a spare contact and an erased one.

    Alice has an email, two phones and a Facebook id on another page than Carol's. `full` is a
    contact with as many channels as it may have.
    """

    api: Api
    alice: str
    reader: dict[str, str]
    american: TeamClient
    idents: dict[str, str]
    spare: str = NOBODY
    erased: str = NOBODY
    full: str = NOBODY

    def calls(self, uuid: str = "", by: dict[str, str] | None = None) -> Iterator[Call]:
        """Yield a request to each operation that succeeds; it changes an address to a new one."""
        for method, path, operation in DESCRIPTION.operations():
            caller, about = by or self.api.bob.by_key(), uuid or self.alice
            call = Call(method, path, operation, about, caller)
            call = replace(call, ident=self.idents.get("email", call.ident))
            if (method, path) == BULK_DELETE:
                call = replace(call, body=about_contacts(about))
            elif call.request_body:
                call = replace(call, body=OTHERWISE.get((method, path)))
            yield (call.of("email", fresh()) if (method, path) in ABOUT else None) or call


def fresh() -> str:
    """Return an address that no contact has."""
    return f"{uuid4().hex}@example.com"


async def set_up(api: Api) -> PreparedApi:
    """Prepare an API with its contacts."""
    facebook = {"channel_type": "facebook", "channel_id": uuid4().hex}
    carol = {"external_id": "E1", "email": "carol@example.com"}
    carol_there = {**carol, "contact_channels": [{**facebook, "info_channel": "page-1"}]}
    assert (await api.request("POST", "/v2/contact", carol_there)).status_code == OK
    team_id = api.bob.team.team_id
    _, reader = await api.administration.create_key(
        team_id, CredentialOptions(Representation.STRING_IDS, read_only=True)
    )
    american = await create_team_client(api.administration, "Americans", api.clock, region="US")
    for reading in ("+6465550123", "+16465550123"):  # so that a look-up is ambiguous, too
        await api.contact(("phone", reading), by=american.by_key())
    phones = ("phone", "15105553344"), ("phone", "14155551234")
    alice = await api.contact(("email", "alice@example.com"), *phones)
    there = {**facebook, "info_channel": "page-2"}
    assert (await api.request("POST", f"/v2/contact/{alice}/channel", there)).status_code == OK
    prepared = PreparedApi(api, alice, {"authorization": f"Bearer {reader}"}, american, {})
    prepared.idents = await idents(api, alice)
    prepared.spare, prepared.erased = await api.contact(), await api.contact()
    handles = ((f"{number}-{uuid4().hex}") for number in range(MAX_CHANNELS))
    prepared.full = await api.contact(*(("telegram", handle) for handle in handles))
    gone = await api.request("DELETE", f"/x/contact/{prepared.erased}/erase")
    assert gone.status_code == OK
    keyed = {**api.bob.by_key(), "idempotency-key": USED_KEY}
    assert (await api.request("POST", "/v2/contact", {}, by=keyed)).status_code == OK
    return prepared


async def idents(api: Api, uuid: str) -> dict[str, str]:
    """Return the ids of a contact's channels, by type."""
    known = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    return {one["channel_type"]: one["id"] for one in known}


async def on_new_contacts(prepared: PreparedApi, by: dict[str, str] | None = None) -> list[Call]:
    """Return a request to each operation, each for a new contact."""
    calls = []
    for call in prepared.calls(by=by):
        uuid = await prepared.api.contact(("email", f"{uuid4().hex}@example.com"))
        ident = (await idents(prepared.api, uuid))["email"]
        body = about_contacts(uuid) if call.name == "contacts_delete_many" else call.body
        calls.append(replace(call, uuid=uuid, ident=ident, body=body))
    return calls


async def said(prepared: PreparedApi, calls: Iterable[Call]) -> set[tuple[str, str]]:
    """Send requests, check each response against the description, and return the refusals."""
    heard = set()
    for call in calls:
        answer = await call.send(prepared.api)
        faults = list(DESCRIPTION.faults_of_answer(call.operation, answer))
        told = f"{call.method} {call.path}{call.query} {call.body!r}"[:300]
        assert faults == [], f"{faults} of {told}: {answer.status_code} {answer.text}"
        if answer.status_code not in (OK, NOT_MODIFIED):
            heard.add((call.name, answer.json()["error_code"]))
    return heard


def declared(*reasons: Reason) -> set[tuple[str, str]]:
    """Return each operation with those of the reasons that its description has."""
    codes = {one.code for one in reasons}
    return {(name, code) for name, code in DESCRIPTION.reasons() if code in codes}


# ── causes of refusals ─────────────────────────────────────────────────────────────────────

Provoke = Callable[[PreparedApi, Call], Call | None]


def as_caller(make: Callable[[PreparedApi], str]) -> Provoke:
    """Replace the Authorization header."""
    return lambda prepared, call: replace(call, by={"authorization": make(prepared)})


def wrong_type(_: PreparedApi, call: Call) -> Call | None:
    """A stray body is served: any JSON under /v2, and a [] everywhere."""
    strict = call.request_body or call.path.startswith("/x/")
    return replace(call, body=b"[1]") if strict else None


def compressed(_: PreparedApi, call: Call) -> Call:
    body = gzip.compress(b"{}")
    return replace(call, body=body, by={**call.by, "content-encoding": "gzip"})


def with_header(name: str, value: str) -> Provoke:
    return lambda _, call: replace(call, by={**call.by, name: value})


def with_query(query: str) -> Provoke:
    """Of the contact that may be lost: what is not known under /v2 is let through."""
    return lambda prepared, call: replace(_about(call, prepared.spare), query=query)


def of(kind: str, value: str) -> Provoke:
    return lambda _, call: call.of(kind, value)


def for_contact(uuid: str) -> Provoke:
    return lambda _, call: _about(call, uuid)


def _about(call: Call, uuid: str) -> Call:
    body = about_contacts(uuid) if (call.method, call.path) == BULK_DELETE else call.body
    return replace(call, uuid=uuid, body=body)


def bad_value(_: PreparedApi, call: Call) -> Call:
    query = "?representation=strings" if "representation" in call.parameters else "?a=%FF"
    return replace(call, query=query)


def too_large(_: PreparedApi, call: Call) -> Call:
    return replace(call, body=b" " * (MAX_BODY_BYTES + 1))


def missing_field(_: PreparedApi, call: Call) -> Call | None:
    one_contact = call.path in ("/v2/contact", "/v2/contact/{contactID}")
    body: Body = {"contact_channels": [{}]} if one_contact else {}
    return replace(call, body=body) if call.request_body else None


def too_many(prepared: PreparedApi, call: Call) -> Call | None:
    custom: Body = {"custom": {"note": "x" * MAX_CUSTOM_BYTES}}
    if call.name == "contact_channel_add":
        return replace(call, uuid=prepared.full)
    bodies: dict[str, Body] = {
        "contact_create": custom,
        "contact_update": custom,
        "resolve_one": _to_make(custom),
        "contacts_page": {"limit": 501},
        "contacts_search": {"contact_channels": [{"channel_ids": ["1"] * 1001}]},
        "contacts_write_many": {"contacts": [{}] * 1001},
        "contacts_delete_many": {
            "contact_channels": [{"channel_type": "id", "channel_ids": ["1"] * 1001}]
        },
        "resolve_batch": {"addresses": [{}] * 1001},
    }
    return replace(call, body=bodies[call.name]) if call.name in bodies else None


def ambiguous(prepared: PreparedApi, call: Call) -> Call | None:
    return (
        replace(call, by=prepared.american.by_key()).of("phone", "(646) 555-0123")
        if call.request_body
        else None
    )


def elsewhere(_: PreparedApi, call: Call) -> Call | None:
    path = call.path.replace("{contactID}", "a%2Fb").replace("{name}", "ghost.js")
    return None if path == call.path else replace(call, path=path)


def wrong_method(_: PreparedApi, call: Call) -> Call | None:
    """An encoded slash makes another path."""
    if "{id}" in call.path:
        return replace(call, ident="ch_001%2Fprimary")
    return _about(call, "a%2Fchannels" if call.name == "contact_update" else "a%2Fchannel")


def several(_: PreparedApi, call: Call) -> Call | None:
    return replace(call, kind="phone") if "{channelType}" in call.path else None


def no_channel(_: PreparedApi, call: Call) -> Call | None:
    if "{id}" in call.path:
        return replace(call, ident="ch_999999999999")
    return call.of(f"t{uuid4().hex[:8]}", "1")


def not_suppressed(_: PreparedApi, call: Call) -> Call | None:
    return call.of("phone", "15105550199") if call.path == "/x/suppression" else None


def address_taken(prepared: PreparedApi, call: Call) -> Call | None:
    if call.method == "PATCH":
        body = {"info_channel": "page-1"}
        return replace(call, ident=prepared.idents["facebook"], body=body)
    if call.path == "/x/resolve":
        return replace(call, body=_to_make({"email": "carol@example.com"}))
    return call.of("email", "carol@example.com")


def external_id_taken(_: PreparedApi, call: Call) -> Call | None:
    taken: Body = {"external_id": "E1"}
    if call.path == "/x/resolve":
        return replace(call, body=_to_make(taken))
    return replace(call, body=taken) if call.name in ("contact_create", "contact_update") else None


def _to_make(new: Body) -> Body:
    return {"channel_id": fresh(), "create": new}


def erased(prepared: PreparedApi, call: Call) -> Call | None:
    query = "?as_of=2024-01-15T10:00:00Z" if "as_of" in call.parameters else ""
    return replace(_about(call, prepared.erased), query=query)


def jwt(age: float = 0, **header: object) -> Callable[[PreparedApi], str]:
    def make(prepared: PreparedApi) -> str:
        bob = prepared.api.bob
        claims = {"iss": bob.secret.id, "iat": bob.clock() // 10**6 - age}
        head = {"alg": "HS256", "typ": "JWT", **header}
        return f"Bearer {sign(claims, bob.secret.id, bob.secret_key, head)}"

    return make


PROVOKE: dict[Reason, Provoke] = {
    Reason.MISSING_CREDENTIAL: lambda _, call: replace(call, by={}),
    Reason.MALFORMED_TOKEN: as_caller(lambda _: "Basic Ym9iOg=="),
    Reason.WRONG_ALGORITHM: as_caller(jwt(alg="HS512")),
    Reason.BAD_CREDENTIAL: as_caller(lambda _: "Bearer rbk_1_0123456789abcdef"),
    Reason.EXPIRED: as_caller(jwt(age=400)),
    Reason.NOT_YET_VALID: as_caller(jwt(age=-400)),
    Reason.READ_ONLY: lambda prepared, call: replace(call, by=prepared.reader),
    Reason.BAD_VALUE: bad_value,
    Reason.UNKNOWN_NAME: with_query("?ghost=1"),
    Reason.BAD_CURSOR: with_query("?cursor=ghost"),
    Reason.TOO_MANY: too_many,
    Reason.MALFORMED_JSON: lambda _, call: replace(call, body=b"{"),
    Reason.UNSUPPORTED_ENCODING: compressed,
    Reason.WRONG_TYPE: wrong_type,
    Reason.MISSING_FIELD: missing_field,
    Reason.BODY_TOO_LARGE: too_large,
    Reason.BAD_UUID: for_contact("42"),
    Reason.NO_CONTACT: for_contact(NOBODY),
    Reason.NO_ROUTE: elsewhere,
    Reason.WRONG_METHOD: wrong_method,
    Reason.BAD_CHANNEL_TYPE: of("Phone", "15105553344"),
    Reason.BAD_PHONE: of("phone", "12"),
    Reason.BAD_EMAIL: of("email", "alice"),
    Reason.BAD_CHANNEL_ID: of("facebook", ""),
    Reason.AMBIGUOUS: ambiguous,
    Reason.NO_CHANNEL: no_channel,
    Reason.NO_SUPPRESSION: not_suppressed,
    Reason.ADDRESS_TAKEN: address_taken,
    Reason.SEVERAL: several,
    Reason.EXTERNAL_ID_TAKEN: external_id_taken,
    Reason.ERASED: erased,
    Reason.FEED_RESTARTED: with_query("?after=999999"),
    Reason.STALE_REVISION: with_header("if-match", '"999999-string_ids"'),
    Reason.KEY_REUSED: with_header("idempotency-key", USED_KEY),
}
"""The change of a request that causes each refusal."""

NEVER_ANOTHER_PATH = {
    (name, Reason.WRONG_METHOD.code)
    for name in (
        "contact_channel_list_all",
        "contact_channel_get",
        "contact_channel_remove",
        "channel_detail_list_all",
        "channel_detail_make_primary",
        "history_of_contact",
        "history_export",
        "history_erase",
        "docs_asset",
    )
}
"""Where an encoded slash makes another path, these have none that lacks their method."""
