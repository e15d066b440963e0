package server

import (
	"context"
	"io"
	"net/http"
)

// Bodies are small as a rule: 500 records are half a megabyte. Of larger ones, which take
// several times their size in memory, only some are worked on at a time.
const (
	largeBody            = 1 << 20 // bytes, after decompression
	largeBodies          = 8
	largeBodiesOfAddress = 2
)

// endings is the key of what is to be done when a request ends.
type endings struct{}

// withEndings gives a request a place for what is to be done at its end.
func withEndings(r *http.Request) (with *http.Request, end func()) {
	var all []func()
	end = func() {
		for _, f := range all {
			f()
		}
	}
	return r.WithContext(context.WithValue(r.Context(), endings{}, &all)), end
}

// weighed counts the bytes of a body. One that turns out large waits for its turn, which
// lasts until the request ends.
type weighed struct {
	from  io.Reader
	s     *Server
	r     *http.Request
	bytes int64
	large bool
}

func (s *Server) weigh(r *http.Request, body io.Reader) *weighed {
	return &weighed{from: body, s: s, r: r}
}

// Read implements io.Reader.
func (b *weighed) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.bytes += int64(n)
	if b.bytes > largeBody && !b.large {
		b.large = true
		leave, busy := b.s.large.enter(b.r.Context(), b.s.clientIP(b.r))
		if busy != nil {
			return 0, busy
		}
		if all, ok := b.r.Context().Value(endings{}).(*[]func()); ok {
			*all = append(*all, leave)
		} else {
			leave()
		}
	}
	return n, err
}
