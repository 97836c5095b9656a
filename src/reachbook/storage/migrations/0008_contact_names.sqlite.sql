-- The words of contacts' names, for a search by the beginnings of words.
--
-- A row is one word of a contact that is not deleted, as reachbook.domain.names reads it. SQLite
-- compares words by their code points, so a prefix is a range of the index.
-- `names_cursor` of store_info is the progress of the migration that writes the words of contacts
-- of releases before this one; it is empty if every contact has its words.

CREATE TABLE contact_name (
    team_id INTEGER NOT NULL,
    word TEXT NOT NULL,
    contact_id INTEGER NOT NULL,
    PRIMARY KEY (team_id, word, contact_id),
    FOREIGN KEY (team_id, contact_id) REFERENCES contact (team_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_name_contact ON contact_name (team_id, contact_id, word);

INSERT INTO store_info (name, value)
VALUES ('names_cursor', CASE WHEN EXISTS (SELECT 1 FROM contact) THEN '{}' ELSE '' END);
