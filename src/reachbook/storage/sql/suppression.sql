-- Suppressions: the opt-outs and bounces of addresses, by keyed hash, and each team's key.

-- name: suppressions [postgres]
-- The suppressions of a JSON array of digests. OFFSET 0 makes each of them one index look-up.
SELECT s.digest, s.reason, s.at, s.identity_version
FROM jsonb_array_elements_text($2::text::jsonb) AS wanted (digest)
CROSS JOIN LATERAL (
    SELECT one.digest, one.reason, one.at, one.identity_version FROM suppression AS one
    WHERE one.team_id = $1 AND one.digest = wanted.digest
    OFFSET 0
) AS s;

-- name: suppressions [sqlite]
-- The suppressions of a JSON array of digests.
SELECT s.digest, s.reason, s.at, s.identity_version
FROM json_each($2) AS wanted
CROSS JOIN suppression AS s ON s.team_id = $1 AND s.digest = wanted.value;

-- name: insert_suppression [sqlite]
-- A step of a commit: suppress an address, unless it is suppressed already.
INSERT INTO suppression (team_id, digest, reason, at, identity_version)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (team_id, digest, reason) DO NOTHING;

-- name: delete_suppression [sqlite]
-- A step of a commit: end a suppression, because of an explicit consent or the end of a hold.
DELETE FROM suppression WHERE team_id = $1 AND digest = $2 AND reason = $3;

-- name: end_suppression [postgres]
-- End a suppression of an address that nobody owns ($4 to $6), and record the actor. Returns no row
-- if there is no suppression or if a contact owns the address.
WITH ended AS (
    DELETE FROM suppression AS s
    WHERE s.team_id = $1 AND s.digest = $2 AND s.reason = $3 AND NOT EXISTS (
        SELECT 1 FROM contact_channel AS ch
        WHERE ch.team_id = $1 AND ch.channel_type = $4 AND ch.scope = $5 AND ch.identity = $6)
    RETURNING s.digest, s.reason
), noted AS (
    INSERT INTO ended_suppression (team_id, digest, reason, ended, actor)
    SELECT $1, ended.digest, ended.reason, $7, $8 FROM ended
    ON CONFLICT (team_id, digest, reason, ended) DO NOTHING
)
SELECT ended.digest FROM ended;

-- name: end_suppression [sqlite]
-- End a suppression of an address that nobody owns ($4 to $6). Returns no row if there is none or
-- if a contact owns the address; note_ended_suppression follows in the same transaction.
DELETE FROM suppression
WHERE team_id = $1 AND digest = $2 AND reason = $3 AND NOT EXISTS (
    SELECT 1 FROM contact_channel AS ch
    WHERE ch.team_id = $1 AND ch.channel_type = $4 AND ch.scope = $5 AND ch.identity = $6)
RETURNING digest;

-- name: record_ended_suppression [sqlite]
-- Record the end of a suppression, with its time and actor.
INSERT INTO ended_suppression (team_id, digest, reason, ended, actor)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (team_id, digest, reason, ended) DO NOTHING;

-- name: delete_bounces [postgres]
-- Delete the bounces of an erased contact's addresses.
DELETE FROM suppression
WHERE team_id = $1 AND digest = ANY ($2::text::text[]) AND reason = 'bounced';

-- name: delete_bounces [sqlite]
-- Delete the bounces of an erased contact's addresses.
DELETE FROM suppression
WHERE team_id = $1 AND digest IN (SELECT value FROM json_each($2)) AND reason = 'bounced';

-- name: coarsen_suppressions [postgres]
-- Cut the times of the opt-outs of an erased contact's addresses to days.
UPDATE suppression SET at = at - at % 86400000000
WHERE team_id = $1 AND digest = ANY ($2::text::text[]);

-- name: coarsen_suppressions [sqlite]
-- Cut the times of the opt-outs of an erased contact's addresses to days.
UPDATE suppression SET at = at - at % 86400000000
WHERE team_id = $1 AND digest IN (SELECT value FROM json_each($2));

-- name: delete_ended_suppressions [postgres]
-- Delete the records of ended suppressions of an erased contact's addresses.
DELETE FROM ended_suppression WHERE team_id = $1 AND digest = ANY ($2::text::text[]);

-- name: delete_ended_suppressions [sqlite]
-- Delete the records of ended suppressions of an erased contact's addresses.
DELETE FROM ended_suppression
WHERE team_id = $1 AND digest IN (SELECT value FROM json_each($2));

-- name: suppression_key
-- A team's sealed key.
SELECT k.sealed FROM suppression_key AS k WHERE k.team_id = $1;

-- name: suppression_keys
-- The sealed key of every team. Read at the start and when the master key changes.
SELECT k.team_id, k.sealed FROM suppression_key AS k ORDER BY k.team_id;

-- name: insert_suppression_key
-- Insert a team's key, unless another process has inserted one.
INSERT INTO suppression_key (team_id, sealed) VALUES ($1, $2)
ON CONFLICT (team_id) DO NOTHING;

-- name: reseal_suppression_key
-- Replace a team's sealed key, if it is still as it was read ($2).
UPDATE suppression_key SET sealed = $3 WHERE team_id = $1 AND sealed = $2 RETURNING team_id;

-- name: discard_suppressions
-- Delete the suppressions of a team whose key is lost: no address can be compared with them.
DELETE FROM suppression WHERE team_id = $1;

-- name: discard_ended_suppressions
-- Delete the records of ended suppressions of a team whose key is lost.
DELETE FROM ended_suppression WHERE team_id = $1;

-- name: discard_suppression_key
-- Delete a team's key that no master key opens, if it is still as it was read ($2).
DELETE FROM suppression_key WHERE team_id = $1 AND sealed = $2 RETURNING team_id;
