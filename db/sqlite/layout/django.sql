-- Morango's tables as Django makes them for the reference, so that either can take
-- the other's database over: the same names, columns in the same order, types, keys
-- and indexes. Django reads part of this back out of the text of the statements, so
-- they are written in its form.

-- What may be read and written by whom.
CREATE TABLE "morango_scopedefinition" (
    "profile" varchar(20) NOT NULL,
    "version" integer NOT NULL,
    "id" varchar(20) NOT NULL PRIMARY KEY,
    "description" text NOT NULL,
    "read_filter_template" text NOT NULL,
    "write_filter_template" text NOT NULL,
    "read_write_filter_template" text NOT NULL,
    "primary_scope_param_key" varchar(20) NOT NULL
);
CREATE TABLE "morango_certificate" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "profile" varchar(20) NOT NULL,
    "scope_version" integer NOT NULL,
    "scope_params" text NOT NULL,
    "public_key" text NOT NULL,
    "serialized" text NOT NULL,
    "signature" text NOT NULL,
    "lft" integer unsigned NOT NULL CHECK ("lft" >= 0),
    "rght" integer unsigned NOT NULL CHECK ("rght" >= 0),
    "tree_id" integer unsigned NOT NULL CHECK ("tree_id" >= 0),
    "level" integer unsigned NOT NULL CHECK ("level" >= 0),
    "scope_definition_id" varchar(20) NOT NULL REFERENCES "morango_scopedefinition" ("id") DEFERRABLE INITIALLY DEFERRED,
    "private_key" text NULL,
    "salt" varchar(32) NOT NULL,
    "parent_id" char(32) NULL REFERENCES "morango_certificate" ("id") DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX "morango_certificate_parent_id_60dedc2b" ON "morango_certificate" ("parent_id");
CREATE INDEX "morango_certificate_scope_definition_id_1f75587b" ON "morango_certificate" ("scope_definition_id");
CREATE INDEX "morango_certificate_tree_id_88a9f83c" ON "morango_certificate" ("tree_id");
CREATE TABLE "morango_sharedkey" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    "public_key" text NOT NULL,
    "private_key" text NOT NULL,
    "current" bool NOT NULL
);
CREATE TABLE "morango_nonce" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "timestamp" datetime NOT NULL,
    "ip" varchar(100) NOT NULL
);

-- Who this database is, and who it was on other machines.
CREATE TABLE "morango_databaseidmodel" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "current" bool NOT NULL,
    "date_generated" datetime NOT NULL,
    "initial_instance_id" varchar(32) NOT NULL
);
CREATE TABLE "morango_instanceidmodel" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "platform" text NOT NULL,
    "hostname" text NOT NULL,
    "sysversion" text NOT NULL,
    "node_id" varchar(20) NOT NULL,
    "counter" integer NOT NULL,
    "current" bool NOT NULL,
    "db_path" varchar(1000) NOT NULL,
    "database_id" char(32) NOT NULL REFERENCES "morango_databaseidmodel" ("id") DEFERRABLE INITIALLY DEFERRED,
    "system_id" varchar(100) NOT NULL
);
CREATE INDEX "morango_instanceidmodel_database_id_3d1b7c0a" ON "morango_instanceidmodel" ("database_id");

-- Who talks to whom, and how far a transfer came.
CREATE TABLE "morango_syncsession" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "start_timestamp" datetime NOT NULL,
    "last_activity_timestamp" datetime NOT NULL,
    "active" bool NOT NULL,
    "connection_kind" varchar(10) NOT NULL,
    "connection_path" varchar(1000) NOT NULL,
    "is_server" bool NOT NULL,
    "client_ip" varchar(100) NOT NULL,
    "profile" varchar(40) NOT NULL,
    "server_ip" varchar(100) NOT NULL,
    "client_certificate_id" char(32) NULL REFERENCES "morango_certificate" ("id") DEFERRABLE INITIALLY DEFERRED,
    "server_certificate_id" char(32) NULL REFERENCES "morango_certificate" ("id") DEFERRABLE INITIALLY DEFERRED,
    "extra_fields" text NOT NULL,
    "process_id" integer NULL,
    "client_instance_json" text NOT NULL,
    "server_instance_json" text NOT NULL,
    "client_instance_id" char(32) NULL,
    "server_instance_id" char(32) NULL
);
CREATE INDEX "morango_syncsession_client_certificate_id_507e0d5d" ON "morango_syncsession" ("client_certificate_id");
CREATE INDEX "morango_syncsession_server_certificate_id_52bf728f" ON "morango_syncsession" ("server_certificate_id");
CREATE TABLE "morango_transfersession" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "filter" text NOT NULL,
    "push" bool NOT NULL,
    "active" bool NOT NULL,
    "records_total" integer NULL,
    "sync_session_id" char(32) NOT NULL REFERENCES "morango_syncsession" ("id") DEFERRABLE INITIALLY DEFERRED,
    "last_activity_timestamp" datetime NOT NULL,
    "client_fsic" text NOT NULL,
    "records_transferred" integer NOT NULL,
    "server_fsic" text NOT NULL,
    "start_timestamp" datetime NOT NULL,
    "bytes_received" bigint NULL,
    "bytes_sent" bigint NULL,
    "transfer_stage" varchar(20) NULL,
    "transfer_stage_status" varchar(20) NULL
);
CREATE INDEX "morango_transfersession_sync_session_id_0455b5bd" ON "morango_transfersession" ("sync_session_id");

