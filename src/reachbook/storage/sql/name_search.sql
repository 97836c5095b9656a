-- The search for contacts by prefixes of the words of their names.

-- name: count_names
-- The number of entries from the word $2 up to $3, at most $4: the bound keeps a frequent prefix
-- cheap. The order makes PostgreSQL use the index of the words for a range that holds most of them.
SELECT count(*) FROM (
    SELECT 1 FROM contact_name AS n
    WHERE n.team_id = $1 AND n.word >= $2 AND n.word < $3
    ORDER BY n.word, n.contact_id LIMIT $4
) AS counted;

-- name: name_at
-- The entry that follows $5 others after a position ($2, $3) and before the word $4. A page of the
-- search ends there at the latest.
SELECT n.word, n.contact_id FROM contact_name AS n
WHERE n.team_id = $1 AND (n.word, n.contact_id) > ($2, $3) AND n.word < $4
ORDER BY n.word, n.contact_id LIMIT 1 OFFSET $5;

-- name: find_names
-- The entries after a position ($2, $3) up to another ($4, $5), at most $13, of contacts that have a
-- word in each of three further ranges, $7 to $8, $9 to $10 and $11 to $12. A contact counts once,
-- by its lowest word from $6 on. OFFSET 0 makes each condition look-ups in the index of the contact:
-- PostgreSQL would read a whole range to join it.
SELECT n.word, n.contact_id FROM contact_name AS n
WHERE n.team_id = $1 AND (n.word, n.contact_id) > ($2, $3)
  AND n.word <= $4 AND (n.word, n.contact_id) <= ($4, $5)
  AND EXISTS (
      SELECT 1 FROM contact_name AS a
      WHERE a.team_id = $1 AND a.contact_id = n.contact_id AND a.word >= $7 AND a.word < $8
      LIMIT 1 OFFSET 0)
  AND EXISTS (
      SELECT 1 FROM contact_name AS b
      WHERE b.team_id = $1 AND b.contact_id = n.contact_id AND b.word >= $9 AND b.word < $10
      LIMIT 1 OFFSET 0)
  AND EXISTS (
      SELECT 1 FROM contact_name AS c
      WHERE c.team_id = $1 AND c.contact_id = n.contact_id AND c.word >= $11 AND c.word < $12
      LIMIT 1 OFFSET 0)
  AND NOT EXISTS (
      SELECT 1 FROM contact_name AS d
      WHERE d.team_id = $1 AND d.contact_id = n.contact_id AND d.word >= $6 AND d.word < n.word
      LIMIT 1 OFFSET 0)
ORDER BY n.word, n.contact_id LIMIT $13;
