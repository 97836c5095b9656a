-- Contact channels, and the commit, by which every change of a contact is written.

-- columns: channel
-- All columns of a channel except those of its contact.
id bigint, channel_type text, channel_id text, scope text, identity text, channel_handle text,
info_channel text, made_primary bigint, created bigint, updated bigint, label text,
held_reason text, consent text, consent_source text, consent_at bigint;

-- columns: channel_changes
-- The columns that an update sets: all but the id, the type and the time of creation.
channel_id text, scope text, identity text, channel_handle text, info_channel text,
made_primary bigint, updated bigint, label text, held_reason text, consent text,
consent_source text, consent_at bigint;

-- name: owner
-- The owner of an address: the UUID of the contact, and the channel.
SELECT c.uuid AS owner_uuid, {columns of channel in ch}
FROM contact_channel AS ch
JOIN contact AS c ON c.team_id = ch.team_id AND c.id = ch.contact_id
WHERE ch.team_id = $1 AND ch.channel_type = $2 AND ch.identity = $4 AND ch.scope = $3;

-- name: owners [postgres]
-- The owners of a JSON array of addresses {n, channel_type, identity, scope}. A scope of null matches
-- every scope. Each row begins with the n of its address. OFFSET 0 makes each address one index
-- look-up: the planner would otherwise read the whole table for a long array.
SELECT wanted.n, ch.channel_type, ch.scope, ch.created, ch.id, ch.contact_id
FROM jsonb_to_recordset($2::text::jsonb) AS wanted (n int, channel_type text, identity text, scope text)
CROSS JOIN LATERAL (
    SELECT one.channel_type, one.scope, one.created, one.id, one.contact_id
    FROM contact_channel AS one
    WHERE one.team_id = $1 AND one.channel_type = wanted.channel_type
      AND one.identity = wanted.identity AND (wanted.scope IS NULL OR one.scope = wanted.scope)
    OFFSET 0
) AS ch;

-- name: owners [sqlite]
-- The owners of a JSON array of addresses. CROSS keeps SQLite from reading all channels of the team
-- for each address.
SELECT wanted.value ->> 'n', ch.channel_type, ch.scope, ch.created, ch.id, ch.contact_id
FROM json_each($2) AS wanted
CROSS JOIN contact_channel AS ch
    ON ch.team_id = $1 AND ch.channel_type = wanted.value ->> 'channel_type'
    AND ch.identity = wanted.value ->> 'identity'
    AND (wanted.value ->> 'scope' IS NULL OR ch.scope = wanted.value ->> 'scope');

-- name: owners_with_contacts [postgres]
-- The same for a few addresses, with the contact of each owner: a row for each of its channels.
SELECT wanted.n, owned.channel_type, owned.scope, owned.created, owned.id, owned.contact_id,
       {columns of contact_head in c}, {columns of contact_dates in c},
       {columns of contact_fields in c}, {columns of channel in ch}
FROM jsonb_to_recordset($2::text::jsonb) AS wanted (n int, channel_type text, identity text, scope text)
CROSS JOIN LATERAL (
    SELECT one.channel_type, one.scope, one.created, one.id, one.contact_id
    FROM contact_channel AS one
    WHERE one.team_id = $1 AND one.channel_type = wanted.channel_type
      AND one.identity = wanted.identity AND (wanted.scope IS NULL OR one.scope = wanted.scope)
    OFFSET 0
) AS owned
CROSS JOIN LATERAL (
    SELECT * FROM contact AS one WHERE one.team_id = $1 AND one.id = owned.contact_id OFFSET 0
) AS c
LEFT JOIN contact_channel AS ch ON ch.team_id = $1 AND ch.contact_id = c.id
ORDER BY wanted.n, owned.id, ch.created, ch.id;

-- name: owners_with_contacts [sqlite]
-- The same for a few addresses, with the contact of each owner: a row for each of its channels.
SELECT wanted.value ->> 'n', owned.channel_type, owned.scope, owned.created, owned.id,
       owned.contact_id,
       {columns of contact_head in c}, {columns of contact_dates in c},
       {columns of contact_fields in c}, {columns of channel in ch}
FROM json_each($2) AS wanted
CROSS JOIN contact_channel AS owned
    ON owned.team_id = $1 AND owned.channel_type = wanted.value ->> 'channel_type'
    AND owned.identity = wanted.value ->> 'identity'
    AND (wanted.value ->> 'scope' IS NULL OR owned.scope = wanted.value ->> 'scope')
CROSS JOIN contact AS c ON c.team_id = $1 AND c.id = owned.contact_id
LEFT JOIN contact_channel AS ch ON ch.team_id = $1 AND ch.contact_id = c.id
ORDER BY wanted.key, owned.id, ch.created, ch.id;

