package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// filter is the job's, with the zero filter standing for everything.
func (j Job) filter() partition.Filter {
	if j.Filter.IsZero() {
		return partition.All()
	}
	return j.Filter
}

// countWhole counts without the index by partition: it would read the store in its order.
const countWhole = `SELECT COUNT(*) FROM morango_store s WHERE s.profile = $1 AND (FILTER) AND (ABOVE)`

// Count returns how many records are to travel: exactly, where they are few, else at
// least as many. 0 is always exact.
func Count(ctx context.Context, env stage.Env, job Job) (n int64, err error) {
	err = env.DB.Read(ctx, func(tx *db.Tx) error {
		f, err := find(ctx, tx, job, short{maxChanged, maxUnder})
		if err != nil || !f.whole {
			n = int64(len(f.ids))
			return err
		}
		query, args := job.fill(tx, countWhole, "s.partition")
		return tx.QueryRow(ctx, query, args...).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count what the receiver lacks: %w", err)
	}
	return n, nil
}

// fill puts the filter, on the column of partitions, and the receiver's claims into a query
// whose $1 is the profile.
func (j Job) fill(tx *db.Tx, query, column string) (string, []any) {
	args := []any{j.Profile}
	condition, more := tx.PrefixCond(column, j.filter(), len(args)+1)
	args = append(args, more...)
	above, more := j.above(len(args) + 1)
	args = append(args, more...)
	return strings.NewReplacer("(FILTER)", condition, "(ABOVE)", above).Replace(query), args
}

// Page is some records that are to travel, in the order of their ids, with their
// histories, as one snapshot shows them. Everything up to After has been looked at.
type Page struct {
	Records []record.Record
	After   string
}

// highestID ends the last page.
var highestID = strings.Repeat("f", 32)

// Pages calls yield with page after page of up to rows records until everything has been
// looked at, or yield returns an error, which is returned. Each page is one short read: what
// others write in between is seen or not, as it happens.
func Pages(ctx context.Context, env stage.Env, job Job, rows int, yield func(Page) error) error {
	return pages(ctx, env, job, rows, short{maxChanged, maxUnder}, yield)
}

func pages(ctx context.Context, env stage.Env, job Job, rows int, s short, yield func(Page) error) error {
	var f found
	err := env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		f, err = find(ctx, tx, job, s)
		return err
	})
	if err != nil {
		return err
	}
	for more := true; more; {
		var p Page
		err := env.DB.Read(ctx, func(tx *db.Tx) (err error) {
			if f.whole {
				p, more, err = nextOfAll(ctx, tx, job, rows)
			} else {
				n := min(rows, len(f.ids))
				p, err = listed(ctx, tx, job, f.ids[:n])
				f.ids, more = f.ids[n:], n < len(f.ids)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("read records after %.32q: %w", job.After, err)
		}
		if !more {
			p.After = highestID
		}
		job.After = p.After
		if err := yield(p); err != nil {
			return err
		}
	}
	return nil
}

const columns = `s.id, s.profile, s.model_name, s.partition, s.source_id, s.serialized, s.conflicting_serialized_data,
	s._self_ref_fk, s.deleted, s.hard_deleted, s.last_saved_instance, s.last_saved_counter`

// The store is read in the order of ids. Joining "" to the columns keeps SQLite from taking
// one of their indexes and sorting all it finds.
const (
	wholePage = `SELECT ` + columns + ` FROM morango_store s
		WHERE s.profile || '' = $1 AND (FILTER) AND (ABOVE)(AFTER) ORDER BY s.id LIMIT (LIMIT)`
	listedPage = `SELECT ` + columns + ` FROM morango_store s WHERE s.profile = $2 AND s.id IN `
)

// wholeQuery is a page of the whole store.
func (j Job) wholeQuery(tx *db.Tx, rows int) (string, []any) {
	query, args := j.fill(tx, wholePage, "s.partition || ''")
	after := ""
	if j.After != "" { // an empty text is no id, and PostgreSQL would refuse to compare with it
		args = append(args, j.After)
		after = fmt.Sprintf(" AND s.id > $%d", len(args))
	}
	return strings.NewReplacer("(AFTER)", after, "(LIMIT)", fmt.Sprint(rows)).Replace(query), args
}

// nextOfAll reads a page where the whole store is to be read.
func nextOfAll(ctx context.Context, tx *db.Tx, job Job, rows int) (p Page, more bool, err error) {
	query, args := job.wholeQuery(tx, rows)
	records, err := scan(ctx, tx, query, args...)
	if err != nil || len(records) == 0 {
		return p, false, err
	}
	p.After, more = records[len(records)-1].ID, len(records) == rows
	p.Records, err = complete(ctx, tx, job, records)
	return p, more, err
}

// listed reads records by their ids.
func listed(ctx context.Context, tx *db.Tx, job Job, ids []string) (p Page, err error) {
	if len(ids) == 0 {
		return p, nil
	}
	records, err := scan(ctx, tx, listedPage+tx.IDs(1), db.JSONList(ids), job.Profile)
	if err != nil {
		return p, err
	}
	slices.SortFunc(records, func(a, b record.Record) int { return strings.Compare(a.ID, b.ID) })
	p.After = ids[len(ids)-1]
	p.Records, err = complete(ctx, tx, job, records)
	return p, err
}

func scan(ctx context.Context, tx *db.Tx, query string, args ...any) ([]record.Record, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []record.Record
	for rows.Next() {
		r := record.Record{History: counter.Counters{}}
		var id, instance db.ID
		if err := rows.Scan(&id, &r.Profile, &r.Model, &r.Partition, &r.SourceID, &r.Serialized, &r.Conflicting,
			&r.SelfRef, &r.Deleted, &r.HardDeleted, &instance, &r.Version.Counter); err != nil {
			return nil, err
		}
		r.ID, r.Version.Instance = string(id), string(instance)
		records = append(records, r)
	}
	return records, rows.Err()
}

// complete leaves out what is not to travel, and reads the histories of the rest.
func complete(ctx context.Context, tx *db.Tx, job Job, records []record.Record) ([]record.Record, error) {
	records = slices.DeleteFunc(records, func(r record.Record) bool { return !job.wants(r.Partition, r.Version) })
	if len(records) == 0 {
		return nil, nil
	}
	ids, at := make([]string, len(records)), make(map[string]counter.Counters, len(records))
	for i, r := range records {
		ids[i], at[r.ID] = r.ID, r.History
	}
	return records, store.Histories(ctx, tx, ids, func(id, instance string, n int64) { at[id][instance] = n })
}
