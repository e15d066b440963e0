package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// Quota bounds what peers may use up of a server, so that none of them fills its disk or
// takes it away from the others. No school comes near the defaults; the zero value of a
// field is its default.
//
// A holder is whoever has a certificate that this server issued, with all that were
// issued below it. What is counted in memory counts for each process by itself.
type Quota struct {
	// Requests is the most requests that are worked on at a time; further ones wait, up
	// to ten seconds. Default 512.
	Requests int
	// RequestsOfAddress is the most of them from one address (IPv6: one /64 network).
	// Default 64. Behind a proxy that is not trusted all clients have one address.
	RequestsOfAddress int
	// Nonces is the most unused nonces at a time; the oldest go. Default 10,000.
	Nonces int
	// NoncesOfAddress is the most of them given to one address. Default 1,000.
	NoncesOfAddress int
	// Guesses is how many wrong passwords an address may give within a minute. Default 20.
	Guesses int
	// Sessions is the most sync sessions of one holder that are kept, open or closed.
	// Beyond them the oldest closed ones go, then the idlest open ones. Default 5,000.
	Sessions int
	// SessionBytes is the most that filters and claims of one holder's sync sessions take
	// up together. Default 256 MiB.
	SessionBytes int64
	// AllSessions and AllSessionBytes are the same for all holders together. Defaults
	// 100,000 and 4 GiB.
	AllSessions     int
	AllSessionBytes int64
	// Transfers is the most transfer sessions within one sync session. Default 1,000.
	Transfers int
	// Certificates is the most certificates below one holder's. Default 10,000.
	Certificates int
	// Worlds is the most root certificates of others, which come with certificates that
	// are pushed to this server. Default 20,000.
	Worlds int
	// Pushed is the most bytes that the records of one push may have, as JSON, or
	// compressed when they come as a stream. Default 4 GiB.
	Pushed int64
	// PushedByHolder is the most bytes that all open pushes of one holder may have
	// together. Default 16 GiB.
	PushedByHolder int64
}

// orDefault fills in the defaults.
func (q Quota) orDefault() Quota {
	for _, field := range []struct {
		value   *int
		instead int
	}{
		{&q.Requests, 512}, {&q.RequestsOfAddress, 64}, {&q.Nonces, 10_000}, {&q.NoncesOfAddress, 1_000}, {&q.Guesses, 20},
		{&q.Sessions, 5_000}, {&q.AllSessions, 100_000}, {&q.Transfers, 1_000}, {&q.Certificates, 10_000}, {&q.Worlds, 20_000},
	} {
		if *field.value <= 0 {
			*field.value = field.instead
		}
	}
	for _, field := range []struct {
		value   *int64
		instead int64
	}{{&q.SessionBytes, 256 << 20}, {&q.AllSessionBytes, 4 << 30}, {&q.Pushed, 4 << 30}, {&q.PushedByHolder, 16 << 30}} {
		if *field.value <= 0 {
			*field.value = field.instead
		}
	}
	return q
}

// Counting in the database costs a look at all sessions of a holder. It is done each
// time that a holder has made so many sessions, of which one with much text counts as
// many; and less often for all holders together.
const (
	dueForHolder = 128
	dueForAll    = 2048
	sessionText  = 16 << 10 // bytes that count as one session more
	maxRemember  = 10_000   // holders and certificates
)

// meter counts what holders use up between looks at the database.
type meter struct {
	mu      sync.Mutex
	holders map[string]string // certificate to holder
	spent   map[string]int    // by holder; "" for all
	pushes  map[string]pushed // by transfer session
}

// pushed is what came of an open push.
type pushed struct {
	holder string
	bytes  int64
}

func newMeter() *meter {
	return &meter{holders: map[string]string{}, spent: map[string]int{}, pushes: map[string]pushed{}}
}

// spend counts sessions, and says whether it is time to look at the holder's, and at all.
func (m *meter) spend(holder string, sessions int) (ofHolder, ofAll bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.spent) >= maxRemember {
		all := m.spent[""]
		m.spent = map[string]int{"": all + dueForHolder}
	}
	due := func(whose string, limit int) bool {
		m.spent[whose] += sessions
		if m.spent[whose] < limit {
			return false
		}
		m.spent[whose] = 0
		return true
	}
	return due(holder, dueForHolder), due("", dueForAll)
}

// holder finds the holder of a certificate.
func (s *Server) holder(ctx context.Context, certificate string) (string, error) {
	m := s.meter
	m.mu.Lock()
	known := m.holders[certificate]
	m.mu.Unlock()
	if known != "" {
		return known, nil
	}
	var top *cert.Certificate
	err := s.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		top, err = session.Branch(ctx, tx, certificate)
		return err
	})
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.holders) >= maxRemember {
		clear(m.holders)
	}
	m.holders[certificate] = top.ID
	return top.ID, nil
}

