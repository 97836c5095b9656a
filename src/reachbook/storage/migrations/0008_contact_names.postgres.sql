-- The words of contacts' names, for a search by the beginnings of words.
--
-- A row is one word of a contact that is not deleted, as reachbook.domain.names reads it. Collation
-- C compares words by their code points, so a prefix is a range of the index.
-- `names_cursor` of store_info is the progress of the migration that writes the words of contacts
-- of releases before this one; it is empty if every contact has its words.

CREATE TABLE contact_name (
    team_id    bigint NOT NULL,
    word       text   COLLATE "C" NOT NULL,
    contact_id bigint NOT NULL,
    PRIMARY KEY (team_id, word, contact_id),
    FOREIGN KEY (team_id, contact_id) REFERENCES contact (team_id, id) ON DELETE CASCADE
);
CREATE INDEX contact_name_contact ON contact_name (team_id, contact_id, word);
-- As step 7 does for the other tables: plans must not depend on statistics about teams.
ALTER TABLE contact_name ALTER COLUMN team_id SET STATISTICS 0;

INSERT INTO store_info (name, value)
VALUES ('names_cursor', CASE WHEN EXISTS (SELECT 1 FROM contact) THEN '{}' ELSE '' END);
