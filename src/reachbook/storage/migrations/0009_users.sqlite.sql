-- The users of the web console, their sign-in links and their sessions.
--
-- A link and a session are found by the SHA-256 of their token. `last_seen` is moved at most once a
-- minute. `password` is a hash of argon2id, empty if the user has none.

INSERT INTO sequence (name, last) VALUES ('team_user', 0);

CREATE TABLE team_user (
    team_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    created INTEGER NOT NULL,
    disabled INTEGER,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id) REFERENCES team (team_id) ON DELETE RESTRICT
) STRICT;
CREATE UNIQUE INDEX team_user_email ON team_user (team_id, email);
-- A user who signs in with a password does not name a team.
CREATE INDEX team_user_of_email ON team_user (email);

CREATE TABLE sign_in_link (
    team_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    user_id INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (team_id, digest),
    FOREIGN KEY (team_id, user_id) REFERENCES team_user (team_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX sign_in_link_user ON sign_in_link (team_id, user_id);

CREATE TABLE console_session (
    team_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    user_id INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (team_id, digest),
    FOREIGN KEY (team_id, user_id) REFERENCES team_user (team_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX console_session_user ON console_session (team_id, user_id);
