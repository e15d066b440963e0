-- The store model after model, in the order in which a stream sends it: the rows of a page
-- lie next to each other, as they were serialized or came.
CREATE INDEX morango_store_model ON morango_store (model_name, id);
