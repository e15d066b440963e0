-- What is kept of partitions is summed up once more over filters that are asked after and
-- have many partitions, so that peers with nothing new need not add it up at each sync.
-- counted is how many records the sum of a partition is of, also while it has to be
-- computed again: that is what the totals include of it.
ALTER TABLE morango_digest ADD COLUMN counted bigint NOT NULL DEFAULT 0;
UPDATE morango_digest SET counted = records WHERE records > 0;
UPDATE morango_digest SET sum_1 = 0, sum_2 = 0, sum_3 = 0, sum_4 = 0 WHERE counted = 0;
CREATE TABLE morango_digest_total (
    filter varchar(512) COLLATE "C" NOT NULL PRIMARY KEY,
    partitions bigint NOT NULL,
    records bigint NOT NULL,
    sum_1 bigint NOT NULL,
    sum_2 bigint NOT NULL,
    sum_3 bigint NOT NULL,
    sum_4 bigint NOT NULL
);
