package server

import (
	"errors"
	"net/http"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// postCertificateChain takes a certificate that a client issued to this server for
// its shared key, after the chain that leads to it. The certificate's salt is a
// nonce of ours, so that one can be pushed only once.
func (s *Server) postCertificateChain(r *http.Request) (answer, error) {
	if !s.capabilities.Has(wire.AllowCertificatePushing) {
		return answer{}, forbidden(wire.Detail{Detail: wire.TextNoCertPushing})
	}
	text, err := s.json(r)
	if err != nil {
		return answer{}, err
	}
	inner, err := wire.ParseChainText(text)
	if err != nil {
		return answer{}, err
	}
	chain, err := cert.ParseChain([]byte(inner))
	if err != nil {
		return answer{}, badRequest(wire.TextChainFailed + ": " + oneLine(err))
	}
	if len(chain) < 2 {
		return answer{}, badRequest(wire.TextChainFailed + ": it must hold the chain of the issuer and the new certificate")
	}
	var refused error // kept apart: the nonce is used up also when the rest fails
	err = s.env.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		refused, err = s.takeCertificate(r, tx, chain)
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: wire.TextChainSaved}, nil
}

// takeCertificate saves the issuer's chain and then the last certificate. refused is
// an answer that leaves what was done in place.
func (s *Server) takeCertificate(r *http.Request, tx *db.Tx, chain []*cert.Certificate) (refused, err error) {
	last := len(chain) - 1
	parent, _, err := session.SaveChain(r.Context(), tx, chain[:last], "")
	if err != nil {
		return chainFault(err, wire.TextChainFailed+": "+oneLine(err)), otherFault(err)
	}
	pushed := chain[last]
	key, err := session.FindSharedKey(r.Context(), tx, pushed.PublicKey)
	if errors.Is(err, session.ErrNotFound) {
		return badRequest(wire.TextNotSharedKey), nil
	}
	if err != nil {
		return nil, err
	}
	err = session.UseNonce(r.Context(), tx, pushed.Salt, s.env.Now())
	if errors.Is(err, session.ErrNonceUnknown) || errors.Is(err, session.ErrNonceExpired) {
		return forbidden(wire.TextBadSaltNonce), nil
	}
	if err != nil {
		return nil, err
	}
	defs, err := session.Definitions(r.Context(), tx)
	if err != nil {
		return nil, err
	}
	if err := pushed.Check(parent, defs); err != nil {
		return certificateFault(err), nil
	}
	pushed.PrivateKey = key.PEM()
	if err := session.SaveCertificate(r.Context(), tx, pushed); err != nil {
		return nil, err
	}
	return nil, s.roomForCertificate(r.Context(), tx, parent.ID)
}

// chainFault is the answer to a chain that breaks a rule: 403 with the given text,
// or 400 when it is no proper chain at all. Nil for errors of another kind.
func chainFault(err error, text string) error {
	var wrong *cert.Error
	if !errors.As(err, &wrong) {
		return nil
	}
	if wrong.Class == cert.ErrMalformed || wrong.Class == cert.ErrUnknownScope {
		return badRequest(wire.TextChainFailed + ": " + oneLine(err))
	}
	return forbidden(text)
}

// otherFault is err when it is not about a certificate.
func otherFault(err error) error {
	var wrong *cert.Error
	if errors.As(err, &wrong) {
		return nil
	}
	return err
}
