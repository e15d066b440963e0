package dequeue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// pageRows is how many records are classified and merged in one go, so that the
// temporary table and what the engine sets aside for a statement stay small however
// large the session is. A transaction merges at least as many, if there are.
const pageRows = 1000

// paging says how many records there are in a page, and in a transaction at the least.
type paging struct{ rows, least int }

// merge is one part of a run over a session's buffer, in one transaction.
type merge struct {
	tx      *db.Tx
	env     stage.Env
	session string
	paging
	end    time.Time       // what would take longer is for another transaction
	stamp  counter.Version // of all conflicts of this part; zero until there is one
	report Report
}

// page is a range of record ids: lo <= id < hi, for the last one lo <= id <= hi.
type page struct {
	lo, hi string
	last   bool
}

// anything is false where nothing came, or all of it by a stream.
const anything = `SELECT EXISTS (SELECT 1 FROM morango_buffer WHERE transfer_session_id = $1)
	OR EXISTS (SELECT 1 FROM morango_recordmaxcounterbuffer WHERE transfer_session_id = $1)`

// run merges pages that begin at an id, until there are no more or the time is over. It
// returns the id to go on with, "" at the end. What it merged from the beginning to the
// end it takes out of the buffer.
func (m *merge) run(ctx context.Context, from string) (string, error) {
	var some bool
	if err := m.tx.QueryRow(ctx, anything, m.session).Scan(&some); err != nil {
		return "", fmt.Errorf("look into the buffer: %w", err)
	}
	if !some {
		return "", nil
	}
	for _, query := range []string{makeKnown, indexKnown} {
		if _, err := m.tx.Exec(ctx, query); err != nil {
			return "", fmt.Errorf("make room for the classification: %w", err)
		}
	}
	p := page{hi: from}
	var took time.Duration // by a page
	for seen := 0; !p.last && (seen == 0 || seen < m.least || m.env.Now().Add(took).Before(m.end)); seen += m.rows {
		began := m.env.Now()
		var err error
		if p, err = m.next(ctx, p.hi); err != nil {
			return "", fmt.Errorf("page through the buffer: %w", err)
		}
		if err := m.page(ctx, p); err != nil {
			return "", err
		}
		took = m.env.Now().Sub(began)
	}
	if p.last {
		if err := m.orphans(ctx); err != nil {
			return "", err
		}
	}
	if _, err := m.tx.Exec(ctx, `DROP TABLE morango_dequeue_known`); err != nil {
		return "", fmt.Errorf("clear the classification away: %w", err)
	}
	if !p.last {
		return p.hi, nil
	}
	if from == ident.Lowest { // all at once
		err := buffer.Drop(ctx, m.tx, m.session)
		return "", err
	}
	return "", nil
}

// next returns the page that begins at an id.
func (m *merge) next(ctx context.Context, lo string) (page, error) {
	var hi db.ID
	err := m.tx.QueryRow(ctx, pageEnd, m.session, lo, m.rows).Scan(&hi)
	if errors.Is(err, sql.ErrNoRows) {
		return page{lo: lo, hi: ident.Highest, last: true}, nil
	}
	return page{lo: lo, hi: string(hi)}, err
}

// page merges the records of one page.
func (m *merge) page(ctx context.Context, p page) error {
	if _, err := m.tx.Exec(ctx, p.bound(classify), m.session, p.lo, p.hi); err != nil {
		return fmt.Errorf("compare the buffer with the store: %w", err)
	}
	if err := m.touch(ctx, p); err != nil {
		return err
	}
	if err := m.byRule(ctx); err != nil {
		return err
	}
	found, err := m.count(ctx)
	if err != nil {
		return fmt.Errorf("count the kinds of records: %w", err)
	}
	if found[conflict] > 0 {
		if err := m.conflicts(ctx); err != nil {
			return fmt.Errorf("merge conflicts: %w", err)
		}
	}
	if found[joinTheirs] > 0 {
		if _, err := m.tx.Exec(ctx, joinVersions, m.session); err != nil {
			return fmt.Errorf("join records of equal content: %w", err)
		}
	}
	taken, err := m.tx.Exec(ctx, p.bound(takeOver), m.session, p.lo, p.hi)
	if err != nil {
		return fmt.Errorf("take over new and newer records: %w", err)
	}
	if _, err := m.tx.Exec(ctx, p.bound(uniteHistories), m.session, p.lo, p.hi); err != nil {
		return fmt.Errorf("unite the records' histories: %w", err)
	}
	if _, err := m.tx.Exec(ctx, `DELETE FROM morango_dequeue_known`); err != nil {
		return fmt.Errorf("clear the classification: %w", err)
	}
	m.report.Stale += found[stale]
	m.report.FastForwards += found[fastForward]
	m.report.New += taken - found[fastForward]
	m.report.Conflicts += found[conflict]
	m.report.Joined += found[joinOurs] + found[joinTheirs]
	return nil
}

// touch notes the partitions in which the page's records lie, and come to lie.
func (m *merge) touch(ctx context.Context, p page) error {
	were, err := store.Places(ctx, m.tx, placesKnown)
	if err != nil {
		return err
	}
	are, err := store.Places(ctx, m.tx, p.bound(placesBuffered), m.session, p.lo, p.hi)
	if err != nil {
		return err
	}
	return store.Touch(ctx, m.tx, append(were, are...))
}

// bound puts the page's condition into a statement, whose $2 and $3 are lo and hi.
func (p page) bound(query string) string {
	condition := "b.model_uuid >= $2 AND b.model_uuid < $3"
	if p.last {
		condition = "b.model_uuid >= $2 AND b.model_uuid <= $3"
	}
	return strings.Replace(query, "(PAGE)", condition, 1)
}

// count returns how many records of each kind the classification holds.
func (m *merge) count(ctx context.Context) (map[kind]int64, error) {
	rows, err := m.tx.Query(ctx, `SELECT kind, COUNT(*) FROM morango_dequeue_known GROUP BY kind`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[kind]int64{}
	for rows.Next() {
		var k kind
		var n int64
		if err := rows.Scan(&k, &n); err != nil {
			return nil, err
		}
		found[k] = n
	}
	return found, rows.Err()
}

// conflicts merges the page's conflicts under the run's one fresh version.
func (m *merge) conflicts(ctx context.Context) error {
	if err := m.freshVersion(ctx); err != nil {
		return err
	}
	if _, err := m.tx.Exec(ctx, mergeTexts, m.session, m.stamp.Instance, m.stamp.Counter); err != nil {
		return err
	}
	_, err := m.tx.Exec(ctx, stampHistories, m.stamp.Instance, m.stamp.Counter)
	return err
}

// orphans deals with buffered counters without a buffered record. Those of a record
// in the store join its history; the others belong to nothing and are dropped.
func (m *merge) orphans(ctx context.Context) error {
	var found int64
	if err := m.tx.QueryRow(ctx, countOrphans, m.session).Scan(&found); err != nil {
		return fmt.Errorf("look for counters without a record: %w", err)
	}
	if found == 0 {
		return nil
	}
	if err := m.tx.QueryRow(ctx, countOrphans+` AND NOT EXISTS (
		SELECT 1 FROM morango_store s WHERE s.id = h.model_uuid)`, m.session).Scan(&m.report.Orphans); err != nil {
		return fmt.Errorf("count the counters without a record: %w", err)
	}
	if _, err := m.tx.Exec(ctx, uniteOrphans, m.session); err != nil {
		return fmt.Errorf("unite the histories of records that did not come along: %w", err)
	}
	return nil
}
