package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/transfer"
	"github.com/morango-go/morango/wire"
)

// errGone says that the peer cannot go on with the transfer session, so that it has to
// be started over in a new sync session.
var errGone = errors.New("the peer no longer goes on with this transfer session")

// ErrPeerFailed says that a stage went wrong on the peer.
var ErrPeerFailed = errors.New("the peer failed; its log says why")

// drive is one transfer session on its way through the stages.
type drive struct {
	*conversation
	t     session.Transfer
	chunk int
	// alone: the peer has ended the session, or is about to, and all records are where
	// they belong.
	alone bool
	done  int64 // records of a push that the peer has
	// cursor is the id up to which the peer has the records of a push that streams.
	cursor string
	// brief: it begins now, and with a peer that streams. ended: the peer has closed it.
	brief, ended bool
}

// transfer takes one transfer session through all its stages, or through what is left
// of them when it was interrupted.
func (c *conversation) transfer(ctx context.Context, push bool, filter partition.Filter, chunk int) (Transfer, error) {
	d := &drive{conversation: c, chunk: chunk}
	err := d.begin(ctx, push, filter)
	if d.t.ID != "" {
		defer c.Engine.KeepAlive(ctx, d.t.ID)()
	}
	if err == nil && d.brief {
		err = d.briefly(ctx)
	}
	for _, s := range stage.All() {
		if err != nil || d.brief {
			break
		}
		err = d.pass(ctx, s)
	}
	out := Transfer{Session: d.t, Completed: err == nil, Report: c.Engine.Report(d.t.ID)}
	if d.t.ID != "" {
		if out.LeftOut = d.t.LeftOut(); err != nil { // more may be known than was
			out.LeftOut, _ = c.Engine.LeftOut(context.WithoutCancel(ctx), d.t)
		}
	}
	if err == nil {
		c.Engine.Forget(d.t.ID)
	}
	return out, err
}

// begin finds the interrupted transfer session, or opens one on both sides.
func (d *drive) begin(ctx context.Context, push bool, filter partition.Filter) error {
	env := d.Engine.Env()
	open, err := d.interrupted(ctx, push)
	if err != nil {
		return err
	}
	for _, t := range open {
		if partition.Parse(t.Filter).Equal(filter) {
			d.t = t
			return d.rejoin(ctx)
		}
	}
	id, err := env.NewID()
	if err != nil {
		return err
	}
	d.t, err = d.Engine.Begin(ctx, session.Transfer{ID: id, SyncSessionID: d.sync.ID, Filter: filter.String(), Push: push}, d.terms)
	if d.brief = d.terms.Stream; err != nil || !d.async || d.brief {
		return err // without async operations the server wants our claim right away: after serializing
	}
	return d.create(ctx, "{}")
}

// interrupted are the transfer sessions of one direction that an earlier try has left open.
func (d *drive) interrupted(ctx context.Context, push bool) (open []session.Transfer, err error) {
	if !d.resumed {
		return nil, nil
	}
	err = d.Engine.Env().DB.Read(ctx, func(tx *db.Tx) (err error) {
		open, err = session.ActiveOfSync(ctx, tx, d.sync.ID, push)
		return err
	})
	return open, err
}

// rejoin asks the peer how far an interrupted transfer session has come there.
func (d *drive) rejoin(ctx context.Context) error {
	remote, err := d.peer.TransferSession(ctx, d.t.ID)
	switch {
	case IsNotFound(err) && !d.t.Push && stage.Reached(d.t, stage.Transferring):
		d.alone = true
		return nil
	case IsNotFound(err) && !d.async && !stage.Reached(d.t, stage.Serializing):
		return nil
	case IsNotFound(err), err == nil && remote.TransferStageStatus == string(stage.Errored):
		return errGone
	case err != nil:
		return err
	case remote.TransferStage == string(stage.Cleanup):
		// It was interrupted while it ended the session: its part is done.
		if !stage.Reached(d.t, stage.Transferring) {
			return errGone
		}
		d.alone = true
	}
	d.done = remote.RecordsTransferred
	return d.streams(remote)
}

