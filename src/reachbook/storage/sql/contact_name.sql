-- The words of contacts' names: their index, and the migration that fills it.

-- columns: contact_names
-- The names of a contact, in the order of their words.
first text, last text, display_name text;

-- name: delete_names
-- Delete the words of a contact.
DELETE FROM contact_name WHERE team_id = $1 AND contact_id = $2;

-- name: insert_names [postgres]
-- Insert the words of contacts from a JSON array {word, contact_id}.
INSERT INTO contact_name (team_id, word, contact_id)
SELECT $1, new.word, new.contact_id
FROM jsonb_to_recordset($2::text::jsonb) AS new (word text, contact_id bigint);

-- name: insert_names [sqlite]
-- Insert the words of contacts from a JSON array {word, contact_id}.
INSERT INTO contact_name (team_id, word, contact_id)
SELECT $1, value ->> 'word', value ->> 'contact_id' FROM json_each($2);

-- name: names_next_team
-- The first team after $1 that has a contact.
SELECT min(team_id) FROM contact WHERE team_id > $1;

-- name: names_page [postgres]
-- The names of a page of a team's contacts after number $2. Each row is locked until the words are
-- written: a name that another transaction changes is either read here after the change, or changed
-- after the words, which that transaction then replaces. The last number of the page is read first,
-- from the index alone: PostgreSQL would read and sort the whole of a small team for each page.
SELECT id, {columns of contact_names}, deleted
FROM contact
WHERE team_id = $1 AND id > $2 AND id <= (
    SELECT max(page.id) FROM (
        SELECT p.id FROM contact AS p WHERE p.team_id = $1 AND p.id > $2 ORDER BY p.id LIMIT $3
    ) AS page)
ORDER BY id FOR SHARE;

-- name: names_page [sqlite]
-- The names of a page of a team's contacts after number $2. Its transaction is the only one that
-- writes.
SELECT id, {columns of contact_names}, deleted
FROM contact WHERE team_id = $1 AND id > $2 ORDER BY id LIMIT $3;

-- name: names_between
-- The words of the contacts after number $2 and up to $3. The contacts need not exist.
SELECT contact_id, word FROM contact_name
WHERE team_id = $1 AND contact_id > $2 AND contact_id <= $3;
