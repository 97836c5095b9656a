"""The tour of every operation, and of every way to be refused.

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
    Ask,
    Body,
    Description,
    about_contacts,
)
from tests.support.personas import NOBODY, Asker, Book, asker, sign

DESCRIPTION = Description(json.loads(document.document([*app.ROUTES, app.METRICS])))
OK, NOT_MODIFIED = 200, 304
USED_KEY = "used"


@dataclass
class Stage:
    """Alice, Carol who owns what others want, a contact to lose, one that is erased, and callers.

    Alice has an email, two phones and a Facebook id on another page than Carol's. `full` is a
    contact with as many channels as it may have.
    """

    book: Book
    alice: str
    reader: dict[str, str]
    american: Asker
    idents: dict[str, str]
    spare: str = NOBODY
    erased: str = NOBODY
    full: str = NOBODY

    def asks(self, uuid: str = "", by: dict[str, str] | None = None) -> Iterator[Ask]:
        """A request to each operation that is granted: an address is changed to a new one."""
        for method, path, operation in DESCRIPTION.operations():
            caller, about = by or self.book.bob.by_key(), uuid or self.alice
            ask = Ask(method, path, operation, about, caller)
            ask = replace(ask, ident=self.idents.get("email", ask.ident))
            if (method, path) == BULK_DELETE:
                ask = replace(ask, body=about_contacts(about))
            elif ask.request_body:
                ask = replace(ask, body=OTHERWISE.get((method, path)))
            yield (ask.of("email", fresh()) if (method, path) in ABOUT else None) or ask


def fresh() -> str:
    """An address that nobody has."""
    return f"{uuid4().hex}@example.com"


async def set_up(book: Book) -> Stage:
    """The stage in a book."""
    facebook = {"channel_type": "facebook", "channel_id": uuid4().hex}
    carol = {"external_id": "E1", "email": "carol@example.com"}
    carol_there = {**carol, "contact_channels": [{**facebook, "info_channel": "page-1"}]}
    assert (await book.ask("POST", "/v2/contact", carol_there)).status_code == OK
    team_id = book.bob.team.team_id
    _, reader = await book.administration.create_key(
        team_id, CredentialOptions(Representation.STRING_IDS, read_only=True)
    )
    american = await asker(book.administration, "Americans", book.clock, region="US")
    for reading in ("+6465550123", "+16465550123"):  # so that a look-up is ambiguous, too
        await book.contact(("phone", reading), by=american.by_key())
    phones = ("phone", "15105553344"), ("phone", "14155551234")
    alice = await book.contact(("email", "alice@example.com"), *phones)
    there = {**facebook, "info_channel": "page-2"}
    assert (await book.ask("POST", f"/v2/contact/{alice}/channel", there)).status_code == OK
    stage = Stage(book, alice, {"authorization": f"Bearer {reader}"}, american, {})
    stage.idents = await idents(book, alice)
    stage.spare, stage.erased = await book.contact(), await book.contact()
    handles = ((f"{number}-{uuid4().hex}") for number in range(MAX_CHANNELS))
    stage.full = await book.contact(*(("telegram", handle) for handle in handles))
    gone = await book.ask("DELETE", f"/x/contact/{stage.erased}/erase")
    assert gone.status_code == OK
    keyed = {**book.bob.by_key(), "idempotency-key": USED_KEY}
    assert (await book.ask("POST", "/v2/contact", {}, by=keyed)).status_code == OK
    return stage


async def idents(book: Book, uuid: str) -> dict[str, str]:
    """The ids of a contact's channels, by type."""
    known = (await book.ask("GET", f"/x/contact/{uuid}/channels")).json()
    return {one["channel_type"]: one["id"] for one in known}


async def on_new_contacts(stage: Stage, by: dict[str, str] | None = None) -> list[Ask]:
    """A request to each operation, each about a contact of its own."""
    asks = []
    for ask in stage.asks(by=by):
        uuid = await stage.book.contact(("email", f"{uuid4().hex}@example.com"))
        ident = (await idents(stage.book, uuid))["email"]
        body = about_contacts(uuid) if ask.name == "contacts_delete_many" else ask.body
        asks.append(replace(ask, uuid=uuid, ident=ident, body=body))
    return asks


async def said(stage: Stage, asks: Iterable[Ask]) -> set[tuple[str, str]]:
    """Ask, hold each answer against the description, and return the refusals that were heard."""
    heard = set()
    for ask in asks:
        answer = await ask.send(stage.book)
        faults = list(DESCRIPTION.faults_of_answer(ask.operation, answer))
        told = f"{ask.method} {ask.path}{ask.query} {ask.body!r}"[:300]
        assert faults == [], f"{faults} of {told}: {answer.status_code} {answer.text}"
        if answer.status_code not in (OK, NOT_MODIFIED):
            heard.add((ask.name, answer.json()["error_code"]))
    return heard


def declared(*reasons: Reason) -> set[tuple[str, str]]:
    """Every operation with those of some reasons that it says it can refuse for."""
    codes = {one.code for one in reasons}
    return {(name, code) for name, code in DESCRIPTION.reasons() if code in codes}


# ── how a client comes to be refused ─────────────────────────────────────────────────────────

Provoke = Callable[[Stage, Ask], Ask | None]


def as_caller(make: Callable[[Stage], str]) -> Provoke:
    """Another Authorization, where one is asked for."""
    return lambda stage, ask: replace(ask, by={"authorization": make(stage)})


def wrong_type(_: Stage, ask: Ask) -> Ask | None:
    """A stray body is served: any JSON under /v2, and a [] everywhere."""
    strict = ask.request_body or ask.path.startswith("/x/")
    return replace(ask, body=b"[1]") if strict else None


