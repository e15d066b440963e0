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

// Refusal is a record that cannot be taken in, and why.
type Refusal struct {
	Record record.Record
	Reason error
}

// RefusedError says which records of a chunk are the reason why nothing of it was taken.
// It is ErrInvalid.
type RefusedError struct{ Refused []Refusal }

// Error tells of the first.
func (e *RefusedError) Error() string { return ErrInvalid.Error() + ": " + e.Refused[0].Reason.Error() }

// Unwrap makes it ErrInvalid.
func (e *RefusedError) Unwrap() error { return ErrInvalid }

// Refuse is called for records that are left out of a chunk, in the transaction that
// takes the others. It returns how many of them were not left out before.
type Refuse func(ctx context.Context, tx *db.Tx, t session.Transfer, refused []Refusal) (fresh int, err error)

// Receive takes one chunk into the session's buffer: whole or not at all. A record
// that is in the buffer already with the same content counts once, and so does a
// chunk that is repeated when all have come. Records that cannot be taken are handed to
// refuse, and count as transferred; when refuse is nil they are a *RefusedError. One that
// lies outside of the filter is ErrInvalid in any case. have carries the counts of bytes;
// the row as it is afterwards is returned.
func Receive(ctx context.Context, env stage.Env, have session.Transfer, records []record.Record, refuse Refuse) (session.Transfer, error) {
	records, refused, err := sound(env, partition.Parse(have.Filter), records)
	if err == nil && len(refused) > 0 && refuse == nil {
		err = &RefusedError{Refused: refused}
	}
	if err != nil {
		return have, err
	}
	var t session.Transfer
	write := func() error {
		return env.DB.Write(ctx, func(tx *db.Tx) (err error) {
			if t, err = session.ActiveTransfer(ctx, tx, have.ID); err != nil {
				return err
			}
			t.BytesSent, t.BytesReceived = have.BytesSent, have.BytesReceived
			fresh := 0
			if len(refused) > 0 {
				if fresh, err = refuse(ctx, tx, t, refused); err != nil {
					return err
				}
			}
			return receive(ctx, tx, env, &t, records, fresh)
		})
	}
	err = write()
	if db.IsConstraint(err) {
		// The same chunk came twice at once, and the other one was taken meanwhile.
		err = write()
	}
	if err != nil {
		return have, fmt.Errorf("take %d records into transfer session %s: %w", len(records), have.ID, err)
	}
	return t, nil
}

// sound parts the records of a chunk into those that can be taken in and the others.
func sound(env stage.Env, filter partition.Filter, records []record.Record) (good []record.Record, refused []Refusal, err error) {
	for _, r := range records {
		r.Profile = env.Profile.Name
		m, _ := env.Profile.Model(r.Model)
		switch err := record.Check(r, m, filter); {
		case err == nil:
			good = append(good, r)
		case !filter.Contains(r.Partition):
			return nil, nil, errors.Join(ErrInvalid, err)
		default:
			refused = append(refused, Refusal{Record: r, Reason: err})
		}
	}
	return good, refused, nil
}

// receive takes sound records; refused more count with them.
func receive(ctx context.Context, tx *db.Tx, env stage.Env, t *session.Transfer, records []record.Record, refused int) error {
	if t.RecordsTotal == nil || !stage.Reached(*t, stage.Queuing) {
		return ErrNotReady
	}
	if stage.Reached(*t, stage.Transferring) && t.RecordsTransferred == *t.RecordsTotal {
		if refused > 0 {
			return fmt.Errorf("all %d announced records had come before: %w", *t.RecordsTotal, ErrTooMany)
		}
		return repeated(ctx, tx, *t, records)
	}
	added, _, err := buffer.Put(ctx, tx, t.ID, records)
	if err != nil {
		return err
	}
	t.RecordsTransferred += int64(added + refused)
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
