package verify

import (
	"context"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
)

// doubtfulRows goes through all rows, a page a transaction, and settles those that
// differ from their records in favour of whom is trusted.
func (r Repair) doubtfulRows(ctx context.Context) error {
	for _, m := range r.Profile.Models {
		for after, more := "", true; more; {
			err := r.DB.Write(ctx, func(tx *db.Tx) (err error) {
				after, more, err = r.doubtfulPage(ctx, tx, m, after)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// doubtfulPage settles one page of rows, and returns where the next begins.
func (r Repair) doubtfulPage(ctx context.Context, tx *db.Tx, m *model.Model, after string) (last string, more bool, err error) {
	if err := tx.Lock(ctx, partition.All(), false); err != nil {
		return after, false, err
	}
	page, err := app.HeldPage(ctx, tx, m, after, rowsAtOnce)
	if err != nil || len(page) == 0 {
		return after, false, err
	}
	c := &check{profile: r.Profile, options: Options{Examples: rowsAtOnce}}
	c.begin(tx)
	if err := newTableCheck(c, m).page(ctx, page); err != nil {
		return after, false, err
	}
	found := c.finish()
	if r.Trust == TrustApplication {
		err = r.trustRows(ctx, tx, m, found)
	} else {
		err = trustRecords(ctx, tx, found)
	}
	return page[len(page)-1].ID, len(page) == rowsAtOnce, err
}

// trustRows marks rows as changed, so that they become new versions of their records. A
// text that cannot be read is cleared first, for serialize would keep of it what it
// does not know.
func (r Repair) trustRows(ctx context.Context, tx *db.Tx, m *model.Model, found Report) error {
	unreadable := found.Of(TextUnreadable).Examples
	if len(unreadable) > 0 {
		if err := onTexts(`UPDATE morango_store SET serialized = '' WHERE id IN %s`)(ctx, tx, unreadable); err != nil {
			return err
		}
	}
	var ids []string
	for _, k := range []Kind{RowUnknown, RowDeleted, RowDiffers, TextUnreadable} {
		for _, e := range found.Of(k).Examples {
			ids = append(ids, e.Object)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return app.MarkChanged(ctx, tx, m, ids)
}

// trustRecords marks records as waiting, so that they are applied over their rows.
func trustRecords(ctx context.Context, tx *db.Tx, found Report) error {
	for _, k := range []Kind{RowDeleted, RowDiffers} {
		if examples := found.Of(k).Examples; len(examples) > 0 {
			if err := onObjects(`UPDATE morango_store SET dirty_bit = TRUE WHERE id IN %s`)(ctx, tx, examples); err != nil {
				return err
			}
		}
	}
	return nil
}
