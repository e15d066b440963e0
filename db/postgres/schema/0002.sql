-- The columns with which the application's tables were last known, by profile: what
-- the store holds for these has been written into the tables.
CREATE TABLE morango_column (
    profile varchar(40) NOT NULL,
    model_name varchar(40) NOT NULL,
    column_name text NOT NULL,
    PRIMARY KEY (profile, model_name, column_name)
);
