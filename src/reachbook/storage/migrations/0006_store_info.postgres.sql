-- Facts about the store itself. The table is local: it has no rows of a team.
-- `incarnation` changes when the store is restored to an earlier state, so that ETags and feed
-- positions from before the restore are recognised. ETags of releases before this one name no
-- incarnation; they count as ETags of `first_incarnation`.
-- `identity_version` is the version of the rules that computed `identity` in contact_channel: 1 for
-- the channels of releases before this one, and 2, that of this release, if there are none.
-- `identity_cursor` is the progress of a migration to newer rules; it is empty if none has begun.

CREATE TABLE store_info (
    name  text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO store_info (name, value)
SELECT row.name, row.value
FROM (SELECT substr(md5(gen_random_uuid()::text), 1, 16) AS token OFFSET 0) AS made,
LATERAL (VALUES ('incarnation', made.token),
                ('first_incarnation', made.token),
                ('identity_version',
                 CASE WHEN EXISTS (SELECT 1 FROM contact_channel) THEN '1' ELSE '2' END),
                ('identity_cursor', '')) AS row (name, value);
