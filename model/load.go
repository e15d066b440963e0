package model

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxProfileBytes bounds a profile file; Kolibri's, with 23 models, has 25 kB.
const maxProfileBytes = 1 << 20

// Load reads a profile from YAML; docs/profiles.md describes the keys. name
// is the file's name for messages. The result is valid and in dependency order.
// An error joins everything that was found, each a *Problem with file, line and
// model; keys that this build does not know are errors too.
func Load(name string, source io.Reader) (*Profile, error) {
	text, err := io.ReadAll(io.LimitReader(source, maxProfileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read profile %s: %w", name, err)
	}
	if len(text) > maxProfileBytes {
		return nil, fmt.Errorf("profile %s is larger than %d bytes: is it a profile?", name, maxProfileBytes)
	}
	if err := checkNesting(text); err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, syntaxProblem(name, err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, &Problem{At: name, Text: "a profile is one YAML document, a mapping that starts with \"profile: <name>\""}
	}
	return decode(name, file.Docs[0].Body)
}

// LoadFile reads a profile from the YAML file at path.
func LoadFile(path string) (*Profile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open profile: %w", err)
	}
	defer func() { _ = file.Close() }() // only read from
	return Load(path, file)
}

// decode turns a parsed document into a valid profile.
func decode(name string, body ast.Node) (*Profile, error) {
	r := &reader{findings: newFindings(name)}
	p := r.profile(body)
	if err := r.err(); err != nil {
		return nil, err // its own problems would only make more
	}
	p.validate(r.findings)
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// syntaxProblem gives a YAML error the form of all others.
func syntaxProblem(name string, err error) error {
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil && located.GetToken().Position != nil {
		return &Problem{At: fmt.Sprintf("%s:%d", name, located.GetToken().Position.Line), Text: "not valid YAML: " + located.GetMessage()}
	}
	return &Problem{At: name, Text: "not valid YAML: " + err.Error()}
}

// maxNesting bounds brackets within brackets. A profile needs five; the parser
// recurses, and its stack must not depend on the file.
const maxNesting = 50

// checkNesting counts brackets and dashes at the start of a line without
// understanding YAML: text full of them is refused, a profile never is.
func checkNesting(text []byte) error {
	depth, dashes, line := 0, 0, 1
	for _, c := range text {
		switch c {
		case '\n':
			dashes = 0
			line++
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		case '-', '?', ':', '&', '*', '!':
			dashes++
		}
		if depth > maxNesting || dashes > 10*maxNesting {
			return fmt.Errorf("line %d is nested too deeply for a profile", line)
		}
	}
	return nil
}
