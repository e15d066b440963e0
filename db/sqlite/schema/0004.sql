-- What the records of each partition sum up to, by which peers compare what they hold.
-- Every partition of the store has a row. Whoever writes store rows of a partition sets
-- records to NULL, until the sum is computed again; -1 says that the partition has too
-- many records to be kept summed up. The sum is a number of four times 32 bits.
CREATE TABLE morango_digest (
    partition text NOT NULL PRIMARY KEY,
    records integer NULL,
    sum_1 integer NOT NULL DEFAULT 0,
    sum_2 integer NOT NULL DEFAULT 0,
    sum_3 integer NOT NULL DEFAULT 0,
    sum_4 integer NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX morango_digest_stale ON morango_digest (partition) WHERE records IS NULL;
INSERT INTO morango_digest (partition) SELECT DISTINCT partition FROM morango_store;

-- Sums over a scope that were not equal with a peer, and the difference was explained.
CREATE TABLE morango_compared (
    peer varchar(32) NOT NULL,
    scope varchar(32) NOT NULL,
    ours varchar(32) NOT NULL,
    theirs varchar(32) NOT NULL,
    PRIMARY KEY (peer, scope)
) WITHOUT ROWID;
