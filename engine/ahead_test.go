package engine

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage/stream"
	"github.com/morango-go/morango/wire"
)

// line is the receiving end of a connection that knows whether somebody reads from it.
type line struct {
	*io.PipeReader
	reading atomic.Int32
	broken  atomic.Bool // the next read panics
}

func (l *line) Read(b []byte) (int, error) {
	l.reading.Add(1)
	defer l.reading.Add(-1)
	n, err := l.PipeReader.Read(b)
	if l.broken.Load() {
		panic("the line is broken")
	}
	return n, err
}

// half writes a stream's header and a record, and no end.
func half(t *testing.T, to io.Writer, after string) {
	zip, err := wire.Compress(to)
	if err != nil {
		t.Error(err)
		return
	}
	w, err := wire.NewFrameWriter(zip, wire.StreamHeader{TransferSession: testID(101), Profile: "things", Filter: "a", Claim: "{}", After: after})
	if err == nil {
		id := ident.Record("a", "s", "m")
		v := counter.Version{Instance: testID(7), Counter: 1}
		err = w.Record(record.Record{ID: id, Profile: "things", Model: "m", Partition: "a", SourceID: "s", Serialized: "{}",
			Version: v, History: counter.Counters{v.Instance: v.Counter}})
	}
	if err == nil {
		err = w.Reach(after + "1")
	}
	if err == nil {
		err = zip.(interface{ Flush() error }).Flush()
	}
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// However a stream is given up, while the sender has not ended it, nobody reads it after
// StreamIn has returned, and the sender notices.
func TestStreamGivenUp(t *testing.T) {
	d := dbtest.New(t)
	e := newEngine(t, d)
	openStream(t, d)
	in := func(t *testing.T, after string, meanwhile func(*line)) (panicked any, err error) {
		t.Helper()
		from, to := io.Pipe()
		l := &line{PipeReader: from}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		written, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(written)
			half(t, to, after)
			if meanwhile != nil {
				meanwhile(l)
				_, _ = to.Write([]byte{0})
			} else if after == "" {
				cancel()
			}
		}()
		go func() {
			defer close(done)
			defer func() { panicked = recover() }()
			row, _ := e.Transfer(ctx, testID(101))
			_, _, err = e.StreamIn(ctx, row, l, 1, nil)
		}()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("it does not return")
		}
		if n := l.reading.Load(); n > 0 {
			t.Errorf("%d still read", n)
		}
		if panicked != nil {
			_ = from.Close() // as who catches it does
		}
		<-written
		if _, err := to.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the sender may go on: %v", err)
		}
		return panicked, err
	}
	if _, err := in(t, testID(5), nil); !errors.Is(err, stream.ErrGap) {
		t.Errorf("with records missing: %v", err)
	}
	if _, err := in(t, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if panicked, _ := in(t, "", func(l *line) { l.broken.Store(true) }); panicked != "the line is broken" {
		t.Errorf("where reading panics: %v", panicked)
	}
}
