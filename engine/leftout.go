package engine

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/stage/transfer"
	"github.com/morango-go/morango/wire"
)

// A record that one side cannot send, or the other will not take, is left out, and the
// others travel. Both sides are told. What was left out is not here, so the claim that
// goes with the transfer must not cover it: it is lowered for the instances concerned,
// in the transaction that goes on without the record. Until the record is mended, which
// gives it a new version, what its instance saved after it comes again at every sync.

// LeftOut returns what did not travel in a transfer session, as far as this side knows now.
func (e *Engine) LeftOut(ctx context.Context, t session.Transfer) (session.LeftOut, error) {
	now, err := e.Transfer(ctx, t.ID)
	return now.LeftOut(), err
}

// Omissions is what this side tells the peer of its own part in the transfer session that t shows;
// nil when all travels.
func Omissions(t session.Transfer) *wire.Omissions {
	left := t.LeftOut()
	switch producer := sideOf(t).producer; {
	case producer && left.Unsent.Total > 0:
		return &wire.Omissions{Unsent: omissionOf(left.Unsent)}
	case !producer && left.Refused.Total > 0:
		return &wire.Omissions{Refused: omissionOf(left.Refused)}
	}
	return nil
}

func omissionOf(o session.Omission) *wire.Omission {
	told := &wire.Omission{Total: o.Total, Lowest: o.Lowest}
	for _, r := range o.First {
		told.First = append(told.First, wire.LeftOut{ID: r.ID, Model: r.Model, Reason: r.Reason})
	}
	return told.Bounded()
}

// TakeOmissions keeps what the peer tells of its part, and believes it of nothing else. It returns
// the session as it is then.
func (e *Engine) TakeOmissions(ctx context.Context, t session.Transfer, told *wire.Omissions) (session.Transfer, error) {
	if told == nil {
		return t, nil
	}
	s := sideOf(t)
	part := told.Unsent.Bounded()
	if s.producer {
		part = told.Refused.Bounded()
	}
	if part == nil {
		return t, nil
	}
	kept := session.Omission{}
	for _, r := range part.First {
		kept.Note([]session.Omitted{{ID: r.ID, Model: r.Model, Reason: r.Reason}})
	}
	kept.Total, kept.Lowest = part.Total, part.Lowest
	err := e.env.DB.Write(ctx, func(tx *db.Tx) error {
		err := session.ChangeLeftOut(ctx, tx, t, func(left *session.LeftOut) error {
			if s.producer {
				left.Refused = kept
			} else {
				left.Unsent = kept
			}
			return nil
		})
		if err == nil && !s.producer {
			err = claimLess(ctx, tx, t, s, kept.Lowest)
		}
		if err == nil {
			t, err = session.GetTransfer(ctx, tx, t.ID)
		}
		return err
	})
	if err != nil {
		return t, fmt.Errorf("note what the peer left out of transfer session %s: %w", t.ID, err)
	}
	return t, nil
}

// claimLess lowers what the sender claims, in the receiver's row of the transfer session.
func claimLess(ctx context.Context, tx *db.Tx, t session.Transfer, s side, lowest counter.Counters) error {
	if len(lowest) == 0 {
		return nil
	}
	t, err := session.GetTransfer(ctx, tx, t.ID)
	if err != nil {
		return err
	}
	claim, err := s.peerClaim(t)
	if err != nil {
		return err
	}
	lowered := false
	for prefix, counters := range claim {
		for instance, n := range lowest {
			if counters[instance] >= n {
				counters[instance], lowered = n-1, true
			}
			if counters[instance] <= 0 {
				delete(counters, instance)
			}
		}
		if len(counters) == 0 {
			delete(claim, prefix)
		}
	}
	if !lowered {
		return nil
	}
	if s.server {
		return session.SetClientFSIC(ctx, tx, t.ID, counter.Expanded(claim).String())
	}
	return session.SetServerFSIC(ctx, tx, t.ID, counter.Expanded(claim).String())
}

// unsentRows are the rows that could not be serialized.
func unsentRows(r serialize.Report) session.Omission {
	unsent := session.Omission{}
	for _, p := range r.LeftOut {
		unsent.Count(session.Omitted{ID: p.ID, Model: p.Model, Reason: p.Reason})
	}
	unsent.Total = r.LeftOutTotal
	return unsent
}

// tellRows writes into a stream which rows could not be serialized.
func tellRows(w *wire.FrameWriter, unsent session.Omission) error {
	told := make([]wire.LeftOut, 0, len(unsent.First)+1)
	for _, r := range unsent.First {
		told = append(told, wire.LeftOut{ID: r.ID, Model: r.Model, Reason: r.Reason})
	}
	if more := unsent.Total - int64(len(told)); more > 0 {
		told = append(told, wire.LeftOut{More: more})
	}
	return w.LeftOut(told)
}

