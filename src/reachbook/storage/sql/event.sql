-- Events: the history of a contact, and the feed of a team.

-- A page of events is bounded in rows and in bytes of bodies; its first event is always in it. The
-- bytes are summed over the lengths, so that only the bodies of the page are read.
-- Scalar subqueries, not joins: for a page PostgreSQL would read all of a small table.

-- name: history
-- A page of a contact's events, newest first, before revision $3: at most $4 events, and $5 bytes.
WITH newest AS (
    SELECT e.id, e.contact_id, e.contact_rev, e.kind, e.actor, e.request_id, e.at, e.seq
    FROM event AS e WHERE e.team_id = $1 AND e.contact_id = $2 AND e.contact_rev < $3
    ORDER BY e.contact_rev DESC LIMIT $4
), page AS (
    SELECT newest.*, row_number() OVER (ORDER BY newest.contact_rev DESC) AS place,
           sum(coalesce(octet_length(b.before), 0) + coalesce(octet_length(b.after), 0))
               OVER (ORDER BY newest.contact_rev DESC) AS bytes
    FROM newest LEFT JOIN event_body AS b ON b.team_id = $1 AND b.event_id = newest.id
)
SELECT page.id, page.contact_rev, page.kind, b.before, b.after, page.actor, page.request_id,
       page.at, page.seq, c.uuid
FROM page
JOIN contact AS c ON c.team_id = $1 AND c.id = page.contact_id
LEFT JOIN event_body AS b ON b.team_id = $1 AND b.event_id = page.id
WHERE page.place = 1 OR page.bytes <= $5
ORDER BY page.contact_rev DESC;

-- name: events_after
-- A page of a contact's events, oldest first, after revision $3: at most $4 events, and $5 bytes.
WITH oldest AS (
    SELECT e.id, e.contact_id, e.contact_rev, e.kind, e.actor, e.request_id, e.at, e.seq
    FROM event AS e WHERE e.team_id = $1 AND e.contact_id = $2 AND e.contact_rev > $3
    ORDER BY e.contact_rev LIMIT $4
), page AS (
    SELECT oldest.*, row_number() OVER (ORDER BY oldest.contact_rev) AS place,
           sum(coalesce(octet_length(b.before), 0) + coalesce(octet_length(b.after), 0))
               OVER (ORDER BY oldest.contact_rev) AS bytes
    FROM oldest LEFT JOIN event_body AS b ON b.team_id = $1 AND b.event_id = oldest.id
)
SELECT page.id, page.contact_rev, page.kind, b.before, b.after, page.actor, page.request_id,
       page.at, page.seq, c.uuid
FROM page
JOIN contact AS c ON c.team_id = $1 AND c.id = page.contact_id
LEFT JOIN event_body AS b ON b.team_id = $1 AND b.event_id = page.id
WHERE page.place = 1 OR page.bytes <= $5
ORDER BY page.contact_rev;

-- name: unnumbered
-- Whether the team has events that the feed has not numbered yet.
SELECT id FROM event WHERE team_id = $1 AND seq IS NULL LIMIT 1;

-- name: lock_team [postgres]
-- Lock the team's row, so that only one reader of the feed numbers events at a time. The lock does
-- not block commits, whose foreign keys only share the row.
SELECT team_id FROM team WHERE team_id = $1 FOR NO KEY UPDATE;

-- name: lock_team [sqlite]
-- The team. SQLite needs no lock, because it has one writer at a time.
SELECT team_id FROM team WHERE team_id = $1;

-- name: number_events
-- Number new events in the order of their ids, after the highest number; at most $2 events. Every
-- event that is visible and has no number is numbered next, so none can appear before a cursor.
-- The rows that this rewrites are small: their bodies are in event_body.
UPDATE event
SET seq = fresh.seq
FROM (
    SELECT waiting.id,
           (SELECT coalesce(max(done.seq), 0) FROM event AS done
            WHERE done.team_id = $1 AND done.seq IS NOT NULL)
           + row_number() OVER (ORDER BY waiting.id) AS seq
    FROM (
        SELECT e.id FROM event AS e WHERE e.team_id = $1 AND e.seq IS NULL
        ORDER BY e.id LIMIT $2
    ) AS waiting
) AS fresh
WHERE event.team_id = $1 AND event.id = fresh.id;

-- name: newest_seq
-- The newest number of a team's feed, or null if it has none.
SELECT max(seq) FROM event WHERE team_id = $1 AND seq IS NOT NULL;

-- name: feed
-- A page of a team's events after number $2, in order: at most $3 events, and $4 bytes.
-- The value of a subquery is unknown to PostgreSQL's planner. If it knew that nearly all events
-- follow $2, it might sort all of them instead of reading the first in the order of the index.
WITH later AS (
    SELECT e.id, e.contact_id, e.contact_rev, e.kind, e.actor, e.request_id, e.at, e.seq,
           (SELECT coalesce(octet_length(b.before), 0) + octet_length(b.after)
            FROM event_body AS b WHERE b.team_id = $1 AND b.event_id = e.id) AS size
    FROM event AS e WHERE e.team_id = $1 AND e.seq > (SELECT CAST($2 AS bigint))
    ORDER BY e.seq LIMIT $3
), page AS (
    SELECT later.*, row_number() OVER (ORDER BY seq) AS place,
           coalesce(sum(size) OVER (ORDER BY seq), 0) AS bytes
    FROM later
)
SELECT page.id, page.contact_rev, page.kind,
       (SELECT b.before FROM event_body AS b WHERE b.team_id = $1 AND b.event_id = page.id),
       (SELECT b.after FROM event_body AS b WHERE b.team_id = $1 AND b.event_id = page.id),
       page.actor, page.request_id, page.at, page.seq,
       (SELECT c.uuid FROM contact AS c WHERE c.team_id = $1 AND c.id = page.contact_id)
FROM page WHERE page.place = 1 OR page.bytes <= $4
ORDER BY page.seq;

-- name: erase_events
-- Delete the bodies of a contact's events. The events themselves stay.
DELETE FROM event_body
WHERE team_id = $1 AND event_id IN (
    SELECT e.id FROM event AS e WHERE e.team_id = $1 AND e.contact_id = $2
);

-- name: clear_request_ids
-- Remove the request ids from a contact's events: a client may have chosen them. The kind, the
-- revision, the time, the actor and the place in the feed stay.
UPDATE event SET request_id = '' WHERE team_id = $1 AND contact_id = $2;

-- name: labels
-- The labels of a team's credentials and users, for the actors of events.
SELECT secret_id AS id, label FROM api_secret WHERE team_id = $1
UNION ALL
SELECT key_id AS id, label FROM api_key WHERE team_id = $1
UNION ALL
SELECT 'user:' || CAST(id AS text) AS id, email AS label FROM team_user WHERE team_id = $1;
