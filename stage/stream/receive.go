package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
)

// Page is some records, no two with the same id. With them everything up to the cursor After has come.
type Page struct {
	Records []record.Record
	After   string
}

// Chunk is a part of what a sender sends, between two of its cursors. The records have been
// checked: see record.Check. Cursors are compared as texts: what they mean only the sender knows.
type Chunk struct {
	Before string // cursor after which the chunk begins; "" is the beginning
	Pages  []Page // each with a cursor greater than the one before
	After  string // cursor up to which it reaches, at least that of its last page
	Last   bool   // the sender has nothing beyond
}

// Records returns how many records the chunk has.
func (c Chunk) Records() (n int) {
	for _, p := range c.Pages {
		n += len(p.Records)
	}
	return n
}

// All goes through the chunk's records.
func (c Chunk) All() iter.Seq[*record.Record] {
	return func(yield func(*record.Record) bool) {
		for _, p := range c.Pages {
			for i := range p.Records {
				if !yield(&p.Records[i]) {
					return
				}
			}
		}
	}
}

// Cut divides the chunk behind its nth page. With all pages the first part is the chunk itself.
// The rest shares no memory with the first, which can go.
func (c Chunk) Cut(n int) (first, rest Chunk) {
	if n >= len(c.Pages) {
		return c, Chunk{Before: c.After, After: c.After}
	}
	first = Chunk{Before: c.Before, After: c.Before, Pages: c.Pages[:n]}
	if n > 0 {
		first.After = c.Pages[n-1].After
	}
	return first, Chunk{Before: first.After, After: c.After, Last: c.Last, Pages: slices.Clone(c.Pages[n:])}
}

// Report counts what became of a chunk's records; Conflicts and Joined are what the Merger says.
// Applied are those of the new ones that the application has already. Pages is how many of the
// chunk's pages are in the store now: not all when others wanted to write. Took is how long
// nobody else could write because of it, and Bound how long that should be at most.
type Report struct {
	New, FastForwards, Stale, Applied int64
	Conflicts, Joined                 int64
	Pages                             int
	Took, Bound                       time.Duration
}

func (r Report) plus(more Report) Report {
	r.New += more.New
	r.FastForwards += more.FastForwards
	r.Stale += more.Stale
	r.Applied += more.Applied
	r.Conflicts += more.Conflicts
	r.Joined += more.Joined
	return r
}

// Merger merges records into the store that are in conflict with what it holds, or differ
// from it in nothing but their version, in the transaction of the chunk. It reports how many
// were merged under a new version, and how many joined.
type Merger func(ctx context.Context, tx *db.Tx, records []record.Record) (Report, error)

// Applier applies new records in the transaction that merges them.
type Applier interface {
	// Begin is called when the transaction holds its locks, and has not written.
	Begin(ctx context.Context, tx *db.Tx) error
	// Apply writes those of the records into the application's tables of which there is no
	// doubt, and says which these are. The store has none of them yet; changed are those of
	// which it is about to get another version. On an error the transaction is rolled back.
	// In between it calls goOn, whose errors it returns.
	Apply(ctx context.Context, tx *db.Tx, fresh, changed []*record.Record, goOn func() error) (applied []bool, err error)
	// End is called when the transaction writes nothing more.
	End(ctx context.Context, tx *db.Tx) error
}

// Receiver merges what one stream brings. It is not for concurrent use.
type Receiver struct {
	Env   stage.Env
	Merge Merger
	Apply Applier // nil: nothing is applied at once

	presumed presumption
}

// Receive merges a chunk into the store and moves the transfer session's cursor, in one
// transaction. What came before is passed over. It ends behind a page of the chunk when others want to
// write, or when it has taken long enough: the rest is for the next call, see Report.Pages and Chunk.Cut.
// With the end of the last chunk the stage of transferring is complete; a chunk that comes after that is
// accepted and changes nothing. ErrGap when records are missing before the chunk.
func (v *Receiver) Receive(ctx context.Context, have session.Transfer, c Chunk) (t session.Transfer, r Report, err error) {
	if c.Records() == 0 {
		t, err = c.end(ctx, v.Env, have)
		return t, Report{Pages: len(c.Pages)}, err
	}
	m := &merging{Receiver: v, session: have.ID, allNew: v.Env.DB.Kind() == db.SQLite && v.presumed.holds()}
	for again := true; again; again = m.again(err) {
		t, r, err = m.receive(ctx, have, c)
	}
	if err != nil {
		return have, Report{}, fmt.Errorf("merge %d records of transfer session %s: %w", c.Records(), have.ID, err)
	}
	come, _ := c.Cut(r.Pages)
	v.presumed.came(come.Records(), r.New)
	return t, r, nil
}

