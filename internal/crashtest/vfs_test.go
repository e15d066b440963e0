//go:build linux

package crashtest

import (
	"bytes"
	"errors"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// layer lies between SQLite and its files. SQLite keeps one list of ways to files for
// the whole process, so there is one.
type layer struct {
	sync.Mutex
	disk    *disk
	under   sqlite3.Tsqlite3_vfs // the usual way to files
	files   map[uintptr]openFile // by SQLite's handle
	methods map[uintptr]uintptr  // ours, by the usual ones
}

// openFile is a file that SQLite has open.
type openFile struct {
	path    string
	methods *sqlite3.Tsqlite3_io_methods // the usual ones
}

// between is the layer of this process.
var between layer

// watch puts d between SQLite and its files, in this process from now on.
func watch(d *disk) error {
	tls := libc.NewTLS()
	usual := sqlite3.Xsqlite3_vfs_find(tls, 0)
	name, err := libc.CString("watched")
	if err != nil || usual == 0 {
		return errors.Join(err, errors.New("SQLite has no way to files"))
	}
	l := &between
	l.disk, l.under = d, *at[sqlite3.Tsqlite3_vfs](usual)
	l.files, l.methods = map[uintptr]openFile{}, map[uintptr]uintptr{}
	own := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	v := at[sqlite3.Tsqlite3_vfs](own)
	*v = l.under
	v.FpNext, v.FzName = 0, name
	v.FxOpen, v.FxDelete = address[opening](xOpen), address[deleting](xDelete)
	if code := sqlite3.Xsqlite3_vfs_register(tls, own, 1); code != sqlite3.SQLITE_OK {
		return errors.New("SQLite does not take another way to files")
	}
	return nil
}

// at is what lies at an address of SQLite's memory, which is not Go's.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// address is where SQLite calls a Go function, which must be one of the package and no
// closure: nothing else keeps it.
func address[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// function is the Go function at such an address.
func function[F any](address uintptr) F {
	value := &struct{ uintptr }{address}
	return *(*F)(unsafe.Pointer(value))
}

// The functions of a way to files and of a file, as SQLite has them.
type (
	opening    = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	deleting   = func(tls *libc.TLS, vfs, name uintptr, syncFolder int32) int32
	closing    = func(tls *libc.TLS, file uintptr) int32
	moving     = func(tls *libc.TLS, file, buffer uintptr, n int32, offset int64) int32
	truncating = func(tls *libc.TLS, file uintptr, size int64) int32
	syncing    = func(tls *libc.TLS, file uintptr, flags int32) int32
)

func xOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	l := &between
	l.Lock()
	defer l.Unlock()
	if name == 0 { // temporary, and gone with the process
		return function[opening](l.under.FxOpen)(tls, vfs, name, file, flags, outFlags)
	}
	path := libc.GoString(name)
	before := exists(path)
	code := function[opening](l.under.FxOpen)(tls, vfs, name, file, flags, outFlags)
	if code != sqlite3.SQLITE_OK {
		return code
	}
	if err := l.disk.opened(path, !before); err != nil {
		return sqlite3.SQLITE_IOERR
	}
	f := at[sqlite3.Tsqlite3_file](file)
	l.files[file] = openFile{path, at[sqlite3.Tsqlite3_io_methods](f.FpMethods)}
	f.FpMethods = l.own(tls, f.FpMethods)
	return code
}

// own are our functions of a file in place of the usual ones.
func (l *layer) own(tls *libc.TLS, usual uintptr) uintptr {
	if own, ok := l.methods[usual]; ok {
		return own
	}
	own := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	m := at[sqlite3.Tsqlite3_io_methods](own)
	*m = *at[sqlite3.Tsqlite3_io_methods](usual)
	m.FxClose, m.FxRead, m.FxWrite = address[closing](xClose), address[moving](xRead), address[moving](xWrite)
	m.FxTruncate, m.FxSync = address[truncating](xTruncate), address[syncing](xSync)
	l.methods[usual] = own
	return own
}

func xDelete(tls *libc.TLS, vfs, name uintptr, syncFolder int32) int32 {
	l := &between
	l.Lock()
	defer l.Unlock()
	code := sqlite3.SQLITE_OK
	l.disk.remove(libc.GoString(name), syncFolder != 0, func() {
		code = int(function[deleting](l.under.FxDelete)(tls, vfs, name, syncFolder))
	})
	return int32(code)
}

func xClose(tls *libc.TLS, file uintptr) int32 {
	l := &between
	l.Lock()
	defer l.Unlock()
	f := l.files[file]
	delete(l.files, file)
	return function[closing](f.methods.FxClose)(tls, file)
}

// xRead waits while the disk is being put into the state in which the power cut leaves
// it.
func xRead(tls *libc.TLS, file, buffer uintptr, n int32, offset int64) int32 {
	l := &between
	l.Lock()
	defer l.Unlock()
	return function[moving](l.files[file].methods.FxRead)(tls, file, buffer, n, offset)
}

func xWrite(tls *libc.TLS, file, buffer uintptr, n int32, offset int64) (code int32) {
	l := &between
	l.Lock()
	defer l.Unlock()
	f := l.files[file]
	if l.disk.refuses(false) {
		return sqlite3.SQLITE_FULL
	}
	l.disk.write(f.path, bytes.Clone(libc.GoBytes(buffer, int(n))), offset, func() {
		code = function[moving](f.methods.FxWrite)(tls, file, buffer, n, offset)
	})
	return code
}

func xTruncate(tls *libc.TLS, file uintptr, size int64) (code int32) {
	l := &between
	l.Lock()
	defer l.Unlock()
	f := l.files[file]
	l.disk.truncate(f.path, size, func() {
		code = function[truncating](f.methods.FxTruncate)(tls, file, size)
	})
	return code
}

func xSync(tls *libc.TLS, file uintptr, flags int32) (code int32) {
	l := &between
	l.Lock()
	defer l.Unlock()
	f := l.files[file]
	if l.disk.refuses(true) {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	l.disk.sync(f.path, func() {
		code = function[syncing](f.methods.FxSync)(tls, file, flags)
	})
	return code
}
