package host

import (
	"slices"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// log is one open log. All but run is called by the connection that has it open, one call at a time.
type log struct {
	below file // where it lies

	filling *batch // what is written now
	free    chan *batch
	todo    chan *batch
	ended   chan struct{} // closed when run has ended

	next   int64   // where a read begins that goes on from the one before
	length int     // of the one before
	ahead  []byte  // what follows next, as far as it was read ahead
	buffer []byte  // in which it lies
	memory uintptr // of all that

	sync.Mutex
	changed   sync.Cond
	pending   []*batch // that wait to be written, in the order in which they came
	forgotten bool     // they need not be
	code      int32    // of the first that could not be written since the last transaction
}

// file is what SQLite's usual way to files does with a log. The results are SQLite's codes.
type file struct {
	write func(tls *libc.TLS, p []byte, offset int64) int32
	read  func(tls *libc.TLS, p []byte, offset int64) int32
}

// batch is what is written beside SQLite in one go.
type batch struct {
	bytes []byte
	parts []part
}

// part is some bytes that follow each other in a batch and in the file.
type part struct {
	offset int64
	length int
}

const (
	batches    = 3
	batchBytes = 256 << 10
	mostParts  = 64        // of a batch: a read looks at all
	mostBytes  = 120 << 10 // of a part: SQLite's usual way takes less than 128 KiB

	bufferBytes = 128 << 10
)

// newLog is a log that lies below, nil when there is no memory for it. Close it.
func newLog(tls *libc.TLS, below file) *log {
	// SQLite's functions take no memory of Go's.
	memory := libc.Xmalloc(tls, batches*batchBytes+bufferBytes)
	if memory == 0 {
		return nil
	}
	g := &log{memory: memory, below: below, free: make(chan *batch, batches), todo: make(chan *batch, batches), ended: make(chan struct{})}
	g.changed.L = &g.Mutex
	for i := range uintptr(batches) {
		g.free <- &batch{bytes: unsafe.Slice(at[byte](memory+i*batchBytes), batchBytes)[:0]}
	}
	g.buffer = unsafe.Slice(at[byte](memory+batches*batchBytes), bufferBytes)
	g.filling = <-g.free
	go g.run()
	return g
}

// run writes the batches that are handed over.
func (g *log) run() {
	defer close(g.ended)
	tls := libc.NewTLS()
	defer tls.Close()
	for b := range g.todo {
		g.Lock()
		code := g.code
		skip := g.forgotten || code != sqlite3.SQLITE_OK
		g.Unlock()
		if !skip {
			code = b.write(tls, g.below)
		}
		g.Lock()
		g.code = code
		g.pending = slices.Delete(g.pending, 0, 1)
		g.changed.Broadcast()
		g.Unlock()
		b.empty()
		g.free <- b
	}
}

// write takes what SQLite writes. It returns the code of what was handed over before and could not be written: SQLite then
// rolls the transaction back.
func (g *log) write(p []byte, offset int64) int32 {
	if offset < g.next+int64(len(g.ahead)) && offset+int64(len(p)) > g.next {
		g.ahead = nil
	}
	for len(p) > 0 {
		n := g.filling.add(p, offset)
		if n == 0 {
			if code := g.hand(); code != sqlite3.SQLITE_OK {
				return code
			}
		}
		p, offset = p[n:], offset+int64(n)
	}
	return sqlite3.SQLITE_OK
}

// hand hands over what is filled, and waits for another batch to fill.
func (g *log) hand() int32 {
	g.Lock()
	g.pending = append(g.pending, g.filling)
	code := g.code
	g.Unlock()
	g.todo <- g.filling
	g.filling = <-g.free
	return code
}

// read reads what was written, wherever it is.
func (g *log) read(tls *libc.TLS, p []byte, offset int64) int32 {
	onward := offset == g.next && len(p) == g.length
	g.next, g.length = offset+int64(len(p)), len(p)
	if onward && len(g.ahead) >= len(p) {
		copy(p, g.ahead)
		g.ahead = g.ahead[len(p):]
		return sqlite3.SQLITE_OK
	}
	g.ahead = nil
	done, meets := g.waiting(p, offset)
	if done {
		return sqlite3.SQLITE_OK
	}
	code := g.failed() // then what was handed over is nowhere
	if meets {
		code = g.drain(tls)
	}
	switch {
	case code != sqlite3.SQLITE_OK:
		return code
	case onward && g.readOn(tls, p, offset):
		return sqlite3.SQLITE_OK
	}
	return g.below.read(tls, p, offset)
}

// readOn reads p, and as much behind it as the next reads are going to ask for: at the end of a transaction that has changed a page
// a second time SQLite reads all frames from there on, to compute their checksums anew.
func (g *log) readOn(tls *libc.TLS, p []byte, offset int64) bool {
	if len(p) == 0 || 2*len(p) > len(g.buffer) {
		return false // there is no room for more than p
	}
	some := g.buffer[:len(g.buffer)/len(p)*len(p)]
	if _, meets := g.waiting(some, offset); meets || g.below.read(tls, some, offset) != sqlite3.SQLITE_OK {
		return false // the file ends before
	}
	copy(p, some)
	g.ahead = some[len(p):]
	return true
}

// waiting reads from what waits to be written, the last first. It meets some of that or not, and is done if all of p was there.
func (g *log) waiting(p []byte, offset int64) (done, meets bool) {
	if done, meets = g.filling.read(p, offset); meets {
		return done, meets
	}
	g.Lock()
	defer g.Unlock()
	for _, b := range slices.Backward(g.pending) {
		if done, meets = b.read(p, offset); meets {
			break
		}
	}
	return done, meets
}

// drain returns when all is written, or the code of what could not be.
func (g *log) drain(tls *libc.TLS) int32 {
	g.Lock()
	defer g.Unlock()
	g.wait()
	if g.code == sqlite3.SQLITE_OK {
		g.code = g.filling.write(tls, g.below)
		g.filling.empty()
	}
	return g.code
}

// failed is the code of what was handed over and could not be written.
func (g *log) failed() int32 {
	g.Lock()
	defer g.Unlock()
	return g.code
}

// wait waits until nothing is pending.
func (g *log) wait() {
	for len(g.pending) > 0 {
		g.changed.Wait()
	}
}

// forget drops what waits. When it returns nothing is being written: what others write into the file now stays.
func (g *log) forget() {
	g.Lock()
	defer g.Unlock()
	g.forgotten = true
	g.wait()
	g.filling.empty()
	g.ahead = nil
	g.forgotten, g.code = false, sqlite3.SQLITE_OK
}

// close ends run. What waits is forgotten.
func (g *log) close(tls *libc.TLS) {
	g.forget()
	close(g.todo)
	<-g.ended
	libc.Xfree(tls, g.memory)
}

// add adds as much of p as there is room for, and says how much.
func (b *batch) add(p []byte, offset int64) (n int) {
	last := len(b.parts) - 1
	if last < 0 || b.parts[last].offset+int64(b.parts[last].length) != offset || b.parts[last].length == mostBytes {
		if len(b.parts) == mostParts || len(b.bytes) == cap(b.bytes) {
			return 0
		}
		b.parts = append(b.parts, part{offset: offset})
		last++
	}
	n = min(len(p), mostBytes-b.parts[last].length, cap(b.bytes)-len(b.bytes))
	b.parts[last].length += n
	b.bytes = append(b.bytes, p[:n]...)
	return n
}

// write writes the batch into the file.
func (b *batch) write(tls *libc.TLS, below file) int32 {
	rest := b.bytes
	for _, q := range b.parts {
		if code := below.write(tls, rest[:q.length], q.offset); code != sqlite3.SQLITE_OK {
			return code
		}
		rest = rest[q.length:]
	}
	return sqlite3.SQLITE_OK
}

// read looks p up, from the last part on. It meets a part or not, and is done if that has all of p.
func (b *batch) read(p []byte, offset int64) (done, meets bool) {
	at, end := len(b.bytes), offset+int64(len(p))
	for _, q := range slices.Backward(b.parts) {
		at -= q.length
		if end <= q.offset || offset >= q.offset+int64(q.length) {
			continue
		}
		if offset < q.offset || end > q.offset+int64(q.length) {
			return false, true
		}
		copy(p, b.bytes[at+int(offset-q.offset):])
		return true, true
	}
	return false, false
}

func (b *batch) empty() { b.bytes, b.parts = b.bytes[:0], b.parts[:0] }
