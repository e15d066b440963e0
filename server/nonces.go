package server

import (
	"net/http"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// postNonce gives out a nonce.
func (s *Server) postNonce(r *http.Request) (answer, error) {
	nonce, err := s.newNonce(r)
	return answer{status: http.StatusCreated, body: nonce}, err
}

// newNonce makes a nonce, and drops those that nobody used in time.
func (s *Server) newNonce(r *http.Request) (wire.Nonce, error) {
	id, err := s.env.NewID()
	if err != nil {
		return wire.Nonce{}, err
	}
	now := s.env.Now().UTC()
	nonce := session.Nonce{ID: id, Time: now, IP: s.clientIP(r)}
	err = s.env.DB.Write(r.Context(), func(tx *db.Tx) error {
		if _, err := session.PurgeNonces(r.Context(), tx, now); err != nil {
			return err
		}
		if err := session.CreateNonce(r.Context(), tx, nonce); err != nil {
			return err
		}
		return session.LimitNonces(r.Context(), tx, nonce.IP, session.NoncesKept{All: s.quota.Nonces, OfAddress: s.quota.NoncesOfAddress})
	})
	return wire.Nonce{ID: nonce.ID, Timestamp: wire.Time{Time: nonce.Time}, IP: nonce.IP}, err
}