-- One row per record: its JSON, version and flags.
CREATE TABLE "morango_store" (
    "serialized" text NOT NULL,
    "deleted" bool NOT NULL,
    "last_saved_instance" char(32) NOT NULL,
    "last_saved_counter" integer NOT NULL,
    "model_name" varchar(40) NOT NULL,
    "profile" varchar(40) NOT NULL,
    "partition" text NOT NULL,
    "id" char(32) NOT NULL PRIMARY KEY,
    "conflicting_serialized_data" text NOT NULL,
    "_self_ref_fk" varchar(32) NOT NULL,
    "dirty_bit" bool NOT NULL,
    "source_id" varchar(96) NOT NULL,
    "hard_deleted" bool NOT NULL,
    "deserialization_error" text NOT NULL,
    "last_transfer_session_id" char(32) NULL
);
CREATE INDEX "idx_morango_deserialize" ON "morango_store" ("profile", "model_name", "partition", "dirty_bit") WHERE "dirty_bit";
CREATE INDEX "idx_morango_store_partition" ON "morango_store" ("partition");
CREATE INDEX "morango_store_last_transfer_session_id_258a67a1" ON "morango_store" ("last_transfer_session_id");

-- A record's history: per instance the highest counter at which it saved the record.
CREATE TABLE "morango_recordmaxcounter" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    "instance_id" char(32) NOT NULL,
    "counter" integer NOT NULL,
    "store_model_id" char(32) NOT NULL REFERENCES "morango_store" ("id") DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX "morango_recordmaxcounter_store_model_id_2a91327d" ON "morango_recordmaxcounter" ("store_model_id");
CREATE UNIQUE INDEX "morango_recordmaxcounter_store_model_id_instance_id_d478818f_uniq" ON "morango_recordmaxcounter" ("store_model_id", "instance_id");

-- What this database holds in full: per partition prefix and instance.
CREATE TABLE "morango_databasemaxcounter" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    "instance_id" char(32) NOT NULL,
    "counter" integer NOT NULL,
    "partition" varchar(128) NOT NULL
);
CREATE UNIQUE INDEX "morango_databasemaxcounter_instance_id_partition_99e4f1fb_uniq" ON "morango_databasemaxcounter" ("instance_id", "partition");

-- The records that travel in a transfer session, and their histories.
CREATE TABLE "morango_buffer" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    "serialized" text NOT NULL,
    "deleted" bool NOT NULL,
    "last_saved_instance" char(32) NOT NULL,
    "last_saved_counter" integer NOT NULL,
    "model_name" varchar(40) NOT NULL,
    "profile" varchar(40) NOT NULL,
    "partition" text NOT NULL,
    "model_uuid" char(32) NOT NULL,
    "transfer_session_id" char(32) NOT NULL REFERENCES "morango_transfersession" ("id") DEFERRABLE INITIALLY DEFERRED,
    "conflicting_serialized_data" text NOT NULL,
    "_self_ref_fk" varchar(32) NOT NULL,
    "source_id" varchar(96) NOT NULL,
    "hard_deleted" bool NOT NULL
);
CREATE INDEX "morango_buffer_transfer_session_id_8e70af5a" ON "morango_buffer" ("transfer_session_id");
CREATE UNIQUE INDEX "morango_buffer_transfer_session_id_model_uuid_2a7288db_uniq" ON "morango_buffer" ("transfer_session_id", "model_uuid");
CREATE TABLE "morango_recordmaxcounterbuffer" (
    "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    "instance_id" char(32) NOT NULL,
    "counter" integer NOT NULL,
    "model_uuid" char(32) NOT NULL,
    "transfer_session_id" char(32) NOT NULL REFERENCES "morango_transfersession" ("id") DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX "morango_recordmaxcounterbuffer_model_uuid_27589dbd" ON "morango_recordmaxcounterbuffer" ("model_uuid");
CREATE INDEX "morango_recordmaxcounterbuffer_transfer_session_id_1e48e3dd" ON "morango_recordmaxcounterbuffer" ("transfer_session_id");

-- Rows that the application deleted since the last serialize.
CREATE TABLE "morango_deletedmodels" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "profile" varchar(40) NOT NULL
);
CREATE TABLE "morango_harddeletedmodels" (
    "id" char(32) NOT NULL PRIMARY KEY,
    "profile" varchar(40) NOT NULL
);
