-- The ids of rows. An id is never allocated twice; gaps are allowed.

-- name: reserve_ids [postgres]
-- The next $2 ids of the sequence of an identity column.
SELECT nextval(pg_get_serial_sequence($1, $3)) FROM generate_series(1, $2);

-- name: reserve_ids [sqlite]
-- The last of the next $2 ids of a table.
UPDATE sequence SET last = last + $2 WHERE name = $1 RETURNING last;

-- name: skip_used_ids [postgres]
-- Move each sequence past the ids that are in use, if a restore or a failover has set it back. $1
-- is the team whose row had a duplicate id: ids are unique within a team.
SELECT setval(pg_get_serial_sequence(used.name, used.id_column), used.last)
FROM (
    SELECT 'team' AS name, 'team_id' AS id_column, max(team_id) AS last FROM team
    UNION ALL SELECT 'contact', 'id', max(id) FROM contact WHERE team_id = $1
    UNION ALL SELECT 'contact_channel', 'id', max(id) FROM contact_channel WHERE team_id = $1
    UNION ALL SELECT 'event', 'id', max(id) FROM event WHERE team_id = $1
    UNION ALL SELECT 'team_user', 'id', max(id) FROM team_user WHERE team_id = $1
) AS used
WHERE used.last >= nextval(pg_get_serial_sequence(used.name, used.id_column));

-- name: skip_used_ids [sqlite]
-- Move each sequence past the ids that are in use, if a restore has set it back. $1 is the team
-- whose row had a duplicate id: ids are unique within a team.
UPDATE sequence SET last = used.last
FROM (
    SELECT 'team' AS name, max(team_id) AS last FROM team
    UNION ALL SELECT 'contact', max(id) FROM contact WHERE team_id = $1
    UNION ALL SELECT 'contact_channel', max(id) FROM contact_channel WHERE team_id = $1
    UNION ALL SELECT 'event', max(id) FROM event WHERE team_id = $1
    UNION ALL SELECT 'team_user', max(id) FROM team_user WHERE team_id = $1
) AS used
WHERE sequence.name = used.name AND used.last > sequence.last;
