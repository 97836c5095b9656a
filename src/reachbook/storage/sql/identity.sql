-- The migration of stored identities to newer rules.

-- name: any_channel
-- Whether there is any channel.
SELECT 1 FROM contact_channel LIMIT 1;

-- name: other_sessions [postgres]
-- How many other sessions of the program are connected to this database. A session that migrates
-- has another name.
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid();

-- name: lock_store_info [postgres]
-- A fact about the store, locked until the transaction ends.
SELECT value FROM store_info WHERE name = $1 FOR UPDATE;

-- name: lock_store_info [sqlite]
-- A fact about the store. Its transaction is the only one that writes.
SELECT value FROM store_info WHERE name = $1;

-- name: identity_next_team
-- The first team after $1 that has a channel.
SELECT min(team_id) FROM contact_channel WHERE team_id > $1;

-- name: identity_page
-- A page of a team's channels after number $2.
SELECT id, channel_type, channel_id, scope, identity, created
FROM contact_channel WHERE team_id = $1 AND id > $2 ORDER BY id LIMIT $3;

-- name: identity_holder
-- The channel that has an identity.
SELECT id, channel_type, channel_id, scope, identity, created
FROM contact_channel
WHERE team_id = $1 AND channel_type = $2 AND scope = $3 AND identity = $4;

-- name: identity_channel
-- A channel by its number, and the UUID of its contact.
SELECT ch.id, ch.channel_type, ch.channel_id, ch.scope, ch.identity, ch.created, c.uuid
FROM contact_channel AS ch
LEFT JOIN contact AS c ON c.team_id = ch.team_id AND c.id = ch.contact_id
WHERE ch.team_id = $1 AND ch.id = $2;

-- name: set_identity
-- Give a channel another identity.
UPDATE contact_channel SET identity = $3 WHERE team_id = $1 AND id = $2;
