package morango

import (
	"context"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/store"
)

// Status is what a database holds and what waits in it. Its JSON form is stable.
type Status struct {
	Profile      string          `json:"profile"`
	InstanceID   string          `json:"instance_id"`
	DatabaseID   string          `json:"database_id"`
	Counter      int64           `json:"counter"` // of the instance's last save; 0 when it never saved
	Certificates int             `json:"certificates"`
	Models       []ModelStatus   `json:"models"`
	OpenSessions int             `json:"open_sessions"`
	Sessions     []SessionStatus `json:"sessions"` // the most recent
	Problems     []Problem       `json:"problems"` // at most 20
	// ProblemsTotal counts the records that cannot be applied, up to 10,000.
	ProblemsTotal int64 `json:"problems_total"`
}

// ModelStatus counts one model's rows and records.
type ModelStatus struct {
	Model   string `json:"model"`
	Rows    int64  `json:"rows"`    // of the application's table
	Changed int64  `json:"changed"` // of these not yet serialized
	Records int64  `json:"records"` // in the store, without deleted ones
	Deleted int64  `json:"deleted"`
	Waiting int64  `json:"waiting"` // records not yet applied
}

// SessionStatus is one sync session.
type SessionStatus struct {
	ID       string    `json:"id"`
	Active   bool      `json:"active"`
	Peer     string    `json:"peer"` // address of the server, or of the client
	LastTime time.Time `json:"last_activity"`
	Failure  string    `json:"failure,omitempty"` // which stage went wrong last in it, and why
}

// Status reads what the database holds. It counts rows, so it takes a while on a
// large one.
func (n *Node) Status(ctx context.Context) (Status, error) {
	i, err := n.engine.Instance(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{Profile: n.Profile().Name, InstanceID: i.ID, DatabaseID: i.DatabaseID, Counter: i.Counter,
		Sessions: []SessionStatus{}, Problems: []Problem{}}
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		owned, err := session.Owned(ctx, tx, s.Profile)
		if err != nil {
			return err
		}
		s.Certificates = len(owned)
		if s.Models, err = modelStatus(ctx, tx, n.Profile()); err != nil {
			return err
		}
		const recent = 5
		active, err := session.ListSyncs(ctx, tx, true, 1000)
		if err != nil {
			return err
		}
		s.OpenSessions = len(active)
		last, err := session.ListSyncs(ctx, tx, false, recent)
		if err != nil {
			return err
		}
		s.Sessions = s.Sessions[:0] // this function may run again
		for _, one := range last {
			peer := one.ConnectionPath
			if one.IsServer {
				peer = one.ClientIP
			}
			status := SessionStatus{ID: one.ID, Active: one.Active, Peer: peer, LastTime: one.LastTime}
			if f, ok := one.Failure(); ok {
				status.Failure = f.Stage + ": " + f.Reason
			}
			s.Sessions = append(s.Sessions, status)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	problems, total, err := n.firstProblems(ctx)
	s.Problems, s.ProblemsTotal = append(s.Problems, problems...), total
	return s, err
}

func modelStatus(ctx context.Context, tx *db.Tx, p *Profile) ([]ModelStatus, error) {
	records, err := store.Totals(ctx, tx, p.Name)
	if err != nil {
		return nil, err
	}
	all := make([]ModelStatus, 0, len(p.Models))
	for _, m := range p.Models {
		rows, changed, err := app.Count(ctx, tx, m)
		if err != nil {
			return nil, err
		}
		r := records[m.Name]
		all = append(all, ModelStatus{Model: m.Name, Rows: rows, Changed: changed,
			Records: r.Records, Deleted: r.Deleted, Waiting: r.Waiting})
	}
	return all, nil
}

// Scope returns what a certificate allows to read and write.
func (n *Node) Scope(ctx context.Context, c *Certificate) (s partition.Scope, err error) {
	err = n.db.Read(ctx, func(tx *db.Tx) error {
		var defs cert.Definitions
		if defs, err = session.Definitions(ctx, tx); err != nil {
			return err
		}
		s, err = c.Scope(defs)
		return err
	})
	return s, err
}
