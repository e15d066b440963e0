// Package sqlite opens SQLite files for package db, and says what is particular
// about SQLite: one writer and many readers on snapshots, what to do when the file
// is busy, how times and lists are written.
//
// It is part of package db, in the tables layer, and imports only the standard
// library, the pure Go SQLite driver and package transaction.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/morango-go/morango/db/sqlite/host"
	"github.com/morango-go/morango/db/transaction"
	driver "modernc.org/sqlite" // also registers itself under the name "sqlite"
)

// Engine is an open SQLite file: one connection that writes and some that read.
type Engine struct {
	Dialect
	path     string
	readOnly bool
	writer   *sql.DB // nil when read-only
	readers  *sql.DB
	presence presence

	checkpoints *checkpoints // nil when read-only
}

// Settings of every connection. FULL: an acknowledged chunk, and the counter that
// stamped records which a peer already has, must survive a power cut; in WAL mode
// NORMAL may lose the last commits, and host.Files relies on it. Foreign keys as Django has them. A page of
// 8 KiB suits rows of JSON and indexes by random ids, and only takes effect on a new file.
// Each commit empties the caches of those who read; who writes has what memory allows beside the records that wait.
const (
	common  = "_busy_timeout=5000&_foreign_keys=on&_error_rc=1&_dqs=0"
	writing = common + "&_txlock=immediate&_pragma=page_size(8192)&_journal_mode=wal&_synchronous=full&_pragma=cache_size(-7000)"
	copying = common + "&_synchronous=full&_pragma=cache_size(-100)"
	reading = common + "&_query_only=1&_pragma=cache_size(-250)"
)

// Open opens the file at path. It creates the file unless mustExist or readOnly.
func Open(ctx context.Context, path string, readOnly, mustExist bool) (*Engine, error) {
	abs, err := check(path, readOnly || mustExist)
	if err != nil {
		return nil, err
	}
	_ = host.Pages() // without them caches take more memory
	e := &Engine{path: abs, readOnly: readOnly}
	if !readOnly {
		files, err := host.Files()
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", abs, err)
		}
		e.writer, err = sql.Open("sqlite", dsn(abs, writing+boundsOf(0, 0).settings()+temporary()+"&vfs="+files))
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", abs, err)
		}
		e.writer.SetMaxOpenConns(1)
		if err := e.probe(ctx); err != nil {
			return nil, errors.Join(err, e.writer.Close())
		}
		if e.checkpoints, err = newCheckpoints(abs); err != nil {
			return nil, errors.Join(err, e.writer.Close())
		}
	}
	readMode := reading + temporary()
	if readOnly {
		readMode += "&mode=ro"
	}
	e.readers, err = sql.Open("sqlite", dsn(abs, readMode))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", abs, err), e.Close())
	}
	// None is closed before all are: SQLite keeps its file open as long as this process has a lock on it, and then
	// it looks as if somebody else had it, see Shared.
	many := min(max(4, runtime.GOMAXPROCS(0)), 16)
	e.readers.SetMaxOpenConns(many)
	e.readers.SetMaxIdleConns(many)
	var tables int
	if err := e.readers.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return nil, errors.Join(e.Explain(err), e.Close())
	}
	return e, nil
}

// temporary lets what SQLite puts aside go to a file that is deleted at once. The pages
// that a statement has changed are the most of it, to take the statement back: kept in
// memory they take 32 KiB for each row of a large table that one statement changes. Only
// where no such file can be made they stay there.
func temporary() string {
	f, err := os.CreateTemp("", "morango-*")
	if err != nil {
		return "&_pragma=temp_store(memory)"
	}
	_, _ = f.Close(), os.Remove(f.Name())
	return ""
}