// create opens the transfer session on the peer.
func (d *drive) create(ctx context.Context, claim string) error {
	remote, err := d.peer.CreateTransferSession(ctx, wire.TransferSessionRequest{
		ID: d.t.ID, Filter: d.t.Filter, Push: d.t.Push, SyncSessionID: d.sync.ID, ClientFSIC: claim,
	})
	if err != nil {
		return err
	}
	if remote.ID != d.t.ID {
		return errGone // an older session is in the way there
	}
	if d.async {
		return nil
	}
	return d.learn(ctx, remote)
}

// learn keeps what the peer says of its claim and, where it produces, of its records.
// A claim that shows this database to be a copy, when the peer has been told already
// what we claim, makes the transfer worthless.
func (d *drive) learn(ctx context.Context, remote wire.TransferSession) error {
	u := engine.Update{ServerFSIC: &remote.ServerFSIC}
	if !d.t.Push {
		u.RecordsTotal = remote.RecordsTotal
	}
	t, renewed, err := d.Engine.Learn(ctx, d.t.ID, u)
	switch {
	case renewed && d.t.Push && stage.Reached(d.t, stage.Serializing):
		return errors.Join(errGone, err)
	case err == nil:
		d.t = t
	}
	return err
}

// pass takes both sides through one stage.
func (d *drive) pass(ctx context.Context, s stage.Stage) error {
	if s == stage.Cleanup {
		return d.finish(ctx)
	}
	if s == stage.Transferring && !stage.Reached(d.t, s) {
		if err := d.move(ctx); err != nil {
			return err
		}
	}
	asked := false
	if s == stage.Serializing && d.askFirst() {
		if err := d.passRemote(ctx, s); err != nil {
			return err
		}
		asked = true
	}
	t, err := d.Engine.Run(ctx, d.t, s, d.terms)
	if err != nil {
		return err
	}
	d.t = t
	if d.alone || asked {
		return nil
	}
	if !d.async {
		return d.passLegacy(ctx, s)
	}
	return d.passRemote(ctx, s)
}

// askFirst says whether the peer's claim comes before our own work: in a push we learn
// what it knows of us before we stamp anything. The reference takes a claim only
// together with the wish to serialize, so there ours has to be ready.
func (d *drive) askFirst() bool {
	return d.t.Push && d.async && !d.alone && d.peer.Shared().Has(wire.MoranGo) && !stage.Reached(d.t, stage.Serializing)
}

// passRemote asks the peer for its part of a stage, where it has one to play.
func (d *drive) passRemote(ctx context.Context, s stage.Stage) error {
	update := wire.TransferSessionUpdate{}
	switch s {
	case stage.Serializing:
		if stage.Reached(d.t, s) {
			update.ClientFSIC = &d.t.ClientFSIC
		}
	case stage.Queuing:
		if d.t.Push {
			update.RecordsTotal = d.t.RecordsTotal
		}
		if d.t.Push && d.peer.Shared().Has(wire.MoranGo) {
			update.ClientFSIC, update.LeftOut = &d.t.ClientFSIC, engine.Omissions(d.t)
		}
	case stage.Deserializing:
		if !d.t.Push {
			return nil
		}
	default:
		return nil // dequeuing happens on the way to deserializing
	}
	remote, err := d.advance(ctx, s, update)
	if s == stage.Deserializing && d.terms.Stream && IsNotFound(err) {
		d.alone = true // it went on to the end by itself
		return nil
	}
	if err == nil && s != stage.Deserializing {
		err = d.learn(ctx, remote)
	}
	if err != nil {
		return err
	}
	d.t, err = d.Engine.TakeOmissions(ctx, d.t, remote.LeftOut)
	return err
}

// passLegacy plays the stages with a server that works only within a request: it
// serializes and queues when the session is created, and merges when it is deleted.
func (d *drive) passLegacy(ctx context.Context, s stage.Stage) error {
	switch {
	case s == stage.Serializing && d.t.ServerFSIC == "{}":
		return d.create(ctx, d.t.ClientFSIC)
	case s == stage.Queuing && d.t.Push:
		_, err := d.peer.UpdateTransferSession(ctx, d.t.ID, wire.TransferSessionUpdate{RecordsTotal: d.t.RecordsTotal})
		return err
	}
	return nil
}

