package client

import (
	"context"
	"errors"

	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/wire"
)

// briefly takes a fresh transfer session through its stages in as few requests as it takes
// between two peers that stream: one opens it, one carries the records. What the peer cannot
// do while a request lasts it does in the background, and is asked as usual; and so does
// everything that is interrupted go on.
func (d *drive) briefly(ctx context.Context) error {
	if d.t.Push {
		return d.pushBriefly(ctx)
	}
	if err := d.run(ctx, stage.Serializing); err != nil {
		return err
	}
	remote, err := d.open(ctx, d.t.ClientFSIC, stage.Queuing)
	if err == nil {
		u := engine.Update{ServerFSIC: &remote.ServerFSIC, RecordsTotal: remote.RecordsTotal}
		d.t, _, err = d.Engine.Queue(ctx, d.t, u, d.terms)
	}
	if err == nil {
		d.t, err = d.Engine.TakeOmissions(ctx, d.t, remote.LeftOut)
	}
	if err == nil && (d.t.RecordsTotal == nil || *d.t.RecordsTotal > 0) {
		if err = d.pullStream(ctx); err == nil {
			err = d.run(ctx, stage.Deserializing)
		}
	}
	if err != nil {
		return err
	}
	if engine.Omissions(d.t) != nil {
		if err := d.run(ctx, stage.Deserializing); err != nil {
			return err
		}
		return errors.Join(d.settle(ctx), d.run(ctx, stage.Cleanup))
	}
	// The peer ends its part together with the sync session.
	return d.run(ctx, stage.Cleanup)
}

// pushBriefly learns what the peer claims before anything is stamped here, and tells our
// claim with the records, also when there are none.
func (d *drive) pushBriefly(ctx context.Context) error {
	remote, err := d.open(ctx, "{}", stage.Serializing)
	if err == nil {
		err = d.learn(ctx, remote)
	}
	if err == nil {
		err = d.run(ctx, stage.Queuing)
	}
	if err == nil {
		err = d.pushStream(ctx)
	}
	if err == nil && d.ended {
		return d.run(ctx, stage.Cleanup)
	}
	if err == nil {
		err = d.run(ctx, stage.Transferring)
	}
	if err != nil {
		return err
	}
	for _, s := range []stage.Stage{stage.Dequeuing, stage.Deserializing, stage.Cleanup} {
		if err := d.pass(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// run takes our side through its stages up to s.
func (d *drive) run(ctx context.Context, s stage.Stage) error {
	t, err := d.Engine.Run(ctx, d.t, s, d.terms)
	if err == nil {
		d.t = t
	}
	return err
}

// open opens the transfer session on the peer and has it go on to a stage.
func (d *drive) open(ctx context.Context, claim string, to stage.Stage) (wire.TransferSession, error) {
	name := string(to)
	remote, err := d.peer.CreateTransferSession(ctx, wire.TransferSessionRequest{
		ID: d.t.ID, Filter: d.t.Filter, Push: d.t.Push, SyncSessionID: d.sync.ID, ClientFSIC: claim, TransferStage: &name,
	})
	switch {
	case err != nil:
		return remote, err
	case remote.ID != d.t.ID:
		return remote, errGone // an older session is in the way there
	case stage.Reached(session.Transfer{Stage: remote.TransferStage, Status: remote.TransferStageStatus}, to):
		d.tell(remote)
		return remote, nil
	}
	return d.advance(ctx, to, wire.TransferSessionUpdate{})
}

// settle tells the peer that its records have come, all but those that we left out, and that
// it need not keep the session.
func (d *drive) settle(ctx context.Context) error {
	name := string(stage.Cleanup)
	update := wire.TransferSessionUpdate{
		TransferStage: &name, RecordsTransferred: &d.t.RecordsTransferred,
		BytesReceived: &d.t.BytesSent, BytesSent: &d.t.BytesReceived, // seen from the server
		LeftOut: engine.Omissions(d.t),
	}
	var err error
	if _, err = d.peer.UpdateTransferSession(ctx, d.t.ID, update); IsNotFound(err) {
		return nil
	}
	return err
}