-- name: commit [postgres]
-- The whole commit in one round trip. If the revision is still $3, it is increased by one, the
-- channels $10 are deleted, those of the JSON array $11 updated and those of $12 inserted, and the
-- event is inserted; the event of an erasure has no body ($7 is null). If the revision is another,
-- nothing is written and no row is returned.
-- If another contact owned an address of $13 when the statement began, nothing is written and the
-- row 0 is returned. Waiting for the address would be wrong: if its owner loses it meanwhile, a
-- suppression that is stored with that loss would not be seen here.
-- The suppressions of the digests $14 must be those of the fingerprint $15; those of $16 are
-- inserted, the opt-outs of $17 and the bounces of $18 deleted.
-- The counts make PostgreSQL delete before it updates and update before it inserts: the later step
-- may need an address that the earlier one releases. An insert has no ON CONFLICT clause: an id
-- that was allocated twice must make the statement fail, and must not overwrite a channel.
WITH owned AS (
    SELECT ch.contact_id
    FROM contact AS c
    CROSS JOIN jsonb_to_recordset($13::text::jsonb) AS new (channel_type text, scope text, identity text)
    CROSS JOIN LATERAL (
        SELECT one.contact_id FROM contact_channel AS one
        WHERE one.team_id = $1 AND one.channel_type = new.channel_type
          AND one.identity = new.identity AND one.scope = new.scope AND one.contact_id <> $2
        OFFSET 0
    ) AS ch
    WHERE c.team_id = $1 AND c.id = $2 AND c.rev = $3
    LIMIT 1
), found AS (
    SELECT coalesce(string_agg(s.row, ',' ORDER BY s.row COLLATE "C"), '') AS fingerprint
    FROM jsonb_array_elements_text($14::text::jsonb) AS new (digest)
    CROSS JOIN LATERAL (
        SELECT one.digest || ':' || one.reason || ':' || one.at AS row FROM suppression AS one
        WHERE one.team_id = $1 AND one.digest = new.digest
        OFFSET 0
    ) AS s
), held AS (
    UPDATE contact SET rev = $3 + 1, updated = $4
    WHERE team_id = $1 AND id = $2 AND rev = $3
      AND NOT EXISTS (SELECT 1 FROM owned) AND (SELECT fingerprint FROM found) = $15
    RETURNING id
), removed AS (
    DELETE FROM contact_channel USING held
    WHERE contact_channel.team_id = $1
      AND contact_channel.contact_id = held.id
      AND contact_channel.id = ANY ($10::text::bigint[])
    RETURNING contact_channel.id
), updated AS (
    UPDATE contact_channel
    SET {assignments of channel_changes in new}
    FROM held, jsonb_to_recordset($11::text::jsonb) AS new (id bigint, {types of channel_changes})
    WHERE contact_channel.team_id = $1
      AND contact_channel.contact_id = held.id
      AND contact_channel.id = new.id
      AND (SELECT count(*) FROM removed) >= 0
    RETURNING contact_channel.id
), inserted AS (
    INSERT INTO contact_channel (team_id, contact_id, {columns of channel})
    SELECT $1, held.id, {columns of channel in new}
    FROM held, jsonb_to_recordset($12::text::jsonb) AS new ({types of channel})
    WHERE (SELECT count(*) FROM removed) + (SELECT count(*) FROM updated) >= 0
), suppressed AS (
    INSERT INTO suppression (team_id, digest, reason, identity_version, at)
    SELECT $1, new.digest, new.reason, new.identity_version, new.at
    FROM held, jsonb_to_recordset($16::text::jsonb) AS new (
        digest text, reason text, identity_version smallint, at bigint
    )
    ON CONFLICT (team_id, digest, reason) DO NOTHING
), opted_in AS (
    DELETE FROM suppression USING held
    WHERE suppression.team_id = $1 AND suppression.digest = ANY ($17::text::text[])
      AND suppression.reason = 'opted_out'
), released AS (
    DELETE FROM suppression USING held
    WHERE suppression.team_id = $1 AND suppression.digest = ANY ($18::text::text[])
      AND suppression.reason = 'bounced'
), recorded AS (
    INSERT INTO event (team_id, contact_id, contact_rev, kind, actor, request_id, at)
    SELECT $1, held.id, $3 + 1, $5, $8, $9, $4 FROM held
    RETURNING event.id
), stored AS (
    INSERT INTO event_body (team_id, event_id, before, after)
    SELECT $1, recorded.id, $6, $7 FROM recorded WHERE $7::text IS NOT NULL
)
SELECT recorded.id FROM recorded UNION ALL SELECT 0 FROM owned;

