-- Opt-outs and bounces belong to an address, and stay when no contact has the address.
--
-- The address is stored as a keyed hash; suppression_key holds the key of each team, sealed under
-- the master key. A team without a row gets its key when it is first needed.

CREATE TABLE suppression_key (
    team_id bigint NOT NULL,
    sealed  bytea  NOT NULL,
    PRIMARY KEY (team_id),
    FOREIGN KEY (team_id) REFERENCES team (team_id) ON DELETE RESTRICT
);

-- `digest` is the HMAC-SHA256 of the address in hexadecimal, `reason` is opted_out or bounced.
-- `identity_version` is the version of the identity rules that the address was hashed under.
CREATE TABLE suppression (
    team_id          bigint   NOT NULL,
    digest           text     COLLATE "C" NOT NULL,
    reason           text     COLLATE "C" NOT NULL,
    identity_version smallint NOT NULL,
    at               bigint   NOT NULL,
    PRIMARY KEY (team_id, digest, reason),
    FOREIGN KEY (team_id) REFERENCES team (team_id) ON DELETE RESTRICT
);

-- The suppressions that were ended although no contact had the address, with the time and the
-- actor. The end of any other suppression is an event of its contact.
CREATE TABLE ended_suppression (
    team_id bigint NOT NULL,
    digest  text   COLLATE "C" NOT NULL,
    reason  text   COLLATE "C" NOT NULL,
    ended   bigint NOT NULL,
    actor   text   NOT NULL,
    PRIMARY KEY (team_id, digest, reason, ended),
    FOREIGN KEY (team_id) REFERENCES team (team_id) ON DELETE RESTRICT
);
