package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// Renew gives the database a new database id, and so a new instance id, as somebody
// must who restored it from a backup or copied it.
func (e *Engine) Renew(ctx context.Context) (i store.Instance, err error) {
	err = e.env.DB.Write(ctx, func(tx *db.Tx) error {
		i, err = e.renew(ctx, tx)
		return err
	})
	if err != nil {
		return i, fmt.Errorf("give the database a new id: %w", err)
	}
	return i, nil
}

func (e *Engine) renew(ctx context.Context, tx *db.Tx) (store.Instance, error) {
	spare, err := e.env.NewID()
	if err != nil {
		return store.Instance{}, err
	}
	i, err := store.RenewDatabase(ctx, tx, e.env.Machine, func() string { return spare })
	if err != nil {
		return i, err
	}
	return i, session.SetTold(ctx, tx, i.DatabaseID, nil, e.env.Now()) // nothing yet
}

// Confirm looks at what a peer claims of this database's own instances. If that is more
// than this database ever told anybody, it was restored or copied: it gets a new
// database id before it stamps anything, for a version that two databases use loses
// rows. What it has saved meanwhile, and told nobody, is stamped again. Confirm reports
// whether that happened.
func (e *Engine) Confirm(ctx context.Context, t session.Transfer, claim string) (bool, error) {
	known, err := claimed(t, claim)
	if err != nil {
		return false, err
	}
	return e.confirm(ctx, t, known)
}

// claimed is what a claim says of each instance, under whichever prefix.
func claimed(t session.Transfer, claim string) (counter.Counters, error) {
	read, err := readClaim(claim, partition.Parse(t.Filter))
	if err != nil {
		return nil, err
	}
	known := counter.Counters{}
	for _, counters := range read {
		known = known.Max(counters)
	}
	return known, nil
}

func (e *Engine) confirm(ctx context.Context, t session.Transfer, known counter.Counters) (bool, error) {
	if len(known) == 0 {
		return false, nil
	}
	var own own
	err := e.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		own, err = ownInstances(ctx, tx)
		return err
	})
	if err != nil {
		return false, err
	}
	if id, _ := store.Ahead(known, own.told); id == "" {
		return false, nil
	}
	if err := e.mayRenew(); err != nil {
		return false, err
	}
	var r *stage.Renewal
	err = e.env.DB.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock(ctx, partition.All(), false); err != nil {
			return err
		}
		r, err = e.replace(ctx, tx, known)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("this database is a copy of one that went on; give it a new id: %w", err)
	}
	if r == nil {
		return false, nil // somebody else was faster
	}
	e.noteRenewal()
	e.env.Emit(stage.Event{
		SyncSession: t.SyncSessionID, TransferSession: t.ID, Push: t.Push,
		Stage: stage.Stage(t.Stage), Status: stage.Status(t.Status), Renewed: r,
	})
	return true, nil
}

// renewalsADay is how often peers can make a database take a new id within a day. Each
// copy takes one, but whoever forges a claim takes one too.
const renewalsADay = 10

// mayRenew refuses the claims of peers that took too many new ids out of this database.
// Refusing is safe: nothing is transferred with such a peer.
func (e *Engine) mayRenew() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, recent := e.env.Now(), e.renewals[:0]
	for _, at := range e.renewals {
		if age := now.Sub(at); age >= 0 && age < 24*time.Hour {
			recent = append(recent, at)
		}
	}
	e.renewals = recent
	if len(recent) < renewalsADay {
		return nil
	}
	return fmt.Errorf("more than was ever told is claimed of this database, which took %d new ids because of that within a day already: %w", renewalsADay, ErrBadClaim)
}

func (e *Engine) noteRenewal() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.renewals = append(e.renewals, e.env.Now())
}

// replace renews the database id, and takes back the versions that nobody was told of:
// the copy's original may have used them for something else.
func (e *Engine) replace(ctx context.Context, tx *db.Tx, known counter.Counters) (*stage.Renewal, error) {
	own, err := ownInstances(ctx, tx)
	if err != nil {
		return nil, err
	}
	copied, n := store.Ahead(known, own.told)
	if copied == "" {
		return nil, nil
	}
	fresh, err := e.renew(ctx, tx)
	if err != nil {
		return nil, err
	}
	r := &stage.Renewal{Copied: copied, Ours: own.counters[copied], Known: n, Instance: fresh.ID}
	for id, told := range own.told {
		if told >= own.counters[id] {
			continue
		}
		rows, err := store.Restamp(ctx, tx, id, told, fresh.ID)
		if err != nil {
			return nil, err
		}
		r.Records += rows
	}
	return r, nil
}

// own is what this database has saved as, while it has its database id.
type own struct {
	database string           // its id; "" before it has one
	counters map[string]int64 // of its instances
	noted    map[string]int64 // as session.Told
	told     map[string]int64 // how much of the counters anybody else can know from it
}

