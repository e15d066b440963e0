package server

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever stands in the headers that proxies add, the client's address is one that a
// column holds: the connection's own unless that is trusted, and nothing that was not an
// address in the headers.
func FuzzAddresses(f *testing.F) {
	f.Add("10.0.0.1:80", "1.2.3.4, 10.0.0.2", "https", "hub")
	f.Add("[::ffff:10.0.0.1]:80", "fe80::1%eth0, ::1", "gopher", "\r\nX: y")
	f.Add("1.2.3.4:1", "10.0.0.1", "http", "")
	f.Add("nonsense", ",,,", "", "h")
	s := &Server{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	f.Fuzz(func(t *testing.T, remote, forwarded, proto, host string) {
		r := &http.Request{RemoteAddr: remote, Host: host, Header: http.Header{"X-Forwarded-For": {forwarded}, "X-Forwarded-Proto": {proto}}}
		client := s.clientIP(r)
		if client == "" {
			return
		}
		if _, err := netip.ParseAddr(client); err != nil || len(client) > 45 || strings.Contains(client, "%") {
			t.Fatalf("%q", client)
		}
		own, _, _ := net.SplitHostPort(remote)
		direct, err := netip.ParseAddr(own)
		if err == nil && !s.trusted(direct.Unmap().WithZone("")) {
			if client != direct.Unmap().WithZone("").String() {
				t.Fatalf("%q, %q is %q", remote, forwarded, client)
			}
			if got := s.origin(r); got != "http://"+host {
				t.Fatalf("origin %q", got)
			}
		}
		if got := s.origin(r); got != "http://"+host && got != "https://"+host {
			t.Fatalf("origin %q", got)
		}
	})
}

// noted remembers what it was asked to check.
type noted struct {
	args     map[string]string
	password string
}

func (n *noted) Authenticate(_ context.Context, args map[string]string, password string) (User, error) {
	n.args, n.password = args, password
	return nil, ErrCredentials
}

// Whatever the Authorization header holds, credentials come out of it only as they
// went in, and never let anybody in by themselves.
func FuzzAuthorization(f *testing.F) {
	f.Add([]byte("bob:secret"), "Basic ")
	f.Add([]byte("username=bob&facility=1:se:cret"), "bAsIc  ")
	f.Add([]byte{0xff, ':', 0xe9}, "Basic ")
	f.Add([]byte(""), "Bearer ")
	f.Fuzz(func(t *testing.T, credentials []byte, scheme string) {
		asked := &noted{}
		s := &Server{users: asked, guesses: &guesses{most: 10}}
		header := scheme + base64.StdEncoding.EncodeToString(credentials)
		user, _ := s.authenticate(&http.Request{Header: http.Header{"Authorization": {header}}})
		if user != nil {
			t.Fatalf("%q let %v in", header, user)
		}
		if asked.args == nil || len(strings.Fields(scheme)) != 1 || !strings.HasSuffix(scheme, " ") {
			return // not asked, or the scheme brings credentials of its own
		}
		whole := latinOrUTF8(credentials)
		name, password, _ := strings.Cut(whole, ":")
		if !utf8.ValidString(whole) || asked.password != password || len(asked.args) > strings.Count(name, "&")+1 {
			t.Fatalf("%q was read as %q, %q", whole, asked.args, asked.password)
		}
		if !strings.Contains(name, "=") && asked.args["username"] != name {
			t.Fatalf("%q was read as %q", whole, asked.args)
		}
	})
}

// However pages are asked for, their numbers lie in bounds, and the links to the pages
// around lead nowhere else.
func FuzzPaging(f *testing.F) {
	f.Add("limit=500&offset=1000&transfer_session_id=x", int64(3000))
	f.Add("limit=9223372036854775807&offset=-1", int64(1))
	f.Add("limit=2147483647&offset=2147483647", int64(1)<<31)
	f.Add("limit=1e3&offset=0x10;limit=2", int64(5))
	s := &Server{}
	f.Fuzz(func(t *testing.T, query string, count int64) {
		r := &http.Request{Host: "hub", URL: &url.URL{Path: "/x/", RawQuery: query}}
		values := r.URL.Query()
		limit, offset := positive(values.Get("limit")), positive(values.Get("offset"))
		if limit < 0 || limit >= 1<<31 || offset < 0 || offset >= 1<<31 {
			t.Fatalf("limit %d, offset %d", limit, offset)
		}
		if limit == 0 || count < 0 {
			return
		}
		next, previous := s.neighbours(r, count, offset, limit)
		if (next != nil) != (offset+limit < count) || (previous != nil) != (offset > 0) {
			t.Fatalf("limit %d, offset %d of %d: next %v, previous %v", limit, offset, count, next, previous)
		}
		for _, link := range []*string{next, previous} {
			if link == nil {
				continue
			}
			to, err := url.Parse(*link)
			if err != nil || to.Host != "hub" || to.Path != "/x/" || positive(to.Query().Get("limit")) != limit {
				t.Fatalf("link %q: %v", *link, err)
			}
		}
	})
}

// The type of a body is one of those that are known, however it is written.
func FuzzContentType(f *testing.F) {
	f.Add("application/json; charset=utf-8", "gzip;q=0", int64(2))
	f.Add("Application/JSON", "deflate, gzip;q=1.0", int64(0))
	f.Add("application/json, text/html", "identity", int64(-1))
	f.Fuzz(func(t *testing.T, kind, accept string, length int64) {
		r := &http.Request{ContentLength: length, Header: http.Header{"Content-Type": {kind}, "Accept-Encoding": {accept}}}
		got, err := contentType(r, "application/json")
		if err == nil && got != "application/json" && (got != "" || kind != "" || length != 0) {
			t.Fatalf("%q, %d bytes: %q", kind, length, got)
		}
		if takesGzip(r) && !strings.Contains(accept, "gzip") {
			t.Fatalf("%q takes gzip", accept)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Fatal(err)
		}
	})
}
