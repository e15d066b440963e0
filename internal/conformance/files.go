package conformance

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// Folder names a folder of vectors, not compressed, to use instead of the
// project's own.
const Folder = "MORANGO_VECTORS"

// File returns a file of the vectors by its name in the folder, decompressed:
// "fsic.jsonl", "reference.json", "reference.sqlite3", "schema/sqlite.sql",
// "wire/full-pull.json". A file that cannot be read ends the test.
func File(t testing.TB, name string) []byte {
	t.Helper()
	if folder, file := path.Split(name); folder != "" {
		data, ok := Files(t, path.Clean(folder))[file]
		if !ok {
			t.Fatalf("vectors: no file %s", name)
		}
		return data
	}
	if plain := os.Getenv(Folder); plain != "" {
		return read(t, filepath.Join(plain, name))
	}
	return decompress(t, filepath.Join(root(t), name+".zst"))
}

// Files returns the files of a folder of the vectors ("wire", "schema") by name.
func Files(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	if plain := os.Getenv(Folder); plain != "" {
		return readFolder(t, filepath.Join(plain, folder))
	}
	files := map[string][]byte{}
	archive := tar.NewReader(bytes.NewReader(decompress(t, filepath.Join(root(t), folder+".tar.zst"))))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatalf("vectors, archive %s: %v", folder, err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatalf("vectors, archive %s, file %s: %v", folder, header.Name, err)
		}
		files[header.Name] = data
	}
}

func readFolder(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[name] = read(t, filepath.Join(folder, name))
		}
		return err
	})
	if err != nil {
		t.Fatalf("vectors, folder %s: %v", folder, err)
	}
	return files
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	return data
}

func decompress(t testing.TB, file string) []byte {
	t.Helper()
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	defer decoder.Close()
	data, err := decoder.DecodeAll(read(t, file), nil)
	if err != nil {
		t.Fatalf("vectors, file %s: %v", file, err)
	}
	return data
}

// root returns testdata/vectors of the module in which the test runs. Tests run in
// their package's folder, so the module's root is above.
func root(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return filepath.Join(folder, "testdata", "vectors")
		}
		up := strings.TrimSuffix(filepath.Dir(folder), string(filepath.Separator))
		if up == folder || up == "" {
			t.Fatalf("vectors: no go.mod above the folder of the test")
		}
		folder = up
	}
}
