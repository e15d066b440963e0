package morango

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/resolve"
	"github.com/morango-go/morango/store"
)

// MergeFunc merges the JSON texts of two versions of a record, of which neither has seen
// the other; see record.Func for what it must hold to.
type MergeFunc = record.Func

// Conflict is a record that keeps copies which lost a conflict. Its JSON form is stable.
type Conflict struct {
	ID        string `json:"id"`
	Model     string `json:"model"`
	Partition string `json:"partition"`
	// Version is that of the record's last save: instance id, ":" and counter.
	Version string `json:"version"`
	Deleted bool   `json:"deleted"` // the record is deleted; a copy may not be
	Waiting bool   `json:"waiting"` // the record is not applied to the application's table yet
	// Since is when the transfer that brought the last conflict began; nil when that is not
	// known, as when the record was saved here since.
	Since *time.Time `json:"since"`
	// Ours is the record's own content, Copies the others, newest first: JSON, or what a
	// peer sent in place of it. A choice names copies by their place here, from 1.
	Ours   string          `json:"ours"`
	Copies []string        `json:"copies"`
	Fields []ConflictField `json:"fields"` // in which they differ
}

// ConflictField is a field in which copies differ. Null stands for a copy without it.
type ConflictField struct {
	Name   string            `json:"name"` // "" when a copy is no JSON object: then all differ as a whole
	Ours   json.RawMessage   `json:"ours"`
	Copies []json.RawMessage `json:"copies"`
}

// Conflicts returns the records with conflicting copies in id order. It reads them page by
// page, so it can take any time and holds nothing up; memory is bounded.
func (n *Node) Conflicts(ctx context.Context) iter.Seq2[Conflict, error] {
	const pageRecords, pageBytes = 100, 4 << 20
	return func(yield func(Conflict, error) bool) {
		for after, more := "", true; more; {
			var page []Conflict
			err := n.db.Read(ctx, func(tx *db.Tx) (err error) {
				var found []store.Conflict
				if found, more, err = store.Conflicts(ctx, tx, n.Profile().Name, after, pageRecords, pageBytes); err == nil {
					page, err = conflictsOf(ctx, tx, found)
				}
				return err
			})
			if err != nil {
				yield(Conflict{}, err)
				return
			}
			for _, c := range page {
				if after = c.ID; !yield(c, nil) {
					return
				}
			}
		}
	}
}

// Conflict returns one record with its conflicting copies, none when it has no conflict.
// An error wraps store.ErrNoRecord when there is no such record.
func (n *Node) Conflict(ctx context.Context, id string) (Conflict, error) {
	var all []Conflict
	err := n.db.Read(ctx, func(tx *db.Tx) error {
		found, err := store.GetConflict(ctx, tx, n.Profile().Name, id)
		if err == nil {
			all, err = conflictsOf(ctx, tx, []store.Conflict{found})
		}
		return err
	})
	if err != nil {
		return Conflict{}, err
	}
	return all[0], nil
}

// conflictsOf puts what the store has into the form for readers.
func conflictsOf(ctx context.Context, tx *db.Tx, found []store.Conflict) ([]Conflict, error) {
	var sessions []string
	for _, one := range found {
		sessions = append(sessions, one.TransferSession)
	}
	began, err := session.Started(ctx, tx, sessions)
	if err != nil {
		return nil, err
	}
	all := make([]Conflict, 0, len(found))
	for _, one := range found {
		c := Conflict{ID: one.ID, Model: one.Model, Partition: one.Partition, Version: resolve.VersionText(one.Version),
			Deleted: one.Deleted, Waiting: one.Waiting, Ours: record.Bare(one.Serialized), Copies: []string{}, Fields: []ConflictField{}}
		if at, known := began[one.TransferSession]; known {
			c.Since = &at
		}
		c.Copies = append(c.Copies, record.Copies(one.Conflicting)...)
		for _, d := range record.Differences(c.Ours, c.Copies) {
			field := ConflictField{Name: d.Field, Ours: valueOf(d.Ours)}
			for _, v := range d.Copies {
				field.Copies = append(field.Copies, valueOf(v))
			}
			c.Fields = append(c.Fields, field)
		}
		all = append(all, c)
	}
	return all, nil
}

// valueOf is a value for JSON. Peers of the reference write NaN too, which is none.
func valueOf(raw string) json.RawMessage {
	switch {
	case raw == "":
		return json.RawMessage("null")
	case json.Valid([]byte(raw)):
		return json.RawMessage(raw)
	}
	quoted, _ := json.Marshal(raw) // a string cannot fail
	return quoted
}

// Choice is the content that Resolve gives a record; see resolve.Choice.
type Choice = resolve.Choice

// Errors of Resolve on which a caller decides. Nothing is changed then.
var (
	ErrNoRecord   = store.ErrNoRecord
	ErrNoConflict = resolve.ErrNoConflict
	ErrNoCopy     = resolve.ErrNoCopy
	ErrChanged    = resolve.ErrChanged
	ErrEdited     = resolve.ErrEdited
)

// Resolution says what became of a resolved record.
type Resolution struct {
	Applied bool   `json:"applied"` // the application's table has the chosen content
	Reason  string `json:"reason,omitempty"`
}

// Resolve gives a record with conflicting copies the chosen content: a new version, which
// travels to all peers with the next syncs. The copies are dropped, and the application's
// table follows; when it cannot yet, Resolution says why, and it is tried again as any
// record that waits. It may run beside syncs. Content that cannot become a row is refused
// with a *record.FieldError.
func (n *Node) Resolve(ctx context.Context, id string, c Choice) (r Resolution, err error) {
	place, err := resolve.Run(ctx, n.engine.Env(), id, c)
	if err != nil {
		return r, err
	}
	if _, err = deserialize.Run(ctx, n.engine.Env(), partition.Of(place), deserialize.Options{}, nil); err != nil {
		return r, err
	}
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		r.Applied, r.Reason, err = store.Applied(ctx, tx, id)
		return err
	})
	return r, err
}

// checkMerge refuses to merge by functions that the profile does not ask for, and to go
// without those that it does: peers that merge by different rules end with different rows.
func (c Config) checkMerge(p *Profile) error {
	for _, m := range p.Models {
		if m.Merge.Kind == model.MergeCustom && c.Merge[m.Name] == nil {
			return fmt.Errorf("model %s of profile %s merges by a function of the embedding program: give it in Config.Merge", m.Name, p.Name)
		}
	}
	for name := range c.Merge {
		if m, ok := p.Model(name); !ok || m.Merge.Kind != model.MergeCustom {
			return fmt.Errorf("there is a merge function for model %q, but the profile %s has no model of that name with `merge: custom`", name, p.Name)
		}
	}
	return nil
}
