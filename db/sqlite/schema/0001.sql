-- Morango's tables in the lean layout: the reference's names and columns, but
-- composite primary keys instead of surrogate ids, and no redundant index. The
-- record's id is in the primary key of every record table, and the only foreign key
-- between them goes from a record's counters to its store row.

-- The version of this layout: one row.
CREATE TABLE morango_schema (
    version integer NOT NULL PRIMARY KEY CHECK (version > 0)
);

-- While it has a row, the capture triggers keep still. It only ever has one inside
-- a transaction of the engine: the foreign key points at a version that cannot
-- exist, so a commit that would leave the row behind fails.
CREATE TABLE morango_applying (
    applying integer NOT NULL PRIMARY KEY
        REFERENCES morango_schema (version) DEFERRABLE INITIALLY DEFERRED
);

-- One row per record: its JSON, version and flags.
CREATE TABLE morango_store (
    id char(32) NOT NULL PRIMARY KEY,
    profile varchar(40) NOT NULL,
    model_name varchar(40) NOT NULL,
    partition text NOT NULL,
    source_id varchar(96) NOT NULL,
    last_saved_instance char(32) NOT NULL,
    last_saved_counter integer NOT NULL,
    deleted bool NOT NULL,
    hard_deleted bool NOT NULL,
    dirty_bit bool NOT NULL,
    _self_ref_fk varchar(32) NOT NULL,
    last_transfer_session_id char(32) NULL,
    deserialization_error text NOT NULL,
    serialized text NOT NULL,
    conflicting_serialized_data text NOT NULL
);
CREATE INDEX morango_store_dirty ON morango_store (profile, model_name, id) WHERE dirty_bit;
CREATE INDEX morango_store_partition ON morango_store (partition);
CREATE INDEX morango_store_last_saved ON morango_store (last_saved_instance, last_saved_counter);

-- A record's history: per instance the highest counter at which it saved the record.
CREATE TABLE morango_recordmaxcounter (
    store_model_id char(32) NOT NULL REFERENCES morango_store (id) DEFERRABLE INITIALLY DEFERRED,
    instance_id char(32) NOT NULL,
    counter integer NOT NULL,
    PRIMARY KEY (store_model_id, instance_id)
) WITHOUT ROWID;

-- What this database holds in full: per partition prefix and instance.
CREATE TABLE morango_databasemaxcounter (
    instance_id char(32) NOT NULL,
    partition varchar(128) NOT NULL,
    counter integer NOT NULL,
    PRIMARY KEY (instance_id, partition)
) WITHOUT ROWID;

-- The records that travel in a transfer session, and their histories.
CREATE TABLE morango_buffer (
    transfer_session_id char(32) NOT NULL,
    model_uuid char(32) NOT NULL,
    profile varchar(40) NOT NULL,
    model_name varchar(40) NOT NULL,
    partition text NOT NULL,
    source_id varchar(96) NOT NULL,
    last_saved_instance char(32) NOT NULL,
    last_saved_counter integer NOT NULL,
    deleted bool NOT NULL,
    hard_deleted bool NOT NULL,
    _self_ref_fk varchar(32) NOT NULL,
    serialized text NOT NULL,
    conflicting_serialized_data text NOT NULL,
    PRIMARY KEY (transfer_session_id, model_uuid)
);
CREATE TABLE morango_recordmaxcounterbuffer (
    transfer_session_id char(32) NOT NULL,
    model_uuid char(32) NOT NULL,
    instance_id char(32) NOT NULL,
    counter integer NOT NULL,
    PRIMARY KEY (transfer_session_id, model_uuid, instance_id)
) WITHOUT ROWID;

-- Rows that the application deleted since the last serialize.
CREATE TABLE morango_deletedmodels (
    id char(32) NOT NULL PRIMARY KEY,
    profile varchar(40) NOT NULL
);
CREATE TABLE morango_harddeletedmodels (
    id char(32) NOT NULL PRIMARY KEY,
    profile varchar(40) NOT NULL
);

