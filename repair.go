package morango

import (
	"context"

	"github.com/morango-go/morango/verify"
)

// RepairOptions say what Repair may do. The zero value mends what needs no decision.
type RepairOptions struct {
	// Trust says who is right where a row and its record differ: verify.TrustApplication
	// makes the row a new version of the record, verify.TrustStore writes the record over
	// the row. "" leaves them as they are.
	Trust    verify.Trust
	DryRun   bool // only say what would be done
	Examples int  // findings listed of each kind; 0 is verify.DefaultExamples
}

// RepairReport is what Repair did, and what is left.
type RepairReport = verify.RepairReport

// Repair mends what Verify finds, as far as that can be done without guessing, and says
// what it could not mend. It can be interrupted and run again at any time.
func (n *Node) Repair(ctx context.Context, o RepairOptions) (RepairReport, error) {
	r, options := n.repair(o.Trust), verify.Options{Examples: o.Examples}
	if o.DryRun {
		return r.Plan(ctx, options)
	}
	return r.Run(ctx, options)
}

func (n *Node) repair(trust verify.Trust) verify.Repair {
	return verify.Repair{
		DB: n.db, Profile: n.Profile(), Trust: trust,
		Renew: func(ctx context.Context) error {
			_, err := n.engine.Renew(ctx)
			return err
		},
		Settle: func(ctx context.Context) error {
			_, err := n.Deserialize(ctx, Filter{})
			return err
		},
	}
}

// FetchReport is what Fetch did. Its JSON form is stable.
type FetchReport struct {
	Before Comparison `json:"before"`
	Pull   *Summary   `json:"pull,omitempty"` // nil when nothing was lost here, or in a dry run
	After  Comparison `json:"after"`
}

// Fetch compares with the peer at url, takes back what this node claims of records that
// turned out to be lost here, and pulls them again. What the peer has lost, it has to
// fetch itself; what is damaged, a person has to look at. Nothing else ever takes a claim
// back, and it is safe: all that it costs is that peers send some records once more.
func (n *Node) Fetch(ctx context.Context, url string, dryRun bool, o CompareOptions) (r FetchReport, err error) {
	lost, each, fix := 0, o.Each, n.repair(verify.TrustNobody)
	asked := o
	asked.Each = func(d verify.Difference) error {
		if each != nil {
			if err := each(d); err != nil {
				return err
			}
		}
		if d.Verdict != verify.LostHere || dryRun {
			return nil
		}
		lost++
		return fix.TakeBack(ctx, d)
	}
	if r.Before, err = n.Compare(ctx, url, asked); err != nil {
		return r, err
	}
	if r.After = r.Before; lost == 0 {
		return r, nil
	}
	pulled, err := n.Pull(ctx, url, SyncOptions{Filter: o.Filter, CertificateID: o.CertificateID, Fresh: true})
	r.Pull = &pulled
	if err == nil {
		o.Each = nil
		r.After, err = n.Compare(ctx, url, o)
	}
	return r, err
}
