package serialize

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/store"
)

const (
	// A hard deletion stands in both tables, but the second alone says enough.
	waiting = `SELECT id FROM morango_deletedmodels WHERE profile = $1
		UNION SELECT id FROM morango_harddeletedmodels WHERE profile = $1`

	readModels = `SELECT id, model_name FROM morango_store WHERE id IN `
	readHard   = `SELECT id FROM morango_harddeletedmodels WHERE profile = $2 AND id IN `

	markDeleted = `UPDATE morango_store SET deleted = TRUE, dirty_bit = FALSE,
		last_saved_instance = $2, last_saved_counter = $3 WHERE id IN `
	blank = `UPDATE morango_store SET hard_deleted = TRUE, serialized = '{}', conflicting_serialized_data = ''
		WHERE id IN `
	deletionHistory = `INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter)
		SELECT id, last_saved_instance, last_saved_counter FROM morango_store WHERE id IN %s
		ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter`

	forgetDeleted = `DELETE FROM morango_deletedmodels WHERE profile = $2 AND id IN `
	forgetHard    = `DELETE FROM morango_harddeletedmodels WHERE profile = $2 AND id IN `
)

// deletionsWait reports whether the application deleted something since the last
// run.
func deletionsWait(ctx context.Context, tx *db.Tx, profile string) (bool, error) {
	ids, err := idList(ctx, tx, waiting+" LIMIT 1", profile)
	return len(ids) > 0, err
}

// deletions takes pages of deletions, whatever the filter, until none is left
// (true), the budget is spent or the time is over.
func (p *pass) deletions(ctx context.Context) (bool, error) {
	profile := p.run.env.Profile.Name
	for !p.spent() {
		limit := min(p.budget, pageRows)
		ids, err := idList(ctx, p.tx, fmt.Sprintf("%s ORDER BY id LIMIT %d", waiting, limit), profile)
		if err != nil {
			return false, err
		}
		p.budget -= len(ids)
		if err := p.deletionPage(ctx, ids); err != nil {
			return false, err
		}
		if len(ids) < limit {
			return true, nil
		}
	}
	return false, nil
}

// deletionPage stamps the records of one page of deletions as deleted and forgets
// the deletions. One whose row exists again is only forgotten.
func (p *pass) deletionPage(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	all, profile := db.JSONList(ids), p.run.env.Profile.Name
	gone, err := p.gone(ctx, all)
	if err != nil {
		return err
	}
	if len(gone) > 0 {
		hard, err := idList(ctx, p.tx, readHard+p.tx.IDs(1), db.JSONList(gone), profile)
		if err != nil {
			return err
		}
		if err := p.stampDeleted(ctx, gone, hard); err != nil {
			return err
		}
		p.report.Deleted += int64(len(gone))
	}
	for _, forget := range []string{forgetDeleted, forgetHard} {
		if _, err := p.tx.Exec(ctx, forget+p.tx.IDs(1), all, profile); err != nil {
			return fmt.Errorf("forget deletions that are serialized: %w", err)
		}
	}
	return nil
}

// gone returns those of the ids whose record the store holds and whose row does
// not exist.
func (p *pass) gone(ctx context.Context, ids string) ([]string, error) {
	byModel, err := p.byModel(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("find deleted records in the store: %w", err)
	}
	var gone []string
	for name, of := range byModel {
		m, ok := p.run.env.Profile.Model(name)
		if !ok {
			gone = append(gone, of...)
			continue
		}
		there, err := app.Existing(ctx, p.tx, m, of)
		if err != nil {
			return nil, err
		}
		for _, id := range of {
			if !there[id] {
				gone = append(gone, id)
			}
		}
	}
	return gone, nil
}

// byModel reads of which model the records of ids are; the store need not hold
// all of them.
func (p *pass) byModel(ctx context.Context, ids string) (map[string][]string, error) {
	rows, err := p.tx.Query(ctx, readModels+p.tx.IDs(1), ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	byModel := map[string][]string{}
	for rows.Next() {
		var id db.ID
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		byModel[name] = append(byModel[name], string(id))
	}
	return byModel, rows.Err()
}

// stampDeleted gives records this transaction's version, as deleted; of those that
// are deleted hard nothing of the text stays.
func (p *pass) stampDeleted(ctx context.Context, deleted, hard []string) error {
	if err := p.version(ctx); err != nil {
		return err
	}
	if err := store.TouchRecords(ctx, p.tx, deleted); err != nil {
		return err
	}
	ids := db.JSONList(deleted)
	if _, err := p.tx.Exec(ctx, markDeleted+p.tx.IDs(1), ids, p.instance, p.counter); err != nil {
		return fmt.Errorf("mark records as deleted: %w", err)
	}
	if _, err := p.tx.Exec(ctx, fmt.Sprintf(deletionHistory, p.tx.IDs(1)), ids); err != nil {
		return fmt.Errorf("write the record max counters of deletions: %w", err)
	}
	if len(hard) == 0 {
		return nil
	}
	if _, err := p.tx.Exec(ctx, blank+p.tx.IDs(1), db.JSONList(hard)); err != nil {
		return fmt.Errorf("blank what is deleted hard: %w", err)
	}
	return nil
}

// idList runs a query for ids.
func idList(ctx context.Context, tx *db.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read deletions: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id db.ID
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read deletions: %w", err)
		}
		ids = append(ids, string(id))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read deletions: %w", err)
	}
	return ids, nil
}
