-- The values of an event, before and after, move to a table of their own: the feed numbers events
-- after they are written, and must not rewrite the values to do so.
-- An event without a row here was erased, or says that the contact was. `before` is null in the
-- row of the event that creates a contact.
-- Stop processes of an older release before this step: they would not see the values.

CREATE TABLE event_body (
    team_id  bigint NOT NULL,
    event_id bigint NOT NULL,
    before   text,
    after    text   NOT NULL,
    PRIMARY KEY (team_id, event_id)
);
INSERT INTO event_body (team_id, event_id, before, after)
SELECT team_id, id, before, after FROM event WHERE after IS NOT NULL ORDER BY team_id, id;
ALTER TABLE event_body
    ADD FOREIGN KEY (team_id, event_id) REFERENCES event (team_id, id) ON DELETE CASCADE;

-- A dropped column keeps its values in the rows that hold them. Clear them first, so that VACUUM
-- removes them and a later erasure leaves no copy.
UPDATE event SET before = NULL, after = NULL WHERE after IS NOT NULL;
ALTER TABLE event DROP COLUMN before, DROP COLUMN after;
