-- API secrets and API keys, each read with its team's default region.

-- name: api_secret
-- One API secret, live or revoked.
SELECT s.team_id, s.secret_id AS id, s.sealed AS proof, s.label, s.representation, s.read_only,
       s.created, s.last_used, s.revoked, t.default_region
FROM api_secret AS s JOIN team AS t ON t.team_id = s.team_id
WHERE s.team_id = $1 AND s.secret_id = $2;

-- name: api_key
-- One API key, live or revoked.
SELECT k.team_id, k.key_id AS id, k.hash AS proof, k.label, k.representation, k.read_only,
       k.created, k.last_used, k.revoked, t.default_region
FROM api_key AS k JOIN team AS t ON t.team_id = k.team_id
WHERE k.team_id = $1 AND k.key_id = $2;

-- name: api_secrets
-- A team's API secrets, oldest first.
SELECT s.team_id, s.secret_id AS id, s.sealed AS proof, s.label, s.representation, s.read_only,
       s.created, s.last_used, s.revoked, t.default_region
FROM api_secret AS s JOIN team AS t ON t.team_id = s.team_id
WHERE s.team_id = $1 ORDER BY s.created, s.secret_id;

-- name: api_keys
-- A team's API keys, oldest first.
SELECT k.team_id, k.key_id AS id, k.hash AS proof, k.label, k.representation, k.read_only,
       k.created, k.last_used, k.revoked, t.default_region
FROM api_key AS k JOIN team AS t ON t.team_id = k.team_id
WHERE k.team_id = $1 ORDER BY k.created, k.key_id;

-- name: any_api_secret
-- One live secret of any team. The program opens it when it starts, to check the master key.
SELECT s.secret_id, s.sealed FROM api_secret AS s WHERE s.revoked IS NULL ORDER BY s.created DESC LIMIT 1;

-- name: taken_slots
-- The slots of a team, 1 or 2, that hold a live secret.
SELECT slot FROM api_secret WHERE team_id = $1 AND revoked IS NULL;

-- name: insert_api_secret
-- A new API secret in a free slot.
INSERT INTO api_secret (
    team_id, secret_id, slot, sealed, label, representation, read_only, created
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: insert_api_key
-- A new API key.
INSERT INTO api_key (
    team_id, key_id, hash, label, representation, read_only, created
) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: reseal_api_secret
-- Store the key of a secret sealed under another master key, if it is still as it was read ($3).
UPDATE api_secret SET sealed = $4
WHERE team_id = $1 AND secret_id = $2 AND sealed = $3 RETURNING secret_id;

-- name: revoke_api_secret
-- Revoke a live secret. Returns no row if it was revoked before.
UPDATE api_secret SET revoked = $3
WHERE team_id = $1 AND secret_id = $2 AND revoked IS NULL RETURNING secret_id;

-- name: revoke_api_key
-- Revoke a live key. Returns no row if it was revoked before.
UPDATE api_key SET revoked = $3
WHERE team_id = $1 AND key_id = $2 AND revoked IS NULL RETURNING key_id;

-- name: use_api_secret
-- Store when a secret was last used, unless another worker stored a time after $4.
UPDATE api_secret SET last_used = $3
WHERE team_id = $1 AND secret_id = $2 AND (last_used IS NULL OR last_used < $4);

-- name: use_api_key
-- Store when a key was last used, unless another worker stored a time after $4.
UPDATE api_key SET last_used = $3
WHERE team_id = $1 AND key_id = $2 AND (last_used IS NULL OR last_used < $4);
