package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/morango-go/morango/db/transaction"
)

// Layout names the physical form of Morango's tables.
type Layout string

// The layouts.
const (
	LayoutLean   Layout = "lean"   // MoranGo's own: composite primary keys, no redundant indexes
	LayoutDjango Layout = "django" // as Django makes them for the reference
)

// What Attach finds wrong.
var (
	ErrNotInitialized = errors.New("the database has no Morango tables yet: run `morango init` first")
	ErrNotOurs        = errors.New("the database has tables with Morango's names that are not Morango's")
	ErrNewerSchema    = errors.New("the database was made by a newer version of MoranGo: update this program")
)

// schemaOf is what creating and checking Morango's tables needs of an engine.
type schemaOf interface {
	// Migrations returns the scripts that make and update the lean layout, in order.
	Migrations() ([]string, error)
	// Django returns the script that makes Django's layout.
	Django() string
	// Tables returns the tables named morango_*, with their columns.
	Tables(ctx context.Context, tx *transaction.Tx) (map[string][]string, error)
	// Indexes returns the names of the indexes named morango_*.
	Indexes(ctx context.Context, tx *transaction.Tx) (*sql.Rows, error)
}

// Attach finds out in which layout Morango's tables are, and brings the lean
// layout up to date. It comes before the database is used by others: which indexes there are is read
// here, once. Errors wrap ErrNotInitialized, ErrNotOurs or ErrNewerSchema.
func (d *DB) Attach(ctx context.Context) (Layout, error) {
	var layout Layout
	behind := false
	err := d.Read(ctx, func(tx *Tx) (err error) {
		layout, behind, err = inspect(ctx, tx)
		return err
	})
	if err == nil && behind {
		err = d.Write(ctx, func(tx *Tx) error { return migrate(ctx, tx) })
	}
	if err == nil {
		err = d.Read(ctx, func(tx *Tx) (err error) {
			d.indexes, err = indexes(ctx, tx)
			return err
		})
	}
	if err != nil {
		return "", fmt.Errorf("attach to %s: %w", d.Path(), err)
	}
	return layout, nil
}

// indexes reads which indexes Morango's tables have.
func indexes(ctx context.Context, tx *Tx) (map[string]bool, error) {
	rows, err := tx.dialect.(schemaOf).Indexes(ctx, tx.tx)
	if err != nil {
		return nil, fmt.Errorf("list the indexes: %w", err)
	}
	defer rows.Close()
	found := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list the indexes: %w", err)
		}
		found[name] = true
	}
	return found, rows.Err()
}

