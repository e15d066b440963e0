package sqlite

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// newFile makes a database and returns an engine whose writing connections have
// further settings.
func newFile(t *testing.T, settings string) *Engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	made, err := Open(t.Context(), path, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	e := &Engine{path: path}
	if e.writer, err = sql.Open("sqlite", dsn(path, writing+settings)); err != nil {
		t.Fatal(err)
	}
	if e.checkpoints, err = newCheckpoints(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// A file without write permission, which root would not notice.
func TestFileThatMayNotBeWritten(t *testing.T) {
	err := newFile(t, "&mode=ro").probe(t.Context())
	if err == nil || !strings.Contains(err.Error(), "change its permissions") {
		t.Errorf("probe gave %v, want a hint at the permissions", err)
	}
}

func TestBusyFile(t *testing.T) {
	e := newFile(t, "&_timeout=1") // milliseconds; the later name wins
	tx, err := e.Begin(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Begin(t.Context(), true)
	if err == nil || !e.Retryable(err) {
		t.Errorf("a second writer got %v, want a retryable error", err)
	}
	if err := e.Explain(err); !strings.Contains(err.Error(), "another program") {
		t.Errorf("explained as %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if other := errors.New("x"); e.Retryable(other) || !errors.Is(e.Explain(other), other) || e.Explain(other).Error() != "x" || e.Explain(nil) != nil {
		t.Error("an error that is not SQLite's was touched")
	}
}

// Where no temporary file can be made, what is put aside stays in memory.
func TestNoTemporaryFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	for folder, want := range map[string]int{t.TempDir(): 0, filepath.Join(t.TempDir(), "none"): 2} {
		for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
			t.Setenv(name, folder)
		}
		e, err := Open(t.Context(), path, false, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, connection := range []*sql.DB{e.writer, e.readers} {
			var got int
			if err := connection.QueryRowContext(t.Context(), "PRAGMA temp_store").Scan(&got); err != nil || got != want {
				t.Errorf("temporary files in %s: temp_store is %d, %v", folder, got, err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