// advance has the peer go through its stages up to s, and waits for it.
func (d *drive) advance(ctx context.Context, s stage.Stage, update wire.TransferSessionUpdate) (wire.TransferSession, error) {
	name := string(s)
	update.TransferStage = &name
	d.tell(wire.TransferSession{TransferStage: name, TransferStageStatus: string(stage.Started)})
	remote, err := d.peer.UpdateTransferSession(ctx, d.t.ID, update)
	const askAgain = 30 * time.Second // a server that crashed leaves its stage pending
	now := d.Engine.Env().Now
	asked := now()
	for pause := 20 * time.Millisecond; err == nil; pause = min(2*pause, 2*time.Second) {
		d.tell(remote)
		reached := session.Transfer{Stage: remote.TransferStage, Status: remote.TransferStageStatus}
		switch {
		case stage.Reached(reached, s):
			return remote, nil
		case remote.TransferStageStatus == string(stage.Errored):
			return remote, fmt.Errorf("stage %s: %w", remote.TransferStage, ErrPeerFailed)
		}
		if err = d.wait(ctx, pause); err != nil {
			break
		}
		if now().Sub(asked) > askAgain {
			asked = now()
			remote, err = d.peer.UpdateTransferSession(ctx, d.t.ID, update)
		} else {
			remote, err = d.peer.TransferSession(ctx, d.t.ID)
		}
	}
	return remote, err
}

// tell reports how far the peer is with its part, if it names a stage at all.
func (d *drive) tell(remote wire.TransferSession) {
	if !stage.Stage(remote.TransferStage).Valid() {
		return
	}
	ev := stage.Event{
		SyncSession: d.sync.ID, TransferSession: d.t.ID, Push: d.t.Push, Peer: true,
		Stage: stage.Stage(remote.TransferStage), Status: stage.Status(remote.TransferStageStatus),
	}
	if total := d.t.RecordsTotal; total != nil {
		ev.Total = *total
	} else if remote.RecordsTotal != nil {
		ev.Total = *remote.RecordsTotal
	}
	d.Engine.Env().Emit(ev)
}

// move carries the records over.
func (d *drive) move(ctx context.Context) error {
	env, peer := d.Engine.Env(), carrier{d.peer}
	var err error
	switch {
	case d.terms.Stream && d.t.RecordsTotal != nil && *d.t.RecordsTotal == 0:
		// Nothing was there to travel when it was counted, so nothing is that the claim covers.
	case d.t.Push && d.terms.Stream:
		return d.pushStream(ctx)
	case d.t.Push:
		return transfer.Push(ctx, env, peer, &d.t, d.done, d.chunk)
	case d.terms.Stream:
		err = d.pullStream(ctx)
	default:
		err = transfer.Pull(ctx, env, peer, &d.t, d.chunk, d.Engine.Refuse())
	}
	if err != nil || d.t.Push {
		return err
	}
	name := string(stage.Transferring)
	update := wire.TransferSessionUpdate{
		TransferStage: &name, RecordsTransferred: &d.t.RecordsTransferred,
		// Seen from the server: what we received, it sent.
		BytesReceived: &d.t.BytesSent, BytesSent: &d.t.BytesReceived,
	}
	if d.peer.Shared().Has(wire.MoranGo) {
		update.LeftOut = engine.Omissions(d.t)
	}
	_, err = d.peer.UpdateTransferSession(ctx, d.t.ID, update)
	return err
}

// finish has the peer end the session first: if this is interrupted, ours is still
// there to find out.
func (d *drive) finish(ctx context.Context) error {
	if d.terms.Stream && !d.t.Push {
		if err := d.settle(ctx); err != nil {
			return err
		}
		return d.run(ctx, stage.Cleanup)
	}
	if err := d.peer.CloseTransferSession(ctx, d.t.ID); err != nil && !IsNotFound(err) {
		return err
	}
	t, err := d.Engine.Run(ctx, d.t, stage.Cleanup, d.terms)
	if err == nil {
		d.t = t
	}
	return err
}

// carrier is a Peer as the transferring stage sees it.
type carrier struct{ *Peer }

// PutRecords posts one chunk.
func (c carrier) PutRecords(ctx context.Context, transferID string, records []record.Record) error {
	return c.PushBuffers(ctx, transferID, records)
}

// GetRecords reads one chunk.
func (c carrier) GetRecords(ctx context.Context, transferID string, offset int64, limit int) ([]record.Record, error) {
	return c.PullBuffers(ctx, transferID, offset, limit)
}
