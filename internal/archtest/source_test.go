package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// source is one parsed file.
type source struct {
	path   string
	lines  int
	set    *token.FileSet
	syntax *ast.File
}

// parse reads one file.
func parse(t *testing.T, path string) source {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseText(t, path, text)
}

// parseText reads a file from its text.
func parseText(t *testing.T, path string, text []byte) source {
	t.Helper()
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, path, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return source{path: path, lines: bytes.Count(text, []byte("\n")), set: set, syntax: syntax}
}

// Rules that look at one file each.
func TestSources(t *testing.T) {
	sources(t, func(path string) {
		for _, problem := range parse(t, path).problems() {
			t.Error(problem)
		}
	})
}

// problems applies all rules to the file.
func (s source) problems() []string {
	out := s.sizes()
	if strings.HasSuffix(s.path, "_test.go") {
		return append(out, s.testHabits()...)
	}
	return append(out, s.undocumented()...)
}

// at is the place of a node.
func (s source) at(node ast.Node) string {
	return s.set.Position(node.Pos()).String()
}

// sizes finds files and functions that are too long, and init functions.
func (s source) sizes() []string {
	var out []string
	if s.lines > maxFileLines {
		out = append(out, s.path+": more lines than a file may have; split it by what it is about")
	}
	ast.Inspect(s.syntax, func(node ast.Node) bool {
		switch node.(type) {
		case *ast.FuncDecl, *ast.FuncLit:
			if first, last := s.set.Position(node.Pos()).Line, s.set.Position(node.End()).Line; last-first+1 > maxFunctionLines {
				out = append(out, s.at(node)+": more lines than a function may have")
			}
		}
		if f, ok := node.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			out = append(out, s.at(node)+": an init function works behind everyone's back; let the caller call it")
		}
		return true
	})
	return out
}

// testHabits finds skipped tests and sleeps.
func (s source) testHabits() []string {
	var out []string
	ast.Inspect(s.syntax, func(node ast.Node) bool {
		call, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch owner, _ := call.X.(*ast.Ident); {
		case call.Sel.Name == "Skip" || call.Sel.Name == "Skipf" || call.Sel.Name == "SkipNow":
			out = append(out, s.at(node)+": a test that skips proves nothing; let it fail and say what is missing")
		case owner != nil && owner.Name == "time" && call.Sel.Name == "Sleep":
			out = append(out, s.at(node)+": a test that sleeps is slow or flaky; wait for the event")
		}
		return true
	})
	return out
}

// undocumented finds exported names without a comment.
func (s source) undocumented() []string {
	var out []string
	missing := func(node ast.Node, name string) {
		out = append(out, s.at(node)+": exported "+name+" has no comment")
	}
	for _, decl := range s.syntax.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				missing(d, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch v := spec.(type) {
				case *ast.TypeSpec:
					if v.Name.IsExported() && d.Doc == nil && v.Doc == nil {
						missing(v, v.Name.Name)
					}
				case *ast.ValueSpec:
					if v.Names[0].IsExported() && d.Doc == nil && v.Doc == nil && v.Comment == nil {
						missing(v, v.Names[0].Name)
					}
				}
			}
		}
	}
	return out
}

// exportedReceiver tells whether a function is none of an unexported type.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	receiver := f.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.IsExported()
		default:
			return true
		}
	}
}

// The rules bite: each file here breaks one.
func TestSourceRulesRefuse(t *testing.T) {
	for name, text := range map[string]string{
		"long file.go":     "package p\n" + strings.Repeat("//\n", maxFileLines),
		"long function.go": "package p\nfunc f() {\n" + strings.Repeat("//\n", maxFunctionLines) + "}\n",
		"long literal.go":  "package p\nvar f = func() {\n" + strings.Repeat("//\n", maxFunctionLines) + "}\n",
		"init.go":          "package p\nfunc init() {}\n",
		"function.go":      "package p\nfunc F() {}\n",
		"method.go":        "package p\n// T is.\ntype T[A any] struct{}\nfunc (*T[A]) M() {}\n",
		"type.go":          "package p\ntype T struct{}\n",
		"value.go":         "package p\nconst C = 1\n",
		"skip_test.go":     "package p\nfunc f(t *testing.T) { t.Skipf(\"no\") }\n",
		"sleep_test.go":    "package p\nfunc f() { time.Sleep(1) }\n",
	} {
		if problems := parseText(t, name, []byte(text)).problems(); len(problems) != 1 {
			t.Errorf("%s: problems %q, expected one", name, problems)
		}
	}
	const good = "package p\n// T is.\ntype T struct{}\n// M does.\nfunc (T) M() {}\ntype t struct{}\nfunc (t) M() {}\n// The values.\nconst A, B = 1, 2\n"
	if problems := parseText(t, filepath.Join("x", "good.go"), []byte(good)).problems(); len(problems) != 0 {
		t.Errorf("a good file has problems %q", problems)
	}
}
