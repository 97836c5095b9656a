-- The contacts that each stored response mentions, so that an erasure finds it by index.
--
-- Stop every process of an older release first: it would store responses without these rows, which
-- an erasure would not find. Without the column contact_id such a process cannot store any.

CREATE TABLE idempotency_contact (
    team_id      bigint NOT NULL,
    contact_uuid text   COLLATE "C" NOT NULL,
    key          text   COLLATE "C" NOT NULL,
    PRIMARY KEY (team_id, contact_uuid, key),
    FOREIGN KEY (team_id, key) REFERENCES idempotency (team_id, key) ON DELETE CASCADE
);
-- Needed for the cascade, and when a key is used again after a day.
CREATE INDEX idempotency_contact_key ON idempotency_contact (team_id, key);

-- Delete responses without a contact_id, those of bulk writes and of resolves: the contacts that
-- they mention are not known. A retry of a bulk write finds the stored response of each row. Also
-- delete responses about erased contacts, which were stored by requests that ran during the
-- erasure; only the response to the erasure itself may stay.
DELETE FROM idempotency
WHERE contact_id IS NULL
   OR body <> '"contact erased"'::bytea AND EXISTS (
       SELECT 1 FROM contact
       WHERE contact.team_id = idempotency.team_id AND contact.id = idempotency.contact_id
         AND contact.erased IS NOT NULL);

INSERT INTO idempotency_contact (team_id, contact_uuid, key)
SELECT idempotency.team_id, contact.uuid, idempotency.key
FROM idempotency
JOIN contact ON contact.team_id = idempotency.team_id AND contact.id = idempotency.contact_id
WHERE contact.erased IS NULL;

ALTER TABLE idempotency DROP COLUMN contact_id;

-- Remove the request ids from the events of erased contacts: a client may have chosen them.
UPDATE event SET request_id = ''
WHERE (team_id, contact_id) IN (SELECT team_id, id FROM contact WHERE erased IS NOT NULL);
