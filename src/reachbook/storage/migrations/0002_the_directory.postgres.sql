-- Label, hold and consent of channels; erasure; lists by time of change; expiry of stored responses.
-- Every column has a default or may be null, so that the previous release can still write.

ALTER TABLE contact_channel
    ADD COLUMN label          text   NOT NULL DEFAULT '',
    ADD COLUMN held_reason    text,
    ADD COLUMN consent        text   NOT NULL DEFAULT 'unknown',
    ADD COLUMN consent_source text   NOT NULL DEFAULT '',
    ADD COLUMN consent_at     bigint;

ALTER TABLE contact ADD COLUMN erased bigint;
CREATE INDEX contact_updated ON contact (team_id, updated, id) WHERE deleted IS NULL;

CREATE INDEX idempotency_created ON idempotency (team_id, created);
