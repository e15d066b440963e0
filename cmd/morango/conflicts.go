package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/record"
)

// conflictsCmd lists records with conflicting copies.
type conflictsCmd struct {
	node
	ID   string `arg:"" optional:"" name:"record" help:"Id of a record; all when not given."`
	JSON bool   `help:"Print one JSON object a line, a record each, with the copies whole."`
}

// Run lists conflicts with what their copies differ in.
func (f *conflictsCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		total := int64(0)
		show := func(one morango.Conflict) error {
			total++
			if f.JSON {
				return json.NewEncoder(c.out).Encode(one)
			}
			return printConflict(c.out, one, time.Now())
		}
		if f.ID != "" {
			one, err := n.Conflict(ctx, f.ID)
			if err == nil && len(one.Copies) > 0 {
				err = show(one)
			}
			if err != nil {
				return err
			}
		} else {
			for one, err := range n.Conflicts(ctx) {
				if err == nil {
					err = show(one)
				}
				if err != nil {
					return err
				}
			}
		}
		switch {
		case total > 0 && !f.JSON:
			it := "it"
			if total > 1 {
				it = "each"
			}
			fmt.Fprintf(c.out, "%s with conflicting copies. Settle %s with\n"+
				"  morango resolve ID --keep ours|theirs|NUMBER [--set FIELD=VALUE] [--edit FILE]\n", plural(total, "record"), it)
		case !f.JSON:
			fmt.Fprintln(c.out, "No conflicting copies.")
		}
		if total > 0 {
			return errPartial
		}
		return nil
	})
}

// printConflict shows a record with a table of what its copies differ in.
func printConflict(w io.Writer, one morango.Conflict, now time.Time) error {
	var notes []string
	if one.Since != nil {
		notes = append(notes, "since "+one.Since.UTC().Format("2006-01-02 15:04")+" UTC ("+duration(now.Sub(*one.Since))+")")
	}
	if one.Deleted {
		notes = append(notes, "deleted: keeping a copy brings it back")
	}
	if one.Waiting {
		notes = append(notes, "not applied yet")
	}
	fmt.Fprintf(w, "%s %s  in %s\n", one.Model, one.ID, one.Partition)
	if len(notes) > 0 {
		fmt.Fprintf(w, "  %s\n", strings.Join(notes, "; "))
	}
	t := table{head: []string{"  FIELD", "OURS"}}
	shown := min(len(one.Copies), shownCopies)
	for i := range shown {
		t.head = append(t.head, "COPY "+strconv.Itoa(i+1))
	}
	for _, field := range one.Fields {
		name := field.Name
		if name == "" {
			name = "(text)"
		}
		row := []string{"  " + name, forPeople(field.Ours)}
		for _, v := range field.Copies[:shown] {
			cell := forPeople(v)
			if string(v) == string(field.Ours) {
				cell = "same"
			}
			row = append(row, cell)
		}
		t.add(row...)
	}
	if len(one.Fields) == 0 {
		fmt.Fprintf(w, "  %s of the same content\n\n", copiesOf(len(one.Copies)))
		return nil
	}
	if err := t.write(w); err != nil {
		return err
	}
	if more := len(one.Copies) - shown; more > 0 {
		fmt.Fprintf(w, "  and %s more: see --json\n", count(int64(more)))
	}
	_, err := fmt.Fprintln(w)
	return err
}

const (
	shownCopies = 3
	shownRunes  = 32
)

// forPeople shows a JSON value in a few characters, and never one that a terminal would
// act upon.
func forPeople(raw json.RawMessage) string {
	text := string(raw)
	var unquoted string
	if json.Unmarshal(raw, &unquoted) == nil && text != "null" {
		text = strconv.Quote(unquoted)
	}
	if runes := []rune(text); len(runes) > shownRunes {
		text = string(runes[:shownRunes-1]) + "…"
	}
	return text
}