// ownInstances reads the instances under the database id in use. Where nothing was ever
// noted, as in a database that the reference made, others may know all, unless there
// never was a transfer.
func ownInstances(ctx context.Context, tx *db.Tx) (own, error) {
	self, err := store.ReadSelf(ctx, tx)
	o := own{database: self.Database, counters: self.Living}
	if err != nil || o.database == "" {
		return own{}, err
	}
	if o.noted, err = session.Told(ctx, tx, o.database); err != nil {
		return own{}, err
	}
	if o.noted == nil {
		met, err := session.AnyTransfer(ctx, tx)
		if err != nil || met {
			o.told = o.counters
			return o, err
		}
	}
	o.told = make(map[string]int64, len(o.counters))
	for id, n := range o.counters {
		o.told[id] = min(n, o.noted[id])
	}
	return o, nil
}

// beginTelling notes, where nothing was ever noted, that others may know all that was
// saved so far, or nothing if this is the first transfer of all: what is saved from now
// on is noted when it is told. It comes before the transfer's row.
func (e *Engine) beginTelling(ctx context.Context, tx *db.Tx, seen *own) error {
	if seen == nil {
		o, err := ownInstances(ctx, tx)
		if err != nil {
			return err
		}
		seen = &o
	}
	o := *seen
	if o.database == "" || o.noted != nil {
		return nil
	}
	return session.SetTold(ctx, tx, o.database, o.told, e.env.Now())
}

// tell notes that a peer is going to learn all that this database has saved so far. It
// comes after the peer's claim was looked at, and before any record leaves.
func (e *Engine) tell(ctx context.Context, tx *db.Tx) error {
	self, err := store.ReadSelf(ctx, tx)
	if err != nil || self.Database == "" {
		return err
	}
	return session.SetTold(ctx, tx, self.Database, self.Living, e.env.Now())
}

// confirmHistories is Confirm for what arrived records have seen. A claim does not name
// an instance whose versions have all been superseded, but the records that superseded
// them remember it.
func (e *Engine) confirmHistories(ctx context.Context, t session.Transfer) error {
	var known counter.Counters
	err := e.env.DB.Read(ctx, func(tx *db.Tx) error {
		self, err := store.ReadSelf(ctx, tx)
		if err != nil {
			return err
		}
		living := self.Living
		ids := make([]string, 0, len(living))
		for id := range living {
			ids = append(ids, id)
		}
		known, err = buffer.Seen(ctx, tx, t.ID, ids)
		return err
	})
	if err == nil {
		_, err = e.confirm(ctx, t, known)
	}
	return err
}

// answered returns those of the sender's claims that may be taken over, and the living instances of
// this database. When this database turned out to be a copy after it had asked for what it lacks, it may have
// said that it holds rows which are somebody else's: those did not come, and what the
// sender claims of that instance has to wait for the next transfer.
func answered(ctx context.Context, tx *db.Tx, t session.Transfer) (claim counter.ByPartition, living map[string]int64, err error) {
	s, filter := sideOf(t), partition.Parse(t.Filter)
	asked, err := s.ownClaim(t)
	if err == nil {
		claim, err = s.peerClaim(t)
	}
	if err != nil {
		return nil, nil, err
	}
	self, err := store.ReadSelf(ctx, tx)
	if err != nil || len(self.Living) == len(self.All) {
		return claim, self.Living, err
	}
	f, err := store.FSIC(ctx, tx, filter, false, true)
	if err != nil {
		return nil, nil, err
	}
	hold := f.Expand(filter)
	for id := range self.All {
		if _, alive := self.Living[id]; alive || !above(asked, hold, id) {
			continue
		}
		for prefix, counters := range claim {
			claim[prefix] = maps.Clone(counters)
			delete(claim[prefix], id)
		}
	}
	return claim, self.Living, nil
}

// above reports whether asked says more of an instance than hold does.
func above(asked, hold counter.ByPartition, instance string) bool {
	for prefix, counters := range asked {
		if n := counters[instance]; n > 0 && !hold.Covers(prefix, counter.Version{Instance: instance, Counter: n}) {
			return true
		}
	}
	return false
}

// errCopied undoes a transaction whose claim shows this database to be a copy.
var errCopied = errors.New("this database is a copy")

// confirmed runs write in the transaction in which look has found the transfer session and the claim
// of a peer, "" for none, and in which that is looked at as in Confirm: it is one transaction, for the
// rule is that nothing comes of the look. seen is what was read for that, if it was. It reports whether
// something came of it.
func (e *Engine) confirmed(ctx context.Context, look func(*db.Tx) (session.Transfer, string, error), write func(tx *db.Tx, seen *own) error) (renewed bool, err error) {
	for looked := false; ; looked = true {
		var t session.Transfer
		var claim string
		err = e.env.DB.Write(ctx, func(tx *db.Tx) (err error) {
			if t, claim, err = look(tx); err != nil {
				return err
			}
			if looked || claim == "" {
				return write(tx, nil)
			}
			o, err := ownInstances(ctx, tx)
			if err == nil {
				err = o.confirm(t, claim)
			}
			if err != nil {
				return err
			}
			return write(tx, &o)
		})
		if !errors.Is(err, errCopied) {
			return renewed, err
		}
		if renewed, err = e.Confirm(ctx, t, claim); err != nil {
			return false, err
		}
	}
}

// confirm is errCopied for a claim that shows this database to be a copy.
func (o own) confirm(t session.Transfer, claim string) error {
	known, err := claimed(t, claim)
	if err != nil {
		return err
	}
	if id, _ := store.Ahead(known, o.told); id != "" {
		return errCopied
	}
	return nil
}
