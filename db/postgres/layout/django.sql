-- Morango's tables as Django makes them for the reference, so that either can take
-- the other's database over: the same names, columns in the same order, types, keys
-- and indexes.

-- What may be read and written by whom.
CREATE TABLE morango_scopedefinition (
    profile varchar(20) NOT NULL,
    version integer NOT NULL,
    id varchar(20) NOT NULL PRIMARY KEY,
    description text NOT NULL,
    read_filter_template text NOT NULL,
    write_filter_template text NOT NULL,
    read_write_filter_template text NOT NULL,
    primary_scope_param_key varchar(20) NOT NULL
);
CREATE INDEX morango_scopedefinition_id_e8811758_like ON morango_scopedefinition (id varchar_pattern_ops);
CREATE TABLE morango_certificate (
    id uuid NOT NULL PRIMARY KEY,
    profile varchar(20) NOT NULL,
    scope_version integer NOT NULL,
    scope_params text NOT NULL,
    public_key text NOT NULL,
    serialized text NOT NULL,
    signature text NOT NULL,
    private_key text,
    lft integer NOT NULL CHECK (lft >= 0),
    rght integer NOT NULL CHECK (rght >= 0),
    tree_id integer NOT NULL CHECK (tree_id >= 0),
    level integer NOT NULL CHECK (level >= 0),
    parent_id uuid
        CONSTRAINT morango_certificate_parent_id_60dedc2b_fk_morango_c REFERENCES morango_certificate (id) DEFERRABLE INITIALLY DEFERRED,
    scope_definition_id varchar(20) NOT NULL
        CONSTRAINT morango_certificate_scope_definition_id_1f75587b_fk_morango_s REFERENCES morango_scopedefinition (id) DEFERRABLE INITIALLY DEFERRED,
    salt varchar(32) NOT NULL
);
CREATE INDEX morango_certificate_parent_id_60dedc2b ON morango_certificate (parent_id);
CREATE INDEX morango_certificate_scope_definition_id_1f75587b ON morango_certificate (scope_definition_id);
CREATE INDEX morango_certificate_scope_definition_id_1f75587b_like ON morango_certificate (scope_definition_id varchar_pattern_ops);
CREATE INDEX morango_certificate_tree_id_88a9f83c ON morango_certificate (tree_id);
CREATE TABLE morango_sharedkey (
    id serial NOT NULL PRIMARY KEY,
    public_key text NOT NULL,
    private_key text NOT NULL,
    current boolean NOT NULL
);
CREATE TABLE morango_nonce (
    id uuid NOT NULL PRIMARY KEY,
    "timestamp" timestamp with time zone NOT NULL,
    ip varchar(100) NOT NULL
);

-- Who this database is, and who it was on other machines.
CREATE TABLE morango_databaseidmodel (
    id uuid NOT NULL PRIMARY KEY,
    current boolean NOT NULL,
    date_generated timestamp with time zone NOT NULL,
    initial_instance_id varchar(32) NOT NULL
);
CREATE TABLE morango_instanceidmodel (
    id uuid NOT NULL PRIMARY KEY,
    platform text NOT NULL,
    hostname text NOT NULL,
    sysversion text NOT NULL,
    node_id varchar(20) NOT NULL,
    counter integer NOT NULL,
    current boolean NOT NULL,
    db_path varchar(1000) NOT NULL,
    database_id uuid NOT NULL
        CONSTRAINT morango_instanceidmo_database_id_3d1b7c0a_fk_morango_d REFERENCES morango_databaseidmodel (id) DEFERRABLE INITIALLY DEFERRED,
    system_id varchar(100) NOT NULL
);
CREATE INDEX morango_instanceidmodel_database_id_3d1b7c0a ON morango_instanceidmodel (database_id);

-- Who talks to whom, and how far a transfer came.
CREATE TABLE morango_syncsession (
    id uuid NOT NULL PRIMARY KEY,
    start_timestamp timestamp with time zone NOT NULL,
    last_activity_timestamp timestamp with time zone NOT NULL,
    active boolean NOT NULL,
    connection_kind varchar(10) NOT NULL,
    connection_path varchar(1000) NOT NULL,
    is_server boolean NOT NULL,
    client_instance_json text NOT NULL,
    client_ip varchar(100) NOT NULL,
    profile varchar(40) NOT NULL,
    server_instance_json text NOT NULL,
    server_ip varchar(100) NOT NULL,
    client_certificate_id uuid
        CONSTRAINT morango_syncsession_client_certificate_i_507e0d5d_fk_morango_c REFERENCES morango_certificate (id) DEFERRABLE INITIALLY DEFERRED,
    server_certificate_id uuid
        CONSTRAINT morango_syncsession_server_certificate_i_52bf728f_fk_morango_c REFERENCES morango_certificate (id) DEFERRABLE INITIALLY DEFERRED,
    extra_fields text NOT NULL,
    process_id integer,
    client_instance_id uuid,
    server_instance_id uuid
);
CREATE INDEX morango_syncsession_client_certificate_id_507e0d5d ON morango_syncsession (client_certificate_id);
CREATE INDEX morango_syncsession_server_certificate_id_52bf728f ON morango_syncsession (server_certificate_id);
CREATE TABLE morango_transfersession (
    id uuid NOT NULL PRIMARY KEY,
    filter text NOT NULL,
    push boolean NOT NULL,
    active boolean NOT NULL,
    records_total integer,
    sync_session_id uuid NOT NULL
        CONSTRAINT morango_transfersess_sync_session_id_0455b5bd_fk_morango_s REFERENCES morango_syncsession (id) DEFERRABLE INITIALLY DEFERRED,
    last_activity_timestamp timestamp with time zone NOT NULL,
    client_fsic text NOT NULL,
    records_transferred integer NOT NULL,
    server_fsic text NOT NULL,
    start_timestamp timestamp with time zone NOT NULL,
    bytes_received bigint,
    bytes_sent bigint,
    transfer_stage varchar(20),
    transfer_stage_status varchar(20)
);
CREATE INDEX morango_transfersession_sync_session_id_0455b5bd ON morango_transfersession (sync_session_id);

