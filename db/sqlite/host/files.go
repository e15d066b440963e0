package host

import (
	"errors"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Where a log is written beside the transaction that fills it.
//
// A transaction that changes more pages than the cache holds writes them into the log, the WAL, one by one, each in two calls, long
// before it ends; with a large database that was a quarter of the time that a row takes. Here they are collected, and written
// some at a time by a goroutine. That changes nothing for others, who do not look at what is not committed, and nothing for
// the disk: at the end of a transaction SQLite syncs the log before it says in the index of the log (the -shm file) that there is
// more, and a sync returns when all is written. So a connection needs synchronous=full. What could not be written is an error of the
// next call, and the transaction is rolled back. A transaction that ends in another way lets the write lock go; what waits
// then is forgotten, and nothing is written after that.

// layer lies between SQLite and its files. SQLite keeps one list of ways to files for the whole process, and calls functions
// that it has the address of, so there is one.
type layer struct {
	sync.RWMutex
	usual     uintptr              // the usual way to files
	databases map[uintptr]*opened  // by the address of the name
	files     map[uintptr]*opened  // databases and logs, by SQLite's handle
	methods   map[uintptr]*methods // by the usual ones
}

// opened is an open database, with the log of the same connection.
type opened struct {
	name  uintptr
	usual *sqlite3.Tsqlite3_io_methods
	log   *log // nil before it is opened
}

// methods are what SQLite calls instead of the usual ones, of a database and of a log.
type methods struct{ database, log uintptr }

// between is the layer of this process.
var between layer

// Files makes a way to files known to SQLite that writes logs so, when it is called for the first time, and returns the name by which
// a connection asks for it. What is the usual way to files by then lies below it.
var Files = sync.OnceValues(func() (name string, err error) {
	tls := libc.NewTLS()
	defer tls.Close()
	l := &between
	l.usual = sqlite3.Xsqlite3_vfs_find(tls, 0)
	if l.usual == 0 {
		return "", errors.New("SQLite has no way to files")
	}
	name = "morango"
	text, err := libc.CString(name)
	if err != nil {
		return "", err
	}
	l.databases, l.files, l.methods = map[uintptr]*opened{}, map[uintptr]*opened{}, map[uintptr]*methods{}
	own := allocate[sqlite3.Tsqlite3_vfs](tls)
	v := at[sqlite3.Tsqlite3_vfs](own)
	*v = *at[sqlite3.Tsqlite3_vfs](l.usual)
	v.FpNext, v.FzName, v.FxOpen = 0, text, address[opening](xOpen)
	if code := sqlite3.Xsqlite3_vfs_register(tls, own, 0); code != sqlite3.SQLITE_OK {
		return "", errors.New("SQLite does not take another way to files")
	}
	return name, nil
})

// The functions of a way to files and of a file, as SQLite has them.
type (
	opening    = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	closing    = func(tls *libc.TLS, file uintptr) int32
	moving     = func(tls *libc.TLS, file, buffer uintptr, n int32, offset int64) int32
	truncating = func(tls *libc.TLS, file uintptr, size int64) int32
	syncing    = func(tls *libc.TLS, file uintptr, flags int32) int32
	measuring  = func(tls *libc.TLS, file, size uintptr) int32
	locking    = func(tls *libc.TLS, file uintptr, first, n, flags int32) int32
)

func xOpen(tls *libc.TLS, _, name, file uintptr, flags int32, outFlags uintptr) int32 {
	l := &between
	code := function[opening](at[sqlite3.Tsqlite3_vfs](l.usual).FxOpen)(tls, l.usual, name, file, flags, outFlags)
	if code != sqlite3.SQLITE_OK {
		return code
	}
	f := at[sqlite3.Tsqlite3_file](file)
	usual := at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
	l.Lock()
	defer l.Unlock()
	switch {
	case flags&sqlite3.SQLITE_OPEN_MAIN_DB != 0 && usual.FiVersion >= 2: // it can have a log that others share
		l.files[file] = &opened{name: name, usual: usual}
		l.databases[name] = l.files[file]
		f.FpMethods = l.own(tls, f.FpMethods).database
	case flags&sqlite3.SQLITE_OPEN_WAL != 0:
		o := l.databases[sqlite3.Xsqlite3_filename_database(tls, name)]
		if o == nil {
			return code
		}
		if o.log = newLog(tls, below(file, usual)); o.log != nil {
			l.files[file] = &opened{usual: usual, log: o.log}
			f.FpMethods = l.own(tls, f.FpMethods).log
		}
	}
	return code
}

// below is a log as the usual way to files has it.
func below(f uintptr, usual *sqlite3.Tsqlite3_io_methods) file {
	move := func(how uintptr) func(*libc.TLS, []byte, int64) int32 {
		return func(tls *libc.TLS, p []byte, offset int64) int32 {
			return function[moving](how)(tls, f, uintptr(unsafe.Pointer(unsafe.SliceData(p))), int32(len(p)), offset)
		}
	}
	return file{write: move(usual.FxWrite), read: move(usual.FxRead)}
}

// own are our methods in place of the usual ones.
func (l *layer) own(tls *libc.TLS, usual uintptr) *methods {
	if own, ok := l.methods[usual]; ok {
		return own
	}
	own := &methods{allocate[sqlite3.Tsqlite3_io_methods](tls), allocate[sqlite3.Tsqlite3_io_methods](tls)}
	database, log := at[sqlite3.Tsqlite3_io_methods](own.database), at[sqlite3.Tsqlite3_io_methods](own.log)
	*database, *log = *at[sqlite3.Tsqlite3_io_methods](usual), *at[sqlite3.Tsqlite3_io_methods](usual)
	database.FxClose, database.FxShmLock = address[closing](closeDatabase), address[locking](lockDatabase)
	log.FxClose, log.FxRead, log.FxWrite = address[closing](closeLog), address[moving](readLog), address[moving](writeLog)
	log.FxTruncate, log.FxSync, log.FxFileSize = address[truncating](truncateLog), address[syncing](syncLog), address[measuring](measureLog)
	l.methods[usual] = own
	return own
}

// of is what SQLite has open under a handle.
func (l *layer) of(file uintptr) *opened {
	l.RLock()
	defer l.RUnlock()
	return l.files[file]
}

// closed says that a handle is not in use any more.
func (l *layer) closed(file uintptr) *opened {
	l.Lock()
	defer l.Unlock()
	o := l.files[file]
	delete(l.files, file)
	if o.name != 0 {
		delete(l.databases, o.name)
	}
	return o
}

func closeDatabase(tls *libc.TLS, file uintptr) int32 {
	return function[closing](between.closed(file).usual.FxClose)(tls, file)
}

// lockDatabase looks for the end of a transaction that writes: the first of the locks is that of who does.
func lockDatabase(tls *libc.TLS, file uintptr, first, n, flags int32) int32 {
	o := between.of(file)
	const ends = sqlite3.SQLITE_SHM_UNLOCK | sqlite3.SQLITE_SHM_EXCLUSIVE
	if o.log != nil && first == 0 && flags&ends == ends {
		o.log.forget()
	}
	return function[locking](o.usual.FxShmLock)(tls, file, first, n, flags)
}

func closeLog(tls *libc.TLS, file uintptr) int32 {
	o := between.closed(file)
	o.log.close(tls)
	return function[closing](o.usual.FxClose)(tls, file)
}

func readLog(tls *libc.TLS, file, buffer uintptr, n int32, offset int64) int32 {
	return between.of(file).log.read(tls, unsafe.Slice(at[byte](buffer), n), offset)
}

func writeLog(_ *libc.TLS, file, buffer uintptr, n int32, offset int64) int32 {
	return between.of(file).log.write(unsafe.Slice(at[byte](buffer), n), offset)
}

// whole calls the usual way to a log when all of it is written.
func whole(tls *libc.TLS, file uintptr, then func(usual *sqlite3.Tsqlite3_io_methods) int32) int32 {
	o := between.of(file)
	if code := o.log.drain(tls); code != sqlite3.SQLITE_OK {
		return code
	}
	return then(o.usual)
}

func truncateLog(tls *libc.TLS, file uintptr, size int64) int32 {
	return whole(tls, file, func(usual *sqlite3.Tsqlite3_io_methods) int32 {
		return function[truncating](usual.FxTruncate)(tls, file, size)
	})
}

func syncLog(tls *libc.TLS, file uintptr, flags int32) int32 {
	return whole(tls, file, func(usual *sqlite3.Tsqlite3_io_methods) int32 {
		return function[syncing](usual.FxSync)(tls, file, flags)
	})
}

func measureLog(tls *libc.TLS, file, size uintptr) int32 {
	return whole(tls, file, func(usual *sqlite3.Tsqlite3_io_methods) int32 {
		return function[measuring](usual.FxFileSize)(tls, file, size)
	})
}
