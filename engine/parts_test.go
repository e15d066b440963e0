package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/wire"
)

// thing is one of many records.
func thing(n int) record.Record {
	source, v := fmt.Sprint(n), counter.Version{Instance: testID(7), Counter: 1}
	return record.Record{ID: ident.Record("a", source, "m"), Profile: "things", Model: "m", Partition: "a",
		SourceID: source, Serialized: "{}", Version: v, History: counter.Counters{v.Instance: v.Counter}}
}

// paged writes a whole stream of pages of three records.
func paged(t *testing.T, to io.Writer, pages int) {
	t.Helper()
	zip, err := wire.Compress(to)
	if err != nil {
		t.Fatal(err)
	}
	w, err := wire.NewFrameWriter(zip, wire.StreamHeader{TransferSession: testID(101), Profile: "things", Filter: "a", Claim: "{}"})
	for n := range 3 * pages {
		err = errors.Join(err, w.Record(thing(n)))
		if n%3 == 2 {
			err = errors.Join(err, w.Reach(fmt.Sprintf("%08d", n)))
		}
	}
	err = errors.Join(err, w.End(wire.StreamEnd{After: wire.CursorEnd, Records: int64(3 * pages)}), zip.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// On a machine so slow that no part of a stream is merged in time, all of it comes all the same, chunk by chunk, and is
// counted once. What ends a stream may come in a transaction of its own.
func TestSlowReceiver(t *testing.T) {
	t.Run("all at once", func(t *testing.T) { slowly(t, 0, 15) })
	t.Run("page by page", func(t *testing.T) { slowly(t, 3, 3, 6, 9, 12, 15, 15) })
}

// slowly receives five pages in chunks of so many records; the transactions must end at these.
func slowly(t *testing.T, records int, ends ...int64) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const pages = 5
		e := newEngine(t, d)
		now := noon
		e.env.Now = func() time.Time {
			now = now.Add(time.Second) // more than any part may take
			return now
		}
		var done []int64
		e.env.Events = func(ev stage.Event) { done = append(done, ev.Done) }
		openStream(t, d)
		var sent bytes.Buffer
		paged(t, &sent, pages)
		row, err := e.Transfer(t.Context(), testID(101))
		if err != nil {
			t.Fatal(err)
		}
		row, end, err := e.StreamIn(t.Context(), row, &sent, records, nil)
		if err != nil || end.Records != 3*pages || row.RecordsTransferred != 3*pages || !stage.Reached(row, stage.Transferring) {
			t.Errorf("%+v, %d records, at %s: %v", end, row.RecordsTransferred, row.Stage, err)
		}
		var stored int
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return tx.QueryRow(ctx, `SELECT COUNT(*) FROM morango_store`).Scan(&stored)
		})
		if stored != 3*pages {
			t.Errorf("%d records are in the store, of %d", stored, 3*pages)
		}
		if !slices.Equal(done, ends) {
			t.Errorf("the transactions end at %v, want %v", done, ends)
		}
	})
}
