-- What happened: the history of a contact, and the feed of a team.

-- name: history
-- A contact's events, newest first, before a revision.
SELECT e.id, e.contact_rev, e.kind, e.before, e.after, e.actor, e.request_id, e.at, e.seq, c.uuid
FROM event AS e JOIN contact AS c ON c.team_id = e.team_id AND c.id = e.contact_id
WHERE e.team_id = $1 AND e.contact_id = $2 AND e.contact_rev < $3
ORDER BY e.contact_rev DESC LIMIT $4;

-- name: unnumbered
-- Whether the team has events that the feed has not numbered yet.
SELECT id FROM event WHERE team_id = $1 AND seq IS NULL LIMIT 1;

-- name: lock_team [postgres]
-- Hold the team's row, so that one reader of the feed numbers at a time. It does not stand in the
-- way of commits, whose foreign keys only share the row.
SELECT team_id FROM team WHERE team_id = $1 FOR NO KEY UPDATE;

-- name: number_events
-- Number what has arrived, in the order of ids, after what has a number. What is visible and
-- unnumbered now is numbered next, so nothing can slip in behind a cursor.
UPDATE event
SET seq = fresh.seq
FROM (
    SELECT e.id,
           (SELECT coalesce(max(done.seq), 0) FROM event AS done
            WHERE done.team_id = $1 AND done.seq IS NOT NULL)
           + row_number() OVER (ORDER BY e.id) AS seq
    FROM event AS e WHERE e.team_id = $1 AND e.seq IS NULL
    ORDER BY e.id LIMIT $2
) AS fresh
WHERE event.team_id = $1 AND event.id = fresh.id;

-- name: feed
-- A team's events after a number, in order.
SELECT e.id, e.contact_rev, e.kind, e.before, e.after, e.actor, e.request_id, e.at, e.seq, c.uuid
FROM event AS e JOIN contact AS c ON c.team_id = e.team_id AND c.id = e.contact_id
WHERE e.team_id = $1 AND e.seq > $2
ORDER BY e.seq LIMIT $3;

-- name: forget_events
-- Erase what a contact's events held, and the request ids, which may be texts of the client's. The
-- kind, the revision, the time, the actor and the place in the feed stay.
UPDATE event SET before = NULL, after = NULL, request_id = ''
WHERE team_id = $1 AND contact_id = $2;

-- name: labels
-- What a team's credentials are called, for the actors of events.
SELECT secret_id AS id, label FROM api_secret WHERE team_id = $1
UNION ALL
SELECT key_id AS id, label FROM api_key WHERE team_id = $1;
