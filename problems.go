package morango

import (
	"context"
	"iter"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/store"
)

// ProblemKind says what is wrong with a record, and so what mends it.
type ProblemKind string

// The kinds of problems.
const (
	// Missing: it refers to a record that is not here.
	Missing ProblemKind = "missing"
	// Invalid: its content does not fit this database: a value, a constraint, a text that
	// is no JSON object.
	Invalid ProblemKind = "invalid"
	// UnknownModel: the profile does not know its model.
	UnknownModel ProblemKind = "unknown-model"
	// Unsendable: it is a row of ours that no peer would take.
	Unsendable ProblemKind = "unsendable"
	// PeerUnsendable: a peer could not send it in the last sync with it.
	PeerUnsendable ProblemKind = "peer-unsendable"
	// Refused: a peer sent it in the last sync with it, and it was not taken here.
	Refused ProblemKind = "refused"
	// PeerRefused: a peer did not take it in the last sync with it.
	PeerRefused ProblemKind = "peer-refused"
)

// Mend says what a person can do about problems of the kind.
func (k ProblemKind) Mend() string {
	switch k {
	case Missing:
		return "comes right by itself when that record comes: sync with a peer that has it, in a scope that holds it"
	case UnknownModel:
		return "comes right with a profile that knows the model: bring the application up to date, then run morango init"
	case Unsendable:
		return "correct the row; the next sync sends it"
	case PeerUnsendable, Refused:
		return "has to be corrected at the peer; then it comes with the next sync"
	case PeerRefused:
		return "correct the row, or bring the peer up to date; the next sync sends it"
	default:
		return "correct the record where it was made, or what it clashes with here; what is corrected is applied with the next sync"
	}
}

// Problem is a record that came from a peer and cannot be applied, or one that cannot
// travel. It is kept where it is and keeps no other back. Its JSON form is stable.
type Problem struct {
	Kind      ProblemKind `json:"kind"`
	ID        string      `json:"id"`
	Model     string      `json:"model"`
	Partition string      `json:"partition,omitempty"` // "" for what is not in the store
	Reason    string      `json:"reason"`
	Peer      string      `json:"peer,omitempty"` // address of the peer, where it is the peer's
	// Since is when the transfer began that brought the record, or left it out; nil when
	// that is not known.
	Since *time.Time `json:"since,omitempty"`
}

const (
	maxProblems   = 20     // listed in a summary
	countProblems = 10_000 // counted for one
	problemPage   = 500
)

// Problems yields all problems: records that cannot be applied, then records of models
// that the profile does not know, then rows of ours that cannot be sent, each in order of
// ids, and then the first of those that the last sync with each peer left out. It holds a page of them in memory, however many there are. After an error it ends.
func (n *Node) Problems(ctx context.Context) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		if !n.notApplied(ctx, yield) {
			return
		}
		for p, err := range serialize.LeftOut(ctx, n.engine.Env()) {
			if !yield(Problem{Kind: Unsendable, ID: p.ID, Model: p.Model, Reason: p.Reason}, err) {
				return
			}
		}
		lately, err := n.leftOutLately(ctx)
		if err != nil {
			yield(Problem{}, err)
		}
		for _, p := range lately {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// leftOutLately lists what the last sync with each peer left out, of those of late.
func (n *Node) leftOutLately(ctx context.Context) (list []Problem, err error) {
	const syncs = 100
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		list = nil
		recent, err := session.ListSyncs(ctx, tx, false, syncs)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, s := range recent {
			peer := s.ConnectionPath
			if s.IsServer {
				peer = s.ClientIP + " " + s.ClientInstanceID
			}
			if seen[peer] {
				continue
			}
			seen[peer] = true
			for id, left := range s.AllLeftOut() {
				t, err := session.GetTransfer(ctx, tx, id)
				if err != nil {
					return err
				}
				list = append(list, leftOut(*left, t, s, peer)...)
			}
		}
		return nil
	})
	return list, err
}

// leftOut lists what one transfer left out. Rows of ours are known better by themselves.
func leftOut(left session.LeftOut, t session.Transfer, s session.Sync, peer string) (list []Problem) {
	add := func(kind ProblemKind, o session.Omission) {
		for _, r := range o.First {
			list = append(list, Problem{Kind: kind, ID: r.ID, Model: r.Model, Reason: r.Reason, Peer: peer, Since: &t.StartTime})
		}
	}
	if sending := t.Push != s.IsServer; sending {
		add(PeerRefused, left.Refused)
		return list
	}
	add(PeerUnsendable, left.Unsent)
	add(Refused, left.Refused)
	return list
}

// notApplied yields what lies in the store and is not applied.
func (n *Node) notApplied(ctx context.Context, yield func(Problem, error) bool) (more bool) {
	for _, strangers := range []bool{false, true} {
		for after, full := "", true; full; {
			page, err := n.problemPage(ctx, strangers, after, problemPage)
			if err != nil {
				yield(Problem{}, err)
				return false
			}
			for _, p := range page {
				if after = p.ID; !yield(p, nil) {
					return false
				}
			}
			full = len(page) == problemPage
		}
	}
	return true
}

// problemPage reads a page of records that could not be applied, or of models that
// nobody knows here.
func (n *Node) problemPage(ctx context.Context, strangers bool, after string, limit int) (page []Problem, err error) {
	profile := n.Profile()
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		var found []store.Problem
		if strangers {
			names := make([]string, 0, len(profile.Models))
			for _, m := range profile.Models {
				names = append(names, m.Name)
			}
			found, err = store.Strangers(ctx, tx, profile.Name, names, after, limit)
		} else {
			found, err = store.Problems(ctx, tx, profile.Name, after, limit)
		}
		if err != nil {
			return err
		}
		var sessions []string
		for _, p := range found {
			sessions = append(sessions, p.TransferSession)
		}
		came, err := session.Started(ctx, tx, sessions)
		if err != nil {
			return err
		}
		page = page[:0]
		for _, p := range found {
			page = append(page, problemOf(p, came))
		}
		return nil
	})
	return page, err
}

func problemOf(p store.Problem, came map[string]time.Time) Problem {
	out := Problem{Kind: Invalid, ID: p.ID, Model: p.Model, Partition: p.Partition, Reason: p.Reason}
	if _, missing := deserialize.Lacks(p.Reason); missing {
		out.Kind = Missing
	}
	if p.Reason == "" {
		out.Kind, out.Reason = UnknownModel, "the profile does not know the model"
	}
	if at, known := came[p.TransferSession]; known {
		out.Since = &at
	}
	return out
}

// firstProblems lists the first records that could not be applied, and counts them.
func (n *Node) firstProblems(ctx context.Context) (first []Problem, total int64, err error) {
	first, err = n.problemPage(ctx, false, "", maxProblems)
	if err != nil || len(first) < maxProblems {
		return first, int64(len(first)), err
	}
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		total, err = store.CountProblems(ctx, tx, n.Profile().Name, countProblems)
		return err
	})
	return first, total, err
}