-- name: commit_new_channel [postgres]
-- The commit of one new channel. Most commits are of this kind. It does the same as `commit` in half
-- the time, because its parameters are not JSON arrays. $10 is the digest of the address, which must
-- have no suppression.
WITH owned AS (
    SELECT one.contact_id FROM contact_channel AS one
    WHERE one.team_id = $1 AND one.channel_type = $12 AND one.identity = $15 AND one.scope = $14
      AND one.contact_id <> $2
), held AS (
    UPDATE contact SET rev = $3 + 1, updated = $4
    WHERE team_id = $1 AND id = $2 AND rev = $3
      AND NOT EXISTS (SELECT 1 FROM owned)
      AND NOT EXISTS (SELECT 1 FROM suppression WHERE team_id = $1 AND digest = $10)
    RETURNING id
), inserted AS (
    INSERT INTO contact_channel (team_id, contact_id, {columns of channel})
    SELECT $1, held.id, {parameters of channel from 11} FROM held
), recorded AS (
    INSERT INTO event (team_id, contact_id, contact_rev, kind, actor, request_id, at)
    SELECT $1, held.id, $3 + 1, $5, $8, $9, $4 FROM held
    RETURNING event.id
), stored AS (
    INSERT INTO event_body (team_id, event_id, before, after)
    SELECT $1, recorded.id, $6, $7 FROM recorded
)
SELECT recorded.id FROM recorded UNION ALL SELECT 0 FROM owned;

-- name: insert_channels [postgres]
-- Insert the channels of new contacts from a JSON array. The order is that of every commit, so that two
-- transactions with the same addresses wait for each other in the same order.
INSERT INTO contact_channel (team_id, contact_id, {columns of channel})
SELECT $1, new.contact_id, {columns of channel in new}
FROM jsonb_to_recordset($2::text::jsonb) AS new (contact_id bigint, {types of channel})
ORDER BY new.channel_type, new.identity COLLATE "C", new.scope;

-- name: insert_events [postgres]
-- Insert the events that create contacts from a JSON array {contact_id, rev, kind, at, after}.
WITH new AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($2::text::jsonb) AS row (
        contact_id bigint, rev bigint, kind text, at bigint, after text
    )
), recorded AS (
    INSERT INTO event (team_id, contact_id, contact_rev, kind, actor, request_id, at)
    SELECT $1, new.contact_id, new.rev, new.kind, $3, $4, new.at FROM new ORDER BY new.contact_id
    RETURNING id, contact_id
)
INSERT INTO event_body (team_id, event_id, after)
SELECT $1, recorded.id, new.after FROM recorded JOIN new ON new.contact_id = recorded.contact_id;

-- name: move_revision [sqlite]
-- The first step of a commit: increase the revision by one, if it is still the one that was read.
UPDATE contact SET rev = $3 + 1, updated = $4 WHERE team_id = $1 AND id = $2 AND rev = $3;

-- name: remove_channel [sqlite]
-- Delete a channel.
DELETE FROM contact_channel WHERE team_id = $1 AND contact_id = $2 AND id = $3;

-- name: update_channel [sqlite]
-- Update a channel of the contact.
UPDATE contact_channel SET {assignments of channel_changes from 4}
WHERE team_id = $1 AND contact_id = $2 AND id = $3;

-- name: insert_channel [sqlite]
-- Insert a channel. There is no ON CONFLICT clause: an id that was allocated twice must make the
-- statement fail, and must not overwrite a channel.
INSERT INTO contact_channel (team_id, contact_id, {columns of channel})
VALUES ($1, $2, {parameters of channel from 3});

-- name: insert_event [sqlite]
-- Insert the event of a commit; insert_event_body follows.
INSERT INTO event (
    team_id, id, contact_id, contact_rev, kind, actor, request_id, at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: insert_event_body [sqlite]
-- Insert the changed values of an event, before and after. An erased contact's event has none.
INSERT INTO event_body (team_id, event_id, before, after) VALUES ($1, $2, $3, $4);

-- name: channel_types
-- The channel types that a team uses, at most $2. Each step looks up the first type after the last
-- one in the index: DISTINCT would read all the channels of the team.
WITH RECURSIVE used (channel_type, place) AS (
    SELECT (
        SELECT ch.channel_type FROM contact_channel AS ch
        WHERE ch.team_id = $1 AND ch.channel_type > ''
        ORDER BY ch.channel_type LIMIT 1
    ), 1
    UNION ALL
    SELECT (
        SELECT one.channel_type FROM contact_channel AS one
        WHERE one.team_id = $1 AND one.channel_type > used.channel_type
        ORDER BY one.channel_type LIMIT 1
    ), used.place + 1
    FROM used WHERE used.place < $2 AND used.channel_type IS NOT NULL
)
SELECT used.channel_type FROM used WHERE used.channel_type IS NOT NULL;
