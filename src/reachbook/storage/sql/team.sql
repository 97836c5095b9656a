-- Teams.

-- name: team
-- One team.
SELECT team_id, name, default_region, created FROM team WHERE team_id = $1;

-- name: teams
-- Every team, for the person at the terminal.
SELECT team_id, name, default_region, created FROM team ORDER BY team_id;

-- name: insert_team
-- A new team.
INSERT INTO team (team_id, name, default_region, created) VALUES ($1, $2, $3, $4);

-- name: set_team
-- A team's name and default region.
UPDATE team SET name = $2, default_region = $3 WHERE team_id = $1 RETURNING team_id;

-- name: ping
-- Whether the database answers at all.
SELECT 1;
