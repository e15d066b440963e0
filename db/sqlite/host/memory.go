package host

import (
	"errors"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// slots is memory for pages of 8 KiB in caches. From the driver's allocator each takes 16: with what SQLite notes of it, it does not
// fit into a slot of that size. What is larger or smaller, and what there is no slot for, comes from there as before.
// SQLite has one allocator for the whole process, so there is one of these.
type slots struct {
	sync.Mutex
	usual      *sqlite3.Tsqlite3_mem_methods
	begin, end uintptr
	fresh      uintptr // from here on none was ever taken, and takes no memory
	free       uintptr // the first that was given back: it begins with the address of the next
}

const (
	leastSlot = 8 << 10
	slotBytes = leastSlot + 512
	mostSlots = 4 << 10
)

var pages slots

// Pages has SQLite take the memory of cached pages from slots that they fit into, when it is called for the first time. An error says
// that the process has used SQLite before in another way: then caches take twice as much.
var Pages = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	usual, own := allocate[sqlite3.Tsqlite3_mem_methods](tls), allocate[sqlite3.Tsqlite3_mem_methods](tls)
	args := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(usual)))
	defer libc.Xfree(tls, args)
	if code := sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_GETMALLOC, libc.VaList(args, usual)); code != sqlite3.SQLITE_OK {
		return errors.New("SQLite does not say where it has its memory from")
	}
	p := &pages
	p.usual = at[sqlite3.Tsqlite3_mem_methods](usual)
	p.begin = libc.Xmalloc(tls, slotBytes*mostSlots)
	if p.begin == 0 {
		return errors.New("there is no memory for SQLite's caches")
	}
	p.fresh, p.end = p.begin, p.begin+slotBytes*mostSlots
	m := at[sqlite3.Tsqlite3_mem_methods](own)
	*m = *p.usual
	m.FxMalloc, m.FxFree = address[taking](take), address[giving](give)
	m.FxRealloc, m.FxSize = address[resizing](resize), address[sizing](sizeOf)
	if code := sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_MALLOC, libc.VaList(args, own)); code != sqlite3.SQLITE_OK {
		libc.Xfree(tls, p.begin)
		return errors.New("SQLite does not take memory from elsewhere any more")
	}
	return nil
})

// The functions of an allocator, as SQLite has them.
type (
	taking   = func(tls *libc.TLS, n int32) uintptr
	giving   = func(tls *libc.TLS, p uintptr)
	resizing = func(tls *libc.TLS, p uintptr, n int32) uintptr
	sizing   = func(tls *libc.TLS, p uintptr) int32
)

func (s *slots) has(p uintptr) bool { return p >= s.begin && p < s.end }

func take(tls *libc.TLS, n int32) uintptr {
	if n > leastSlot && n <= slotBytes {
		if p := pages.take(); p != 0 {
			return p
		}
	}
	return function[taking](pages.usual.FxMalloc)(tls, n)
}

// take returns a slot, 0 when there is none.
func (s *slots) take() (p uintptr) {
	s.Lock()
	defer s.Unlock()
	switch {
	case s.free != 0:
		p, s.free = s.free, *at[uintptr](s.free)
	case s.fresh < s.end:
		p, s.fresh = s.fresh, s.fresh+slotBytes
	}
	return p
}

func give(tls *libc.TLS, p uintptr) {
	s := &pages
	if !s.has(p) {
		function[giving](s.usual.FxFree)(tls, p)
		return
	}
	s.Lock()
	defer s.Unlock()
	*at[uintptr](p), s.free = s.free, p
}

func resize(tls *libc.TLS, p uintptr, n int32) uintptr {
	switch {
	case !pages.has(p):
		return function[resizing](pages.usual.FxRealloc)(tls, p, n)
	case n <= slotBytes:
		return p
	}
	more := take(tls, n)
	if more != 0 {
		copy(unsafe.Slice(at[byte](more), n), unsafe.Slice(at[byte](p), slotBytes))
		give(tls, p)
	}
	return more
}

func sizeOf(tls *libc.TLS, p uintptr) int32 {
	if pages.has(p) {
		return slotBytes
	}
	return function[sizing](pages.usual.FxSize)(tls, p)
}
