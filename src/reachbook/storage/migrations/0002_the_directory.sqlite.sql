-- What we know of each channel; erasing; lists by time of change; keys that grow old.
-- Every column has a default or may be null, so that the release before can go on writing.

ALTER TABLE contact_channel ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE contact_channel ADD COLUMN held_reason TEXT;
ALTER TABLE contact_channel ADD COLUMN consent TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE contact_channel ADD COLUMN consent_source TEXT NOT NULL DEFAULT '';
ALTER TABLE contact_channel ADD COLUMN consent_at INTEGER;

ALTER TABLE contact ADD COLUMN erased INTEGER;
CREATE INDEX contact_updated ON contact (team_id, updated, id) WHERE deleted IS NULL;

CREATE INDEX idempotency_created ON idempotency (team_id, created);
