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
		after, err := placeOf(job.After)
		if err != nil {
			return err
		}
		f, err := find(ctx, tx, job, after, short{maxChanged, maxUnder})
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

// Page is some records that are to travel, no two with the same id, with their histories,
// as one snapshot shows them. With them everything up to the cursor After has been looked at; Last
// says that there is nothing beyond it. A page is what a frame of package wire can hold.
type Page struct {
	Records []record.Record
	After   string
	Last    bool
}

// Pages calls yield with page after page of up to rows records until everything has been
// looked at, or yield returns an error, which is returned. Each page is one short read: what
// others write in between is seen or not, as it happens. While yield works on a page the
// next one is read.
func Pages(ctx context.Context, env stage.Env, job Job, rows int, yield func(Page) error) error {
	return pages(ctx, env, job, reading{short{maxChanged, maxUnder}, rows, pageBytes}, yield)
}

// pageBytes ends a page: records may be of any length.
const pageBytes = 256 << 10

// reading says how the store is read: short lists, and pages of so many records, and bytes
// of their texts.
type reading struct {
	short
	rows, bytes int
}

func pages(ctx context.Context, env stage.Env, job Job, by reading, yield func(Page) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ahead := make(chan Page) // without room: one page waits, and no more are read
	var failed error
	var broken any // a panic is for who called: nobody would catch it there
	go func() {
		defer close(ahead)
		defer func() { broken = recover() }()
		failed = readPages(ctx, env, job, by, func(p Page) error {
			select {
			case ahead <- p:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	for p := range ahead {
		if err := yield(p); err != nil {
			stop()
			for range ahead { // until the reader has noticed
			}
			return err
		}
	}
	if broken != nil {
		panic(broken)
	}
	return failed
}

// readPages reads page after page.
func readPages(ctx context.Context, env stage.Env, job Job, by reading, each func(Page) error) error {
	at, err := placeOf(job.After)
	if err != nil {
		return err
	}
	var f found
	err = env.DB.Read(ctx, func(tx *db.Tx) error {
		left, err := job.without(ctx, tx)
		if err == nil {
			job = left
			f, err = find(ctx, tx, job, at, by.short)
		}
		return err
	})
	if err != nil {
		return err
	}
	for more := true; more; {
		p := Page{After: job.After}
		err := env.DB.Read(ctx, func(tx *db.Tx) (err error) {
			if f.whole {
				p.Records, more, err = nextOfAll(ctx, tx, job, &at, by)
			} else {
				p.Records, more, err = f.next(ctx, tx, job, &at, by)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("read records after %.200q: %w", p.After, err)
		}
		if p.Last = !more; at.id != "" {
			p.After = at.cursor()
		}
		job.After = p.After
		if err := each(p); err != nil {
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
	listedPage = `SELECT ` + columns + ` FROM morango_store s WHERE s.profile = $2 AND s.id IN (IDS) ORDER BY s.id`
)

// wholeQuery is a page of the whole store.
func (j Job) wholeQuery(tx *db.Tx, at place, rows int) (string, []any) {
	query, args := j.fill(tx, wholePage, "s.partition || ''")
	after := ""
	if at.id != "" { // an empty text is no id, and PostgreSQL would refuse to compare with it
		args = append(args, at.id)
		after = fmt.Sprintf(" AND s.id > $%d", len(args))
	}
	return strings.NewReplacer("(AFTER)", after, "(LIMIT)", fmt.Sprint(rows)).Replace(query), args
}

// nextOfAll reads a page where the whole store is to be read.
func nextOfAll(ctx context.Context, tx *db.Tx, job Job, at *place, by reading) (records []record.Record, more bool, err error) {
	if err := tx.WalkIndex(ctx); err != nil {
		return nil, false, err
	}
	query, args := job.wholeQuery(tx, *at, by.rows)
	records, full, err := scan(ctx, tx, by.bytes, query, args...)
	if err != nil || len(records) == 0 {
		return nil, false, err
	}
	at.id, more = records[len(records)-1].ID, full || len(records) == by.rows
	records, err = complete(ctx, tx, job, records)
	return records, more, err
}

// next reads a page of a list.
func (f *found) next(ctx context.Context, tx *db.Tx, job Job, at *place, by reading) (records []record.Record, more bool, err error) {
	n := min(by.rows, len(f.ids))
	if n == 0 {
		return nil, false, nil
	}
	records, full, err := scan(ctx, tx, by.bytes, strings.Replace(listedPage, "(IDS)", tx.IDs(1), 1), db.JSONList(f.ids[:n]), job.Profile)
	if err != nil {
		return nil, false, err
	}
	if full {
		n, _ = slices.BinarySearch(f.ids, records[len(records)-1].ID)
		n++
	}
	at.id, f.ids = f.ids[n-1], f.ids[n:]
	records, err = complete(ctx, tx, job, records)
	return records, len(f.ids) > 0, err
}

// scan reads records until their texts have so many bytes: full says that there may be more.
func scan(ctx context.Context, tx *db.Tx, bytes int, query string, args ...any) (records []record.Record, full bool, err error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		r := record.Record{History: counter.Counters{}}
		var id, instance db.ID
		if err := rows.Scan(&id, &r.Profile, &r.Model, &r.Partition, &r.SourceID, &r.Serialized, &r.Conflicting,
			&r.SelfRef, &r.Deleted, &r.HardDeleted, &instance, &r.Version.Counter); err != nil {
			return nil, false, err
		}
		r.ID, r.Version.Instance = string(id), string(instance)
		records = append(records, r)
		if bytes -= len(r.Serialized) + len(r.Conflicting); bytes <= 0 {
			return records, true, nil
		}
	}
	return records, false, rows.Err()
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