// charge counts a session of the certificate's holder with so many bytes of text, and
// drops what is beyond the quota.
func (s *Server) charge(ctx context.Context, certificate string, text int) error {
	holder, err := s.holder(ctx, certificate)
	if err != nil {
		return err
	}
	ofHolder, ofAll := s.meter.spend(holder, 1+text/sessionText)
	if ofHolder {
		var below []string
		err := s.env.DB.Read(ctx, func(tx *db.Tx) (err error) {
			below, err = session.Below(ctx, tx, holder)
			return err
		})
		if err == nil {
			err = s.engine.Limit(ctx, below, s.quota.Sessions, s.quota.SessionBytes)
		}
		if err != nil {
			return err
		}
	}
	if ofAll {
		return s.engine.Limit(ctx, nil, s.quota.AllSessions, s.quota.AllSessionBytes)
	}
	return nil
}

// roomForTransfer refuses one more transfer session in a sync session that has had many.
func (s *Server) roomForTransfer(ctx context.Context, tx *db.Tx, syncID string) error {
	n, err := session.CountTransfers(ctx, tx, syncID)
	if err == nil && n >= s.quota.Transfers {
		err = refuse(http.StatusTooManyRequests, wire.Detail{
			Detail: fmt.Sprintf("This sync session has had %d transfer sessions. Start a new sync session.", n),
		})
	}
	return err
}

// roomForCertificate refuses a new certificate under a holder who has many already, and
// one of a new world when there are many. It is asked after the certificate was stored,
// in the same transaction, which the error then takes back.
func (s *Server) roomForCertificate(ctx context.Context, tx *db.Tx, id string) error {
	top, err := session.Branch(ctx, tx, id)
	if err != nil {
		return err
	}
	below, err := session.Below(ctx, tx, top.ID)
	if err == nil && len(below) > s.quota.Certificates {
		err = refuse(http.StatusTooManyRequests, wire.Detail{Detail: "There are too many certificates below " + top.ID + " already."})
	}
	if err != nil || top.ParentID != "" {
		return err
	}
	worlds, err := session.CountRoots(ctx, tx)
	if err == nil && worlds > s.quota.Worlds {
		err = refuse(http.StatusTooManyRequests, wire.Detail{Detail: "This server knows too many root certificates already."})
	}
	return err
}

// chargePush counts the bytes of a chunk of a push. The records are refused when the
// push, or all of its holder's, have had too many.
func (s *Server) chargePush(ctx context.Context, t session.Transfer, bytes int64) error {
	holder, err := s.holderOf(ctx, t)
	if err != nil {
		return err
	}
	return s.countPush(ctx, t.ID, holder, bytes)
}

// countPush is chargePush where the holder is known.
func (s *Server) countPush(ctx context.Context, id, holder string, bytes int64) error {
	mine, all := s.meter.push(id, holder, bytes)
	if mine <= s.quota.Pushed && all > s.quota.PushedByHolder { // perhaps some of them have ended otherwise
		if err := s.forgetEnded(ctx, holder); err != nil {
			return err
		}
		mine, all = s.meter.push(id, holder, 0)
	}
	if mine > s.quota.Pushed || all > s.quota.PushedByHolder {
		s.meter.push(id, holder, -bytes)
		return refuse(http.StatusRequestEntityTooLarge, wire.Detail{Detail: "This server takes no more records of this push. Push less at a time, or ask its administrator."})
	}
	return nil
}

// push counts bytes of a push, and returns those of it and of all its holder's.
func (m *meter) push(id, holder string, bytes int64) (mine, all int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pushes[id] = pushed{holder, m.pushes[id].bytes + bytes}
	for _, p := range m.pushes {
		if p.holder == holder {
			all += p.bytes
		}
	}
	return m.pushes[id].bytes, all
}

// ended forgets what came of a push.
func (m *meter) ended(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pushes, id)
}

// holderOf finds the holder who pushes.
func (s *Server) holderOf(ctx context.Context, t session.Transfer) (string, error) {
	s.meter.mu.Lock()
	known := s.meter.pushes[t.ID].holder
	s.meter.mu.Unlock()
	if known != "" {
		return known, nil
	}
	return s.holder(ctx, t.Within.ClientCertificateID)
}

// forgetEnded forgets the pushes of a holder that are no longer open.
func (s *Server) forgetEnded(ctx context.Context, holder string) error {
	s.meter.mu.Lock()
	var ids []string
	for id, p := range s.meter.pushes {
		if p.holder == holder {
			ids = append(ids, id)
		}
	}
	s.meter.mu.Unlock()
	return s.env.DB.Read(ctx, func(tx *db.Tx) error {
		for _, id := range ids {
			_, err := session.ActiveTransfer(ctx, tx, id)
			if errors.Is(err, session.ErrNotFound) {
				s.meter.ended(id)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// charged counts the bytes of a push that comes as a stream, as they travel.
type charged struct {
	from   io.ReadCloser
	s      *Server
	r      *http.Request
	id     string // of the transfer session
	holder string
	due    int64
}

// Close ends a Read that waits.
func (c *charged) Close() error { return c.from.Close() }

// Read implements io.Reader.
func (c *charged) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.due += int64(n); c.due >= chargedAtOnce || err != nil {
		due := c.due
		c.due = 0
		if refused := c.s.countPush(c.r.Context(), c.id, c.holder, due); refused != nil {
			return 0, refused
		}
	}
	return n, err
}

const chargedAtOnce = 1 << 20
