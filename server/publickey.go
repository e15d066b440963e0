package server

import (
	"net/http"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// listPublicKeys shows the key for which clients may issue a certificate to this
// server.
func (s *Server) listPublicKeys(r *http.Request) (answer, error) {
	key, err := s.sharedKey(r)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: []wire.PublicKey{key}}, nil
}

// getPublicKey shows the one key there is, the first.
func (s *Server) getPublicKey(r *http.Request) (answer, error) {
	if r.PathValue("id") != "1" {
		return answer{}, notFound()
	}
	key, err := s.sharedKey(r)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: key}, nil
}

// sharedKey reads the shared key, making it the first time.
func (s *Server) sharedKey(r *http.Request) (wire.PublicKey, error) {
	if !s.capabilities.Has(wire.AllowCertificatePushing) {
		return wire.PublicKey{}, forbidden(wire.Detail{Detail: wire.TextNoCertPushing})
	}
	var key cert.Key
	err := s.env.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		key, err = session.SharedKey(r.Context(), tx, func() (cert.Key, error) { return cert.GenerateKey(s.env.Rand) })
		return err
	})
	if err != nil {
		return wire.PublicKey{}, err
	}
	return wire.PublicKey{PublicKey: key.Public().String()}, nil
}
