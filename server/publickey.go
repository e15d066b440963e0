package server

import (
	"errors"
	"net/http"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// listPublicKeys shows the key for which clients may issue a certificate to this
// server. Only for another peer one is made when there is none.
func (s *Server) listPublicKeys(r *http.Request) (answer, error) {
	key, err := s.sharedKey(r)
	if errors.Is(err, errNoKey) {
		return answer{status: http.StatusOK, body: []wire.PublicKey{}}, nil
	}
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
	if errors.Is(err, errNoKey) {
		return answer{}, notFound()
	}
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: key}, nil
}

var errNoKey = errors.New("there is no shared key yet")

// sharedKey reads the shared key. The first time that a peer asks, which tells what it
// can in a header, the key is made; somebody else gets errNoKey and changes nothing.
func (s *Server) sharedKey(r *http.Request) (wire.PublicKey, error) {
	if !s.capabilities.Has(wire.AllowCertificatePushing) {
		return wire.PublicKey{}, forbidden(wire.Detail{Detail: wire.TextNoCertPushing})
	}
	generate := func() (cert.Key, error) { return cert.GenerateKey(s.env.Rand) }
	if len(r.Header.Values(wire.HeaderCapabilities)) == 0 {
		generate = func() (cert.Key, error) { return cert.Key{}, errNoKey }
	}
	var key cert.Key
	err := s.env.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		key, err = session.SharedKey(r.Context(), tx, generate)
		return err
	})
	if err != nil {
		return wire.PublicKey{}, err
	}
	return wire.PublicKey{PublicKey: key.Public().String()}, nil
}
