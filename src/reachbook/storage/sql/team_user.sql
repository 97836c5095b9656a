-- The users of the web console, their sign-in links and their sessions.

-- columns: team_user
-- The columns of a user.
team_id bigint, id bigint, email text, role text, password text, created bigint, disabled bigint;

-- name: users
-- A team's users, oldest first.
SELECT {columns of team_user} FROM team_user WHERE team_id = $1 ORDER BY created, id;

-- name: user
-- One user of a team.
SELECT {columns of team_user} FROM team_user WHERE team_id = $1 AND id = $2;

-- name: user_by_email
-- The user of a team who has an email address.
SELECT {columns of team_user} FROM team_user WHERE team_id = $1 AND email = $2;

-- name: users_by_email
-- The users of any team who have an email address, at most $2 of them. A user who signs in with a
-- password does not name a team.
SELECT {columns of team_user} FROM team_user WHERE email = $1 ORDER BY team_id LIMIT $2;

-- name: insert_user
-- A new user without a password.
INSERT INTO team_user (team_id, id, email, role, password, created)
VALUES ($1, $2, $3, $4, '', $5);

-- name: set_role
-- Give a user another role.
UPDATE team_user SET role = $3 WHERE team_id = $1 AND id = $2 RETURNING id;

-- name: set_disabled
-- Disable a user, or enable the user if $3 is null.
UPDATE team_user SET disabled = $3 WHERE team_id = $1 AND id = $2 RETURNING id;

-- name: set_password
-- The hash of a user's password; an empty one removes the password.
UPDATE team_user SET password = $3 WHERE team_id = $1 AND id = $2 RETURNING id;

-- name: insert_link
-- A sign-in link by the digest of its token.
INSERT INTO sign_in_link (team_id, digest, user_id, expires) VALUES ($1, $2, $3, $4);

-- name: link
-- The user of a sign-in link that has not expired by $3.
SELECT user_id FROM sign_in_link WHERE team_id = $1 AND digest = $2 AND expires > $3;

-- name: use_link
-- Use up a sign-in link that has not expired by $3; no row if it was used before.
DELETE FROM sign_in_link WHERE team_id = $1 AND digest = $2 AND expires > $3 RETURNING user_id;

-- name: delete_links
-- End every sign-in link of a user.
DELETE FROM sign_in_link WHERE team_id = $1 AND user_id = $2;

-- name: insert_session
-- A session by the digest of its token.
INSERT INTO console_session (team_id, digest, user_id, created, last_seen)
VALUES ($1, $2, $3, $4, $4);

-- name: session
-- A session with its user and the user's team, if it began after $3 and was used after $4.
SELECT {columns of team_user in u}, t.name, t.default_region, t.created, s.last_seen
FROM console_session AS s
JOIN team_user AS u ON u.team_id = s.team_id AND u.id = s.user_id
JOIN team AS t ON t.team_id = s.team_id
WHERE s.team_id = $1 AND s.digest = $2 AND s.created > $3 AND s.last_seen > $4;

-- name: use_session
-- When a session was last used.
UPDATE console_session SET last_seen = $3
WHERE team_id = $1 AND digest = $2 AND last_seen < $3;

-- name: delete_session
-- End a session.
DELETE FROM console_session WHERE team_id = $1 AND digest = $2;

-- name: delete_sessions
-- End every session of a user.
DELETE FROM console_session WHERE team_id = $1 AND user_id = $2;

-- name: purge_sessions
-- Delete the sessions of a team that began by $2 or were last used by $3.
DELETE FROM console_session WHERE team_id = $1 AND (created <= $2 OR last_seen <= $3);

-- name: purge_links
-- Delete the sign-in links of a team that have expired by $2.
DELETE FROM sign_in_link WHERE team_id = $1 AND expires <= $2;
