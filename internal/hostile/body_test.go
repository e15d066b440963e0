package hostile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/wire"
)

// impatient gives bodies little time and room.
var impatient = server.Limits{Body: 1 << 20, Buffers: 4 << 20, Records: 1000, Read: 400 * time.Millisecond}

// Bodies that come slowly, without end, shorter or longer than they say, or as bombs:
// each ends in a refusal, and others are served meanwhile.
func TestBodies(t *testing.T) {
	onEngines(t, impatient, server.Quota{}, func(t *testing.T, h *hub) {
		a := newOutsider(t, h, attackerName)
		paths := []string{wire.PathBuffers, wire.PathSyncSessions, wire.PathTransferSessions, wire.PathCertificateChain, wire.PathCertificates}
		before := h.outside(a.certificate().ID)
		for name, try := range map[string]func(t *testing.T, a *outsider, path string){
			"a byte now and then": slowBody, "without end": endlessBody, "shorter than said": shortBody, "longer than said": longBody,
			"chunks that are none": brokenChunks, "two lengths": twoLengths, "a bomb": bomb(t), "headers without end": manyHeaders,
		} {
			t.Run(name, func(t *testing.T) {
				t.Run("at", func(t *testing.T) {
					for _, path := range paths {
						t.Run(strings.Trim(strings.TrimPrefix(path, wire.Base), "/"), func(t *testing.T) {
							t.Parallel()
							try(t, a, path)
						})
					}
				})
				h.honest(t, a)
			})
		}
		if after := h.outside(a.certificate().ID); after != before {
			t.Error("something outside has changed")
		}
	})
}

// dial opens a connection of its own to the hub.
func (o *outsider) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(o.hub.url, "http://"))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

// head is the beginning of a request by hand.
func head(path string, more ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n" + strings.Join(more, "\r\n") + "\r\n\r\n"
}

// answered reads the answer, which is a refusal, or finds the connection closed.
func answered(t *testing.T, conn net.Conn, what string) {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: no answer", what)
	}
	if err != nil {
		return // it was cut off, which is an answer too
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode/100 != 4 && answer.StatusCode/100 != 5 || answer.StatusCode == http.StatusInternalServerError {
		t.Errorf("%s: %s", what, answer.Status)
	}
}

func slowBody(t *testing.T, o *outsider, path string) {
	conn := o.dial(t)
	_, err := io.WriteString(conn, head(path, "Content-Length: 100000"))
	must(t, err)
	var writing sync.WaitGroup
	writing.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range 400 {
			if _, err := io.WriteString(conn, " "); err != nil {
				return
			}
			<-tick.C
		}
	})
	answered(t, conn, "a slow body for "+path)
	must(t, conn.Close())
	writing.Wait()
}

func endlessBody(t *testing.T, o *outsider, path string) {
	conn := o.dial(t)
	_, err := io.WriteString(conn, head(path, "Transfer-Encoding: chunked"))
	must(t, err)
	var writing sync.WaitGroup
	writing.Go(func() {
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat(" ", 1<<16))
		for range 100_000 {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	})
	answered(t, conn, "an endless body for "+path)
	must(t, conn.Close())
	writing.Wait()
}

func shortBody(t *testing.T, o *outsider, path string) {
	conn := o.dial(t)
	_, err := io.WriteString(conn, head(path, "Content-Length: 1000")+`{"id": "x"`)
	must(t, err)
	must(t, conn.(*net.TCPConn).CloseWrite())
	answered(t, conn, "a short body for "+path)
}

// longBody goes on after its end, as if with another request: that is one of the
// attacker's own, not of whoever comes next.
func longBody(t *testing.T, o *outsider, path string) {
	conn := o.dial(t)
	_, err := io.WriteString(conn, head(path, "Content-Length: 2")+`{}GET /api/morango/v1/certificates/ HTTP/1.1`+"\r\nHost: hub\r\n\r\n")
	must(t, err)
	answered(t, conn, "a long body for "+path)
}

func brokenChunks(t *testing.T, o *outsider, path string) {
	for _, chunks := range []string{"zz\r\n{}\r\n0\r\n\r\n", "-1\r\n{}\r\n", "ffffffffffffffffff\r\n{", "2\r\n{}XX0\r\n\r\n", "2;" + strings.Repeat("x", 100_000) + "\r\n{}\r\n"} {
		conn := o.dial(t)
		_, err := io.WriteString(conn, head(path, "Transfer-Encoding: chunked")+chunks)
		must(t, err)
		answered(t, conn, "broken chunks for "+path)
	}
}

// twoLengths would have a proxy and a server disagree on where a request ends.
func twoLengths(t *testing.T, o *outsider, path string) {
	for _, lengths := range [][]string{
		{"Content-Length: 2", "Content-Length: 3"}, {"Content-Length: -1"}, {"Content-Length: 2", "Transfer-Encoding: chunked"},
		{"Transfer-Encoding: chunked, chunked"}, {"Content-Length: 9223372036854775808"}, {"Transfer-Encoding: gzip"},
	} {
		conn := o.dial(t)
		_, err := io.WriteString(conn, head(path, lengths...)+"{}\r\n")
		must(t, err)
		answered(t, conn, fmt.Sprint(lengths, " for ", path))
	}
}

// bomb is 16 MiB of spaces, in few bytes.
func bomb(t *testing.T) func(t *testing.T, o *outsider, path string) {
	t.Helper()
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, err := io.CopyN(zip, spaces{}, 16<<20)
	must(t, err)
	must(t, zip.Close())
	return func(t *testing.T, o *outsider, path string) {
		o.refused(t, "POST", path, zipped.String(), "Content-Type", wire.ContentGzip)
		o.refused(t, "POST", path, zipped.String(), "Content-Encoding", "gzip")
		o.refused(t, "POST", path, "\x1f\x8b\x08\x00", "Content-Type", wire.ContentGzip)
	}
}

// spaces are as many as anybody reads.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func manyHeaders(t *testing.T, o *outsider, path string) {
	conn := o.dial(t)
	_, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: hub\r\n")
	must(t, err)
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range 1_000_000 {
			if _, err := fmt.Fprintf(conn, "X-Header-%d: %s\r\n", i, strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
	})
	answered(t, conn, "headers without end for "+path)
	must(t, conn.Close())
	writing.Wait()
}
