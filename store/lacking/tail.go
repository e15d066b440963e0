package lacking

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
)

// Tail is what an instance of this database was the last to save, at counters after From and
// up to To. Where a stream begins while that is still being saved, it follows it in the order
// of the counters, which is that of the commits: whoever saves holds the instance's row until it
// commits, so once a counter can be read, all that was saved at it and before it can be. The
// zero value is nothing.
type Tail struct {
	Instance string
	From, To int64
}

// has says whether a version is one of those.
func (t Tail) has(v counter.Version) bool {
	return v.Instance == t.Instance && v.Counter > t.From && v.Counter <= t.To
}

// InTail says whether a cursor is one of Follow, or the beginning, and not one of Pages.
func InTail(cursor string) bool { return cursor == "" || strings.HasPrefix(cursor, "a") }

// Follow calls yield with page after page, of up to rows records, of those of a tail that are
// to travel, after the job's cursor, which must be InTail, until the tail has been read to its
// end, or yield returns an error, which is returned. The last page's cursor is that
// end, and where a longer tail goes on. ErrCursor when the cursor lies beyond the end: this
// database was set back since it gave it out. The index by instance and counter has to be there.
func Follow(ctx context.Context, d *db.DB, job Job, t Tail, rows int, yield func(Page) error) error {
	return follow(ctx, d, following{order: orderOf(d, job.Profile), job: job, tail: t, rows: rows, bytes: pageBytes}, yield)
}

func follow(ctx context.Context, d *db.DB, f following, yield func(Page) error) error {
	at, err := f.order.trail(f.job.After)
	if err != nil {
		return err
	}
	if at.counter <= f.tail.From {
		at = trail{counter: f.tail.From + 1}
	}
	if at.counter > f.tail.To+1 {
		return fmt.Errorf("%.60q, where counters have come to %d: %w", f.job.After, f.tail.To, ErrCursor)
	}
	for more := true; more; {
		var p Page
		next := at
		err := d.Read(ctx, func(tx *db.Tx) (err error) {
			next = at
			p.Records, more, err = f.page(ctx, tx, &next)
			return err
		})
		if err != nil {
			return fmt.Errorf("read what was saved at %d: %w", at.counter, err)
		}
		at, p.After = next, f.order.tailCursor(next)
		if err := yield(p); err != nil {
			return err
		}
	}
	return nil
}

// trail is where the reading of a tail stands: at a place, in the order of the store, among the
// records that were saved at a counter.
type trail struct {
	counter int64
	place
}

// tailCursor is a trail as text: greater than those of all before it.
func (o order) tailCursor(a trail) string {
	text := fmt.Sprintf("a%016x", a.counter)
	if a.id != "" {
		text += "-" + o.cursor(a.place)
	}
	return text
}

// trail reads a cursor, which a peer may have made up.
func (o order) trail(cursor string) (a trail, err error) {
	if cursor == "" {
		return a, nil
	}
	at, rest, within := strings.Cut(cursor, "-")
	if n, err := strconv.ParseInt(strings.TrimPrefix(at, "a"), 16, 64); err == nil {
		a.counter = n
	}
	if o.tailCursor(trail{counter: a.counter}) != at || a.counter > counter.Greatest+1 || within == (rest == "") {
		return a, fmt.Errorf("%.60q: %w", cursor, ErrCursor)
	}
	a.place, err = o.place(rest)
	return a, err
}

// following is the reading of a tail.
type following struct {
	order       order
	job         Job
	tail        Tail
	rows, bytes int // of a page
}

// The statements that read a tail. SQLite's index has the row numbers in it.
const (
	nextCounter = `SELECT last_saved_counter FROM morango_store WHERE last_saved_instance = $1
		AND last_saved_counter >= $2 AND last_saved_counter <= $3 ORDER BY last_saved_counter LIMIT 1`
	savedAt = `SELECT ` + columns + ` FROM morango_store s
		WHERE s.last_saved_instance = $1 AND s.last_saved_counter = $2(AFTER) ORDER BY (ORDER) LIMIT (LIMIT)`
)

