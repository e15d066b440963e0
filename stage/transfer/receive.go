package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// Errors for a chunk that is refused; nothing of it is kept, and the session goes on.
var (
	// ErrInvalid says that a record of the chunk must not be taken in.
	ErrInvalid = errors.New("record refused")
	// ErrTooMany says that the chunk goes beyond the announced number of records.
	ErrTooMany = errors.New("more records than announced")
	// ErrNotReady says that the session is not at the stage at which records come.
	ErrNotReady = errors.New("the transfer session does not take records now")
)

// Receive takes one chunk into the session's buffer: whole or not at all. A record
// that is in the buffer already with the same content counts once, and so does a
// chunk that is repeated when all have come. have carries the counts of bytes; the
// row as it is afterwards is returned.
func Receive(ctx context.Context, env stage.Env, have session.Transfer, records []record.Record) (session.Transfer, error) {
	filter := partition.Parse(have.Filter)
	for i := range records {
		records[i].Profile = env.Profile.Name
		m, _ := env.Profile.Model(records[i].Model)
		if err := record.Check(records[i], m, filter); err != nil {
			return have, errors.Join(ErrInvalid, err)
		}
	}
	var t session.Transfer
	write := func() error {
		return env.DB.Write(ctx, func(tx *db.Tx) (err error) {
			if t, err = session.ActiveTransfer(ctx, tx, have.ID); err != nil {
				return err
			}
			t.BytesSent, t.BytesReceived = have.BytesSent, have.BytesReceived
			return receive(ctx, tx, env, &t, records)
		})
	}
	err := write()
	if db.IsConstraint(err) {
		// The same chunk came twice at once, and the other one was taken meanwhile.
		err = write()
	}
	if err != nil {
		return have, fmt.Errorf("take %d records into transfer session %s: %w", len(records), have.ID, err)
	}
	return t, nil
}

func receive(ctx context.Context, tx *db.Tx, env stage.Env, t *session.Transfer, records []record.Record) error {
	if t.RecordsTotal == nil || !stage.Reached(*t, stage.Queuing) {
		return ErrNotReady
	}
	if stage.Reached(*t, stage.Transferring) && t.RecordsTransferred == *t.RecordsTotal {
		return repeated(ctx, tx, *t, records)
	}
	added, _, err := buffer.Put(ctx, tx, t.ID, records)
	if err != nil {
		return err
	}
	t.RecordsTransferred += int64(added)
	if t.RecordsTransferred > *t.RecordsTotal {
		return fmt.Errorf("%d records where %d were announced: %w", t.RecordsTransferred, *t.RecordsTotal, ErrTooMany)
	}
	t.Stage, t.Status = string(stage.Transferring), string(stage.Pending)
	if t.RecordsTransferred == *t.RecordsTotal {
		t.Status = string(stage.Completed)
	}
	if err := session.SetProgress(ctx, tx, t.ID, progress(*t), env.Now()); err != nil {
		return err
	}
	return session.SetStage(ctx, tx, t.ID, t.Stage, t.Status, env.Now())
}

// repeated answers for a chunk that comes when all records have come: it is accepted
// without a write when its records did travel in this session. Until dequeuing the
// buffer knows that, afterwards the histories in the store.
func repeated(ctx context.Context, tx *db.Tx, t session.Transfer, records []record.Record) error {
	if stage.Stage(t.Stage).Before(stage.Dequeuing) {
		added, _, err := buffer.Put(ctx, tx, t.ID, records)
		if err == nil && added > 0 {
			err = fmt.Errorf("all %d announced records had come before: %w", *t.RecordsTotal, ErrTooMany)
		}
		return err
	}
	versions := make(map[string]counter.Version, len(records))
	for _, r := range records {
		versions[r.ID] = r.Version
	}
	seen, err := store.Seen(ctx, tx, versions)
	if err == nil && !seen {
		err = fmt.Errorf("all %d announced records had come before: %w", *t.RecordsTotal, ErrTooMany)
	}
	return err
}