def compressed(_: Stage, ask: Ask) -> Ask:
    body = gzip.compress(b"{}")
    return replace(ask, body=body, by={**ask.by, "content-encoding": "gzip"})


def with_header(name: str, value: str) -> Provoke:
    return lambda _, ask: replace(ask, by={**ask.by, name: value})


def with_query(query: str) -> Provoke:
    """Of the contact that may be lost: what is not known under /v2 is let through."""
    return lambda stage, ask: replace(_about(ask, stage.spare), query=query)


def of(kind: str, value: str) -> Provoke:
    return lambda _, ask: ask.of(kind, value)


def for_contact(uuid: str) -> Provoke:
    return lambda _, ask: _about(ask, uuid)


def _about(ask: Ask, uuid: str) -> Ask:
    body = about_contacts(uuid) if (ask.method, ask.path) == BULK_DELETE else ask.body
    return replace(ask, uuid=uuid, body=body)


def bad_value(_: Stage, ask: Ask) -> Ask:
    query = "?representation=strings" if "representation" in ask.parameters else "?a=%FF"
    return replace(ask, query=query)


def too_large(_: Stage, ask: Ask) -> Ask:
    return replace(ask, body=b" " * (MAX_BODY_BYTES + 1))


def missing_field(_: Stage, ask: Ask) -> Ask | None:
    one_contact = ask.path in ("/v2/contact", "/v2/contact/{contactID}")
    body: Body = {"contact_channels": [{}]} if one_contact else {}
    return replace(ask, body=body) if ask.request_body else None


def too_many(stage: Stage, ask: Ask) -> Ask | None:
    custom: Body = {"custom": {"note": "x" * MAX_CUSTOM_BYTES}}
    if ask.name == "contact_channel_add":
        return replace(ask, uuid=stage.full)
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
    return replace(ask, body=bodies[ask.name]) if ask.name in bodies else None


def ambiguous(stage: Stage, ask: Ask) -> Ask | None:
    return (
        replace(ask, by=stage.american.by_key()).of("phone", "(646) 555-0123")
        if ask.request_body
        else None
    )


def elsewhere(_: Stage, ask: Ask) -> Ask | None:
    path = ask.path.replace("{contactID}", "a%2Fb").replace("{name}", "ghost.js")
    return None if path == ask.path else replace(ask, path=path)


def wrong_method(_: Stage, ask: Ask) -> Ask | None:
    """An encoded slash makes another path."""
    if "{id}" in ask.path:
        return replace(ask, ident="ch_001%2Fprimary")
    return _about(ask, "a%2Fchannels" if ask.name == "contact_update" else "a%2Fchannel")


def several(_: Stage, ask: Ask) -> Ask | None:
    return replace(ask, kind="phone") if "{channelType}" in ask.path else None


def no_channel(_: Stage, ask: Ask) -> Ask | None:
    if "{id}" in ask.path:
        return replace(ask, ident="ch_999999999999")
    return ask.of(f"t{uuid4().hex[:8]}", "1")


def not_suppressed(_: Stage, ask: Ask) -> Ask | None:
    return ask.of("phone", "15105550199") if ask.path == "/x/suppression" else None


def address_taken(stage: Stage, ask: Ask) -> Ask | None:
    if ask.method == "PATCH":
        body = {"info_channel": "page-1"}
        return replace(ask, ident=stage.idents["facebook"], body=body)
    if ask.path == "/x/resolve":
        return replace(ask, body=_to_make({"email": "carol@example.com"}))
    return ask.of("email", "carol@example.com")


def external_id_taken(_: Stage, ask: Ask) -> Ask | None:
    taken: Body = {"external_id": "E1"}
    if ask.path == "/x/resolve":
        return replace(ask, body=_to_make(taken))
    return replace(ask, body=taken) if ask.name in ("contact_create", "contact_update") else None


def _to_make(new: Body) -> Body:
    return {"channel_id": fresh(), "create": new}


def erased(stage: Stage, ask: Ask) -> Ask | None:
    query = "?as_of=2024-01-15T10:00:00Z" if "as_of" in ask.parameters else ""
    return replace(_about(ask, stage.erased), query=query)


def jwt(age: float = 0, **header: object) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        bob = stage.book.bob
        claims = {"iss": bob.secret.id, "iat": bob.clock() // 10**6 - age}
        head = {"alg": "HS256", "typ": "JWT", **header}
        return f"Bearer {sign(claims, bob.secret.id, bob.secret_key, head)}"

    return make


PROVOKE: dict[Reason, Provoke] = {
    Reason.MISSING_CREDENTIAL: lambda _, ask: replace(ask, by={}),
    Reason.MALFORMED_TOKEN: as_caller(lambda _: "Basic Ym9iOg=="),
    Reason.WRONG_ALGORITHM: as_caller(jwt(alg="HS512")),
    Reason.BAD_CREDENTIAL: as_caller(lambda _: "Bearer rbk_1_0123456789abcdef"),
    Reason.EXPIRED: as_caller(jwt(age=400)),
    Reason.NOT_YET_VALID: as_caller(jwt(age=-400)),
    Reason.READ_ONLY: lambda stage, ask: replace(ask, by=stage.reader),
    Reason.BAD_VALUE: bad_value,
    Reason.UNKNOWN_NAME: with_query("?ghost=1"),
    Reason.BAD_CURSOR: with_query("?cursor=ghost"),
    Reason.TOO_MANY: too_many,
    Reason.MALFORMED_JSON: lambda _, ask: replace(ask, body=b"{"),
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
"""How a client comes to be refused."""

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
