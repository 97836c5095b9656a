-- The numbers that rows are known by. A number is never given twice; gaps are allowed.

-- name: numbers [postgres]
-- The next $2 numbers of an identity column's sequence.
SELECT nextval(pg_get_serial_sequence($1, $3)) FROM generate_series(1, $2);

-- name: numbers [sqlite]
-- The last of the next $2 numbers of a table.
UPDATE sequence SET last = last + $2 WHERE name = $1 RETURNING last;
