"""The ideal statements of the ceiling, which pgbench runs as well."""

from __future__ import annotations

COLUMNS = (
    "ch.id, ch.contact_id, ch.channel_type, ch.channel_id, ch.info_channel, ch.channel_handle, "
    "ch.created, ch.updated"
)

_FROM = """
FROM contact AS c
JOIN contact_channel AS ch ON ch.team_id = c.team_id AND ch.contact_id = c.id
WHERE c.team_id = $1 AND c.uuid = $2 AND c.deleted IS NULL"""

GET = f"""SELECT {COLUMNS}{_FROM} AND ch.channel_type = $3
ORDER BY ch.made_primary DESC NULLS LAST, ch.created, ch.id LIMIT 1"""

LIST = f"SELECT {COLUMNS}{_FROM} ORDER BY ch.created, ch.id"

# The revision, the channel, the event and its body in one statement. The returned list is the
# previous channels and the new one, which the statement itself does not see in the table.
ADD = f"""
WITH held AS (
    UPDATE contact SET rev = rev + 1, updated = $5
    WHERE team_id = $1 AND uuid = $2 AND deleted IS NULL
    RETURNING id, rev
), added AS (
    INSERT INTO contact_channel AS ch (
        team_id, contact_id, channel_type, channel_id, scope, identity, channel_handle,
        info_channel, created, updated)
    SELECT $1, held.id, $3, $4, '', $4, '', '', $5, $5 FROM held
    RETURNING {COLUMNS}
), recorded AS (
    INSERT INTO event (team_id, contact_id, contact_rev, kind, actor, request_id, at)
    SELECT $1, held.id, held.rev, 'channel_added', 'bench', 'bench', $5 FROM held
    RETURNING id
), stored AS (
    INSERT INTO event_body (team_id, event_id, before, after)
    SELECT $1, recorded.id, '{{"channels":[]}}', $6 FROM recorded
)
SELECT * FROM (SELECT {COLUMNS}{_FROM} ORDER BY ch.created, ch.id) AS before
UNION ALL SELECT * FROM added"""

EVENT_AFTER = '{"channels":[{"channel_type":"%s","channel_id":"%s"}]}'
