"""The rows of many new contacts as JSON arrays, one for each table."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import cast

from msgspec import Struct
from msgspec.structs import asdict

from reachbook.domain import event
from reachbook.domain.contact import Contact
from reachbook.storage import names, sql
from reachbook.storage.commit import Commit, IdempotencyRecord, details, json_text

_FIELDS = sql.columns("contact_fields")


class NewContactRows(Struct, frozen=True):
    """The parameters of the statements that insert new contacts; the arrays are JSON texts.

    `keys` is the number of responses to store.
    """

    team_id: int
    actor: str
    request_id: str
    contacts: str
    channels: str
    names: str
    events: str
    digests: str
    responses: str
    keys: int
    expired_before: int


def rows_of(commits: Sequence[Commit]) -> NewContactRows:
    """Returns the rows of commits that each create a contact, for one request."""
    first = commits[0]
    contacts = [cast("Contact", commit.change.after) for commit in commits]
    records = [
        (commit.idempotency, commit.change.after.uuid) for commit in commits if commit.idempotency
    ]
    return NewContactRows(
        team_id=first.change.after.team_id,
        actor=first.actor,
        request_id=first.request_id,
        contacts=json_text([_contact(contact) for contact in contacts]),
        channels=json_text(
            [
                {"contact_id": contact.id, **asdict(channel)}
                for contact in contacts
                for channel in contact.channels
            ]
        ),
        names=names.entries((contact.id, names.words_of(contact)) for contact in contacts),
        events=json_text([_event(commit) for commit in commits]),
        digests=json_text([digest for each in commits for digest in each.suppression.digests]),
        responses=json_text([_response(record, uuid) for record, uuid in records]),
        keys=len(records),
        expired_before=records[0][0].key.expired_before if records else 0,
    )


def _contact(contact: Contact) -> dict[str, object]:
    return {
        "id": contact.id,
        "uuid": contact.uuid,
        "rev": contact.rev,
        "updated": contact.updated,
        "created": contact.created,
        **dict(zip(_FIELDS, details(contact), strict=True)),
    }


def _event(commit: Commit) -> dict[str, object]:
    after = commit.change.after
    return {
        "contact_id": after.id,
        "rev": after.rev,
        "kind": commit.change.kind,
        "at": after.updated,
        "after": event.diff(commit.change)[1],
    }


def _response(record: IdempotencyRecord, contact_uuid: str) -> dict[str, object]:
    key, response = record.key, record.response
    return {
        "key": key.key,
        "request_hash": base64.b64encode(key.request_hash).decode(),
        "status": response.status,
        "headers": json_text(response.headers),
        "body": base64.b64encode(response.body).decode(),
        "created": key.created,
        "contact_uuid": contact_uuid,
    }
