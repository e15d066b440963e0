package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/transfer"
	"github.com/morango-go/morango/store/lacking"
	"github.com/morango-go/morango/wire"
)

// streams looks whether an interrupted transfer session goes on in the way it began, and
// where.
func (d *drive) streams(remote wire.TransferSession) error {
	_, streams := d.t.Cursor()
	if streams && !d.terms.Stream || stage.Reached(d.t, stage.Queuing) && streams != d.terms.Stream {
		return errGone // one of us could do more, or less, when it began
	}
	if remote.StreamCursor != nil {
		return d.goOn(*remote.StreamCursor)
	}
	return nil
}

// goOn notes where the peer says that the records of a push have come. It is a cursor that this
// side has given out, if the peer is right.
func (d *drive) goOn(cursor string) error {
	if !wire.ValidCursor(cursor) {
		return fmt.Errorf("transfer session %s: the peer stands at %.40q: %w", d.t.ID, cursor, lacking.ErrCursor)
	}
	d.cursor = cursor
	return nil
}

// pushStream sends the records, in one request or, where that takes too long, in some. The
// peer has run the stages that follow when it answers the last, or runs them still.
func (d *drive) pushStream(ctx context.Context) error {
	for {
		before, meter := d.t, d.meter()
		remote, err := d.peer.PushStream(ctx, d.t.ID, func(ctx context.Context, w io.Writer) error {
			_, err := d.Engine.StreamOut(ctx, before, engine.StreamOptions{After: d.cursor, Records: d.limit, Sent: func(records int64) {
				now := before
				now.RecordsTransferred += records
				now.BytesSent, now.BytesReceived = meter()
				transfer.Emit(d.Engine.Env(), now)
			}}, w)
			return err
		})
		if errors.Is(err, lacking.ErrCursor) { // this database was set back, or the peer made it up
			err = errors.Join(err, errGone)
		}
		if err != nil {
			return err
		}
		come := stage.Reached(session.Transfer{Stage: remote.TransferStage, Status: remote.TransferStageStatus}, stage.Transferring)
		sent, received := meter()
		u := engine.Update{BytesSent: &sent, BytesReceived: &received}
		if come { // it is the total now
			u.RecordsTransferred = &remote.RecordsTransferred
		}
		if d.ended = come && !remote.Active; d.ended && d.brief && remote.LeftOut == nil {
			d.tell(remote)
			d.t, err = d.Engine.End(ctx, d.t, u, d.terms)
			return err
		}
		if d.t, err = d.Engine.Update(ctx, d.t.ID, u); err != nil {
			return err
		}
		if d.t, err = d.Engine.TakeOmissions(ctx, d.t, remote.LeftOut); err != nil {
			return err
		}
		d.tell(remote)
		d.t.RecordsTransferred = remote.RecordsTransferred
		if come {
			return nil
		}
		if remote.StreamCursor == nil || *remote.StreamCursor <= d.cursor {
			return fmt.Errorf("transfer session %s: the peer took nothing of a stream: %w", d.t.ID, transfer.ErrShort)
		}
		if err := d.goOn(*remote.StreamCursor); err != nil {
			return err
		}
	}
}

// pullStream fetches the records, in one request or, where the peer ends it, in some.
func (d *drive) pullStream(ctx context.Context) error {
	for !stage.Reached(d.t, stage.Transferring) {
		after, _ := d.t.Cursor()
		meter := d.meter()
		err := d.peer.PullStream(ctx, d.t.ID, after, d.limit, func(body io.Reader) error {
			t, end, err := d.Engine.StreamIn(ctx, d.t, body, int(d.limit), meter)
			d.t = t
			if err == nil && end.More && end.After <= after {
				err = fmt.Errorf("transfer session %s: the peer sent nothing: %w", d.t.ID, transfer.ErrShort)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// meter counts the bytes of the transfer session, each way, from what it has carried so
// far.
func (d *drive) meter() func() (sent, received int64) {
	sent, received := d.peer.Bytes()
	sent, received = d.t.BytesSent-sent, d.t.BytesReceived-received
	return func() (int64, int64) {
		s, r := d.peer.Bytes()
		return sent + s, received + r
	}
}
