"""Copies the people of a CRM to Reachbook."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reachbook.client import (
    AddressTakenError,
    BadDataError,
    Client,
    ContactRequest,
    NewContact,
    ResolveRequest,
)


@dataclass(frozen=True)
class Person:
    """A row of the CRM."""

    first: str
    last: str
    phone: str
    email: str | None = None


@dataclass
class Report:
    """The result of a synchronisation.

    `created` and `updated` map phone numbers to the UUIDs of contacts. `unreadable` has the phone
    numbers of the rows that were refused with a `BadDataError`. `taken` maps a phone number to the
    UUID of the contact that owns the person's email address; that person was not updated.
    """

    created: dict[str, str] = field(default_factory=dict)
    updated: dict[str, str] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)


def sync(client: Client, people: Iterable[Person]) -> Report:
    """Create or change the contact of each person."""
    report = Report()
    for person in people:
        try:
            _sync_person(client, person, report)
        except AddressTakenError as error:
            report.taken[person.phone] = error.conflicting_contact_id
        except BadDataError:
            report.unreadable.append(person.phone)
    return report


def _sync_person(client: Client, person: Person, report: Report) -> None:
    wanted = NewContact(first=person.first, last=person.last)
    found = client.resolve(ResolveRequest(person.phone, create=wanted))
    if found.contact is None:  # for the type checker: with `create` there is always a contact
        report.unreadable.append(person.phone)
        return
    done = report.created if found.created else report.updated
    change = ContactRequest(first=person.first, last=person.last)
    if person.email is not None:
        change.email = person.email
    client.update_contact(found.contact.uuid, change)
    done[person.phone] = found.contact.uuid
