-- Answers that are kept so that a retry gets the same one.

-- name: kept_answer
-- The answer kept under a key.
SELECT request_hash, status, headers, body, created FROM idempotency
WHERE team_id = $1 AND key = $2;

-- name: keep_answer
-- Keep an answer in the transaction of its effect. A key that has grown old ($9) may be used
-- again; no row comes back when the key is in use.
INSERT INTO idempotency (
    team_id, key, request_hash, status, headers, body, contact_id, created
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (team_id, key) DO UPDATE
SET request_hash = excluded.request_hash, status = excluded.status, headers = excluded.headers,
    body = excluded.body, contact_id = excluded.contact_id, created = excluded.created
WHERE idempotency.created < $9
RETURNING key;

-- name: forget_old_answers
-- Let some of the keys that have grown old go, few enough that nobody notices: at least $3 + 1 of
-- them, if there are as many.
DELETE FROM idempotency
WHERE team_id = $1 AND created < $2 AND created <= coalesce((
    SELECT edge.created FROM idempotency AS edge
    WHERE edge.team_id = $1 AND edge.created < $2
    ORDER BY edge.created LIMIT 1 OFFSET $3), $2)
RETURNING key;

-- name: forget_answers [postgres]
-- Let the answers go that speak of a contact ($2 its id, $3 its UUID).
DELETE FROM idempotency
WHERE team_id = $1 AND (contact_id = $2 OR position($3 IN lower(convert_from(body, 'UTF8'))) > 0);

-- name: forget_answers [sqlite]
-- Let the answers go that speak of a contact ($2 its id, $3 its UUID).
DELETE FROM idempotency
WHERE team_id = $1 AND (contact_id = $2 OR instr(lower(CAST(body AS TEXT)), $3) > 0);
