package lacking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
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
func Count(ctx context.Context, d *db.DB, job Job) (n int64, err error) {
	o := orderOf(d, job.Profile)
	at, err := o.place(job.After)
	if err != nil {
		return 0, err
	}
	err = d.Read(ctx, func(tx *db.Tx) error {
		if o, err = o.look(ctx, tx); err != nil {
			return err
		}
		found, ok, err := job.lacking().FindSparse(ctx, tx, maxChanged, maxUnder)
		if err != nil || ok {
			n = int64(len(o.listOf(found, at)))
			return err
		}
		if n, ok, err = job.lacking().AlmostAll(ctx, tx); err != nil || ok {
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
	args := []any{j.Profile.Name}
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
func Pages(ctx context.Context, d *db.DB, job Job, rows int, yield func(Page) error) error {
	return pages(ctx, d, job, reading{short{maxChanged, maxUnder, maxKeys, store.FewTimes}, rows, pageBytes}, yield)
}

// pageBytes ends a page: records may be of any length.
const pageBytes = 256 << 10

// reading says how the store is read: short lists, and pages of so many records, and bytes
// of their texts.
type reading struct {
	short
	rows, bytes int
}

func pages(ctx context.Context, d *db.DB, job Job, by reading, yield func(Page) error) error {
	ahead := make(chan Page) // without room: one page waits, and no more are read
	enough, ended := make(chan struct{}), make(chan struct{})
	var failed error
	var broken any // a panic is for who called: nobody would catch it there
	go func() {
		defer close(ended)
		defer close(ahead)
		defer func() { broken = recover() }()
		failed = readPages(ctx, d, job, by, func(p Page) error {
			select {
			case ahead <- p:
				return nil
			case <-enough:
				return errUnwanted
			}
		})
	}()
	if err := hand(ahead, enough, yield); err != nil {
		<-ended // a page that has been begun is read: how much is read follows from what was yielded alone
		return err
	}
	if broken != nil {
		panic(broken)
	}
	return failed
}

// errUnwanted ends the reading of pages that nobody wants.
var errUnwanted = errors.New("no more pages are wanted")

// hand calls yield with the pages that come, until it returns an error. However it ends, it
// closes enough.
func hand(ahead <-chan Page, enough chan<- struct{}, yield func(Page) error) error {
	defer close(enough)
	for p := range ahead {
		if err := yield(p); err != nil {
			return err
		}
	}
	return nil
}

// readPages reads page after page.
func readPages(ctx context.Context, d *db.DB, job Job, by reading, each func(Page) error) error {
	r := walk{order: orderOf(d, job.Profile), rows: by.rows, bytes: by.bytes}
	var err error
	if r.at, err = r.place(job.After); err != nil {
		return err
	}
	err = d.Read(ctx, func(tx *db.Tx) (err error) {
		if r.order, err = r.look(ctx, tx); err != nil {
			return err
		}
		if r.job, err = job.without(ctx, tx); err != nil {
			return err
		}
		if r.at, err = r.confirm(ctx, tx, r.at); err != nil {
			return err
		}
		if r.at, err = r.regroup(ctx, tx, r.at); err != nil {
			return err
		}
		if r.at.state, err = r.state(ctx, tx); err == nil { // a list is of this moment
			r.plan, err = r.planOf(ctx, tx, r.job, r.at, by.short)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("look for records after %.200q: %w", job.After, err)
	}
	p := Page{After: job.After}
	for !p.Last {
		err := d.Read(ctx, func(tx *db.Tx) (err error) {
			p.Records, err = r.next(ctx, tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("read records after %.200q: %w", p.After, err)
		}
		if r.at.id != "" {
			p.After = r.cursor(r.at)
		}
		p.Last = len(r.list)+len(r.all) == 0
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
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
		if bytes -= len(r.Serialized) + len(r.Conflicting) + len(r.Partition) + len(r.SourceID); bytes <= 0 {
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
