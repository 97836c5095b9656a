-- Counts of all contacts and channels of a team, for the overview of the console.
--
-- Each statement reads the rows of one page of contacts, in the order of their ids. A statement for
-- the whole team would find them by an index that leads through the table at random.

-- name: count_contacts
-- The $3 contacts after id $2, deleted ones included, in groups: the days on which they were added
-- and removed, counted from $4 in units of $5 and null if earlier, and whether they exist.
-- The value of a subquery is unknown to PostgreSQL's planner. If it knew that all ids follow $2, it
-- might read the whole team by another index and sort it.
SELECT page.added, page.removed, page.is_live, count(*), max(page.id)
FROM (
    SELECT c.id,
           CASE WHEN c.created >= $4 THEN (c.created - $4) / $5 END AS added,
           CASE WHEN c.deleted >= $4 THEN (c.deleted - $4) / $5 END AS removed,
           CASE WHEN c.deleted IS NULL THEN 1 ELSE 0 END AS is_live
    FROM contact AS c WHERE c.team_id = $1 AND c.id > (SELECT CAST($2 AS bigint))
    ORDER BY c.id LIMIT $3
) AS page
GROUP BY page.added, page.removed, page.is_live;

-- name: count_contacts_by_channels
-- The number of contacts after id $2 and up to $3 by their number of channels, without those that
-- have none.
SELECT owner.channels, count(*)
FROM (
    SELECT count(*) AS channels FROM contact_channel AS ch
    WHERE ch.team_id = $1 AND ch.contact_id > $2 AND ch.contact_id <= $3
    GROUP BY ch.contact_id
) AS owner
GROUP BY owner.channels;

-- name: count_channels_by_type
-- The channels of the contacts after id $2 and up to $3, by type: all, those held, those opted out,
-- and those that are both. The type is an expression, because with statistics both stores would
-- otherwise read the index of owners, which is in the order of types, and with it the whole team.
SELECT ch.channel_type || '' AS type, count(*), count(ch.held_reason),
       count(CASE WHEN ch.consent = 'opted_out' THEN 1 END),
       count(CASE WHEN ch.consent = 'opted_out' THEN ch.held_reason END)
FROM contact_channel AS ch
WHERE ch.team_id = $1 AND ch.contact_id > $2 AND ch.contact_id <= $3
GROUP BY ch.channel_type || '';
