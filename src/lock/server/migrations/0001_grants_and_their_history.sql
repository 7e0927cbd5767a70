-- What happened to grants: only ever added to, and cut at its old end if the configuration says so. Moments are RFC 3339 in UTC.
CREATE TABLE event (
    id      INTEGER PRIMARY KEY,
    at      TEXT    NOT NULL,
    lock    TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    owner   TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    details TEXT    NOT NULL
) STRICT;
CREATE INDEX event_of_lock ON event (lock, id);
CREATE INDEX event_of_owner ON event (owner, id);
CREATE INDEX event_of_number ON event (number);

-- What is held now.
CREATE TABLE held (
    number       INTEGER PRIMARY KEY,
    lock         TEXT NOT NULL,
    owner        TEXT NOT NULL,
    host_id      TEXT,
    boot         TEXT,
    protocol     TEXT,
    since        TEXT NOT NULL,
    reason       TEXT,
    down_until   TEXT,
    told_overdue TEXT,
    UNIQUE (lock, owner),
    CHECK ((host_id IS NULL) = (boot IS NULL) AND (host_id IS NULL) != (protocol IS NULL))
) STRICT;
