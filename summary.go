package morango

import (
	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage/serialize"
)

// Summary tells what a sync did, over both directions. Its JSON form is stable.
type Summary struct {
	SyncSession    string    `json:"sync_session"`
	Resumed        bool      `json:"resumed"`
	ServerInstance string    `json:"server_instance"`
	Pull           Direction `json:"pull"`
	Push           Direction `json:"push"`
	// Problems are records that came from peers, now or before, and cannot be
	// applied yet; at most 20 are listed. ProblemsTotal counts them, up to 10,000.
	Problems      []Problem `json:"problems,omitempty"`
	ProblemsTotal int64     `json:"problems_total"`
	// Compared is what comparing some records with the peer found after the transfers,
	// others each time; nil with a peer that is not MoranGo. When it is not Clean, Compare
	// tells all.
	Compared *Comparison `json:"compared,omitempty"`
}

// Doubtful reports whether records turned out to be lost or damaged, here or with the
// peer: then Compare tells which.
func (s Summary) Doubtful() bool { return s.Compared != nil && !s.Compared.Clean() }

// Direction sums up the transfers of one direction. Records counts what travelled.
type Direction struct {
	Done          bool  `json:"done"` // every transfer of this direction came to its end
	Records       int64 `json:"records"`
	BytesSent     int64 `json:"bytes_sent"`
	BytesReceived int64 `json:"bytes_received"`
	// Of the records that came here: new to us, newer than ours, in conflict with ours,
	// equal although saved on both sides, and known already. A record that met a change
	// which was not yet serialized counts as newer, and as a conflict.
	New          int64 `json:"new"`
	FastForwards int64 `json:"fast_forwards"`
	Conflicts    int64 `json:"conflicts"`
	Joined       int64 `json:"joined"`
	Stale        int64 `json:"stale"`
	// What reached the application's tables.
	Applied int64 `json:"applied"`
	Deleted int64 `json:"deleted"`
	Errors  int64 `json:"errors"`  // could not be applied; kept and tried again
	Waiting int64 `json:"waiting"` // changed here meanwhile; applied with the next sync
	// Rows of ours that were left out because they cannot travel as they are.
	LeftOut      []serialize.Problem `json:"left_out,omitempty"`
	LeftOutTotal int64               `json:"left_out_total"`
	// What did not travel, also in the peer's words: records that the sender could not
	// send (rows of LeftOut among them), and records that the receiver would not take.
	Unsent  Omission `json:"unsent"`
	Refused Omission `json:"refused"`
	// TransferSessions are the ids of the transfers, for Touched.
	TransferSessions []string `json:"transfer_sessions,omitempty"`
}

// Omission is a number of records that did not travel; at most 20 are listed.
type Omission struct {
	Total int64             `json:"total"`
	First []session.Omitted `json:"first,omitempty"`
}

func (o *Omission) add(more session.Omission) {
	o.Total += more.Total
	o.First = append(o.First, more.First[:min(len(more.First), maxProblems-min(len(o.First), maxProblems))]...)
}

// Failing returns how many records could not be applied, not be sent or not be taken.
func (s Summary) Failing() (n int64) {
	n = s.Pull.Errors + s.Pull.LeftOutTotal + s.Pull.Unsent.Total + s.Pull.Refused.Total
	return n + s.Push.Errors + max(s.Push.LeftOutTotal, s.Push.Unsent.Total) + s.Push.Refused.Total
}

func summarize(r client.Result) Summary {
	s := Summary{SyncSession: r.SyncSession, Resumed: r.Resumed, ServerInstance: r.ServerInstance, Compared: r.Compared}
	for i, t := range r.Transfers {
		d := &s.Pull
		if t.Session.Push {
			d = &s.Push
		}
		first := i == 0 || r.Transfers[i-1].Session.Push != t.Session.Push
		d.add(t, first)
	}
	return s
}

func (d *Direction) add(t client.Transfer, first bool) {
	d.Done = t.Completed && (first || d.Done)
	d.TransferSessions = append(d.TransferSessions, t.Session.ID)
	d.Records += t.Session.RecordsTransferred
	d.BytesSent += t.Session.BytesSent
	d.BytesReceived += t.Session.BytesReceived
	in, out := t.Report.Dequeued, t.Report.Serialized
	d.New, d.FastForwards = d.New+in.New, d.FastForwards+in.FastForwards
	d.Conflicts += in.Conflicts + out.Conflicts // met in the store, or on the way out of the table
	d.Joined, d.Stale = d.Joined+in.Joined, d.Stale+in.Stale
	applied := t.Report.Deserialized
	d.Applied, d.Deleted = d.Applied+applied.Applied, d.Deleted+applied.Deleted
	d.Errors, d.Waiting = d.Errors+applied.Errors, d.Waiting+applied.Waiting
	d.LeftOut = append(d.LeftOut, out.LeftOut...)
	d.LeftOutTotal += out.LeftOutTotal
	d.Unsent.add(t.LeftOut.Unsent)
	d.Refused.add(t.LeftOut.Refused)
}
