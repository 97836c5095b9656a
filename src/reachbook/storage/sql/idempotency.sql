-- Responses that are stored, so that a retry gets the same response.

-- name: stored_response
-- The response that is stored under a key.
SELECT request_hash, status, headers, body, created FROM idempotency
WHERE team_id = $1 AND key = $2;

-- name: store_response [postgres]
-- Store a response in the transaction of its effect, and the contacts that it mentions ($9). A key
-- that was used before $8 may be used again. Returns no row if the key is in use.
-- The contacts of the previous response are deleted, except those that both responses mention.
WITH stored AS (
    INSERT INTO idempotency (team_id, key, request_hash, status, headers, body, created)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (team_id, key) DO UPDATE
    SET request_hash = excluded.request_hash, status = excluded.status,
        headers = excluded.headers, body = excluded.body, created = excluded.created
    WHERE idempotency.created < $8
    RETURNING key
), forgotten AS (
    DELETE FROM idempotency_contact AS old USING stored
    WHERE old.team_id = $1 AND old.key = stored.key AND old.contact_uuid <> ALL ($9::text::text[])
), named AS (
    INSERT INTO idempotency_contact (team_id, contact_uuid, key)
    SELECT $1, contact.uuid, stored.key
    FROM stored, unnest($9::text::text[]) AS contact (uuid)
    ON CONFLICT (team_id, contact_uuid, key) DO NOTHING
)
SELECT key FROM stored;

-- name: store_responses [postgres]
-- Store the responses of new contacts, from a JSON array of rows with the contact that each names.
-- Keys that were used before $3 may be used again. Returns the keys that were stored.
WITH new AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($2::text::jsonb) AS row (
        key text, request_hash text, status smallint, headers text, body text, created bigint,
        contact_uuid text
    )
), stored AS (
    INSERT INTO idempotency (team_id, key, request_hash, status, headers, body, created)
    SELECT $1, new.key, decode(new.request_hash, 'base64'), new.status, new.headers,
           decode(new.body, 'base64'), new.created
    FROM new ORDER BY new.key COLLATE "C"
    ON CONFLICT (team_id, key) DO UPDATE
    SET request_hash = excluded.request_hash, status = excluded.status,
        headers = excluded.headers, body = excluded.body, created = excluded.created
    WHERE idempotency.created < $3
    RETURNING key
), forgotten AS (
    DELETE FROM idempotency_contact AS old USING stored
    WHERE old.team_id = $1 AND old.key = stored.key
), named AS (
    INSERT INTO idempotency_contact (team_id, contact_uuid, key)
    SELECT $1, new.contact_uuid, stored.key FROM stored JOIN new ON new.key = stored.key
)
SELECT key FROM stored;

-- name: store_response [sqlite]
-- Store a response in the transaction of its effect. A key that was used before $8 may be used
-- again. Returns no row if the key is in use.
INSERT INTO idempotency (team_id, key, request_hash, status, headers, body, created)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (team_id, key) DO UPDATE
SET request_hash = excluded.request_hash, status = excluded.status, headers = excluded.headers,
    body = excluded.body, created = excluded.created
WHERE idempotency.created < $8
RETURNING key;

-- name: delete_response_contacts [sqlite]
-- Delete the contacts that the previous response mentioned, if its key is used again.
DELETE FROM idempotency_contact WHERE team_id = $1 AND key = $2;

-- name: insert_response_contacts [sqlite]
-- Insert the contacts that a stored response mentions, from a JSON array of UUIDs.
INSERT INTO idempotency_contact (team_id, contact_uuid, key)
SELECT $1, named.value, $2 FROM json_each($3) AS named;

-- name: lock_response_contacts [postgres]
-- Wait for erasures of the contacts that a response mentions ($2), and make later erasures wait for
-- this transaction. Each row says whether the contact is erased. The order is that of ids, as for
-- every lock of several contacts. KEY SHARE conflicts with the lock of an erasure, but not with
-- ordinary writes.
SELECT erased FROM contact WHERE team_id = $1 AND uuid = ANY ($2::text::text[])
ORDER BY id FOR KEY SHARE;

-- name: erased_contacts [sqlite]
-- The UUIDs of a JSON array whose contacts are erased.
SELECT contact.uuid
FROM json_each($2) AS named
CROSS JOIN contact ON contact.team_id = $1 AND contact.uuid = named.value
WHERE contact.team_id = $1 AND contact.erased IS NOT NULL;

-- name: purge_expired_responses
-- Delete expired keys: at least $3 + 1 of them, if there are so many. The number is small, so that
-- other requests are not delayed.
DELETE FROM idempotency
WHERE team_id = $1 AND created < $2 AND created <= coalesce((
    SELECT edge.created FROM idempotency AS edge
    WHERE edge.team_id = $1 AND edge.created < $2
    ORDER BY edge.created LIMIT 1 OFFSET $3), $2)
RETURNING key;

-- name: purge_responses
-- Delete the stored responses that mention a contact. The rows that name their contacts are deleted by
-- the cascade.
DELETE FROM idempotency
WHERE team_id = $1 AND key IN (
    SELECT named.key FROM idempotency_contact AS named
    WHERE named.team_id = $1 AND named.contact_uuid = $2);
