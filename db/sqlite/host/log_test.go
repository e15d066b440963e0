package host

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"testing"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
	"pgregory.net/rapid"
)

// memory is a file in memory that may be full.
type memory struct {
	sync.Mutex
	bytes  []byte
	full   bool
	writes int
}

func (m *memory) file() file { return file{write: m.write, read: m.read} }

func (m *memory) write(_ *libc.TLS, p []byte, offset int64) int32 {
	m.Lock()
	defer m.Unlock()
	if m.full {
		return sqlite3.SQLITE_FULL
	}
	m.writes++
	m.bytes = put(m.bytes, p, offset)
	return sqlite3.SQLITE_OK
}

func (m *memory) read(_ *libc.TLS, p []byte, offset int64) int32 {
	m.Lock()
	defer m.Unlock()
	if n := copy(p, m.bytes[min(offset, int64(len(m.bytes))):]); n < len(p) {
		clear(p[n:])
		return sqlite3.SQLITE_IOERR_SHORT_READ
	}
	return sqlite3.SQLITE_OK
}

// fill says whether the file is full from now on.
func (m *memory) fill(full bool) {
	m.Lock()
	defer m.Unlock()
	m.full = full
}

func put(file, p []byte, offset int64) []byte {
	if missing := int(offset) + len(p) - len(file); missing > 0 {
		file = append(file, make([]byte, missing)...)
	}
	copy(file[offset:], p)
	return file
}

// Whatever SQLite writes and reads, it reads what it has written last, and all is in the file when it syncs; what it forgets is
// not written after that.
func TestLog(t *testing.T) {
	const frame = 24 + 512
	rapid.Check(t, func(t *rapid.T) {
		m := &memory{}
		tls := libc.NewTLS()
		defer tls.Close()
		g := newLog(tls, m.file())
		defer g.close(tls)
		var want []byte // as SQLite sees the file
		var synced []byte
		at := int64(0) // where a read goes on
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			offset := int64(rapid.IntRange(0, max(0, len(want)/frame-1)).Draw(t, "frame") * frame) // as SQLite, which leaves no holes
			switch rapid.SampledFrom([]string{"append", "append", "append", "rewrite", "head", "page", "onward", "onward", "sync", "forget"}).Draw(t, "step") {
			case "append":
				p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, frame*rapid.IntRange(1, 300).Draw(t, "frames"))
				g.write(p, int64(len(want)))
				want = put(want, p, int64(len(want)))
			case "rewrite":
				p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, 512)
				g.write(p, offset)
				want = put(want, p, offset)
			case "head":
				p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, 24)
				g.write(p, min(at, offset))
				want = put(want, p, min(at, offset))
			case "page":
				check(t, g, want, 512, offset+24)
			case "onward":
				check(t, g, want, frame, at)
				at += frame
			case "sync":
				if code := g.drain(nil); code != sqlite3.SQLITE_OK || !bytes.Equal(m.bytes, want) {
					t.Fatalf("code %d, and %d bytes are not the %d written", code, len(m.bytes), len(want))
				}
				synced = bytes.Clone(want)
			case "forget":
				g.forget()
				m.Lock()
				m.bytes = bytes.Clone(synced) // others begin where the last transaction ended
				m.Unlock()
				want = bytes.Clone(synced)
			}
		}
	})
}

func check(t *rapid.T, g *log, want []byte, n int, offset int64) {
	got := make([]byte, n)
	code := g.read(nil, got, offset)
	if whole := offset+int64(n) <= int64(len(want)); whole != (code == sqlite3.SQLITE_OK) {
		t.Fatalf("reading %d bytes at %d of %d: code %d", n, offset, len(want), code)
	} else if whole && !bytes.Equal(got, want[offset:offset+int64(n)]) {
		t.Fatalf("reading %d bytes at %d: not what was written", n, offset)
	}
}

