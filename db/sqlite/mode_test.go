package sqlite

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestNewFileIsPrivate holds that nobody else can read the private keys in a database
// that was made here.
func TestNewFileIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // modes mean nothing there
	}
	file := filepath.Join(t.TempDir(), "new.db")
	e, err := Open(t.Context(), file, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.writer.ExecContext(t.Context(), "CREATE TABLE t (x)"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", filepath.Base(name), mode)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
