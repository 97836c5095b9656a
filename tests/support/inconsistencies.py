"""What should never be, each with the statements that plant it on either store.

`{team}`, `{contact}`, `{channel}`, `{other}` and `{deleted}` stand for the numbers of victims.
"""

from __future__ import annotations

from typing import NamedTuple

from reachbook.doctor import Kind

CHANNEL = (
    "INSERT INTO contact_channel (team_id, id, contact_id, channel_type, channel_id, scope,"
    " identity, channel_handle, info_channel, made_primary, created, updated)"
    " SELECT team_id, id + 900000, {}, channel_type, {}, scope, {}, channel_handle,"
    " info_channel, made_primary, created, updated FROM contact_channel WHERE id = {channel}"
)
ANOTHER = "'15105550999'"
EVENT = (
    "INSERT INTO event (team_id, id, contact_id, contact_rev, kind, actor, request_id, at)"
    " SELECT team_id, id + 900000, {}, {}, kind, actor, request_id, at FROM event"
    " WHERE contact_id = {contact} AND contact_rev = 1"
)
BODY = (
    "INSERT INTO event_body (team_id, event_id, before, after)"
    " SELECT b.team_id, b.event_id + 900000, b.before, b.after FROM event_body AS b"
    " JOIN event AS e ON e.team_id = b.team_id AND e.id = b.event_id"
    " WHERE e.contact_id = {contact} AND e.contact_rev = 1 AND e.id < 900000"
)
SECRET = (
    "INSERT INTO api_secret (team_id, secret_id, slot, sealed, label, representation, read_only,"
    " created) SELECT team_id, 'rbs_' || team_id || '_000000000000000{}', 1, sealed, label,"
    " representation, read_only, created FROM api_secret WHERE team_id = {team}"
    " AND secret_id NOT LIKE '%_000000000000000_'"
)
WORD = "INSERT INTO contact_name (team_id, word, contact_id) VALUES ({{team}}, 'mallory', {})"
NO_TEAM = SECRET.format(0, team="{team}").replace("SELECT team_id", "SELECT 770077")
A_HASH = "(SELECT hash FROM api_key WHERE api_key.team_id = {team} LIMIT 1)"
ITS_TEAM = "WHERE team_id = {team}"
THIS = "WHERE team_id = {team} AND id = {contact}"
ITS_CHANNEL = "WHERE team_id = {team} AND id = {channel}"
ITS_EVENT = "WHERE team_id = {team} AND contact_id = {contact} AND contact_rev"
BODY_OF = f"WHERE event_id = (SELECT id FROM event {ITS_EVENT}"
A_ZERO = """replace(after, '"custom":{{}}', '"custom":{{"size":0}}')"""


class Fault(NamedTuple):
    """How a fault is planted, what is found, and whether a repair puts all of it right."""

    kind: Kind
    statements: list[str]
    mends: bool = True


def channel_copy(contact: str, address: str = ANOTHER) -> str:
    return CHANNEL.format(contact, address, address, channel="{channel}")


