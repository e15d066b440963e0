package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// rowsAtOnce is how many rows are compared in one go: few enough that long texts fit
// into memory.
const rowsAtOnce = 500

// rows compares the application's tables with the store, both ways. What waits to be
// serialized or to be applied may differ.
func (c *check) rows(ctx context.Context) error {
	for _, m := range c.profile.Models {
		if err := newTableCheck(c, m).rows(ctx); err != nil {
			return fmt.Errorf("check model %s: %w", m.Name, err)
		}
	}
	return c.absent(ctx)
}

// absent looks for records whose rows are gone.
func (c *check) absent(ctx context.Context) error {
	for _, m := range c.profile.Models {
		err := app.Absent(ctx, c.tx, c.profile.Name, m, func(id string) {
			c.find(RowMissing, id, m.Name, "the store has it as applied, and the table %s has no such row", m.Table)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tableCheck compares the rows of one model.
type tableCheck struct {
	*check
	model   *model.Model
	travels []int // places of the serialized columns
}

func newTableCheck(c *check, m *model.Model) *tableCheck {
	t := &tableCheck{check: c, model: m}
	for i, column := range m.Columns {
		if !column.Local {
			t.travels = append(t.travels, i)
		}
	}
	return t
}

func (t *tableCheck) rows(ctx context.Context) error {
	for after := ""; ; {
		page, err := app.HeldPage(ctx, t.tx, t.model, after, rowsAtOnce)
		if err != nil {
			return err
		}
		if err := t.page(ctx, page); err != nil {
			return err
		}
		if len(page) < rowsAtOnce {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// page compares one page of rows with their records.
func (t *tableCheck) page(ctx context.Context, page []app.HeldRow) error {
	settled := make([]app.HeldRow, 0, len(page))
	ids := make([]string, 0, len(page))
	for _, row := range page {
		t.report.Checked.Rows++
		switch {
		case row.Changed:
			t.report.Waiting.Changed++
		case row.Fault != nil:
			t.find(RowUnreadable, row.ID, t.model.Name, "%v", row.Fault)
		default:
			settled, ids = append(settled, row), append(ids, row.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	stored, err := heldRecords(ctx, t.tx, ids)
	if err != nil {
		return err
	}
	deleted, err := app.PendingDeletions(ctx, t.tx, ids)
	if err != nil {
		return err
	}
	good := settled[:0]
	for _, row := range settled {
		if !deleted[row.ID] && t.row(row, stored) {
			good = append(good, row)
		}
	}
	return t.references(ctx, good)
}

// row compares one row with its record, and reports whether they fit.
func (t *tableCheck) row(row app.HeldRow, stored map[string]heldRecord) bool {
	r, there := stored[row.ID]
	switch {
	case !there:
		t.find(RowUnknown, row.ID, t.model.Name, "the row counts as serialized, and the store has no such record")
		return false
	case r.dirty:
		return false
	case r.profile != t.profile.Name || r.model != t.model.Name:
		t.find(RowDiffers, row.ID, t.model.Name, "the store has it as a record of model %s of profile %s", r.model, r.profile)
		return false
	case r.deleted:
		t.find(RowDeleted, row.ID, t.model.Name, "the record is deleted, and the row is still there")
		return false
	}
	values := make([]any, len(t.travels))
	for i, place := range t.travels {
		values[i] = row.Values[place]
	}
	differing, err := record.Differing(r.serialized, t.model, values)
	switch {
	case err != nil:
		t.find(TextUnreadable, row.ID, t.model.Name, "%v", err)
	case len(differing) > 0:
		t.find(RowDiffers, row.ID, t.model.Name, "row and record differ in %s", strings.Join(differing, ", "))
	}
	return err == nil && len(differing) == 0
}

// references checks that table and store have what the rows refer to: a peer that gets
// these records without their target can never apply them. What the application has
// not serialized yet is still to come.
func (t *tableCheck) references(ctx context.Context, rows []app.HeldRow) error {
	for i, c := range t.model.Columns {
		if c.References == nil {
			continue
		}
		targets := map[string]bool{}
		for _, row := range rows {
			if id, ok := row.Values[i].(string); ok {
				targets[id] = true
			}
		}
		if len(targets) == 0 {
			continue
		}
		stored, err := presentRecords(ctx, t.tx, sorted(targets))
		if err != nil {
			return err
		}
		changed, err := app.Targets(ctx, t.tx, c.References.Table, sorted(targets))
		if err != nil {
			return err
		}
		for _, row := range rows {
			id, refers := row.Values[i].(string)
			isChanged, present := changed[id]
			switch {
			case !refers:
			case !present:
				t.find(Reference, row.ID, t.model.Name, "%s refers to %s %s, which the table %s has not got", c.Name, c.References.Model, id, c.References.Table)
			case !stored[id] && !isChanged:
				t.find(Reference, row.ID, t.model.Name, "%s refers to %s %s, which the store has not got", c.Name, c.References.Model, id)
			}
		}
	}
	return nil
}

// heldRecord is what is compared of a record.
type heldRecord struct {
	profile, model, serialized string
	deleted, dirty             bool
}

const readRecords = `SELECT id, profile, model_name, serialized, deleted OR hard_deleted, dirty_bit
	FROM morango_store WHERE id IN `

// heldRecords reads those of the records that the store has.
func heldRecords(ctx context.Context, tx *db.Tx, ids []string) (map[string]heldRecord, error) {
	stored := make(map[string]heldRecord, len(ids))
	err := each(ctx, tx, "records", readRecords+tx.IDs(1), []any{db.JSONList(ids)}, func(row scanner) error {
		var id db.ID
		var r heldRecord
		err := row.Scan(&id, &r.profile, &r.model, &r.serialized, &r.deleted, &r.dirty)
		stored[string(id)] = r
		return err
	})
	return stored, err
}

// presentRecords returns those of the ids that the store has.
func presentRecords(ctx context.Context, tx *db.Tx, ids []string) (map[string]bool, error) {
	present := make(map[string]bool, len(ids))
	err := each(ctx, tx, "records", `SELECT id FROM morango_store WHERE id IN `+tx.IDs(1), []any{db.JSONList(ids)}, func(row scanner) error {
		var id db.ID
		err := row.Scan(&id)
		present[string(id)] = true
		return err
	})
	return present, err
}
