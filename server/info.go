package server

import (
	"net/http"
	"runtime"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// getInfo tells who this peer is. Any item under the path gives the same.
func (s *Server) getInfo(r *http.Request) (answer, error) {
	instance, err := s.engine.Instance(r.Context())
	if err != nil {
		return answer{}, err
	}
	info := wire.Info{
		InstanceHash: ident.InstanceHash(instance.ID),
		InstanceID:   instance.ID,
		SystemOS:     systemName(runtime.GOOS),
		Version:      wire.ReferenceVersion,
		Capabilities: s.capabilities.List(),
		Extra:        extra(s.env.Profile.InstanceInfo),
	}
	if root := r.Header.Get(wire.HeaderGreeting); root != "" && s.agreed(r).Has(wire.MoranGo) {
		if err := s.greet(r, root, &info); err != nil {
			return answer{}, err
		}
	}
	return answer{status: http.StatusOK, body: info}, nil
}

// greet adds what a client asks for next when it begins a sync session: a nonce, and the
// certificates of ours under a root that it knows.
func (s *Server) greet(r *http.Request, root string, info *wire.Info) error {
	var found []*cert.Certificate
	id, ok := idOf(root)
	nonce, err := s.newNonce(r, func(tx *db.Tx) (err error) {
		if ok {
			found, err = session.DescendantsOwned(r.Context(), tx, id, "")
		}
		return err
	})
	if err != nil {
		return err
	}
	info.Nonce = &nonce
	if links := cert.Links(found); links != nil {
		info.Certificates, err = wire.Marshal(links)
	}
	return err
}

// extra is what the application says of itself, less what would override us.
func extra(of map[string]string) map[string]jsontext.Value {
	values := map[string]jsontext.Value{}
	for key, value := range of {
		switch key {
		case "instance_hash", "instance_id", "system_os", "version", "capabilities", "nonce", "certificates":
			continue
		}
		if text, err := jsontext.AppendQuote(nil, value); err == nil { // not: invalid UTF-8
			values[key] = text
		}
	}
	return values
}

// systemName is the operating system as the reference names it.
func systemName(goos string) string {
	if goos == "" {
		return ""
	}
	return strings.ToUpper(goos[:1]) + goos[1:]
}
