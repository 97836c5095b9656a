"""The index of the words of contacts' names: its writes, and the migration that fills it.

A commit writes the words of the names that it changes. The migration writes the words of contacts
that an older release wrote. It works in short transactions that store the progress, so a migration
that was killed continues from there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from reachbook.domain import names
from reachbook.domain.channel import ChannelList
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.storage.identities import BEFORE_ALL, Rows, Script

BATCH = 200
"""The number of contacts in a transaction, which keeps their writers waiting."""

CURSOR = "names_cursor"
INSERT = "insert_names"

Statement = tuple[str, tuple[object, ...]]
"""The name of a statement and its values."""


class NamesProgress(Struct):
    """The progress of the migration, which is stored with every batch.

    `contact` is the number of the last contact whose words were written, `contacts` their count.
    """

    is_complete: bool = False
    team_id: int = BEFORE_ALL
    contact: int = BEFORE_ALL
    contacts: int = 0


def words_of(contact: Contact) -> tuple[str, ...]:
    """Returns the words by which a contact is found: none if it is deleted."""
    if contact.deleted is not None:
        return ()
    return names.words(contact.first, contact.last, contact.display_name)


def writes(change: Change) -> list[Statement]:
    """Returns the statements that write the words of a changed contact; none if they stay."""
    before, after = change.before, change.after
    if not isinstance(after, Contact) or _has_same_names(before, after):
        return []
    found = words_of(after)
    team_id, new = after.team_id, [(after.id, found)] if found else []
    statements = [] if before is None else [deletion(team_id, after.id)]
    return statements + ([insertion(team_id, new)] if new else [])


def insertion(team_id: int, found: Iterable[tuple[int, Iterable[str]]]) -> Statement:
    """Returns the statement that inserts the words of contacts, given with their numbers."""
    return INSERT, (team_id, entries(found))


def entries(found: Iterable[tuple[int, Iterable[str]]]) -> str:
    """Returns the words of contacts as the JSON array that `insert_names` takes."""
    return _json(
        [{"word": word, "contact_id": contact_id} for contact_id, words in found for word in words]
    )


def deletion(team_id: int, contact_id: int) -> Statement:
    """Returns the statement that deletes the words of a contact."""
    return "delete_names", (team_id, contact_id)


def next_batch() -> Script[NamesProgress | None]:
    """Write the words of the next contacts; returns None if every contact has its words."""
    [[cursor]] = yield "lock_store_info", (CURSOR,)
    if not cursor:
        return None
    progress = msgspec.json.decode(cursor, type=NamesProgress)
    rows = yield "names_page", (progress.team_id, progress.contact, BATCH)
    if rows:
        yield from _write(progress.team_id, rows)
        progress.contact = rows[-1][0]
        progress.contacts += len(rows)
    else:
        [[team_id]] = yield "names_next_team", (progress.team_id,)
        progress.is_complete = team_id is None
        if team_id is not None:
            progress.team_id, progress.contact = team_id, BEFORE_ALL
    yield "set_store_info", (CURSOR, "" if progress.is_complete else _json(progress))
    return progress


def rewrite(team_id: int, contact_id: int) -> Script[None]:
    """Write the words of one contact anew; delete them if there is no such contact."""
    rows = yield "names_page", (team_id, contact_id - 1, 1)
    rows = [row for row in rows if row[0] == contact_id]
    if rows:
        yield from _write(team_id, rows)
    else:
        yield deletion(team_id, contact_id)


def _write(team_id: int, rows: Rows) -> Script[None]:
    """Write the words of contacts that are locked, in the order of their numbers."""
    # Contacts have words already if this release has written them. These are wrong if a process of
    # an older release has changed a name since then.
    written: defaultdict[int, set[str]] = defaultdict(set)
    for contact_id, word in (yield "names_between", (team_id, rows[0][0] - 1, rows[-1][0])):
        written[contact_id].add(word)
    missing = []
    for contact_id, *texts, deleted in rows:
        found = names.words(*texts) if deleted is None else ()
        if written[contact_id] != set(found):
            if written[contact_id]:
                yield deletion(team_id, contact_id)
            missing.append((contact_id, found))
    if missing:
        yield insertion(team_id, missing)


def _has_same_names(before: ChannelList | None, after: Contact) -> bool:
    if before is None:
        return not words_of(after)
    return isinstance(before, Contact) and (
        (before.first, before.last, before.display_name, before.deleted)
        == (after.first, after.last, after.display_name, after.deleted)
        or words_of(before) == words_of(after)
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
