package simtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

// Between two peers that can, records travel as streams. What a stream holds the model
// reads off the network, and how much of it a transaction merges off the transfer's cursor.

// carriesStream says whether a request's path is that of a stream.
func carriesStream(path string) bool { return strings.Contains(path, wire.PathStreams) }

// readStream reads as much of a stream as is whole. end is nil where it broke off.
func readStream(packed []byte) (h wire.StreamHeader, frames []wire.Frame, end *wire.StreamEnd) {
	unzip, err := wire.Decompress(bytes.NewReader(packed))
	if err != nil {
		return h, nil, nil
	}
	defer unzip.Close()
	r, err := wire.NewFrameReader(unzip)
	if err != nil {
		return h, nil, nil
	}
	for {
		f, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				end = nil
			}
			return r.Header(), frames, end
		}
		frames = append(frames, f)
		end = f.End
	}
}

// overhear reads a stream off the network: what arrives is what it holds. Right after its
// sender p has made it, the stream has all that the receiver lacks between where it begins
// and where it ends, and nothing else; p is nil for one that has been under way.
func (w *world) overhear(p *peer, packed []byte) {
	h, frames, end := readStream(packed)
	s := w.sent[h.TransferSession]
	if s == nil {
		return
	}
	s.frames = frames
	sent := map[string]kept{}
	for _, f := range frames {
		for _, r := range f.Records {
			sent[r.ID] = keptOf(r)
		}
	}
	if p == nil || end == nil || !p.twin.produces(s) {
		return
	}
	w.count.streams++
	if h.Claim == "" {
		w.overhearAhead(p.twin, h.TransferSession, frames, h.After == "" && !end.More)
		return
	}
	want, cursors := map[string]kept{}, p.cursors()
	for id, r := range p.twin.lacking(h.TransferSession) {
		if r.dirty = false; cursors[id] > h.After && cursors[id] <= end.After { // a sender's dirty bits are its own affair
			want[id] = r
		}
	}
	p.twin.agree("stream", sent, want)
}

// cursors are those that are reached with each record of the store. They say of its row's
// number nothing but its order, and rows keep theirs here.
func (p *peer) cursors() map[string]string {
	cursors := map[string]string{}
	rows, err := p.app.Query(`SELECT printf('b0000-8%015x-%s', rowid, id), id FROM morango_store`)
	if err != nil {
		p.w.fail("read the rows of %s: %v", p.name(), err)
		return cursors
	}
	defer rows.Close()
	for rows.Next() {
		var cursor, id string
		if err := rows.Scan(&cursor, &id); err != nil {
			p.w.fail("read the rows of %s: %v", p.name(), err)
		}
		cursors[id] = cursor
	}
	if err := rows.Err(); err != nil {
		p.w.fail("read the rows of %s: %v", p.name(), err)
	}
	return cursors
}

func keptOf(r record.Record) kept {
	k := kept{content: content{partition: r.Partition, serialized: r.Serialized, conflicting: r.Conflicting},
		instance: r.Version.Instance, counter: r.Version.Counter, history: r.History}
	if r.Deleted {
		k.flags |= 1
	}
	if r.HardDeleted {
		k.flags |= 2
	}
	return k
}

// travelsAsStream says whether a transfer session's records travel as a stream.
func (t *twin) travelsAsStream(id string) bool {
	_, streams := t.cursors[id]
	return streams
}

// cursor merges what a transaction says has come of a stream: the cursors of a sync
// session's transfers are in its JSON.
func (t *twin) cursor(text string, stamps map[string]entry) {
	var cursors map[string]string
	if json.Unmarshal([]byte(text), &cursors) != nil {
		return
	}
	for id, now := range cursors {
		before, known := t.cursors[id]
		t.cursors[id] = now
		s := t.p.w.sent[id]
		if !known || now <= before || s == nil || t.produces(s) {
			continue
		}
		t.p.w.count.chunks++
		for _, arrived := range s.turns(before, now) {
			t.merge(arrived, stamps)
		}
	}
}

// turns are the records of the frames between two cursors: of each the first version that came,
// then the second, and so on.
func (s *transfer) turns(before, now string) (turns []map[string]kept) {
	times := map[string]int{}
	for _, f := range s.frames {
		if f.After <= before || f.After > now {
			continue
		}
		for _, r := range f.Records {
			n := times[r.ID]
			if times[r.ID]++; n == len(turns) {
				turns = append(turns, map[string]kept{})
			}
			turns[n][r.ID] = keptOf(r)
		}
	}
	return turns
}

// overhearAhead is overhear for a stream of p that began before all was serialized: its records are as the
// store has them, where it still has that version, and if it is a whole stream all that
// the receiver lacks has travelled in it, each record at its latest version.
func (w *world) overhearAhead(t *twin, id string, frames []wire.Frame, whole bool) {
	w.count.ahead++
	made := map[version]bool{}
	for _, f := range frames {
		for _, r := range f.Records {
			sent, have := keptOf(r), t.store[r.ID]
			made[version{r.ID, sent.instance, sent.counter}] = true
			if have.dirty = false; have.instance == sent.instance && have.counter == sent.counter {
				t.agree("record "+r.ID+" of a stream", sent, have)
			}
		}
	}
	for record, r := range t.lacking(id) {
		if v := (version{record, r.instance, r.counter}); whole && !made[v] {
			t.agree("stream without "+v.String(), false, true)
		}
	}
}
