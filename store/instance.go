package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

// ErrCounterSpent says that an instance has saved as often as the tables can count.
var ErrCounterSpent = errors.New("the instance's counter cannot rise any more: give the database a new database id")

// Machine is what the caller knows of the machine and database file that the
// engine runs on; it goes into the instance row and the instance JSON.
type Machine struct {
	SystemID, NodeID   string // hashed, as in the instance id
	Platform, Hostname string
	SysVersion         string
	DBPath             string // without secrets
}

// Instance is one row of the instances that this database has used: who saves,
// and the counter of its last save. Counter 0 means that it never saved.
type Instance struct {
	ID, DatabaseID     string // 32 hex digits
	SystemID, NodeID   string
	Platform, Hostname string
	SysVersion         string
	DBPath             string
	Counter            int64
}

// CurrentInstance returns the instance that the engine on machine m saves as, and
// makes it, and the database id, when there are none. newID gives a random id for
// a new database. Nothing is written when nothing changed.
func CurrentInstance(ctx context.Context, tx *db.Tx, m Machine, newID func() string) (Instance, error) {
	database, err := currentDatabase(ctx, tx, newID)
	if err != nil {
		return Instance{}, err
	}
	want, found, err := findInstance(ctx, tx, m, database)
	if err != nil || found {
		return want, err
	}
	if err := makeCurrent(ctx, tx, want); err != nil {
		return Instance{}, fmt.Errorf("save instance %s as the current one: %w", want.ID, err)
	}
	return want, nil
}

// FindInstance is CurrentInstance where there is nothing to be made or brought up to date;
// else found is false.
func FindInstance(ctx context.Context, tx *db.Tx, m Machine) (i Instance, found bool, err error) {
	var have Instance
	var database db.ID
	query := `SELECT (` + selectDatabase + `), ` + instanceColumns + ` FROM morango_instanceidmodel WHERE current`
	err = tx.QueryRow(ctx, query).Scan(append([]any{&database}, have.columns()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return i, false, nil
	}
	if err != nil {
		return i, false, fmt.Errorf("read this database's instance: %w", err)
	}
	i = m.instance(string(database))
	i.Counter = have.Counter
	return i, have == i, nil
}

// instance is the instance of a machine and a database.
func (m Machine) instance(database string) Instance {
	return Instance{
		ID: ident.Instance(database, m.SystemID, m.NodeID), DatabaseID: database,
		SystemID: m.SystemID, NodeID: m.NodeID, Platform: m.Platform, Hostname: m.Hostname,
		SysVersion: m.SysVersion, DBPath: m.DBPath,
	}
}

const instanceColumns = `id, database_id, system_id, node_id, platform, hostname, sysversion, db_path, counter`

// columns are where to scan instanceColumns to.
func (i *Instance) columns() []any {
	return []any{(*db.ID)(&i.ID), (*db.ID)(&i.DatabaseID), &i.SystemID, &i.NodeID, &i.Platform, &i.Hostname, &i.SysVersion, &i.DBPath, &i.Counter}
}

// findInstance returns the instance of a machine and a database, and whether it stands so
// in the database, as the current one.
func findInstance(ctx context.Context, tx *db.Tx, m Machine, database string) (i Instance, found bool, err error) {
	want := m.instance(database)
	have, current, err := instance(ctx, tx, want.ID)
	if err != nil {
		return Instance{}, false, err
	}
	want.Counter = have.Counter
	return want, current && have == want, nil
}

const selectDatabase = `SELECT id FROM morango_databaseidmodel WHERE current
	ORDER BY date_generated DESC, id LIMIT 1`

// currentDatabase returns the database id in use, and makes one on an empty database.
func currentDatabase(ctx context.Context, tx *db.Tx, newID func() string) (string, error) {
	if id, err := databaseID(ctx, tx); err != nil || id != "" {
		return id, err
	}
	fresh := newID()
	if !ident.Valid(fresh) {
		return "", fmt.Errorf("make a database id: %q is not 32 lower-case hex digits", fresh)
	}
	// The moment is a note for people, nothing is decided by it.
	if _, err := tx.Exec(ctx, `INSERT INTO morango_databaseidmodel (id, current, date_generated, initial_instance_id)
		VALUES ($1, TRUE, CURRENT_TIMESTAMP, '')`, fresh); err != nil {
		return "", fmt.Errorf("save the database id: %w", err)
	}
	return fresh, nil
}

// instance returns the row of an instance, the zero value when there is none, and
// whether it is marked current.
func instance(ctx context.Context, tx *db.Tx, id string) (i Instance, current bool, err error) {
	err = tx.QueryRow(ctx, `SELECT `+instanceColumns+`, current FROM morango_instanceidmodel WHERE id = $1`, id).
		Scan(append(i.columns(), &current)...)
	if errors.Is(err, sql.ErrNoRows) {
		return Instance{}, false, nil
	}
	if err != nil {
		return Instance{}, false, fmt.Errorf("read instance %s: %w", id, err)
	}
	return i, current, nil
}

// makeCurrent saves the facts about an instance and marks it, and no other, current.
// Its counter stays.
func makeCurrent(ctx context.Context, tx *db.Tx, i Instance) error {
	if _, err := tx.Exec(ctx, `UPDATE morango_instanceidmodel SET current = FALSE WHERE current AND id <> $1`, i.ID); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO morango_instanceidmodel
		(id, database_id, system_id, node_id, platform, hostname, sysversion, db_path, counter, current)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, TRUE)
		ON CONFLICT (id) DO UPDATE SET database_id = excluded.database_id, system_id = excluded.system_id,
			node_id = excluded.node_id, platform = excluded.platform, hostname = excluded.hostname,
			sysversion = excluded.sysversion, db_path = excluded.db_path, current = TRUE`,
		i.ID, i.DatabaseID, i.SystemID, i.NodeID, i.Platform, i.Hostname, i.SysVersion, i.DBPath)
	return err
}

// NextCounter raises the counter of the instance by one and returns it. It must run
// in the transaction that stamps rows with the value, under the lock of their
// partitions: a value that another transaction shares or sees too early loses rows.
func NextCounter(ctx context.Context, tx *db.Tx, instanceID string) (int64, error) {
	changed, err := tx.Exec(ctx, `UPDATE morango_instanceidmodel SET counter = counter + 1
		WHERE id = $1 AND counter < $2`, instanceID, int64(counter.Greatest))
	if err != nil {
		return 0, fmt.Errorf("raise the counter of instance %s: %w", instanceID, err)
	}
	i, _, err := instance(ctx, tx, instanceID)
	switch {
	case err != nil:
		return 0, err
	case changed == 1:
		return i.Counter, nil
	case i.ID == "":
		return 0, fmt.Errorf("raise the counter of instance %s: this database has no such instance", instanceID)
	default:
		return 0, fmt.Errorf("instance %s: %w", instanceID, ErrCounterSpent)
	}
}

// OwnInstances returns every instance id that this database has used, with its counter.
func OwnInstances(ctx context.Context, tx *db.Tx) (map[string]int64, error) {
	return instances(ctx, tx, `SELECT id, counter FROM morango_instanceidmodel`)
}

func instances(ctx context.Context, tx *db.Tx, query string) (map[string]int64, error) {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read own instances: %w", err)
	}
	defer rows.Close()
	own := map[string]int64{}
	for rows.Next() {
		var id db.ID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("read own instances: %w", err)
		}
		own[string(id)] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read own instances: %w", err)
	}
	return own, nil
}
