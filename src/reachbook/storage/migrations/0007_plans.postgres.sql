-- Plans that do not depend on statistics about teams.
--
-- Statistics know the large teams. For a team that they do not know, such as one that was imported
-- since the last ANALYZE, PostgreSQL expects one row, and then takes any index that begins with
-- team_id: it reads the whole team to find one contact. Without statistics on team_id it expects
-- the two hundredth part of the table for every team, so the index that holds all columns of the
-- condition is always cheaper.

ALTER TABLE contact ALTER COLUMN team_id SET STATISTICS 0;
ALTER TABLE contact_channel ALTER COLUMN team_id SET STATISTICS 0;
ALTER TABLE event ALTER COLUMN team_id SET STATISTICS 0;
ALTER TABLE event_body ALTER COLUMN team_id SET STATISTICS 0;
ALTER TABLE idempotency ALTER COLUMN team_id SET STATISTICS 0;
ALTER TABLE idempotency_contact ALTER COLUMN team_id SET STATISTICS 0;
ALTER TABLE suppression ALTER COLUMN team_id SET STATISTICS 0;
ALTER TABLE ended_suppression ALTER COLUMN team_id SET STATISTICS 0;
