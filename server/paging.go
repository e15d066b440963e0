package server

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/wire"
)

// batch is how many records are read and written at a time.
const batch = 500

// page is what one answer with a limit holds.
type page struct {
	session        string
	offset, limit  int64 // limit is cut to what there is
	count          int64
	next, previous *string
}

// streamPage writes a page as the object that paging clients expect.
func (s *Server) streamPage(ctx context.Context, w io.Writer, p page) error {
	head, err := wire.Marshal(wire.BufferPage{Count: p.count, Next: p.next, Previous: p.previous, Results: []wire.BufferRecord{}})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, strings.TrimSuffix(string(head), "]}")); err != nil {
		return err
	}
	if err := s.streamRecords(ctx, w, p.session, p.offset, p.limit); err != nil {
		return err
	}
	_, err = io.WriteString(w, "]}")
	return err
}

// streamAll writes all records as a plain list.
func (s *Server) streamAll(ctx context.Context, w io.Writer, id string) error {
	if _, err := io.WriteString(w, "["); err != nil {
		return err
	}
	if err := s.streamRecords(ctx, w, id, 0, -1); err != nil {
		return err
	}
	_, err := io.WriteString(w, "]")
	return err
}

// streamRecords writes up to limit records from offset on, all when limit is
// negative, with commas in between. It reads a batch at a time, each in a short read:
// the buffer of a session does not change once it is queued.
func (s *Server) streamRecords(ctx context.Context, w io.Writer, id string, offset, limit int64) error {
	out := make([]byte, 0, 1<<16)
	for first := true; limit != 0; first = false {
		size := int64(batch)
		if limit > 0 {
			size = min(size, limit)
		}
		records, err := s.records(ctx, id, offset, int(size))
		if err != nil || len(records) == 0 {
			return err
		}
		out = out[:0]
		for i, r := range records {
			if i > 0 || !first {
				out = append(out, ',')
			}
			out = wire.FromRecord(id, r).Append(out)
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
		offset += int64(len(records))
		if limit > 0 {
			limit -= int64(len(records))
		}
		s.keys.remember(id, offset, records[len(records)-1].ID)
	}
	return nil
}

// records reads a batch: by key where the offset is one at which an earlier answer
// ended, which is how clients ask, else by offset.
func (s *Server) records(ctx context.Context, id string, offset int64, limit int) (records []record.Record, err error) {
	after, known := s.keys.at(id, offset)
	err = s.env.DB.Read(ctx, func(tx *db.Tx) error {
		if known {
			records, err = buffer.Page(ctx, tx, id, after, limit)
		} else {
			records, err = buffer.PageOffset(ctx, tx, id, int(offset), limit)
		}
		return err
	})
	return records, err
}

// pageKeys remembers for each transfer session after which record its last pages
// ended, so that asking page by page does not count from the start each time. What it
// forgets, or another process knows, costs time only.
type pageKeys struct {
	mu   sync.Mutex
	ends map[string][]pageEnd // by transfer session, the latest last
}

type pageEnd struct {
	offset int64
	id     string
}

// The most sessions and page ends that are remembered.
const (
	maxSessions = 1000
	maxEnds     = 4
)

func newPageKeys() *pageKeys { return &pageKeys{ends: map[string][]pageEnd{}} }

// at finds the record before the offset. Offset 0 has the key "".
func (k *pageKeys) at(session string, offset int64) (after string, known bool) {
	if offset == 0 {
		return "", true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, end := range k.ends[session] {
		if end.offset == offset {
			return end.id, true
		}
	}
	return "", false
}

func (k *pageKeys) remember(session string, offset int64, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ends, known := k.ends[session]
	if !known && len(k.ends) >= maxSessions {
		for some := range k.ends {
			delete(k.ends, some)
			break
		}
	}
	ends = append(ends, pageEnd{offset, id})
	k.ends[session] = ends[max(len(ends)-maxEnds, 0):]
}

func (k *pageKeys) forget(session string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.ends, session)
}