// presumption says whether the store is asked which records of a chunk it has. Where it had none of the chunk before, as a rule it has
// none of the next, and to ask a large store takes a twentieth of all the time. Where that is wrong, the store refuses a second
// record of the same id, and the chunk is merged again with asking. The zero value asks. On PostgreSQL, which would log each
// refusal as an error, it is always asked.
type presumption struct {
	proven, needed int // chunks of nothing but new records since it failed, and how many of these it takes
}

func (p *presumption) holds() bool { return p.proven > p.needed }

// came says that a chunk has come.
func (p *presumption) came(records int, fresh int64) {
	if p.proven++; fresh < int64(records) {
		p.proven = 0
	}
}

// failed makes it take longer each time, so that whoever sends chunks of both kinds in turns wins nothing.
func (p *presumption) failed() {
	const most = 1 << 10
	p.proven, p.needed = 0, min(2*p.needed+1, most)
}

// errDisturbed says that somebody else wants to write while a whole chunk is merged in one go.
var errDisturbed = errors.New("somebody else wants to write")

// merging is a transaction of Receive.
type merging struct {
	*Receiver
	session string
	single  bool // pages are merged one by one
	allNew  bool // the store is presumed to have none of the records

	tx     *db.Tx
	whole  bool // all pages are merged in one go, which ends when somebody comes
	began  time.Time
	report Report
}

// again says whether the transaction, which was rolled back with err, is to be done once more, and in another way.
func (m *merging) again(err error) bool {
	switch {
	case errors.Is(err, errDisturbed):
		m.single = true
	case m.allNew && db.IsConstraint(err):
		m.allNew = false
		m.presumed.failed()
	default:
		return false
	}
	return true
}

// receive is the transaction. With errDisturbed it is rolled back.
func (m *merging) receive(ctx context.Context, have session.Transfer, c Chunk) (t session.Transfer, r Report, err error) {
	var all bool
	err = m.Env.DB.WritePart(ctx, have.ID, func(tx *db.Tx) (err error) {
		m.tx, m.whole, m.report, m.began = tx, false, Report{}, m.Env.Now() // and not before: it may have had to wait
		if err := tx.Lock(ctx, partition.Parse(have.Filter), false); err != nil {
			return err
		}
		if m.Apply != nil {
			if err := m.Apply.Begin(ctx, tx); err != nil {
				return err
			}
		}
		t, all, err = c.take(ctx, tx, m.Env, have, m.pages)
		if err != nil || all || m.Apply == nil {
			return err
		}
		return m.Apply.End(ctx, tx)
	})
	if err != nil {
		return have, Report{}, err
	}
	r = m.report
	r.Pages, r.Took, r.Bound = c.upTo(t), m.Env.Now().Sub(m.began), m.tx.PartTime()
	if all {
		r.Pages = len(c.Pages)
	}
	return t, r, nil
}

// alone says whether nobody else has the database open, or wants to write: only then a part may take so long.
func (m *merging) alone() bool { return m.tx.PartMost() > 2*db.PartTime }

// together says how many of the pages are merged in one go: on SQLite all where nobody else is there, for many are
// cheaper together (see sorted), else one. When somebody comes the transaction is rolled back, and done again page by page.
// On PostgreSQL, where nobody is seen to wait in the middle and each statement is a round trip, it is all of them.
func (m *merging) together(pages []Page) int {
	switch {
	case m.tx.Kind() != db.SQLite:
		return len(pages)
	case m.single || !m.alone():
		return 1
	}
	m.whole = len(pages) > 1
	return len(pages)
}

