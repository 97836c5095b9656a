-- The counts of the page Overview. Each statement reads all rows of a team in a table.

-- name: count_channels
-- The channels of a team by type: all, those that are held, and those that are opted out.
SELECT ch.channel_type, count(*), count(ch.held_reason),
       count(CASE WHEN ch.consent = 'opted_out' THEN 1 END)
FROM contact_channel AS ch WHERE ch.team_id = $1
GROUP BY ch.channel_type ORDER BY count(*) DESC, ch.channel_type;

-- name: count_contacts
-- The contacts of a team.
SELECT count(*) FROM contact AS c WHERE c.team_id = $1 AND c.deleted IS NULL;

-- name: count_contacts_by_channels
-- The contacts that have channels, by their number; $2 stands for that number and more.
SELECT counted.channels, count(*)
FROM (
    SELECT CASE WHEN count(*) < $2 THEN count(*) ELSE $2 END AS channels
    FROM contact_channel AS ch WHERE ch.team_id = $1 GROUP BY ch.contact_id
) AS counted
GROUP BY counted.channels;

-- name: count_added
-- The contacts that were created since $2, by day since the epoch.
SELECT c.created / 86400000000, count(*)
FROM contact AS c WHERE c.team_id = $1 AND c.created >= $2
GROUP BY c.created / 86400000000;

-- name: count_removed
-- The contacts that were deleted since $2, by day since the epoch.
SELECT c.deleted / 86400000000, count(*)
FROM contact AS c WHERE c.team_id = $1 AND c.deleted >= $2
GROUP BY c.deleted / 86400000000;
