package serialize

import (
	"context"
	"fmt"
	"iter"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
)

// One row that cannot travel, or one text of the store that cannot be read, must not
// keep the others from travelling.

// unsendable tells why no peer would take a row as a record, whatever its text: nothing
// comes into the store here that is refused there.
func unsendable(profile string, m *model.Model, row app.Row, in, sourceID, selfRef string) error {
	for i, c := range m.Columns {
		if c.Local {
			continue
		}
		if err := record.Travels(row.Values[i]); err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	if sourceID == "" || in == "" {
		if _, err := app.Unfilled(m, row); err != nil {
			return err
		}
	}
	r := record.Record{ID: row.ID, Profile: profile, Model: m.Name, Partition: in, SourceID: sourceID, SelfRef: selfRef}
	r.Version.Instance = row.ID // of some instance: there is none yet
	return record.Check(r, m, partition.All())
}

// reasonOf is a fault without the name of the row, which stands beside it.
func reasonOf(m *model.Model, row app.Row, fault error) string {
	return record.Reason(record.Record{ID: row.ID, Model: m.Name}, fault)
}

// settled is entry; but where the store's text cannot be read, the row's own takes its
// place. What was there is kept among the conflicting texts, as far as it is a text.
func (s shape) settled(row app.Row, old known, again bool) (entry, error) {
	e, err := s.entry(row, old, again)
	if err == nil || !again || record.Readable(old.Serialized) {
		return e, err
	}
	unread := old
	unread.Serialized, unread.dirty = "", false
	unread.Conflicting = record.Printable(old.Serialized) + "\n" + record.Printable(old.Conflicting)
	return s.entry(row, unread, again)
}

// LeftOut yields the changed rows that the next run would leave out, in order of models
// and ids. It reads a page at a time and writes nothing. After an error it ends.
func LeftOut(ctx context.Context, env stage.Env) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		for _, m := range env.Profile.Models {
			if !leftOutOf(ctx, env, m, yield) {
				return
			}
		}
	}
}

func leftOutOf(ctx context.Context, env stage.Env, m *model.Model, yield func(Problem, error) bool) (more bool) {
	shape := shapeOf(env.Profile, m)
	for after, full := "", true; full; {
		var rows []app.Row
		err := env.DB.Read(ctx, func(tx *db.Tx) (err error) {
			rows, err = app.DirtyPage(ctx, tx, m, partition.Filter{}, after, pageRows)
			return err
		})
		if err != nil {
			yield(Problem{}, fmt.Errorf("look for rows that cannot be serialized: %w", err))
			return false
		}
		for _, row := range rows {
			after = row.ID
			fault := shape.fault(row)
			if fault == nil {
				continue
			}
			if row.Fault == nil {
				if will, _ := app.Unfilled(m, row); will {
					continue // it is judged when it has all that it needs
				}
			}
			if !yield(Problem{Model: m.Name, ID: row.ID, Reason: reasonOf(m, row, fault)}, nil) {
				return false
			}
		}
		full = len(rows) == pageRows
	}
	return true
}