-- Who this database is, and who it was on other machines.
CREATE TABLE morango_databaseidmodel (
    id char(32) NOT NULL PRIMARY KEY,
    current bool NOT NULL,
    date_generated datetime NOT NULL,
    initial_instance_id varchar(32) NOT NULL
);
CREATE TABLE morango_instanceidmodel (
    id char(32) NOT NULL PRIMARY KEY,
    platform text NOT NULL,
    hostname text NOT NULL,
    sysversion text NOT NULL,
    node_id varchar(20) NOT NULL,
    counter integer NOT NULL,
    current bool NOT NULL,
    db_path varchar(1000) NOT NULL,
    database_id char(32) NOT NULL,
    system_id varchar(100) NOT NULL
);

-- What may be read and written by whom.
CREATE TABLE morango_scopedefinition (
    id varchar(20) NOT NULL PRIMARY KEY,
    profile varchar(20) NOT NULL,
    version integer NOT NULL,
    description text NOT NULL,
    read_filter_template text NOT NULL,
    write_filter_template text NOT NULL,
    read_write_filter_template text NOT NULL,
    primary_scope_param_key varchar(20) NOT NULL
);
CREATE TABLE morango_certificate (
    id char(32) NOT NULL PRIMARY KEY,
    parent_id char(32) NULL,
    profile varchar(20) NOT NULL,
    scope_definition_id varchar(20) NOT NULL,
    scope_version integer NOT NULL,
    scope_params text NOT NULL,
    public_key text NOT NULL,
    private_key text NULL,
    serialized text NOT NULL,
    signature text NOT NULL,
    salt varchar(32) NOT NULL,
    lft integer NOT NULL CHECK (lft >= 0),
    rght integer NOT NULL CHECK (rght >= 0),
    tree_id integer NOT NULL CHECK (tree_id >= 0),
    level integer NOT NULL CHECK (level >= 0)
);
CREATE INDEX morango_certificate_parent ON morango_certificate (parent_id);
CREATE TABLE morango_sharedkey (
    id integer NOT NULL PRIMARY KEY,
    public_key text NOT NULL,
    private_key text NOT NULL,
    current bool NOT NULL
);
CREATE TABLE morango_nonce (
    id char(32) NOT NULL PRIMARY KEY,
    timestamp datetime NOT NULL,
    ip varchar(100) NOT NULL
);

-- Who talks to whom, and how far a transfer came.
CREATE TABLE morango_syncsession (
    id char(32) NOT NULL PRIMARY KEY,
    start_timestamp datetime NOT NULL,
    last_activity_timestamp datetime NOT NULL,
    active bool NOT NULL,
    is_server bool NOT NULL,
    client_certificate_id char(32) NULL,
    server_certificate_id char(32) NULL,
    profile varchar(40) NOT NULL,
    connection_kind varchar(10) NOT NULL,
    connection_path varchar(1000) NOT NULL,
    client_ip varchar(100) NOT NULL,
    server_ip varchar(100) NOT NULL,
    client_instance_id char(32) NULL,
    client_instance_json text NOT NULL,
    server_instance_id char(32) NULL,
    server_instance_json text NOT NULL,
    extra_fields text NOT NULL,
    process_id integer NULL
);
CREATE TABLE morango_transfersession (
    id char(32) NOT NULL PRIMARY KEY,
    filter text NOT NULL,
    push bool NOT NULL,
    active bool NOT NULL,
    records_transferred integer NOT NULL,
    records_total integer NULL,
    bytes_sent bigint NULL,
    bytes_received bigint NULL,
    sync_session_id char(32) NOT NULL,
    start_timestamp datetime NOT NULL,
    last_activity_timestamp datetime NOT NULL,
    client_fsic text NOT NULL,
    server_fsic text NOT NULL,
    transfer_stage varchar(20) NULL,
    transfer_stage_status varchar(20) NULL
);
CREATE INDEX morango_transfersession_sync_session ON morango_transfersession (sync_session_id);
