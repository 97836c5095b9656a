-- Teams.

-- name: team
-- One team.
SELECT team_id, name, default_region, created FROM team WHERE team_id = $1;

-- name: teams
-- All teams, oldest first.
SELECT team_id, name, default_region, created FROM team ORDER BY team_id;

-- name: insert_team
-- A new team.
INSERT INTO team (team_id, name, default_region, created) VALUES ($1, $2, $3, $4);

-- name: set_team
-- Store the name and the default region of a team.
UPDATE team SET name = $2, default_region = $3 WHERE team_id = $1 RETURNING team_id;

-- name: ping
-- The shortest statement: it fails if the database does not respond.
SELECT 1;