// resolveCmd settles a conflict.
type resolveCmd struct {
	node
	ID   string            `arg:"" name:"record" help:"Id of the record."`
	Keep string            `placeholder:"COPY" env:"-" help:"Whose content stays: ours, theirs (the newest copy) or the number of a copy. Ours when other content is given with --set or --edit."`
	Set  map[string]string `mapsep:"none" env:"-" placeholder:"FIELD=VALUE" help:"Another value for a field of that content; may be repeated. In text columns it is the text, in others JSON."`
	Edit string            `placeholder:"FILE" env:"-" help:"File with a JSON object whose fields go over that content; - is standard input."`
	At   string            `placeholder:"VERSION" env:"-" help:"Only if the record is still at this version, as conflicts --json shows it."`
	JSON bool              `help:"Print one JSON object."`
}

// Validate refuses what says nothing before anything is opened.
func (f *resolveCmd) Validate() error {
	if !ident.Valid(f.ID) {
		return fmt.Errorf("%q is not a record id: 32 lower-case hex digits are needed", f.ID)
	}
	if f.Keep == "" && len(f.Set) == 0 && f.Edit == "" {
		return errors.New("say what to keep: --keep ours, theirs or a number, --set FIELD=VALUE, or --edit FILE")
	}
	_, err := f.copy()
	return err
}

// copy is the number of the copy to keep, 0 for ours.
func (f *resolveCmd) copy() (int, error) {
	switch f.Keep {
	case "", "ours":
		return 0, nil
	case "theirs":
		return 1, nil
	}
	n, err := strconv.Atoi(f.Keep)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("--keep %s: it is ours, theirs, or the number of a copy from 1", f.Keep)
	}
	return n, nil
}

// Run gives the record the chosen content.
func (f *resolveCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		one, err := n.Conflict(ctx, f.ID)
		if err != nil {
			return err
		}
		choice := morango.Choice{Version: f.At, Set: map[string]string{}}
		if choice.Copy, err = f.copy(); err != nil {
			return err
		}
		if err := f.changes(n, one.Model, c.in, choice.Set); err != nil {
			return err
		}
		r, err := n.Resolve(ctx, f.ID, choice)
		if err != nil {
			return err
		}
		switch {
		case f.JSON:
			err = json.NewEncoder(c.out).Encode(r)
		case r.Applied:
			fmt.Fprintf(c.out, "Resolved: %s %s. Peers get it with the next sync.\n", one.Model, f.ID)
		default:
			reason := r.Reason
			if reason == "" {
				reason = "its model or row is not there yet"
			}
			fmt.Fprintf(c.out, "Resolved, but not applied to the table yet: %s %s: %s\n", one.Model, f.ID, reason)
		}
		if err == nil && !r.Applied {
			return errPartial
		}
		return err
	})
}

// changes gathers the values to set: those of the file, and over them those of the flags.
func (f *resolveCmd) changes(n *morango.Node, name string, in io.Reader, set map[string]string) error {
	if f.Edit != "" {
		text, err := readEdit(f.Edit, in)
		if err != nil {
			return err
		}
		fields, err := record.Fields(text)
		if err != nil {
			return fmt.Errorf("--edit %s: %w", f.Edit, err)
		}
		for field, raw := range fields {
			set[field] = raw
		}
	}
	m, known := n.Profile().Model(name)
	for field, value := range f.Set {
		raw := value
		if known {
			column, ok := m.Column(field)
			if !ok {
				return fmt.Errorf("--set %s: model %s has no such column", field, name)
			}
			if isText(column.Type) && value != "null" {
				quoted, err := json.Marshal(value)
				if err != nil {
					return fmt.Errorf("--set %s: %w", field, err)
				}
				raw = string(quoted)
			}
		}
		set[field] = raw
	}
	return nil
}

// isText tells whether a type's JSON is a string.
func isText(t model.Type) bool {
	switch t {
	case model.Integer, model.SmallInt, model.BigInt, model.Float, model.Boolean:
		return false
	}
	return true
}

// readEdit reads the file of an edit.
func readEdit(path string, in io.Reader) (string, error) {
	const most = 64 << 20
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }() // only read from
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, most))
	return string(text), err
}

// copiesOf counts copies.
func copiesOf(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return count(int64(n)) + " copies"
}
