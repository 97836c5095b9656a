-- Contacts, and the rows that are read with them. Statements without an engine are for both.
--
-- A look-up of one contact says `coalesce(deleted, 0) = 0`, and a list `deleted IS NULL`, which is
-- the condition of the index contact_updated. Without statistics PostgreSQL expects few rows in that
-- index and would read the whole team to find one contact.

-- columns: contact_head
-- The columns that are read of every contact.
id bigint, uuid text, rev bigint, updated bigint;

-- columns: contact_dates
-- The times at which the contact was created, deleted and erased.
created bigint, deleted bigint, erased bigint;

-- columns: contact_fields
-- The fields that a request can set.
first text, last text, display_name text, avatar text, assigned_user_id bigint, external_id text,
is_opted_out boolean, custom text, tags text;

-- name: channel_list
-- A contact and its channels, the oldest channel first. Returns no row if the team has no such
-- contact, and one row with nulls for the channel if the contact has no channels.
SELECT {columns of contact_head in c}, {columns of channel in ch}
FROM contact AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = c.team_id AND ch.contact_id = c.id
WHERE c.team_id = $1 AND c.uuid = $2 AND coalesce(c.deleted, 0) = 0
ORDER BY ch.created, ch.id;

-- name: contact
-- The same, with all columns of the contact.
SELECT {columns of contact_head in c}, {columns of contact_dates in c},
       {columns of contact_fields in c}, {columns of channel in ch}
FROM contact AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = c.team_id AND ch.contact_id = c.id
WHERE c.team_id = $1 AND c.uuid = $2 AND coalesce(c.deleted, 0) = 0
ORDER BY ch.created, ch.id;

-- name: contact_ever
-- The same for a contact that may be deleted or erased; used for its history.
SELECT {columns of contact_head in c}, {columns of contact_dates in c},
       {columns of contact_fields in c}, {columns of channel in ch}
FROM contact AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = c.team_id AND ch.contact_id = c.id
WHERE c.team_id = $1 AND c.uuid = $2
ORDER BY ch.created, ch.id;

-- name: contacts_after
-- A page by time of change, oldest first. It begins at $2, has $3 + 1 contacts if there are so many,
-- at least one of them at or after $5, and ends at the end of a group of $4 microseconds.
-- Returns no rows if no contact is at or after $5, or if more than $7 are in the group of the
-- date, from $6 up to $5. Never reads more than $8 contacts, because the last group may be large.
WITH edge AS MATERIALIZED (
    SELECT coalesce((
               SELECT e.updated FROM contact AS e
               WHERE e.team_id = $1 AND e.deleted IS NULL AND e.updated >= $2
               ORDER BY e.updated LIMIT 1 OFFSET $3), 9000000000000000000) AS filled,
           (SELECT e.updated FROM contact AS e
            WHERE e.team_id = $1 AND e.deleted IS NULL AND e.updated >= $5
            ORDER BY e.updated LIMIT 1) AS beyond
)
SELECT {columns of contact_head in c}, {columns of contact_dates in c},
       {columns of contact_fields in c}, {columns of channel in ch}
FROM (
    SELECT * FROM contact AS p
    WHERE p.team_id = $1 AND p.deleted IS NULL AND p.updated >= $2
      AND p.updated < (
          SELECT CASE WHEN filled > beyond THEN filled ELSE beyond END / $4 * $4 + $4 FROM edge)
      AND NOT EXISTS (
          SELECT 1 FROM contact AS g
          WHERE g.team_id = $1 AND g.deleted IS NULL AND g.updated >= $6 AND g.updated < $5
          LIMIT 1 OFFSET $7)
    ORDER BY p.updated, p.id LIMIT $8
) AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = $1 AND ch.contact_id = c.id
ORDER BY c.updated, c.id, ch.created, ch.id;

-- name: contacts_before
-- The same, newest first: the page begins before $2 and has at least one contact before $5. The group
-- of the date is everything from $5 up to $6.
WITH edge AS MATERIALIZED (
    SELECT coalesce((
               SELECT e.updated FROM contact AS e
               WHERE e.team_id = $1 AND e.deleted IS NULL AND e.updated < $2
               ORDER BY e.updated DESC LIMIT 1 OFFSET $3), 0) AS filled,
           (SELECT e.updated FROM contact AS e
            WHERE e.team_id = $1 AND e.deleted IS NULL AND e.updated < $5
            ORDER BY e.updated DESC LIMIT 1) AS beyond
)
SELECT {columns of contact_head in c}, {columns of contact_dates in c},
       {columns of contact_fields in c}, {columns of channel in ch}
FROM (
    SELECT * FROM contact AS p
    WHERE p.team_id = $1 AND p.deleted IS NULL AND p.updated < $2
      AND p.updated >= (
          SELECT CASE WHEN filled < beyond THEN filled ELSE beyond END / $4 * $4 FROM edge)
      AND NOT EXISTS (
          SELECT 1 FROM contact AS g
          WHERE g.team_id = $1 AND g.deleted IS NULL AND g.updated >= $5 AND g.updated < $6
          LIMIT 1 OFFSET $7)
    ORDER BY p.updated DESC, p.id DESC LIMIT $8
) AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = $1 AND ch.contact_id = c.id
ORDER BY c.updated DESC, c.id DESC, ch.created, ch.id;

