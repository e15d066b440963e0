// Package transfer moves the records of one transfer session between the buffers of
// two peers, in chunks, and remembers after each chunk how far it came.
//
// It belongs to the stages layer. It imports the words and tables layers and package
// stage; the other peer comes in as an interface. On a row's path it is the way over
// the network.
package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
)

// ErrShort says that the peer has fewer records than it promised.
var ErrShort = errors.New("the peer sent fewer records than it promised; sync again to start this transfer over")

// Peer is the other side of a transfer session as this stage sees it.
type Peer interface {
	// PutRecords hands one chunk of a push over. The same chunk may come again.
	PutRecords(ctx context.Context, transferID string, records []record.Record) error
	// GetRecords returns up to limit records of a pull, from offset in the peer's order.
	GetRecords(ctx context.Context, transferID string, offset int64, limit int) ([]record.Record, error)
	// Bytes returns how much went over the wire so far, each way.
	Bytes() (sent, received int64)
}

// Push sends what is left of the session's buffer in chunks of the given size and
// keeps count in t. done records are already with the peer.
func Push(ctx context.Context, env stage.Env, peer Peer, t *session.Transfer, done int64, chunk int) error {
	after, m := "", newMeter(peer, *t)
	t.RecordsTransferred = done
	for first := true; t.RecordsTotal != nil && t.RecordsTransferred < *t.RecordsTotal; first = false {
		page, err := nextPage(ctx, env, t, after, chunk, first && done > 0)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("buffer of transfer session %s ends after %d of %d records: %w",
				t.ID, t.RecordsTransferred, *t.RecordsTotal, ErrShort)
		}
		if err := peer.PutRecords(ctx, t.ID, page); err != nil {
			return fmt.Errorf("send records %d to %d of transfer session %s: %w",
				t.RecordsTransferred+1, t.RecordsTransferred+int64(len(page)), t.ID, err)
		}
		after = page[len(page)-1].ID
		t.RecordsTransferred += int64(len(page))
		t.BytesSent, t.BytesReceived = m.read()
		if err := save(ctx, env, t); err != nil {
			return err
		}
	}
	return nil
}

// nextPage reads the next chunk by key; only after an interruption, where the key is
// not known, by offset.
func nextPage(ctx context.Context, env stage.Env, t *session.Transfer, after string, chunk int, byOffset bool) (page []record.Record, err error) {
	err = env.DB.Read(ctx, func(tx *db.Tx) error {
		if byOffset {
			page, err = buffer.PageOffset(ctx, tx, t.ID, int(t.RecordsTransferred), chunk)
		} else {
			page, err = buffer.Page(ctx, tx, t.ID, after, chunk)
		}
		return err
	})
	return page, err
}

// Pull fetches what is left of the peer's buffer in chunks of the given size into
// ours and keeps count in t. refuse is as in Receive.
func Pull(ctx context.Context, env stage.Env, peer Peer, t *session.Transfer, chunk int, refuse Refuse) error {
	m := newMeter(peer, *t)
	for offset := t.RecordsTransferred; t.RecordsTotal != nil && t.RecordsTransferred < *t.RecordsTotal; {
		if offset >= *t.RecordsTotal { // the peer repeats itself
			return fmt.Errorf("transfer session %s: %d different records among %d: %w", t.ID, t.RecordsTransferred, offset, ErrShort)
		}
		page, err := peer.GetRecords(ctx, t.ID, offset, chunk)
		if err != nil {
			return fmt.Errorf("fetch records from %d of transfer session %s: %w", offset+1, t.ID, err)
		}
		if len(page) == 0 {
			return fmt.Errorf("transfer session %s: %d of %d records came: %w",
				t.ID, t.RecordsTransferred, *t.RecordsTotal, ErrShort)
		}
		offset += int64(len(page))
		t.BytesSent, t.BytesReceived = m.read()
		if *t, err = Receive(ctx, env, *t, page, refuse); err != nil {
			return err
		}
		Emit(env, *t)
	}
	return nil
}

// save keeps the count of a chunk that is with the peer. If this is lost, the chunk
// is sent again, and the peer counts it once.
func save(ctx context.Context, env stage.Env, t *session.Transfer) error {
	err := env.DB.Write(ctx, func(tx *db.Tx) error {
		return session.SetProgress(ctx, tx, t.ID, progress(*t), env.Now())
	})
	if err != nil {
		return fmt.Errorf("note progress of transfer session %s: %w", t.ID, err)
	}
	Emit(env, *t)
	return nil
}

// Emit tells how many records of a transfer session have been transferred.
func Emit(env stage.Env, t session.Transfer) {
	ev := stage.Event{
		SyncSession: t.SyncSessionID, TransferSession: t.ID, Push: t.Push,
		Stage: stage.Transferring, Status: stage.Started,
		Done: t.RecordsTransferred, BytesSent: t.BytesSent, BytesReceived: t.BytesReceived,
	}
	if t.RecordsTotal != nil {
		ev.Total = *t.RecordsTotal
	}
	env.Emit(ev)
}

// meter adds what a peer carries from now on to what the session carried before it
// was interrupted.
type meter struct {
	peer           Peer
	sent, received int64
}

func newMeter(peer Peer, t session.Transfer) meter {
	sent, received := peer.Bytes()
	return meter{peer: peer, sent: t.BytesSent - sent, received: t.BytesReceived - received}
}

func (m meter) read() (sent, received int64) {
	sent, received = m.peer.Bytes()
	return m.sent + sent, m.received + received
}

func progress(t session.Transfer) session.Progress {
	return session.Progress{RecordsTransferred: t.RecordsTransferred, BytesSent: t.BytesSent, BytesReceived: t.BytesReceived}
}
