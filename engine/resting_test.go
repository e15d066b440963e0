package engine

import (
	"bytes"
	"errors"
	"testing"

	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/wire"
)

// What a part of a stream has learned of targets is there for the next part, and goes with the last.
func TestPartsOfAStream(t *testing.T) {
	d := dbtest.New(t)
	e := newEngine(t, d)
	openStream(t, d)
	id := testID(101)
	part := func(after string, end wire.StreamEnd) {
		t.Helper()
		var rest bytes.Buffer
		zip, err := wire.Compress(&rest)
		if err != nil {
			t.Fatal(err)
		}
		w, err := wire.NewFrameWriter(zip, wire.StreamHeader{TransferSession: id, Profile: "things", Filter: "a", Claim: "{}", After: after})
		if err := errors.Join(err, w.Reach(after+"1"), w.End(end), zip.Close()); err != nil {
			t.Fatal(err)
		}
		row, err := e.Transfer(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.StreamIn(t.Context(), row, &rest, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	part("", wire.StreamEnd{After: "1", More: true})
	learned := e.arrivals(id)
	e.rest(id, learned)
	if e.arrivals(testID(102)) == learned {
		t.Error("another session gets what this has learned")
	}
	if e.arrivals(id) != learned {
		t.Error("the next part does not get what the one before has learned")
	}
	if e.arrivals(id) == learned {
		t.Error("two get the same at once")
	}
	part("1", wire.StreamEnd{After: "2", More: true})
	if e.resting.session != id {
		t.Error("nothing is kept of a part")
	}
	part("2", wire.StreamEnd{After: wire.CursorEnd})
	if e.resting.apply != nil {
		t.Error("something is kept of the last part")
	}
}
