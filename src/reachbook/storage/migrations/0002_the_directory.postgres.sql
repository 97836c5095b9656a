-- What we know of each channel; erasing; lists by time of change; keys that grow old.
-- Every column has a default or may be null, so that the release before can go on writing.

ALTER TABLE contact_channel
    ADD COLUMN label          text   NOT NULL DEFAULT '',
    ADD COLUMN held_reason    text,
    ADD COLUMN consent        text   NOT NULL DEFAULT 'unknown',
    ADD COLUMN consent_source text   NOT NULL DEFAULT '',
    ADD COLUMN consent_at     bigint;

ALTER TABLE contact ADD COLUMN erased bigint;
CREATE INDEX contact_updated ON contact (team_id, updated, id) WHERE deleted IS NULL;

CREATE INDEX idempotency_created ON idempotency (team_id, created);
