-- The values of an event, before and after, move to a table of their own: the feed numbers events
-- after they are written, and must not rewrite the values to do so.
-- An event without a row here was erased, or says that the contact was. `before` is null in the
-- row of the event that creates a contact.

CREATE TABLE event_body (
    team_id INTEGER NOT NULL,
    event_id INTEGER NOT NULL,
    before TEXT,
    after TEXT NOT NULL,
    PRIMARY KEY (team_id, event_id),
    FOREIGN KEY (team_id, event_id) REFERENCES event (team_id, id) ON DELETE CASCADE
) STRICT;
INSERT INTO event_body (team_id, event_id, before, after)
SELECT team_id, id, before, after FROM event WHERE after IS NOT NULL ORDER BY team_id, id;

ALTER TABLE event DROP COLUMN before;
ALTER TABLE event DROP COLUMN after;