// unsound returns those of the records that no peer takes, and the others.
func (e *Engine) unsound(records []record.Record, filter partition.Filter) (sound []record.Record, left []session.Omitted) {
	for i, r := range records {
		m, _ := e.env.Profile.Model(r.Model)
		err := record.Check(r, m, filter)
		if err == nil {
			if left != nil {
				sound = append(sound, r)
			}
			continue
		}
		if left == nil { // most pages are sound as they are
			sound = append(sound, records[:i]...)
		}
		left = append(left, omitted(r, err))
	}
	if left == nil {
		return records, nil
	}
	return sound, left
}

// omitted is what is kept of a record that does not travel. What is in it may be anything.
func omitted(r record.Record, why error) session.Omitted {
	told := &wire.Omission{First: []wire.LeftOut{{ID: r.ID, Model: r.Model, Reason: record.Reason(r, why)}},
		Lowest: counter.Counters{r.Version.Instance: r.Version.Counter}}
	told = told.Bounded()
	o := session.Omitted{ID: told.First[0].ID, Model: told.First[0].Model, Reason: told.First[0].Reason}
	if !ident.Valid(r.ID) { // the reason shows its beginning
		sum := sha256.Sum256([]byte(r.ID))
		o.ID = fmt.Sprintf("~%x", sum[:16])
	}
	if len(told.Lowest) > 0 {
		o.Version = r.Version
	}
	return o
}

// noteUnsent counts records of this side that cannot be sent.
func noteUnsent(ctx context.Context, tx *db.Tx, t session.Transfer, left []session.Omitted) error {
	return session.ChangeLeftOut(ctx, tx, t, func(all *session.LeftOut) error {
		all.Unsent.Note(left)
		return nil
	})
}

// refuse is what Receive does about records that this side will not take.
func (e *Engine) refuse(s side) transfer.Refuse {
	return func(ctx context.Context, tx *db.Tx, t session.Transfer, refused []transfer.Refusal) (counted int, err error) {
		list := make([]session.Omitted, len(refused))
		for i, r := range refused {
			list[i] = omitted(r.Record, r.Reason)
		}
		lowest := counter.Counters{}
		err = session.ChangeLeftOut(ctx, tx, t, func(all *session.LeftOut) error {
			counted, err = all.Refused.Add(list)
			lowest = all.Refused.Lowest
			return err
		})
		if err != nil {
			return counted, err
		}
		return counted, claimLess(ctx, tx, t, s, lowest)
	}
}

// doWithout notes what a stream lacks: records that this side does not take, and those
// that the sender says it could not send. It claims nothing of either.
func doWithout(ctx context.Context, tx *db.Tx, t session.Transfer, s side, refused []session.Omitted, unsent []wire.LeftOut) error {
	var told []session.Omitted
	more := int64(0)
	for _, r := range unsent {
		if r.More > 0 {
			more += min(r.More, counter.Greatest)
			continue
		}
		o := (&wire.Omission{First: []wire.LeftOut{r}, Lowest: counter.Counters{r.Instance: r.Counter}}).Bounded()
		one := session.Omitted{ID: o.First[0].ID, Model: o.First[0].Model, Reason: o.First[0].Reason}
		if len(o.Lowest) > 0 {
			one.Version = counter.Version{Instance: r.Instance, Counter: r.Counter}
		}
		told = append(told, one)
	}
	lowest := counter.Counters{}
	err := session.ChangeLeftOut(ctx, tx, t, func(all *session.LeftOut) error {
		all.Refused.Note(refused)
		all.Unsent.Note(told)
		if more > 0 { // they may have been told before the stream
			all.Unsent.Total = max(all.Unsent.Total, int64(len(told))+more)
		}
		for _, list := range [][]session.Omitted{refused, told} {
			for _, r := range list {
				if n, ok := lowest[r.Version.Instance]; r.Version.Counter > 0 && (!ok || r.Version.Counter < n) {
					lowest[r.Version.Instance] = r.Version.Counter
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return claimLess(ctx, tx, t, s, lowest)
}

// warned reports whether all of the records have been refused before that came from this
// session's client, and remembers that they have been now. A peer that does not know of
// omissions learns of a record that is not taken by an error; what it then sends again it
// cannot do without, and the others are to be taken. It is remembered in this process
// only: to forget it costs the client one more try.
func (e *Engine) warned(t session.Transfer, refused []transfer.Refusal) (all bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.warnings)+len(refused) > mostWarnings || e.warnings == nil {
		e.warnings = map[[32]byte]bool{}
	}
	all = true
	for _, r := range refused {
		key := sha256.Sum256(fmt.Appendf(nil, "%s %v", t.Within.ClientCertificateID, r.Record))
		all = all && e.warnings[key]
		e.warnings[key] = true
	}
	return all
}

// mostWarnings bounds what is remembered of refused records.
const mostWarnings = 20_000
