package server

import (
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// streamed serves one streamed answer and returns what a client gets of it, whole or
// broken off.
func streamed(t *testing.T, encoding string, stream func(io.Writer) error) (*http.Response, string, error) {
	t.Helper()
	s := &Server{log: slog.New(slog.DiscardHandler)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.writeStream(w, r, answer{status: http.StatusOK, stream: stream})
	}))
	t.Cleanup(srv.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", encoding)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	var body io.Reader = response.Body
	if response.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return response, "", err
		}
	}
	text, err := io.ReadAll(body)
	return response, string(text), err
}

// A page goes out with its length, compressed or not; a long list goes out as it comes.
func TestAnswersTellTheirLength(t *testing.T) {
	for _, encoding := range []string{"identity", "gzip, deflate"} {
		for _, size := range []int{0, 10, 20 << 20} {
			response, text, err := streamed(t, encoding, func(w io.Writer) error {
				for range size / 10 {
					if _, err := io.WriteString(w, "0123456789"); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil || len(text) != size/10*10 {
				t.Errorf("%s, %d bytes: got %d, %v", encoding, size, len(text), err)
			}
			if zipped := response.Header.Get("Content-Encoding") == "gzip"; zipped != (encoding != "identity") {
				t.Errorf("%s, %d bytes: compressed: %t", encoding, size, zipped)
			}
			long := encoding == "identity" && size > heldSize
			if known := response.ContentLength >= 0; known == long {
				t.Errorf("%s, %d bytes: Content-Length %d", encoding, size, response.ContentLength)
			}
		}
	}
}

// An answer that fails before anything went out is a refusal; later the connection
// breaks, so that nobody takes half for whole.
func TestFailingAnswers(t *testing.T) {
	broken := errors.New("the disk is gone")
	response, text, err := streamed(t, "gzip", func(w io.Writer) error {
		_, err := io.WriteString(w, "[1,")
		return errors.Join(err, broken)
	})
	if err != nil || response.StatusCode != http.StatusInternalServerError || strings.Contains(text, "[1,") {
		t.Errorf("failed at once: %d %q %v", response.StatusCode, text, err)
	}
	_, text, err = streamed(t, "identity", func(w io.Writer) error {
		_, err := w.Write(make([]byte, heldSize+1))
		return errors.Join(err, broken)
	})
	if err == nil {
		t.Errorf("failed midway: %d bytes taken for whole", len(text))
	}
}
