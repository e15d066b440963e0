package server

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// postCertificate issues a certificate to a user who may have it, under one of ours.
func (s *Server) postCertificate(r *http.Request) (answer, error) {
	request, err := s.certificateRequest(r)
	if err != nil {
		return answer{}, err
	}
	if _, err := cert.ParsePublic(request.PublicKey); err != nil {
		return answer{}, wire.FieldErrors{"public_key": {"Not a public key that this server can read: RSA, 2048 bits."}}
	}
	salt, err := s.env.NewID()
	if err != nil {
		return answer{}, err
	}
	var issued *cert.Certificate
	err = s.env.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		issued, err = issue(r, tx, request, salt)
		if err != nil {
			return err
		}
		return session.SaveCertificate(r.Context(), tx, issued)
	})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: issued.Link()}, nil
}

// certificateRequest reads the request of a user who may make it.
func (s *Server) certificateRequest(r *http.Request) (wire.CertificateRequest, error) {
	user, err := s.authenticate(r)
	if err != nil {
		return wire.CertificateRequest{}, err
	}
	text, err := s.json(r)
	if err != nil {
		return wire.CertificateRequest{}, err
	}
	request, malformed := wire.ParseCertificateRequest(text)
	var fields wire.FieldErrors
	if errors.As(malformed, &fields) && len(fields) == wire.CertificateRequestFields {
		return request, malformed // an empty request: say what belongs in it, whoever asks
	}
	if user == nil {
		return request, unauthorized(wire.TextNoCredentials)
	}
	if len(fields["scope_definition"]) > 0 {
		return request, forbidden(wire.Detail{Detail: wire.TextNoPermission})
	}
	if malformed != nil {
		return request, malformed
	}
	return request, mayCertify(user, request)
}

// mayCertify asks whether the user may have the scope.
func mayCertify(user User, request wire.CertificateRequest) error {
	var value any
	if json.Unmarshal([]byte(request.ScopeParams), &value) != nil {
		return wire.FieldErrors{"scope_params": {"Value must be valid JSON."}}
	}
	params, ok := value.(map[string]any)
	if !ok || len(params) == 0 || !user.MayCertify(request.ScopeDefinition, params) {
		return forbidden(wire.Detail{Detail: wire.TextNoPermission})
	}
	return nil
}

// issue makes the certificate under its parent.
func issue(r *http.Request, tx *db.Tx, request wire.CertificateRequest, salt string) (*cert.Certificate, error) {
	if request.Parent == "" {
		return nil, wire.FieldErrors{"parent": {wire.TextNoParent}}
	}
	unknown := func(field, key string) error {
		return wire.FieldErrors{field: {fmt.Sprintf("Invalid pk \"%.64s\" - object does not exist.", key)}}
	}
	id, err := ident.Parse(request.Parent)
	if err != nil {
		return nil, unknown("parent", request.Parent)
	}
	parent, err := session.Certificate(r.Context(), tx, id)
	if errors.Is(err, session.ErrNotFound) {
		return nil, unknown("parent", request.Parent)
	}
	if err != nil {
		return nil, err
	}
	if !parent.Owned() {
		return nil, wire.FieldErrors{"parent": {wire.TextNoParentKey}}
	}
	defs, err := session.Definitions(r.Context(), tx)
	if err != nil {
		return nil, err
	}
	if _, known := defs(request.ScopeDefinition); !known {
		return nil, unknown("scope_definition", request.ScopeDefinition)
	}
	issued, err := parent.Issue(cert.Request{
		ParentID: id, Profile: request.Profile, ScopeDefinition: request.ScopeDefinition,
		ScopeVersion: request.ScopeVersion, ScopeParams: request.ScopeParams, PublicKey: request.PublicKey,
	}, salt, defs)
	return issued, certificateFault(err)
}

// certificateFault turns a broken rule of certificates into its answer.
func certificateFault(err error) error {
	var wrong *cert.Error
	if errors.As(err, &wrong) {
		return badRequest(wire.CertificateError{Class: string(wrong.Class), Message: wrong.Message})
	}
	return err
}