// probe opens the writing connection, and makes sure that the file can be written
// and is in WAL mode, without which a reader would block the writer.
func (e *Engine) probe(ctx context.Context) error {
	var mode string
	if err := e.writer.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return e.Explain(err)
	}
	if mode != "wal" {
		return fmt.Errorf("%s cannot be put into WAL mode (it stays in mode %q): "+
			"keep it on a local disk, not on a network drive, and close programs that hold it open", e.path, mode)
	}
	tx, err := e.writer.BeginTx(ctx, nil)
	if err != nil {
		return e.Explain(err)
	}
	defer tx.Rollback()
	// On a file that may not be written only a statement that writes is refused.
	_, err = tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS morango_probe (x)")
	return e.Explain(err)
}

// dsn builds the driver's address of a file, whatever characters its path has.
func dsn(abs, query string) string {
	slashed := filepath.ToSlash(abs)
	if !strings.HasPrefix(slashed, "/") { // Windows: C:/...
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: query}).String()
}

// check finds what is wrong with a path before SQLite would say it less clearly.
func check(path string, mustExist bool) (string, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return "", fmt.Errorf("the database %q is not a file: give the path of a SQLite file", path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the database %s: %w", path, err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist) && mustExist:
		return "", fmt.Errorf("there is no database %s: check the path, or make it with `morango init`: %w", abs, fs.ErrNotExist)
	case errors.Is(err, fs.ErrNotExist):
		if folder, err := os.Stat(filepath.Dir(abs)); err != nil || !folder.IsDir() {
			return "", fmt.Errorf("the folder %s does not exist: create it first", filepath.Dir(abs))
		}
		return abs, create(abs)
	case err != nil:
		return "", fmt.Errorf("look at the database: %w", err)
	case info.IsDir():
		return "", fmt.Errorf("%s is a folder, not a database: give the path of a SQLite file", abs)
	}
	return abs, checkHeader(abs)
}

// create makes an empty file that only its owner may read, for it is to hold private
// keys; SQLite gives its other files the same mode. Whoever lets an application of
// another user in changes the mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return f.Close()
}

// checkHeader refuses a file that is neither empty nor begins like a SQLite file.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	if n, err := io.ReadFull(f, head); n > 0 && string(head) != magic {
		return fmt.Errorf("%s is not a SQLite database (or it is encrypted): give another path", path)
	} else if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the database %s: %w", path, err)
	}
	return nil
}

// Place is the absolute path of the file.
func (e *Engine) Place() string { return e.path }

// Begin starts a transaction: one that holds the write lock, or a snapshot.
func (e *Engine) Begin(ctx context.Context, write bool) (*transaction.Tx, error) {
	pool := e.readers
	if write {
		pool = e.writer
	}
	if write && e.readOnly {
		return nil, fmt.Errorf("the database %s was opened for reading only", e.path)
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	if write {
		if err := e.checkpoints.begun(ctx, tx); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
	}
	return transaction.Of(tx), nil
}

// Close closes all connections.
func (e *Engine) Close() error {
	var errs []error
	if e.checkpoints != nil {
		errs = append(errs, e.checkpoints.close())
	}
	for _, pool := range []*sql.DB{e.readers, e.writer} { // the writer last: it folds the WAL into the file
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// The result codes of SQLite that need something done; the low byte of a code is
// its kind.
const (
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

func code(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// Retryable reports whether a transaction that failed with err may succeed when it
// is run again.
func (e *Engine) Retryable(err error) bool {
	c := code(err)
	return c == codeBusy || c == codeLocked
}

// Explain adds to an error what a person can do about it.
func (e *Engine) Explain(err error) error {
	var hint string
	switch code(err) {
	case codeBusy, codeLocked:
		hint = "another program has been writing to it for a long time: let that finish, or stop it"
	case codeReadOnly:
		hint = "the file or its folder may not be written: change its permissions, or open it for reading only"
	case codeFull:
		hint = "the disk is full: free some space"
	case codeCantOpen:
		hint = "check that the file and its folder may be read and written"
	case codeNotADB:
		hint = "it is not a SQLite database, or it is encrypted"
	default:
		return err
	}
	return fmt.Errorf("database %s: %s: %w", e.path, hint, err)
}
