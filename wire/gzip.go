package wire

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// Inflate reads gzip, giving at most limit bytes of content: one more is
// ErrTooLarge, however little was compressed. Broken gzip is a *FormatError, at
// once or while reading.
func Inflate(r io.Reader, limit int64) (io.Reader, error) {
	from := &source{from: r}
	unzip, err := gzip.NewReader(from)
	if from.err != nil {
		return nil, fmt.Errorf("read body: %w", from.err)
	}
	if err != nil {
		return nil, &FormatError{Reason: "Gzip parse error - this is no gzip"}
	}
	return &bounded{from: unzip, left: limit, limit: limit, below: from, broken: "Gzip parse error - the content is damaged"}, nil
}

// Bounded gives at most limit bytes of r: one more is ErrTooLarge.
func Bounded(r io.Reader, limit int64) io.Reader {
	return &bounded{from: r, left: limit, limit: limit}
}

type bounded struct {
	from        io.Reader
	left, limit int64
	below       *source
	broken      string // reason of errors while reading that are not those of below; "" passes all on
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	if int64(n) > b.left {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.limit)
	}
	b.left -= int64(n)
	if err != nil && err != io.EOF && b.broken != "" && b.below.err == nil {
		return n, &FormatError{Reason: b.broken}
	}
	return n, err
}

// Deflate compresses a body.
func Deflate(w io.Writer, body []byte) error {
	zip := gzip.NewWriter(w)
	if _, err := zip.Write(body); err != nil {
		return fmt.Errorf("compress body: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("compress body: %w", err)
	}
	return nil
}
