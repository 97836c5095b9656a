-- Contacts, and what is read with them. Dialect: what PostgreSQL and SQLite share.

-- name: reach
-- How one contact can be reached, oldest channel first; no row when the team has no such contact,
-- one row of nulls for the channel when the contact has none.
SELECT c.id, c.rev, c.updated,
       ch.id, ch.channel_type, ch.channel_id, ch.scope, ch.identity, ch.channel_handle,
       ch.info_channel, ch.made_primary, ch.created, ch.updated
FROM contact AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = c.team_id AND ch.contact_id = c.id
WHERE c.team_id = $1 AND c.uuid = $2 AND c.deleted IS NULL
ORDER BY ch.created, ch.id;

-- name: contact
-- The same, with all that is known of the contact.
SELECT c.id, c.rev, c.updated,
       ch.id, ch.channel_type, ch.channel_id, ch.scope, ch.identity, ch.channel_handle,
       ch.info_channel, ch.made_primary, ch.created, ch.updated,
       c.created, c.deleted, c.first, c.last, c.display_name, c.avatar, c.assigned_user_id,
       c.external_id, c.is_opted_out, c.custom, c.tags
FROM contact AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = c.team_id AND ch.contact_id = c.id
WHERE c.team_id = $1 AND c.uuid = $2 AND c.deleted IS NULL
ORDER BY ch.created, ch.id;

-- name: contact_by_uuid
-- Whether a UUID is in use, by a deleted contact too: a UUID is never given twice.
SELECT uuid FROM contact WHERE team_id = $1 AND uuid = $2;

-- name: contact_by_external_id
-- Which contact has an external id.
SELECT uuid FROM contact WHERE team_id = $1 AND external_id = $2;

-- name: insert_contact
-- A new contact, at revision 0; the commit that follows in the same transaction makes it 1.
INSERT INTO contact (
    team_id, id, uuid, rev, updated, created, deleted, first, last, display_name, avatar,
    assigned_user_id, external_id, is_opted_out, custom, tags
) VALUES ($1, $2, $3, 0, $4, $4, NULL, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: set_contact
-- All that is known of a contact, if its revision is still the one seen. The revision itself is
-- moved by the commit that follows in the same transaction.
UPDATE contact
SET deleted = $4, first = $5, last = $6, display_name = $7, avatar = $8, assigned_user_id = $9,
    external_id = $10, is_opted_out = $11, custom = $12, tags = $13
WHERE team_id = $1 AND id = $2 AND rev = $3;

-- name: lock_contact [postgres]
-- Hold one contact's row: for a change that lost too many races to try again without.
SELECT id FROM contact WHERE team_id = $1 AND uuid = $2 FOR UPDATE;