-- name: contact_ids_after
-- The ids of $3 contacts at or after $2 by time of change, oldest first, after skipping $4.
SELECT id, updated FROM contact
WHERE team_id = $1 AND deleted IS NULL AND updated >= $2
ORDER BY updated, id LIMIT $3 OFFSET $4;

-- name: contact_ids_before
-- The ids of contacts before $2, newest first; otherwise the same.
SELECT id, updated FROM contact
WHERE team_id = $1 AND deleted IS NULL AND updated < $2
ORDER BY updated DESC, id DESC LIMIT $3 OFFSET $4;

-- name: contacts_of [postgres]
-- The contacts of a JSON array of ids. OFFSET 0 makes each of them one index look-up.
SELECT {columns of contact_head in c}, {columns of contact_dates in c},
       {columns of contact_fields in c}, {columns of channel in ch}
FROM jsonb_array_elements_text($2::text::jsonb) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT * FROM contact AS one
    WHERE one.team_id = $1 AND one.id = wanted.id::bigint AND coalesce(one.deleted, 0) = 0
    OFFSET 0
) AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = $1 AND ch.contact_id = c.id
ORDER BY c.id, ch.created, ch.id;

-- name: contacts_of [sqlite]
-- The contacts of a JSON array of ids. CROSS keeps SQLite from reading all contacts.
SELECT {columns of contact_head in c}, {columns of contact_dates in c},
       {columns of contact_fields in c}, {columns of channel in ch}
FROM json_each($2) AS wanted
CROSS JOIN contact AS c ON c.team_id = $1 AND c.id = wanted.value AND c.deleted IS NULL
LEFT JOIN contact_channel AS ch ON ch.team_id = c.team_id AND ch.contact_id = c.id
ORDER BY c.id, ch.created, ch.id;

-- name: contact_by_uuid
-- Whether a UUID is in use. Deleted contacts count, because a UUID is never used again.
SELECT uuid FROM contact WHERE team_id = $1 AND uuid = $2;

-- name: contact_by_external_id
-- The contact that has an external id.
SELECT uuid FROM contact WHERE team_id = $1 AND external_id = $2;

-- name: ids_of_uuids [postgres]
-- The ids of a JSON array of contacts' UUIDs. OFFSET 0 makes each one look-up.
SELECT c.uuid, c.id
FROM jsonb_array_elements_text($2::text::jsonb) AS wanted (uuid)
CROSS JOIN LATERAL (
    SELECT one.uuid, one.id FROM contact AS one
    WHERE one.team_id = $1 AND one.uuid = wanted.uuid
    OFFSET 0
) AS c;

-- name: ids_of_uuids [sqlite]
-- The ids of a JSON array of contacts' UUIDs.
SELECT c.uuid, c.id
FROM json_each($2) AS wanted
CROSS JOIN contact AS c ON c.team_id = $1 AND c.uuid = wanted.value;

-- name: known_external_ids [postgres]
-- Those of a JSON array of external ids that contacts have. OFFSET 0 makes each one look-up.
SELECT c.external_id
FROM jsonb_array_elements_text($2::text::jsonb) AS wanted (external_id)
CROSS JOIN LATERAL (
    SELECT one.external_id FROM contact AS one
    WHERE one.team_id = $1 AND one.external_id = wanted.external_id
    OFFSET 0
) AS c;

-- name: known_external_ids [sqlite]
-- Those of a JSON array of external ids that contacts have.
SELECT c.external_id
FROM json_each($2) AS wanted
CROSS JOIN contact AS c ON c.team_id = $1 AND c.external_id = wanted.value;

-- name: insert_contacts [postgres]
-- New contacts from a JSON array, at their first revision.
INSERT INTO contact (team_id, id, uuid, rev, updated, created, {columns of contact_fields})
SELECT $1, new.id, new.uuid, new.rev, new.updated, new.created, {columns of contact_fields in new}
FROM jsonb_to_recordset($2::text::jsonb) AS new (
    id bigint, uuid text, rev bigint, updated bigint, created bigint, {types of contact_fields}
);

-- name: insert_contact
-- Insert a contact at revision 0; the commit that follows in the same transaction makes it 1.
INSERT INTO contact (
    team_id, id, uuid, rev, updated, created, {columns of contact_fields}
) VALUES ($1, $2, $3, 0, $4, $4, {parameters of contact_fields from 5});

-- name: set_contact
-- Update the fields of a contact, if it still has the revision that was read. The commit that follows
-- in the same transaction increases the revision.
UPDATE contact
SET deleted = $4, erased = $5, {assignments of contact_fields from 6}
WHERE team_id = $1 AND id = $2 AND rev = $3;

-- name: revision [postgres]
-- The revision of a contact. Waits for an erasure that is running; a later erasure waits for this
-- transaction. Used to store a response if its commit writes nothing else.
SELECT rev FROM contact WHERE team_id = $1 AND id = $2 FOR KEY SHARE;

-- name: revision [sqlite]
-- The revision of a contact.
SELECT rev FROM contact WHERE team_id = $1 AND id = $2;

-- name: lock_contacts [postgres]
-- Lock contacts in the order of their ids, so that two transactions do not wait for each other. Used
-- for a change whose attempts without locks failed, and for a change that moves addresses.
SELECT id FROM contact WHERE team_id = $1 AND uuid = ANY ($2::text::text[]) ORDER BY id FOR UPDATE;
