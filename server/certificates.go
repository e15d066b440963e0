package server

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// listCertificates shows the certificates that this server owns: all, those at and
// below one certificate, or the chain of one.
func (s *Server) listCertificates(r *http.Request) (answer, error) {
	query := r.URL.Query()
	var found []*cert.Certificate
	err := s.env.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		profile := query.Get(wire.QueryProfile)
		switch {
		case !utf8.ValidString(profile) || strings.ContainsRune(profile, 0):
			return nil // nothing can be called so
		case query.Has(wire.QueryPrimaryPartition):
			id, ok := idOf(query.Get(wire.QueryPrimaryPartition))
			if !ok {
				return nil
			}
			found, err = session.DescendantsOwned(r.Context(), tx, id, profile)
		case query.Has(wire.QueryAncestorsOf):
			id, ok := idOf(query.Get(wire.QueryAncestorsOf))
			if !ok {
				return nil
			}
			found, err = chainOfOwned(r, tx, id, profile)
		default:
			found, err = session.Owned(r.Context(), tx, profile)
		}
		return err
	})
	if err != nil {
		return answer{}, err
	}
	links := cert.Links(found)
	if links == nil {
		links = []cert.Link{}
	}
	return answer{status: http.StatusOK, body: links}, nil
}

// idOf reads an id; false when the text is none, so that nothing has it.
func idOf(text string) (string, bool) {
	id, err := ident.Parse(text)
	return id, err == nil
}

// chainOfOwned is the chain of a certificate of ours, root first; nothing when it is
// not ours or of another profile than asked for.
func chainOfOwned(r *http.Request, tx *db.Tx, id, profile string) ([]*cert.Certificate, error) {
	c, err := session.Certificate(r.Context(), tx, id)
	if errors.Is(err, session.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !c.Owned() || profile != "" && c.Profile != profile {
		return nil, nil
	}
	return session.Ancestors(r.Context(), tx, id)
}

// getCertificate shows one certificate that this server owns.
func (s *Server) getCertificate(r *http.Request) (answer, error) {
	id, err := pathID(r)
	if err != nil {
		return answer{}, err
	}
	var c *cert.Certificate
	err = s.env.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		c, err = session.Certificate(r.Context(), tx, id)
		return err
	})
	if err != nil {
		return answer{}, err
	}
	if !c.Owned() {
		return answer{}, notFound()
	}
	return answer{status: http.StatusOK, body: c.Link()}, nil
}

// pathID is the id in the path, in canonical form. Anything else is not found.
func pathID(r *http.Request) (string, error) {
	id, err := ident.Parse(r.PathValue("id"))
	if err != nil {
		return "", notFound()
	}
	return id, nil
}
