package wire

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The window is what compressor and decompressor keep in memory. What is alike in a stream of rows
// stands side by side, so it matters little: of 10,000 rows neither twice as much nor a quarter is
// told from it. The next better level saves 0.2 % of them, and takes 3 MB more.
const (
	window    = 1 << 20
	maxWindow = 8 << 20 // what we take from others
)

// Compress gives a writer whose content goes to w compressed. Close ends it; what is not
// closed is no whole stream. Its memory is constant.
func Compress(w io.Writer) (io.WriteCloser, error) {
	return compress(w, zstd.WithWindowSize(window), zstd.WithEncoderLevel(zstd.SpeedDefault))
}

// CompressLittle is Compress for a stream without records. It takes a fifth of the memory, which is most
// of what a sync with nothing to do would take.
func CompressLittle(w io.Writer) (io.WriteCloser, error) {
	return compress(w, zstd.WithWindowSize(zstd.MinWindowSize), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

func compress(w io.Writer, how ...zstd.EOption) (io.WriteCloser, error) {
	zip, err := zstd.NewWriter(w, append(how, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))...)
	if err != nil {
		return nil, fmt.Errorf("compress a stream: %w", err)
	}
	return zip, nil
}

// Decompress reads what Compress wrote, in constant memory. Damaged content is a
// *FormatError; errors of r pass. Close it.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	from := &source{from: r}
	zip, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(1<<40))
	if err != nil {
		return nil, fmt.Errorf("decompress a stream: %w", err)
	}
	return &unzip{from: from, zip: zip}, nil
}

type unzip struct {
	from *source
	zip  *zstd.Decoder
}

// Read implements io.Reader.
func (u *unzip) Read(p []byte) (int, error) {
	n, err := u.zip.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return n, err
	case u.from.err != nil:
		return n, u.from.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, io.ErrUnexpectedEOF
	default:
		return n, malformed("its compression is damaged")
	}
}

// Close implements io.Closer.
func (u *unzip) Close() error {
	u.zip.Close()
	return nil
}