FAULTS = {
    "two owners, once the unique index is dropped": Fault(
        Kind.TWO_OWNERS,
        ["DROP INDEX contact_channel_owner", channel_copy("{other}", "channel_id")],
        mends=False,
    ),
    "a unique index dropped": Fault(
        Kind.MISSING_INDEX, ["DROP INDEX contact_external_id"], mends=False
    ),
    "a channel of no contact": Fault(Kind.ORPHAN_CHANNEL, [channel_copy("880001")]),
    "a channel of a deleted contact": Fault(Kind.ORPHAN_CHANNEL, [channel_copy("{deleted}")]),
    "an event of no contact": Fault(
        Kind.ORPHAN_EVENT,
        [EVENT.format("880002", "1", contact="{contact}"), BODY],
        mends=False,
    ),
    "rows of no team": Fault(Kind.NO_TEAM, [NO_TEAM], mends=False),
    "an identity that does not follow its address": Fault(
        Kind.IDENTITY, [f"UPDATE contact_channel SET identity = '15105550998' {ITS_CHANNEL}"]
    ),
    "an address that is not canonical": Fault(
        Kind.IDENTITY, [f"UPDATE contact_channel SET channel_id = '+1 510 555-3344' {ITS_CHANNEL}"]
    ),
    "an address that is none": Fault(
        Kind.ADDRESS,
        [f"UPDATE contact_channel SET channel_id = 'nobody' {ITS_CHANNEL}"],
        mends=False,
    ),
    "a scope that does not follow its info channel": Fault(
        Kind.SCOPE, [f"UPDATE contact_channel SET scope = 'elsewhere' {ITS_CHANNEL}"]
    ),
    "a revision behind its events": Fault(
        Kind.REVISION, [f"UPDATE contact SET rev = rev - 1 {THIS}"]
    ),
    "a revision told twice": Fault(
        Kind.REVISION,
        ["DROP INDEX event_revision", EVENT.format("{contact}", "1", contact="{contact}"), BODY],
        mends=False,
    ),
    "a revision without its event": Fault(
        Kind.MISSING_EVENT, [f"UPDATE contact SET rev = rev + 1 {THIS}"], mends=False
    ),
    "a missing event": Fault(
        Kind.MISSING_EVENT,
        [f"DELETE FROM event_body {BODY_OF} = 2)", f"DELETE FROM event {ITS_EVENT} = 2"],
        mends=False,
    ),
    "an event without its body": Fault(
        Kind.MISSING_EVENT, [f"DELETE FROM event_body {BODY_OF} = 2)"], mends=False
    ),
    "a body of no event": Fault(
        Kind.ORPHAN_EVENT,
        ["INSERT INTO event_body (team_id, event_id, after) VALUES ({team}, 880003, '{{}}')"],
        mends=False,
    ),
    "a field that no event tells of": Fault(
        Kind.REPLAY, [f"UPDATE contact SET first = 'Mallory' {THIS}"]
    ),
    "a custom field of another JSON type than its events tell": Fault(
        Kind.REPLAY,
        [
            f"UPDATE event_body SET after = {A_ZERO} {BODY_OF} = 1)",
            f"UPDATE contact SET custom = '{{{{\"size\":false}}}}' {THIS}",
        ],
    ),
    "a handle that no event tells of": Fault(
        Kind.REPLAY, [f"UPDATE contact_channel SET channel_handle = 'Mallory' {ITS_CHANNEL}"]
    ),
    "a channel that went without an event": Fault(
        Kind.REPLAY, [f"DELETE FROM contact_channel {ITS_CHANNEL}"]
    ),
    "a channel that came without an event": Fault(Kind.REPLAY, [channel_copy("{contact}")]),
    "a secret that does not open": Fault(
        Kind.UNOPENED,
        [f"UPDATE api_secret SET sealed = {A_HASH} " + ITS_TEAM],
        mends=False,
    ),
    "more than two live secrets": Fault(
        Kind.LIVE_SECRETS,
        ["DROP INDEX api_secret_slot", *(SECRET.format(one, team="{team}") for one in (1, 2))],
        mends=False,
    ),
    "a column that is not JSON": Fault(
        Kind.BAD_JSON, [f"UPDATE contact SET custom = '{{{{', tags = '[1.5]' {THIS}"]
    ),
    "an event that is not JSON": Fault(
        Kind.BAD_JSON, [f"UPDATE event_body SET after = '[]' {BODY_OF} = 2)"], mends=False
    ),
    "a word that is not of the contact's names": Fault(Kind.NAMES, [WORD.format("{contact}")]),
    "a word of a deleted contact": Fault(Kind.NAMES, [WORD.format("{deleted}")]),
    "a word of no contact": Fault(Kind.NAMES, [WORD.format("880004")]),
    "a contact updated before it was created": Fault(
        Kind.TIMES, [f"UPDATE contact SET updated = created - 1 {THIS}"]
    ),
    "a channel updated before it was created": Fault(
        Kind.TIMES, [f"UPDATE contact_channel SET updated = created - 1 {ITS_CHANNEL}"]
    ),
    "a gap in the feed": Fault(
        Kind.FEED,
        ["UPDATE event SET seq = seq + 1000000 WHERE team_id = {team} AND seq > 3"],
        mends=False,
    ),
}
