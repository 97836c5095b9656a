-- The steps of a commit, and of other writes, on Citus; each write is a transaction.
--
-- Citus runs a statement with several writes by way of the coordinator, with a two-phase commit. A
-- statement that names one team for each of its tables is sent to one shard as it is, so each step
-- is a statement of its own. Together they do the same as `commit`, `store_response` and
-- `end_suppression`; the order is in single_shard.py.

-- name: step_owner [postgres]
-- Returns a row if another contact owns an address of the JSON array $4 and the revision is still $3.
SELECT ch.contact_id
FROM contact AS c
CROSS JOIN jsonb_to_recordset($4::text::jsonb) AS new (channel_type text, scope text, identity text)
CROSS JOIN LATERAL (
    SELECT one.contact_id FROM contact_channel AS one
    WHERE one.team_id = $1 AND one.channel_type = new.channel_type
      AND one.identity = new.identity AND one.scope = new.scope AND one.contact_id <> $2
    OFFSET 0
) AS ch
WHERE c.team_id = $1 AND c.id = $2 AND c.rev = $3
LIMIT 1;

-- name: step_revision [postgres]
-- Increase the revision by one if it is still $3. Returns no row if it is another.
UPDATE contact SET rev = $3 + 1, updated = $4
WHERE team_id = $1 AND id = $2 AND rev = $3
RETURNING id;

-- name: step_remove [postgres]
-- Delete channels of the contact.
DELETE FROM contact_channel
WHERE team_id = $1 AND contact_id = $2 AND id = ANY ($3::text::bigint[]);

-- name: step_update [postgres]
-- Update channels of the contact, from a JSON array.
UPDATE contact_channel
SET {assignments of channel_changes in new}
FROM jsonb_to_recordset($3::text::jsonb) AS new (id bigint, {types of channel_changes})
WHERE contact_channel.team_id = $1 AND contact_channel.contact_id = $2
  AND contact_channel.id = new.id;

-- name: step_insert [postgres]
-- Insert channels of the contact, from a JSON array. The team is read from the row of the contact,
-- because Citus sends an INSERT ... SELECT to a shard only if team_id comes from a table. There is
-- no ON CONFLICT clause: an id that was allocated twice must make the statement fail.
INSERT INTO contact_channel (team_id, contact_id, {columns of channel})
SELECT c.team_id, c.id, {columns of channel in new}
FROM contact AS c
CROSS JOIN jsonb_to_recordset($3::text::jsonb) AS new ({types of channel})
WHERE c.team_id = $1 AND c.id = $2;

-- name: step_suppress [postgres]
-- Insert suppressions from a JSON array, unless they are there.
INSERT INTO suppression (team_id, digest, reason, identity_version, at)
SELECT c.team_id, new.digest, new.reason, new.identity_version, new.at
FROM contact AS c
CROSS JOIN jsonb_to_recordset($3::text::jsonb) AS new (
    digest text, reason text, identity_version smallint, at bigint
)
WHERE c.team_id = $1 AND c.id = $2
ON CONFLICT (team_id, digest, reason) DO NOTHING;

-- name: step_end_suppressions [postgres]
-- Delete the suppressions of digests for one reason.
DELETE FROM suppression
WHERE team_id = $1 AND digest = ANY ($2::text::text[]) AND reason = $3;

-- name: step_names [postgres]
-- Insert the words of a contact from a JSON array; see `step_insert`.
INSERT INTO contact_name (team_id, word, contact_id)
SELECT c.team_id, new.word, c.id
FROM contact AS c
CROSS JOIN jsonb_array_elements_text($3::text::jsonb) AS new (word)
WHERE c.team_id = $1 AND c.id = $2;

-- name: step_event [postgres]
-- Insert the event of the commit.
INSERT INTO event (team_id, contact_id, contact_rev, kind, actor, request_id, at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id;

-- name: step_event_body [postgres]
-- Insert the changed values of an event, before and after.
INSERT INTO event_body (team_id, event_id, before, after) VALUES ($1, $2, $3, $4);

-- name: step_response [postgres]
-- Store a response. A key that was used before $8 may be used again. Returns no row if the key is
-- in use.
INSERT INTO idempotency (team_id, key, request_hash, status, headers, body, created)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (team_id, key) DO UPDATE
SET request_hash = excluded.request_hash, status = excluded.status,
    headers = excluded.headers, body = excluded.body, created = excluded.created
WHERE idempotency.created < $8
RETURNING key;

-- name: step_delete_response_contacts [postgres]
-- Delete the contacts that the previous response of a key mentioned, except those of $3.
DELETE FROM idempotency_contact
WHERE team_id = $1 AND key = $2 AND contact_uuid <> ALL ($3::text::text[]);

-- name: step_response_contacts [postgres]
-- Insert the contacts that a stored response mentions.
INSERT INTO idempotency_contact (team_id, contact_uuid, key)
SELECT i.team_id, contact.uuid, i.key
FROM idempotency AS i
CROSS JOIN unnest($3::text::text[]) AS contact (uuid)
WHERE i.team_id = $1 AND i.key = $2
ON CONFLICT (team_id, contact_uuid, key) DO NOTHING;

-- name: step_end_suppression [postgres]
-- End a suppression of an address that nobody owns ($4 to $6). Returns no row if there is none or
-- if a contact owns the address.
DELETE FROM suppression
WHERE team_id = $1 AND digest = $2 AND reason = $3 AND NOT EXISTS (
    SELECT 1 FROM contact_channel AS ch
    WHERE ch.team_id = $1 AND ch.channel_type = $4 AND ch.scope = $5 AND ch.identity = $6)
RETURNING digest;

-- name: step_record_end [postgres]
-- Record the end of a suppression, with its time and actor.
INSERT INTO ended_suppression (team_id, digest, reason, ended, actor)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (team_id, digest, reason, ended) DO NOTHING;
