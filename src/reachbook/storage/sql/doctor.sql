-- The statements of the doctor, which reads in bounded pages.

-- name: doctor_next_team
-- The first team after $1 that has a row in any table; its own row may be missing.
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
-- A page of the channels of contacts up to number $4, after a channel. The contacts need not exist.
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
-- The indexes that exist and can be used.
SELECT c.relname
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indisvalid AND c.relnamespace = current_schema()::regnamespace;

-- name: doctor_indexes [sqlite]
-- The indexes that exist.
SELECT name FROM sqlite_schema WHERE type = 'index';

-- name: doctor_set_revision
-- Correct the revision of a contact to $4, that of its newest event, if it is still as it was read.
UPDATE contact SET rev = $4 WHERE team_id = $1 AND id = $2 AND rev = $3;

-- name: doctor_remove_orphan
-- Delete a channel that belongs to no contact, so that its address can be used again.
DELETE FROM contact_channel
WHERE team_id = $1 AND id = $2 AND NOT EXISTS (
    SELECT 1 FROM contact
    WHERE contact.team_id = $1 AND contact.id = contact_channel.contact_id
);
