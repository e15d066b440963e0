package verify

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/store"
)

// file has the database engine look at its own file, where it can.
func (c *check) file(ctx context.Context) error {
	problems, err := c.tx.Damage(ctx, c.options.Examples)
	if err != nil {
		return fmt.Errorf("check the file: %w", err)
	}
	for _, problem := range problems {
		c.find(File, "database", "", "%s", problem)
	}
	return nil
}

// identity checks that the database is one, and remembers as whom it saves.
func (c *check) identity(ctx context.Context) (err error) {
	if c.own, err = store.LivingInstances(ctx, c.tx); err != nil {
		return err
	}
	for _, table := range []struct{ name, what string }{
		{"morango_databaseidmodel", "database ids"}, {"morango_instanceidmodel", "instances"},
	} {
		var current int
		if err := c.tx.QueryRow(ctx, `SELECT COUNT(*) FROM `+table.name+` WHERE current`).Scan(&current); err != nil {
			return fmt.Errorf("check which %s are in use: %w", table.what, err)
		}
		if current > 1 {
			c.find(TwoIdentities, table.name, "", "%d %s are marked as the one in use", current, table.what)
		}
	}
	return nil
}

// waiting counts what is on its way.
func (c *check) waiting(ctx context.Context) error {
	profile := c.profile.Name
	w := &c.report.Waiting
	for _, one := range []struct {
		into  *int64
		query string
		args  []any
	}{
		{&w.Records, `SELECT COUNT(*) FROM morango_store WHERE profile = $1 AND dirty_bit`, []any{profile}},
		{&w.Failing, `SELECT COUNT(*) FROM morango_store WHERE profile = $1 AND dirty_bit AND deserialization_error <> ''`, []any{profile}},
		{&w.Deletions, `SELECT COUNT(*) FROM morango_deletedmodels WHERE profile = $1`, []any{profile}},
		{&w.Transfers, `SELECT COUNT(*) FROM morango_transfersession WHERE active`, nil},
		{&w.Buffered, `SELECT COUNT(*) FROM morango_transfersession t WHERE active
			AND EXISTS (SELECT 1 FROM morango_buffer b WHERE b.transfer_session_id = t.id)`, nil},
	} {
		if err := c.tx.QueryRow(ctx, one.query, one.args...).Scan(one.into); err != nil {
			return fmt.Errorf("count what waits: %w", err)
		}
	}
	return nil
}