// Create makes Morango's tables where there are none. On a database that already has
// them it does what Attach does, in whichever layout they are; only a database in the
// lean layout is refused when Django's is asked for. To Django its own layout is new
// until `manage.py migrate --fake morango` has told it of the tables.
func (d *DB) Create(ctx context.Context, layout Layout) error {
	if layout != LayoutLean && layout != LayoutDjango {
		return fmt.Errorf("there is no layout %q of Morango's tables: choose %s or %s", layout, LayoutLean, LayoutDjango)
	}
	err := d.Write(ctx, func(tx *Tx) error {
		found, behind, err := inspect(ctx, tx)
		switch {
		case errors.Is(err, ErrNotInitialized) && layout == LayoutDjango:
			_, err = tx.Exec(ctx, tx.dialect.(schemaOf).Django())
			return err
		case errors.Is(err, ErrNotInitialized):
			return migrate(ctx, tx)
		case err != nil:
			return err
		case found != layout && layout == LayoutDjango:
			return fmt.Errorf("they are there already, in the layout %s: sync into a new database in the layout %s instead", found, layout)
		case behind:
			return migrate(ctx, tx)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make Morango's tables in %s: %w", d.Path(), err)
	}
	return nil
}

// inspect finds the layout, and whether it is an older version of the lean one.
func inspect(ctx context.Context, tx *Tx) (layout Layout, behind bool, err error) {
	schema := tx.dialect.(schemaOf)
	tables, err := schema.Tables(ctx, tx.tx)
	if err != nil {
		return "", false, fmt.Errorf("list the tables: %w", err)
	}
	if len(tables) == 0 {
		return "", false, ErrNotInitialized
	}
	layout = LayoutDjango
	if columns, ok := tables["morango_schema"]; ok {
		layout = LayoutLean
		if !slices.Equal(columns, []string{"version"}) {
			return "", false, fmt.Errorf("%w: morango_schema has the columns %s", ErrNotOurs, strings.Join(columns, ", "))
		}
		version, err := version(ctx, tx)
		if err != nil {
			return "", false, err
		}
		scripts, err := schema.Migrations()
		if err != nil {
			return "", false, err
		}
		if version > len(scripts) {
			return "", false, fmt.Errorf("%w (its tables have version %d, this program knows %d)", ErrNewerSchema, version, len(scripts))
		}
		behind = version < len(scripts)
	}
	return layout, behind, checkColumns(tables)
}

// version reads the version of the lean layout.
func version(ctx context.Context, tx *Tx) (int, error) {
	var version sql.NullInt64
	if err := tx.QueryRow(ctx, "SELECT max(version) FROM morango_schema").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the version of the tables: %w", err)
	}
	if !version.Valid {
		return 0, fmt.Errorf("%w: morango_schema is empty", ErrNotOurs)
	}
	return int(version.Int64), nil
}

// migrate runs the scripts that the database has not seen yet.
func migrate(ctx context.Context, tx *Tx) error {
	schema := tx.dialect.(schemaOf)
	scripts, err := schema.Migrations()
	if err != nil {
		return err
	}
	tables, err := schema.Tables(ctx, tx.tx)
	if err != nil {
		return fmt.Errorf("list the tables: %w", err)
	}
	done := 0
	if len(tables) > 0 {
		if done, err = version(ctx, tx); err != nil {
			return err
		}
	}
	for i := done; i < len(scripts); i++ {
		if _, err := tx.Exec(ctx, scripts[i]); err != nil {
			return fmt.Errorf("run migration %d: %w", i+1, err)
		}
	}
	if _, err := tx.Exec(ctx, "DELETE FROM morango_schema"); err != nil {
		return fmt.Errorf("write the version of the tables: %w", err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO morango_schema (version) VALUES ($1)", len(scripts)); err != nil {
		return fmt.Errorf("write the version of the tables: %w", err)
	}
	return nil
}

// required are the columns that every layout has. Surrogate ids are not among them.
var required = map[string]string{
	"morango_store": "id profile model_name partition source_id last_saved_instance last_saved_counter deleted " +
		"hard_deleted dirty_bit _self_ref_fk last_transfer_session_id deserialization_error serialized conflicting_serialized_data",
	"morango_recordmaxcounter":   "store_model_id instance_id counter",
	"morango_databasemaxcounter": "instance_id partition counter",
	"morango_buffer": "transfer_session_id model_uuid profile model_name partition source_id last_saved_instance " +
		"last_saved_counter deleted hard_deleted _self_ref_fk serialized conflicting_serialized_data",
	"morango_recordmaxcounterbuffer": "transfer_session_id model_uuid instance_id counter",
	"morango_deletedmodels":          "id profile",
	"morango_harddeletedmodels":      "id profile",
	"morango_databaseidmodel":        "id current date_generated initial_instance_id",
	"morango_instanceidmodel":        "id platform hostname sysversion node_id counter current db_path database_id system_id",
	"morango_scopedefinition": "id profile version description read_filter_template write_filter_template " +
		"read_write_filter_template primary_scope_param_key",
	"morango_certificate": "id parent_id profile scope_definition_id scope_version scope_params public_key private_key " +
		"serialized signature salt lft rght tree_id level",
	"morango_sharedkey": "public_key private_key current",
	"morango_nonce":     "id timestamp ip",
	"morango_syncsession": "id start_timestamp last_activity_timestamp active is_server client_certificate_id " +
		"server_certificate_id profile connection_kind connection_path client_ip server_ip client_instance_id " +
		"client_instance_json server_instance_id server_instance_json extra_fields process_id",
	"morango_transfersession": "id filter push active records_transferred records_total bytes_sent bytes_received " +
		"sync_session_id start_timestamp last_activity_timestamp client_fsic server_fsic transfer_stage transfer_stage_status",
}

// checkColumns refuses tables that lack something every layout has.
func checkColumns(tables map[string][]string) error {
	for _, table := range slices.Sorted(maps.Keys(required)) {
		columns, ok := tables[table]
		if !ok {
			return fmt.Errorf("%w: the table %s is missing", ErrNotOurs, table)
		}
		for _, column := range strings.Fields(required[table]) {
			if !slices.Contains(columns, column) {
				return fmt.Errorf("%w: the table %s has no column %s (if a Python Morango older than 0.8 made it, "+
					"let a current one migrate it first)", ErrNotOurs, table, column)
			}
		}
	}
	return nil
}