// What cannot be written is an error until the transaction ends, and not of the next.
func TestFull(t *testing.T) {
	m := &memory{}
	tls := libc.NewTLS()
	defer tls.Close()
	g := newLog(tls, m.file())
	defer g.close(tls)
	m.fill(true)
	p := make([]byte, batchBytes)
	for range batches + 1 {
		g.write(p, 0)
	}
	if code := g.drain(nil); code != sqlite3.SQLITE_FULL {
		t.Fatalf("code %d of a sync", code)
	}
	m.fill(false)
	if code := g.drain(nil); code != sqlite3.SQLITE_FULL {
		t.Fatalf("code %d of another sync", code)
	}
	if code := g.read(nil, p, 1); code != sqlite3.SQLITE_FULL {
		t.Fatalf("code %d of a read", code)
	}
	failed := false
	for range batches + 1 {
		failed = failed || g.write(p, 0) == sqlite3.SQLITE_FULL
	}
	if !failed || m.writes > 0 {
		t.Errorf("a write fails: %v, and %d came to the file", failed, m.writes)
	}
	g.forget()
	g.write([]byte("new"), 0)
	if code := g.drain(nil); code != sqlite3.SQLITE_OK || string(m.bytes) != "new" {
		t.Errorf("code %d, %q", code, m.bytes[:min(10, len(m.bytes))])
	}
}

// While the disk is slow a read finds what was written last, and what is forgotten then does not come to the file any more.
func TestSlowDisk(t *testing.T) {
	m := &memory{}
	tls := libc.NewTLS()
	defer tls.Close()
	g := newLog(tls, m.file())
	defer g.close(tls)
	for _, forget := range []bool{false, true} {
		m.Lock()
		for _, b := range []byte("ab") { // one is on its way, the other waits
			g.write(bytes.Repeat([]byte{b}, batchBytes), 0)
		}
		g.write([]byte("c"), 10)
		got := make([]byte, 1)
		for offset, want := range map[int64]string{9: "b", 10: "c", 11: "b", batchBytes - 1: "b"} {
			if code := g.read(tls, got, offset); code != sqlite3.SQLITE_OK || string(got) != want {
				t.Errorf("code %d, %q at %d, want %q", code, got, offset, want)
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if forget {
				g.forget()
			} else {
				g.drain(tls)
			}
		}()
		for begun := !forget; !begun; runtime.Gosched() {
			select {
			case <-done: // nothing was on its way yet
				begun = true
			default:
				g.Lock()
				begun = g.forgotten
				g.Unlock()
			}
		}
		m.Unlock()
		<-done
		if forget && bytes.ContainsAny(m.bytes, "bc") {
			t.Error("what was forgotten has come to the file")
		} else if all := string(m.bytes); !forget && (strings.Count(all, "b") != batchBytes-1 || all[10] != 'c') {
			t.Error("not all has come to the file")
		}
		m.bytes = nil
	}
}

// Many small pieces become few writes, and frames in a row are read some at a time.
func TestFewCalls(t *testing.T) {
	m := &memory{}
	tls := libc.NewTLS()
	defer tls.Close()
	g := newLog(tls, m.file())
	defer g.close(tls)
	const frames, size = 1000, 24 + 8192
	for i := range frames {
		g.write(make([]byte, 24), int64(i*size))
		g.write(make([]byte, size-24), int64(i*size+24))
	}
	if code := g.drain(nil); code != sqlite3.SQLITE_OK || len(m.bytes) != frames*size || m.writes > frames/10 {
		t.Errorf("code %d, %d bytes in %d writes", code, len(m.bytes), m.writes)
	}
	reads := 0
	g.below.read = func(tls *libc.TLS, p []byte, offset int64) int32 {
		reads++
		return m.read(tls, p, offset)
	}
	for i := range frames {
		g.read(nil, make([]byte, size), int64(i*size))
		g.write(make([]byte, 24), int64(i*size))
	}
	if reads > frames/10 {
		t.Errorf("%d reads of %d frames", reads, frames)
	}
}
