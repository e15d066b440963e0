package model

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one thing wrong with a profile. Load, FromStructs and Validate
// return all they find, joined; errors.As gives the first.
type Problem struct {
	At     string // file:line, the Go type, or the profile's name
	Model  string // "" when it concerns the profile as a whole
	Column string // "" when it concerns the model as a whole
	Text   string // what is wrong and what would be right
}

// Error puts place, model and column before the text.
func (p *Problem) Error() string {
	words := []string{p.At}
	if p.Model != "" {
		words = append(words, "model "+p.Model)
	}
	if p.Column != "" {
		words = append(words, "column "+p.Column)
	}
	return strings.Join(append(words, p.Text), ": ")
}

// place is where a value was written: a key of the profile (both zero), of a
// model, of one of its columns, or of a scope definition (from 1).
type place struct {
	model  *Model
	column string
	scope  int
	key    string
}

// findings collects problems. The same value is used while reading and while
// validating, so that a check knows the line of what it checks.
type findings struct {
	name     string           // file, Go package or profile
	at       map[place]string // where values were written
	problems []error
}

// newFindings starts an empty collection; name is the place of what has no
// nearer one.
func newFindings(name string) *findings {
	return &findings{name: name, at: map[place]string{}}
}

// where gives the nearest known position: of the key, else of its owner.
func (f *findings) where(p place) string {
	for _, try := range []place{
		p,
		{model: p.model, column: p.column, scope: p.scope},
		{model: p.model, key: p.key},
		{model: p.model},
	} {
		if at, ok := f.at[try]; ok {
			return at
		}
	}
	return f.name
}

// add notes a problem with what stands at p.
func (f *findings) add(p place, format string, args ...any) {
	problem := &Problem{At: f.where(p), Column: p.column, Text: fmt.Sprintf(format, args...)}
	if p.model != nil {
		problem.Model = p.model.Name
	}
	f.problems = append(f.problems, problem)
}

// err joins what was found; nil when nothing was.
func (f *findings) err() error {
	return errors.Join(f.problems...)
}