// disturbed is errDisturbed when what is merged in one go has to end, because somebody has come.
func (m *merging) disturbed() error {
	if m.whole && !m.alone() {
		return errDisturbed
	}
	return nil
}

// pages merges pages, in the order in which they came, until it is time to end, and says how many.
func (m *merging) pages(ctx context.Context, pages []Page) (done int, err error) {
	for n := m.together(pages); done < len(pages); {
		n = min(n, len(pages)-done)
		for turn, records := range turns(Chunk{Pages: pages[done : done+n]}) {
			more, err := m.mergeRecords(ctx, records, m.allNew && turn == 0)
			if err != nil {
				return done, err
			}
			m.report = m.report.plus(more)
		}
		if done += n; m.Env.Now().Sub(m.began) >= m.tx.PartMost() {
			break
		}
	}
	return done, nil
}

// end is Receive of a chunk without records: nothing is merged, and nobody has to wait.
func (c Chunk) end(ctx context.Context, env stage.Env, have session.Transfer) (t session.Transfer, err error) {
	err = env.DB.Write(ctx, func(tx *db.Tx) error {
		t, _, err = c.take(ctx, tx, env, have, func(_ context.Context, pages []Page) (int, error) { return len(pages), nil })
		return err
	})
	if err != nil {
		return have, fmt.Errorf("note the end of what transfer session %s brings: %w", have.ID, err)
	}
	return t, nil
}

// take has the pages merged that have not come before, and notes in the same transaction how many
// of them have come now. all says that all of the transfer had: then nothing is done. ErrNotReady, ErrGap.
func (c Chunk) take(ctx context.Context, tx *db.Tx, env stage.Env, have session.Transfer, merge func(context.Context, []Page) (int, error)) (t session.Transfer, all bool, err error) {
	if t, err = session.ActiveTransfer(ctx, tx, have.ID); err != nil {
		return t, false, err
	}
	if !stage.Reached(t, stage.Queuing) {
		return t, false, ErrNotReady
	}
	if stage.Reached(t, stage.Transferring) {
		return t, true, nil
	}
	before := t
	cursor, _ := t.Cursor()
	if c.Before > cursor {
		return t, false, fmt.Errorf("the transfer stands at %.200q, the chunk begins after %.200q: %w", cursor, c.Before, ErrGap)
	}
	fresh := c
	fresh.Pages = c.Pages[c.upTo(t):]
	done, err := merge(ctx, fresh.Pages)
	if err != nil {
		return t, false, err
	}
	come, _ := fresh.Cut(done)
	t.BytesSent, t.BytesReceived = have.BytesSent, have.BytesReceived
	come.note(&t)
	if err := t.SetCursor(max(cursor, come.After)); err != nil {
		return t, false, err
	}
	return t, false, session.Write(ctx, tx, before, &t, env.Now())
}

// upTo is how many of the chunk's pages have come, as the transfer session says.
func (c Chunk) upTo(t session.Transfer) (n int) {
	cursor, _ := t.Cursor()
	for n < len(c.Pages) && c.Pages[n].After <= cursor {
		n++
	}
	return n
}

// turns puts records into groups in which no two have the same id: the first version of each
// that came, then the second, and so on.
func turns(c Chunk) (groups [][]one) {
	all := c.Records()
	times := make(map[string]int, all)
	for r := range c.All() {
		n := times[r.ID]
		times[r.ID] = n + 1
		if n == len(groups) {
			groups = append(groups, make([]one, 0, all))
			all = 0 // few come more than once
		}
		groups[n] = append(groups[n], one{Record: r})
	}
	return groups
}

// note notes the count, and the stage when that is complete.
func (c Chunk) note(t *session.Transfer) {
	t.RecordsTransferred += int64(c.Records())
	total := max(t.RecordsTransferred, valueOf(t.RecordsTotal)) // it was counted before the first page
	t.Stage, t.Status = string(stage.Transferring), string(stage.Pending)
	if c.Last {
		total, t.Status = t.RecordsTransferred, string(stage.Completed)
	}
	t.RecordsTotal = &total
}

func valueOf(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
