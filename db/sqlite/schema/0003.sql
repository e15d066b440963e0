-- Dirty rows by what became of them: fresh ones, found without reading past those that
-- were refused; refused ones; and these by the row that their reason names first.
DROP INDEX morango_store_dirty;
CREATE INDEX morango_store_fresh ON morango_store (profile, model_name, id) WHERE dirty_bit AND deserialization_error = '';
CREATE INDEX morango_store_refused ON morango_store (profile, id) WHERE dirty_bit AND deserialization_error <> '';
CREATE INDEX morango_store_missed ON morango_store (profile, substr(deserialization_error, 1, 32))
    WHERE dirty_bit AND deserialization_error <> '';