// page reads a page of what was saved at one counter after the other.
func (f following) page(ctx context.Context, tx *db.Tx, at *trail) (records []record.Record, more bool, err error) {
	if err := tx.LookUp(ctx); err != nil { // the store was empty a moment ago
		return nil, false, err
	}
	if at.place, err = f.order.confirm(ctx, tx, at.place); err != nil {
		return nil, false, err
	}
	began, bytes, full := *at, f.bytes, false
	for len(records) < f.rows && !full && at.counter <= f.tail.To {
		var next int64
		err := tx.QueryRow(ctx, nextCounter, f.tail.Instance, at.counter, f.tail.To).Scan(&next)
		if errors.Is(err, sql.ErrNoRows) {
			*at = trail{counter: f.tail.To + 1}
			break
		}
		if err != nil {
			return nil, false, err
		}
		if next != at.counter {
			*at = trail{counter: next}
		}
		limit := f.rows - len(records)
		query, args := f.query(*at, limit)
		var part []record.Record
		if part, full, err = scan(ctx, tx, bytes, query, args...); err != nil {
			return nil, false, err
		}
		if full || len(part) == limit {
			last := part[len(part)-1]
			at.place, err = f.order.after(ctx, tx, at.epoch, last.ID, last.Model)
		} else {
			*at = trail{counter: next + 1}
		}
		if err != nil {
			return nil, false, err
		}
		for _, r := range part {
			bytes -= len(r.Serialized) + len(r.Conflicting)
		}
		records = append(records, part...)
	}
	if records, err = f.complete(ctx, tx, records); err != nil {
		return nil, false, err
	}
	if fits := fitting(records); fits < len(records) {
		last := records[fits-1]
		if at.counter, at.epoch = last.Version.Counter, 0; at.counter == began.counter {
			at.epoch = began.epoch
		}
		records = records[:fits]
		at.place, err = f.order.after(ctx, tx, at.epoch, last.ID, last.Model)
	}
	return records, at.counter <= f.tail.To, err
}

// complete leaves out what is not to travel, and reads the histories of the rest.
func (f following) complete(ctx context.Context, tx *db.Tx, records []record.Record) ([]record.Record, error) {
	records = slices.DeleteFunc(records, func(r record.Record) bool { return r.Profile != f.job.Profile.Name })
	return complete(ctx, tx, f.job, records)
}

// query reads what was saved at a counter.
func (f following) query(at trail, limit int) (string, []any) {
	args := []any{f.tail.Instance, at.counter}
	after, order := "", "s.rowid"
	if f.order.byRow {
		if at.id != "" {
			after, args = " AND s.rowid > $3", append(args, at.row)
		}
	} else {
		var rank string
		rank, args = f.order.rankOf(args)
		order = rank + ", s.id"
		if at.id != "" {
			args = append(args, at.row, at.id)
			after = fmt.Sprintf(" AND (%s, s.id) > ($%d, $%d)", rank, len(args)-1, len(args))
		}
	}
	return strings.NewReplacer("(AFTER)", after, "(ORDER)", order, "(LIMIT)", strconv.Itoa(limit)).Replace(savedAt), args
}

// without is the job without what has travelled as its Sent. Where the receiver lacks nothing
// else of that instance up to there, it is as if it claimed all of it: nothing of it is read then.
func (j Job) without(ctx context.Context, tx *db.Tx) (Job, error) {
	if j.Sent.To <= j.Sent.From {
		return j, nil
	}
	floor := j.Receiver.Throughout(j.filter())[j.Sent.Instance]
	if floor < j.Sent.From {
		var older int64
		err := tx.QueryRow(ctx, nextCounter, j.Sent.Instance, floor+1, j.Sent.From).Scan(&older)
		if !errors.Is(err, sql.ErrNoRows) {
			return j, err
		}
	}
	raised := maps.Clone(j.Receiver)
	if raised == nil {
		raised = counter.ByPartition{}
	}
	for _, prefix := range j.filter().Prefixes() {
		claims := maps.Clone(raised[prefix])
		if claims == nil {
			claims = counter.Counters{}
		}
		claims[j.Sent.Instance] = max(claims[j.Sent.Instance], j.Sent.To)
		raised[prefix] = claims
	}
	j.Receiver = raised
	return j, nil
}
