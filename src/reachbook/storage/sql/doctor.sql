-- What the doctor reads, in bounded pages, and what only it writes.

-- name: doctor_next_team
-- The first team after $1 that has a row anywhere, its own row or not.
SELECT min(team_id) FROM (
    SELECT min(team_id) AS team_id FROM team WHERE team_id > $1
    UNION ALL SELECT min(team_id) FROM api_secret WHERE team_id > $1
    UNION ALL SELECT min(team_id) FROM contact WHERE team_id > $1
    UNION ALL SELECT min(team_id) FROM contact_channel WHERE team_id > $1
    UNION ALL SELECT min(team_id) FROM event WHERE team_id > $1
    UNION ALL SELECT min(team_id) FROM event_body WHERE team_id > $1
    UNION ALL SELECT min(team_id) FROM suppression_key WHERE team_id > $1
    UNION ALL SELECT min(team_id) FROM suppression WHERE team_id > $1
) AS every;

-- name: doctor_contacts
-- A page of the contacts after number $2 and up to $3, deleted ones too.
SELECT {columns of contact_head}, {columns of contact_dates}, {columns of contact_fields}
FROM contact
WHERE team_id = $1 AND id > $2 AND id <= $3
ORDER BY id LIMIT $4;

-- name: doctor_channels
-- A page of the channels of contacts up to number $4, after a channel; whether or not there is
-- such a contact.
SELECT contact_id, {columns of channel}
FROM contact_channel
WHERE team_id = $1 AND (contact_id, id) > ($2, $3) AND contact_id <= $4
ORDER BY contact_id, id LIMIT $5;

-- name: doctor_events
-- A page of the events of contacts up to number $5, after an event, in the order of revisions: at
-- most $6 events, and $7 bytes of bodies; the first event is always in it.
WITH following AS (
    SELECT e.contact_id, e.contact_rev, e.id, e.at,
           (SELECT coalesce(octet_length(b.before), 0) + octet_length(b.after)
            FROM event_body AS b WHERE b.team_id = $1 AND b.event_id = e.id) AS size
    FROM event AS e
    WHERE e.team_id = $1 AND (e.contact_id, e.contact_rev, e.id) > ($2, $3, $4)
      AND e.contact_id <= $5
    ORDER BY e.contact_id, e.contact_rev, e.id LIMIT $6
), page AS (
    SELECT following.*, row_number() OVER (ORDER BY contact_id, contact_rev, id) AS place,
           coalesce(sum(size) OVER (ORDER BY contact_id, contact_rev, id), 0) AS bytes
    FROM following
)
SELECT page.contact_id, page.contact_rev, page.id, page.at,
       (SELECT b.before FROM event_body AS b WHERE b.team_id = $1 AND b.event_id = page.id),
       (SELECT b.after FROM event_body AS b WHERE b.team_id = $1 AND b.event_id = page.id)
FROM page WHERE page.place = 1 OR page.bytes <= $7
ORDER BY page.contact_id, page.contact_rev, page.id;

-- name: doctor_bodies
-- A page of the events' bodies after event $2: the event that each names, and null if there is none.
SELECT b.event_id, (SELECT e.id FROM event AS e WHERE e.team_id = $1 AND e.id = b.event_id)
FROM event_body AS b WHERE b.team_id = $1 AND b.event_id > $2
ORDER BY b.event_id LIMIT $3;

-- name: doctor_duplicates
-- Channels of the contacts after number $2 and up to $3 whose address another channel had before.
SELECT ch.contact_id, ch.id, other.id, other.contact_id
FROM contact_channel AS ch
JOIN contact_channel AS other
    ON other.team_id = ch.team_id AND other.channel_type = ch.channel_type
    AND other.scope = ch.scope AND other.identity = ch.identity AND other.id < ch.id
WHERE ch.team_id = $1 AND ch.contact_id > $2 AND ch.contact_id <= $3
ORDER BY ch.contact_id, ch.id, other.id LIMIT $4;

-- name: doctor_feed
-- A page of the feed's numbers after $2.
SELECT seq FROM event WHERE team_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: doctor_indexes [postgres]
-- The indexes that are there and can be used.
SELECT c.relname
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indisvalid AND c.relnamespace = current_schema()::regnamespace;

-- name: doctor_indexes [sqlite]
-- The indexes that are there.
SELECT name FROM sqlite_schema WHERE type = 'index';

-- name: doctor_set_revision
-- The revision of a contact ($4) that had fallen behind its own events, if it is still as seen.
UPDATE contact SET rev = $4 WHERE team_id = $1 AND id = $2 AND rev = $3;

-- name: doctor_remove_stray
-- A channel of no contact goes, which frees its address.
DELETE FROM contact_channel
WHERE team_id = $1 AND id = $2 AND NOT EXISTS (
    SELECT 1 FROM contact
    WHERE contact.team_id = $1 AND contact.id = contact_channel.contact_id
);
