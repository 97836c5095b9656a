-- The same tables, columns, keys and indexes as for PostgreSQL; a test compares the two. Tables are
-- STRICT, so that SQLite refuses a wrong type, too.

-- The last id that was allocated in each table, because SQLite has no sequences.
CREATE TABLE sequence (
    name TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (name)
) STRICT;
INSERT INTO sequence (name, last)
VALUES ('team', 0), ('contact', 0), ('contact_channel', 0), ('event', 0);

CREATE TABLE team (
    team_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    default_region TEXT,
    created INTEGER NOT NULL,
    PRIMARY KEY (team_id)
) STRICT;

CREATE TABLE api_secret (
    team_id INTEGER NOT NULL,
    secret_id TEXT NOT NULL,
    slot INTEGER NOT NULL CHECK (slot IN (1, 2)),
    sealed BLOB NOT NULL,
    label TEXT NOT NULL,
    representation TEXT NOT NULL,
    read_only INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER,
    revoked INTEGER,
    PRIMARY KEY (team_id, secret_id),
    FOREIGN KEY (team_id) REFERENCES team (team_id) ON DELETE RESTRICT
) STRICT;
-- At most two live secrets for each team: there are two slots, with one live secret in each.
CREATE UNIQUE INDEX api_secret_slot ON api_secret (team_id, slot) WHERE revoked IS NULL;

CREATE TABLE api_key (
    team_id INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    hash BLOB NOT NULL,
    label TEXT NOT NULL,
    representation TEXT NOT NULL,
    read_only INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER,
    revoked INTEGER,
    PRIMARY KEY (team_id, key_id),
    FOREIGN KEY (team_id) REFERENCES team (team_id) ON DELETE RESTRICT
) STRICT;

CREATE TABLE contact (
    team_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    rev INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    created INTEGER NOT NULL,
    deleted INTEGER,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    display_name TEXT NOT NULL,
    avatar TEXT NOT NULL,
    assigned_user_id INTEGER,
    external_id TEXT,
    is_opted_out INTEGER NOT NULL,
    custom TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id) REFERENCES team (team_id) ON DELETE RESTRICT
) STRICT;
CREATE UNIQUE INDEX contact_uuid ON contact (team_id, uuid);
CREATE UNIQUE INDEX contact_external_id ON contact (team_id, external_id)
    WHERE external_id IS NOT NULL;

CREATE TABLE contact_channel (
    team_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    contact_id INTEGER NOT NULL,
    channel_type TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    identity TEXT NOT NULL,
    channel_handle TEXT NOT NULL,
    info_channel TEXT NOT NULL,
    made_primary INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, contact_id) REFERENCES contact (team_id, id) ON DELETE CASCADE
) STRICT;
-- This index ensures that an address has one owner (contract section 3).
CREATE UNIQUE INDEX contact_channel_owner
    ON contact_channel (team_id, channel_type, identity, scope);
CREATE INDEX contact_channel_contact ON contact_channel (team_id, contact_id);

CREATE TABLE event (
    team_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    contact_id INTEGER NOT NULL,
    contact_rev INTEGER NOT NULL,
    kind TEXT NOT NULL,
    before TEXT,
    after TEXT,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    seq INTEGER,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, contact_id) REFERENCES contact (team_id, id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX event_revision ON event (team_id, contact_id, contact_rev);
-- The number in the feed. A reader of the feed assigns it, in the order of ids and without gaps.
CREATE UNIQUE INDEX event_seq ON event (team_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX event_unnumbered ON event (team_id, id) WHERE seq IS NULL;

CREATE TABLE idempotency (
    team_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    contact_id INTEGER,
    created INTEGER NOT NULL,
    PRIMARY KEY (team_id, key),
    FOREIGN KEY (team_id) REFERENCES team (team_id) ON DELETE RESTRICT
) STRICT;
