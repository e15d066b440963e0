package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/morango-go/morango/wire"
)

// request is one request before it is put into HTTP.
type request struct {
	method, path   string
	query          url.Values
	body           []byte
	stream         io.Reader // in place of a body; can be sent only once
	content        string    // of the body; "" is JSON
	answers        string    // content of a good answer; "" is JSON
	greeting       string    // id of the root that is greeted with; "" is none
	user, password string    // HTTP Basic when user is not ""
}

// do sends a request and has read take the answer's body, of at most limit bytes
// after decompression. read nil passes the body over.
func (p *Peer) do(ctx context.Context, r request, limit int64, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := p.prepare(ctx, r)
	if err != nil {
		return err
	}
	answer, err := p.client().Do(req)
	if err != nil {
		return p.unreachable(ctx, r, err)
	}
	defer answer.Body.Close()
	p.received.Add(headerSize(answer.Header) + int64(len(answer.Proto)+len(answer.Status)+5))
	counted := &countingReader{from: answer.Body, count: &p.received}
	body, err := p.decoded(answer, counted, limit)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if answer.StatusCode/100 != 2 {
		text, _ := wire.ReadAll(body, min(limit, maxSmall)) // what of it can be read is enough
		return refused(answer.StatusCode, r.method, r.path, answer.Header, text)
	}
	if read == nil {
		// The connection is used again only when the body was read to its end.
		_, err := io.Copy(io.Discard, body)
		return p.broken(ctx, r, err)
	}
	wanted := r.answers
	if wanted == "" {
		wanted = wire.ContentJSON
	}
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind != wanted {
		return fmt.Errorf("%s %s%s answered with %.60q instead of %q: %w; check the address",
			r.method, p.BaseURL, r.path, kind, wanted, ErrNotMorango)
	}
	if err := read(body); err != nil {
		return p.broken(ctx, r, err)
	}
	return nil
}

// prepare puts a request into HTTP and counts it.
func (p *Peer) prepare(ctx context.Context, r request) (*http.Request, error) {
	address := p.BaseURL + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var body io.Reader = bytes.NewReader(r.body)
	if r.stream != nil {
		body = &countingReader{from: r.stream, count: &p.sent}
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	req.Header.Set(wire.HeaderCapabilities, p.Capabilities.Header())
	req.Header.Set("Accept", wire.ContentJSON)
	// Said here, not left to the transport, so that compressed bytes can be counted.
	req.Header.Set("Accept-Encoding", "gzip")
	if r.body != nil || r.stream != nil {
		content := r.content
		if content == "" {
			content = wire.ContentJSON
		}
		req.Header.Set("Content-Type", content)
	}
	if r.greeting != "" {
		req.Header.Set(wire.HeaderGreeting, r.greeting)
	}
	if r.user != "" {
		req.SetBasicAuth(r.user, r.password)
	}
	line := len(r.method) + len(req.URL.RequestURI()) + len("  HTTP/1.1\r\nHost: \r\n\r\n") + len(req.URL.Host)
	p.sent.Add(int64(line) + headerSize(req.Header) + int64(len(r.body)))
	return req, nil
}

// client is the HTTP client, told not to follow redirects: a POST would arrive as
// a GET, and credentials elsewhere.
func (p *Peer) client() *http.Client {
	var c http.Client
	if p.HTTP != nil {
		c = *p.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// decoded is the body of an answer without its compression, bounded.
func (p *Peer) decoded(answer *http.Response, body io.Reader, limit int64) (io.Reader, error) {
	switch encoding := answer.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return wire.Bounded(body, limit), nil
	case "gzip":
		if answer.StatusCode == http.StatusNoContent || answer.ContentLength == 0 {
			return body, nil
		}
		return wire.Inflate(body, limit)
	default:
		return nil, fmt.Errorf("the answer is encoded as %.40q, which was not asked for: %w", encoding, ErrNotMorango)
	}
}

// unreachable is the error when no answer came.
func (p *Peer) unreachable(ctx context.Context, r request, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s%s: %w", r.method, p.BaseURL, r.path, err)
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // without the address once more
	}
	return fmt.Errorf("%s %s%s: %w: %w (check the address and the network)", r.method, p.BaseURL, r.path, ErrUnreachable, err)
}

// broken is the error when an answer could not be read to its end; nil for nil.
func (p *Peer) broken(ctx context.Context, r request, err error) error {
	switch {
	case err == nil:
		return nil
	case isFormat(err) && ctx.Err() == nil:
		return fmt.Errorf("%s %s%s: the answer makes no sense: %w: %w", r.method, p.BaseURL, r.path, ErrNotMorango, err)
	case errors.Is(err, wire.ErrTooLarge) || ctx.Err() != nil:
		return fmt.Errorf("%s %s%s: reading the answer: %w", r.method, p.BaseURL, r.path, err)
	default:
		return fmt.Errorf("%s %s%s: the answer broke off: %w: %w", r.method, p.BaseURL, r.path, ErrUnreachable, err)
	}
}

// headerSize is the length of headers as HTTP/1.1 writes them.
func headerSize(h http.Header) int64 {
	size := 0
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return int64(size)
}

// countingReader adds what is read to a count.
type countingReader struct {
	from  io.Reader
	count interface{ Add(int64) int64 }
}

// Read implements io.Reader.
func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.count.Add(int64(n))
	return n, err
}
