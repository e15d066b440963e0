package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's folder, seen from this package's.
const root = "../.."

// listed is what "go list" tells about a package.
type listed struct {
	ImportPath string
	Doc        string
	Imports    []string
}

// packages asks the go tool for all packages of the module, by their path within it.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]listed{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[within(p.ImportPath)] = p
	}
}

// within cuts the module's path off; "" is the root package.
func within(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, Module), "/")
}

func TestTableListsEveryPackage(t *testing.T) {
	found := packages(t)
	for name := range found {
		if _, ok := table[name]; !ok {
			t.Errorf("package %q has no row in the table of internal/archtest: give it a layer", name)
		}
	}
	for name := range table {
		if _, ok := found[name]; !ok {
			t.Errorf("package %q has a row in the table but is gone", name)
		}
	}
}

// Imports point down. Within a layer they follow the table.
func TestImports(t *testing.T) {
	for name, p := range packages(t) {
		for _, path := range p.Imports {
			if problem := importProblem(name, path); problem != "" {
				t.Errorf("%s imports %s: %s", name, path, problem)
			}
		}
	}
}

// importProblem says why a package must not import a path; "" when it may.
func importProblem(name, path string) string {
	from, ok := table[name]
	if !ok {
		return "" // TestTableListsEveryPackage says so, once
	}
	if layers, isBarred := barred[path]; isBarred && !slices.Contains(layers, from.layer) && !slices.Contains(from.std, path) {
		return "its layer has no business with that package"
	}
	if path != Module && !strings.HasPrefix(path, Module+"/") {
		return ""
	}
	target := within(path)
	to := table[target]
	switch {
	case from.layer == layerFrame:
	case to.layer == layerFrame:
		return "it serves tests only"
	case to.layer > from.layer:
		return "imports point down, this one points up"
	case to.layer == from.layer && !slices.Contains(from.peers, target):
		return "same layer, and the table does not allow it"
	}
	return ""
}

// The rules bite: one example of each kind of import that must be refused.
func TestImportRulesRefuse(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"partition", Module + "/counter"},
		{"record", Module + "/store"},
		{"stage/queue", Module + "/stage/dequeue"},
		{"engine", Module + "/client"},
		{"server", Module},
		{"store", Module + "/db/dbtest"},
		{"counter", "os"},
		{"record", "net/http"},
		{"stage/serialize", "log/slog"},
		{"cmd/morango", "os/exec"},
	} {
		if importProblem(c.from, c.to) == "" {
			t.Errorf("%s may import %s", c.from, c.to)
		}
	}
	if problem := importProblem("engine", Module+"/stage/queue"); problem != "" {
		t.Errorf("engine may not import stage/queue: %s", problem)
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	for name, p := range packages(t) {
		base := filepath.Base(p.ImportPath)
		if !strings.HasPrefix(p.Doc, "Package "+base+" ") && !strings.HasPrefix(p.Doc, "Command "+base+" ") && p.Doc != "" {
			t.Errorf("%s: the package comment must start with \"Package %s\" or \"Command %s\"", name, base, base)
		}
		if p.Doc == "" {
			t.Errorf("%s has no package comment", name)
		}
	}
}

// sources calls check with every Go file of the project.
func sources(t *testing.T, check func(path string)) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "dist"):
			return filepath.SkipDir
		case !entry.IsDir() && filepath.Ext(path) == ".go":
			seen++
			check(path)
		}
		return nil
	})
	if err == nil && seen < len(table) {
		err = fmt.Errorf("only %d Go files under %s", seen, root)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	sources(t, func(path string) {
		for _, part := range strings.Split(strings.TrimSuffix(filepath.ToSlash(path), ".go"), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "misc"}, strings.TrimSuffix(part, "_test")) {
				t.Errorf("%s: the name does not say what is in it", path)
			}
		}
	})
}
