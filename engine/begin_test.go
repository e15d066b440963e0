package engine

import (
	"context"
	"testing"
	"time"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
)

// A client that begins anew leaves a session behind, with a buffer that may be long. It goes in parts, between which others
// have their turn, and with it the session.
func TestBeginAfterALongBuffer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const records = 10_000
		e := newEngine(t, d)
		open(t, d, 1, true, time.Minute)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			all := make([]record.Record, records)
			for n := range all {
				all[n] = thing(n)
			}
			_, _, err := buffer.Put(ctx, tx, testID(101), all)
			return err
		})
		between := make(chan bool, 1)
		ctx, stop := context.WithCancel(t.Context())
		looking := make(chan struct{})
		go func() { between <- seesPart(ctx, d, records+1, looking) }()
		<-looking
		_, err := e.Begin(t.Context(), session.Transfer{ID: testID(200), SyncSessionID: testID(1), Filter: "a"}, Terms{})
		stop()
		if err != nil {
			t.Fatal(err)
		}
		if !<-between {
			t.Error("nobody had a turn while a long buffer was dropped")
		}
		var nothing bool
		write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
			nothing, err = buffer.Empty(ctx, tx, testID(101))
			return err
		})
		old, err := e.Transfer(t.Context(), testID(101))
		if err != nil || old.Active || !nothing {
			t.Errorf("what was left behind: active %v, its buffer empty %v: %v", old.Active, nothing, err)
		}
		if row, err := e.Transfer(t.Context(), testID(200)); err != nil || !row.Active {
			t.Errorf("the new session: active %v: %v", row.Active, err)
		}
	})
}

// seesPart looks into the buffer of transfer session 101, which had all records, in one short transaction after the other until
// the context ends, and says whether it once found some of them gone and some left.
func seesPart(ctx context.Context, d *db.DB, all int64, looking chan<- struct{}) (part bool) {
	close(looking)
	for {
		var n int64
		err := d.Write(ctx, func(tx *db.Tx) (err error) {
			n, err = buffer.Count(ctx, tx, testID(101))
			return err
		})
		if err != nil { // the context's
			return part
		}
		part = part || n > 0 && n < all
	}
}
