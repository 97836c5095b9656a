-- Contact channels, and the commit: the one way by which a contact changes.

-- name: owner
-- Who owns an address: the contact's UUID and the channel.
SELECT c.uuid,
       ch.id, ch.channel_type, ch.channel_id, ch.scope, ch.identity, ch.channel_handle,
       ch.info_channel, ch.made_primary, ch.created, ch.updated
FROM contact_channel AS ch
JOIN contact AS c ON c.team_id = ch.team_id AND c.id = ch.contact_id
WHERE ch.team_id = $1 AND ch.channel_type = $2 AND ch.scope = $3 AND ch.identity = $4;

-- name: commit [postgres]
-- The whole commit in one round trip: if the revision is still the one seen ($3), it moves by one,
-- the channels $5 go, the channels of the JSON array $6 come or change, and the event is told.
-- No row comes back when the revision had moved; then nothing was written.
WITH held AS (
    UPDATE contact SET rev = $3 + 1, updated = $4
    WHERE team_id = $1 AND id = $2 AND rev = $3
    RETURNING id
), removed AS (
    DELETE FROM contact_channel USING held
    WHERE contact_channel.team_id = $1
      AND contact_channel.contact_id = held.id
      AND contact_channel.id = ANY ($5::bigint[])
), kept AS (
    INSERT INTO contact_channel (
        team_id, id, contact_id, channel_type, channel_id, scope, identity, channel_handle,
        info_channel, made_primary, created, updated
    )
    SELECT $1, new.id, held.id, new.channel_type, new.channel_id, new.scope, new.identity,
           new.channel_handle, new.info_channel, new.made_primary, new.created, new.updated
    FROM held, jsonb_to_recordset($6::jsonb) AS new (
        id bigint, channel_type text, channel_id text, scope text, identity text,
        channel_handle text, info_channel text, made_primary bigint, created bigint, updated bigint
    )
    ON CONFLICT (team_id, id) DO UPDATE
    SET channel_id = excluded.channel_id, scope = excluded.scope, identity = excluded.identity,
        channel_handle = excluded.channel_handle, info_channel = excluded.info_channel,
        made_primary = excluded.made_primary, updated = excluded.updated
)
INSERT INTO event (team_id, contact_id, contact_rev, kind, before, after, actor, request_id, at)
SELECT $1, held.id, $3 + 1, $7, $8, $9, $10, $11, $4 FROM held
RETURNING event.id;

-- name: move_revision [sqlite]
-- The first step of a commit: the revision moves by one, if it is still the one seen.
UPDATE contact SET rev = $3 + 1, updated = $4 WHERE team_id = $1 AND id = $2 AND rev = $3;

-- name: remove_channel [sqlite]
-- A channel goes.
DELETE FROM contact_channel WHERE team_id = $1 AND contact_id = $2 AND id = $3;

-- name: keep_channel [sqlite]
-- A channel comes, or changes.
INSERT INTO contact_channel (
    team_id, contact_id, id, channel_type, channel_id, scope, identity, channel_handle,
    info_channel, made_primary, created, updated
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (team_id, id) DO UPDATE
SET channel_id = excluded.channel_id, scope = excluded.scope, identity = excluded.identity,
    channel_handle = excluded.channel_handle, info_channel = excluded.info_channel,
    made_primary = excluded.made_primary, updated = excluded.updated;

-- name: tell_event [sqlite]
-- The last step of a commit: what happened.
INSERT INTO event (
    team_id, id, contact_id, contact_rev, kind, before, after, actor, request_id, at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);
