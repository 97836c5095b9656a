-- Label, hold and consent of channels; erasure; lists by time of change; expiry of stored responses.
-- Every column has a default or may be null, so that the previous release can still write.

ALTER TABLE contact_channel ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE contact_channel ADD COLUMN held_reason TEXT;
ALTER TABLE contact_channel ADD COLUMN consent TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE contact_channel ADD COLUMN consent_source TEXT NOT NULL DEFAULT '';
ALTER TABLE contact_channel ADD COLUMN consent_at INTEGER;

ALTER TABLE contact ADD COLUMN erased INTEGER;
CREATE INDEX contact_updated ON contact (team_id, updated, id) WHERE deleted IS NULL;

CREATE INDEX idempotency_created ON idempotency (team_id, created);
