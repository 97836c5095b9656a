-- Facts about the store itself, which belong to no team.

-- name: store_info
-- Every fact.
SELECT name, value FROM store_info;

-- name: set_store_info
-- Set a fact.
UPDATE store_info SET value = $2 WHERE name = $1;
