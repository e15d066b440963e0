package server

import (
	"net/http"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// postNonce gives out a nonce.
func (s *Server) postNonce(r *http.Request) (answer, error) {
	nonce, err := s.newNonce(r, func(*db.Tx) error { return nil })
	return answer{status: http.StatusCreated, body: nonce}, err
}

// newNonce makes a nonce, and drops those that nobody used in time. What look reads it reads in the
// same transaction.
func (s *Server) newNonce(r *http.Request, look func(*db.Tx) error) (wire.Nonce, error) {
	id, err := s.env.NewID()
	if err != nil {
		return wire.Nonce{}, err
	}
	now := s.env.Now().UTC()
	nonce := session.Nonce{ID: id, Time: now, IP: s.clientIP(r)}
	err = s.env.DB.Write(r.Context(), func(tx *db.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		if err := session.CreateNonce(r.Context(), tx, nonce); err != nil {
			return err
		}
		return session.LimitNonces(r.Context(), tx, nonce.IP, session.NoncesKept{All: s.quota.Nonces, OfAddress: s.quota.NoncesOfAddress}, now)
	})
	return wire.Nonce{ID: nonce.ID, Timestamp: wire.Time{Time: nonce.Time}, IP: nonce.IP}, err
}
