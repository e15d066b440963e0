-- The store model after model, in the order in which a stream sends it: records of one
-- partition refer to each other, and lie next to each other, as they were serialized or came. A
-- hash has its place in a cursor, where a partition may be too long.
DROP INDEX IF EXISTS morango_store_model;
CREATE INDEX morango_store_group ON morango_store (model_name, hashtextextended(partition, 0), id);