-- One row per record: its JSON, version and flags.
CREATE TABLE morango_store (
    serialized text NOT NULL,
    deleted boolean NOT NULL,
    last_saved_instance uuid NOT NULL,
    last_saved_counter integer NOT NULL,
    model_name varchar(40) NOT NULL,
    profile varchar(40) NOT NULL,
    partition text NOT NULL,
    id uuid NOT NULL PRIMARY KEY,
    conflicting_serialized_data text NOT NULL,
    _self_ref_fk varchar(32) NOT NULL,
    dirty_bit boolean NOT NULL,
    source_id varchar(96) NOT NULL,
    hard_deleted boolean NOT NULL,
    deserialization_error text NOT NULL,
    last_transfer_session_id uuid
);
CREATE INDEX idx_morango_deserialize ON morango_store (profile, model_name, partition, dirty_bit) WHERE dirty_bit;
CREATE INDEX idx_morango_store_partition ON morango_store (partition);
CREATE INDEX morango_store_last_transfer_session_id_258a67a1 ON morango_store (last_transfer_session_id);

-- A record's history: per instance the highest counter at which it saved the record.
CREATE TABLE morango_recordmaxcounter (
    id serial NOT NULL PRIMARY KEY,
    instance_id uuid NOT NULL,
    counter integer NOT NULL,
    store_model_id uuid NOT NULL
        CONSTRAINT morango_recordmaxcou_store_model_id_2a91327d_fk_morango_s REFERENCES morango_store (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT morango_recordmaxcounter_store_model_id_instance__d478818f_uniq UNIQUE (store_model_id, instance_id)
);
CREATE INDEX morango_recordmaxcounter_store_model_id_2a91327d ON morango_recordmaxcounter (store_model_id);

-- What this database holds in full: per partition prefix and instance.
CREATE TABLE morango_databasemaxcounter (
    id serial NOT NULL PRIMARY KEY,
    instance_id uuid NOT NULL,
    counter integer NOT NULL,
    partition varchar(128) NOT NULL,
    CONSTRAINT morango_databasemaxcounter_instance_id_partition_99e4f1fb_uniq UNIQUE (instance_id, partition)
);

-- The records that travel in a transfer session, and their histories.
CREATE TABLE morango_buffer (
    id serial NOT NULL PRIMARY KEY,
    serialized text NOT NULL,
    deleted boolean NOT NULL,
    last_saved_instance uuid NOT NULL,
    last_saved_counter integer NOT NULL,
    model_name varchar(40) NOT NULL,
    profile varchar(40) NOT NULL,
    partition text NOT NULL,
    model_uuid uuid NOT NULL,
    transfer_session_id uuid NOT NULL
        CONSTRAINT morango_buffer_transfer_session_id_8e70af5a_fk_morango_t REFERENCES morango_transfersession (id) DEFERRABLE INITIALLY DEFERRED,
    conflicting_serialized_data text NOT NULL,
    _self_ref_fk varchar(32) NOT NULL,
    source_id varchar(96) NOT NULL,
    hard_deleted boolean NOT NULL,
    CONSTRAINT morango_buffer_transfer_session_id_model_uuid_2a7288db_uniq UNIQUE (transfer_session_id, model_uuid)
);
CREATE INDEX morango_buffer_transfer_session_id_8e70af5a ON morango_buffer (transfer_session_id);
CREATE TABLE morango_recordmaxcounterbuffer (
    id serial NOT NULL PRIMARY KEY,
    instance_id uuid NOT NULL,
    counter integer NOT NULL,
    model_uuid uuid NOT NULL,
    transfer_session_id uuid NOT NULL
        CONSTRAINT morango_recordmaxcou_transfer_session_id_1e48e3dd_fk_morango_t REFERENCES morango_transfersession (id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX morango_recordmaxcounterbuffer_model_uuid_27589dbd ON morango_recordmaxcounterbuffer (model_uuid);
CREATE INDEX morango_recordmaxcounterbuffer_transfer_session_id_1e48e3dd ON morango_recordmaxcounterbuffer (transfer_session_id);

-- Rows that the application deleted since the last serialize.
CREATE TABLE morango_deletedmodels (
    id uuid NOT NULL PRIMARY KEY,
    profile varchar(40) NOT NULL
);
CREATE TABLE morango_harddeletedmodels (
    id uuid NOT NULL PRIMARY KEY,
    profile varchar(40) NOT NULL
);
