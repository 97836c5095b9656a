-- Facts about the store itself. The table is local: it has no rows of a team.
-- `incarnation` changes when the store is restored to an earlier state, so that ETags and feed
-- positions from before the restore are recognised. ETags of releases before this one name no
-- incarnation; they count as ETags of `first_incarnation`.
-- `identity_version` is the version of the rules that computed `identity` in contact_channel: 1 for
-- the channels of releases before this one, and 2, that of this release, if there are none.
-- `identity_cursor` is the progress of a migration to newer rules; it is empty if none has begun.

CREATE TABLE store_info (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
INSERT INTO store_info (name, value) VALUES ('incarnation', lower(hex(randomblob(8))));
INSERT INTO store_info (name, value)
SELECT 'first_incarnation', value FROM store_info WHERE name = 'incarnation';
INSERT INTO store_info (name, value) VALUES
    ('identity_version', CASE WHEN EXISTS (SELECT 1 FROM contact_channel) THEN '1' ELSE '2' END),
    ('identity_cursor', '');
