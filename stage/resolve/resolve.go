// Package resolve settles by a person's choice what the merge rules left open: it gives
// a record that has conflicting copies the chosen content, as a new version without
// copies.
//
// It belongs to the stages layer, though no transfer session passes it. It imports the
// words and tables layers and package stage. On a row's path it stands in the store, where
// dequeue merged the row; deserialize then brings the chosen content into the table.
package resolve

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// Errors on which a caller decides. Nothing is changed then.
var (
	// ErrNoConflict says that the record has no conflicting copies.
	ErrNoConflict = errors.New("it has no conflicting copies")
	// ErrNoCopy says that there is no copy of the number chosen.
	ErrNoCopy = errors.New("it has no copy of that number")
	// ErrChanged says that the record is not at the version any more that was looked at.
	ErrChanged = errors.New("it has changed meanwhile: look at its copies again")
	// ErrEdited says that the application has changed or deleted the row since it was
	// serialized: the choice would go over something that nobody has looked at.
	ErrEdited = errors.New("the application has changed its row, which is not serialized yet: serialize or sync first, then look at its copies again")
)

// Choice is the content that a record gets. The zero value keeps its own and drops the
// copies.
type Choice struct {
	// Copy is the number of a conflicting copy, from 1, which takes the place of the
	// record's own content; 0 keeps that.
	Copy int
	// Set puts fields to other values, which are JSON, by their names.
	Set map[string]string
	// Version is that of the record when its copies were looked at, as VersionText writes
	// it; when it is at another by now, the error is ErrChanged. "" takes any.
	Version string
}

// VersionText is a version as people and programs hand it back: instance id, ":" and
// counter.
func VersionText(v counter.Version) string { return fmt.Sprintf("%s:%d", v.Instance, v.Counter) }

// Run gives a record of the profile the chosen content as a new version, and drops its
// conflicting copies. A deleted record exists again, unless its own content is kept as it
// is. The record waits for deserialize then. Content that cannot become a row is refused
// with a *record.FieldError. Errors wrap store.ErrNoRecord and those of this package.
// It returns the record's partition.
func Run(ctx context.Context, env stage.Env, id string, c Choice) (string, error) {
	var place string
	err := env.DB.Read(ctx, func(tx *db.Tx) error {
		found, err := store.GetConflict(ctx, tx, env.Profile.Name, id)
		place = found.Partition
		return err
	})
	if err != nil {
		return "", err
	}
	err = env.DB.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock(ctx, partition.Of(place), false); err != nil {
			return err
		}
		found, err := store.GetConflict(ctx, tx, env.Profile.Name, id)
		if err == nil && found.Partition != place { // then the lock is that of another
			err = ErrChanged
		}
		if err != nil {
			return err
		}
		return settle(ctx, tx, env, found, c)
	})
	if err != nil {
		return "", fmt.Errorf("resolve the conflict of record %s: %w", id, err)
	}
	return place, nil
}

// settle checks and stamps the choice.
func settle(ctx context.Context, tx *db.Tx, env stage.Env, found store.Conflict, c Choice) error {
	copies := record.Copies(found.Conflicting)
	switch {
	case c.Version != "" && c.Version != VersionText(found.Version):
		return ErrChanged
	case len(copies) == 0:
		return ErrNoConflict
	case c.Copy < 0 || c.Copy > len(copies):
		return fmt.Errorf("%w: there are %d", ErrNoCopy, len(copies))
	}
	m, _ := env.Profile.Model(found.Model)
	if err := refuseEdited(ctx, tx, m, found.ID); err != nil {
		return err
	}
	deleted := found.Deleted && c.Copy == 0 && len(c.Set) == 0
	version, err := freshVersion(ctx, tx, env)
	if err != nil {
		return err
	}
	old := record.Record{ID: found.ID, Profile: env.Profile.Name, Model: found.Model, Partition: found.Partition,
		SourceID: found.SourceID, Serialized: found.Serialized, SelfRef: found.SelfRef, Version: found.Version}
	chosen := old
	if !deleted {
		if chosen, err = content(env, m, old, copies, c, version); err != nil {
			return err
		}
	}
	return write(ctx, tx, chosen, deleted, version)
}

// refuseEdited refuses a record whose row has changes that are not serialized. Of a model
// that this build does not know there is no row.
func refuseEdited(ctx context.Context, tx *db.Tx, m *model.Model, id string) error {
	pending, err := app.PendingDeletions(ctx, tx, []string{id})
	if err != nil {
		return err
	}
	edited := map[string]bool{}
	if m != nil {
		if edited, err = app.Edited(ctx, tx, m, []string{id}); err != nil {
			return err
		}
	}
	if pending[id] || edited[id] {
		return ErrEdited
	}
	return nil
}

// content makes the chosen text, as serialize would write the row that comes of it.
func content(env stage.Env, m *model.Model, old record.Record, copies []string, c Choice, next counter.Version) (chosen record.Record, err error) {
	chosen = old
	if c.Copy > 0 {
		chosen.Serialized = record.Fill(copies[c.Copy-1], old.Serialized)
	}
	if len(c.Set) > 0 {
		if chosen.Serialized, err = record.Set(chosen.Serialized, c.Set); err != nil {
			return chosen, err
		}
	}
	if m == nil {
		return chosen, nil
	}
	var failed error
	random := func() string {
		id, err := env.NewID()
		failed = errors.Join(failed, err)
		return id
	}
	if chosen.Serialized, err = record.Canonical(chosen, m, env.Now(), random); err == nil {
		err = failed
	}
	if err != nil {
		return chosen, err
	}
	rule := record.RuleOf(m, env.Merge[m.Name])
	chosen.Serialized = rule.Restamp(old, m, chosen.Serialized, next)
	chosen.SelfRef = record.Parent(chosen, m)
	return chosen, nil
}

func freshVersion(ctx context.Context, tx *db.Tx, env stage.Env) (v counter.Version, err error) {
	spare, err := env.NewID()
	if err != nil {
		return v, err
	}
	instance, err := store.CurrentInstance(ctx, tx, env.Machine, func() string { return spare })
	if err != nil {
		return v, err
	}
	v.Instance = instance.ID
	v.Counter, err = store.NextCounter(ctx, tx, instance.ID)
	return v, err
}

const (
	saveRecord = `UPDATE morango_store SET serialized = $2, _self_ref_fk = $3, deleted = $4, conflicting_serialized_data = '',
		last_saved_instance = $5, last_saved_counter = $6, dirty_bit = TRUE, deserialization_error = '',
		last_transfer_session_id = NULL WHERE id = $1`
	saveHistory = `INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter) VALUES ($1, $2, $3)
		ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter`
)

// write puts the chosen content into the store, to be deserialized.
func write(ctx context.Context, tx *db.Tx, r record.Record, deleted bool, v counter.Version) error {
	if _, err := tx.Exec(ctx, saveRecord, r.ID, r.Serialized, r.SelfRef, deleted, v.Instance, v.Counter); err != nil {
		return fmt.Errorf("save the chosen content: %w", err)
	}
	if _, err := tx.Exec(ctx, saveHistory, r.ID, v.Instance, v.Counter); err != nil {
		return fmt.Errorf("save the record max counter of the chosen content: %w", err)
	}
	return store.Touch(ctx, tx, []string{r.Partition})
}
