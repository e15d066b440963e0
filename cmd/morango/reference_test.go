package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/internal/conformance"
)

// TestPullFromReferenceDatabase serves a database that the Python reference made and
// pulls it with `morango sync` into an empty one: the application's rows must be those
// that were recorded.
func TestPullFromReferenceDatabase(t *testing.T) {
	folder := t.TempDir()
	theirs, ours := filepath.Join(folder, "reference.db"), filepath.Join(folder, "ours.db")
	must(t, os.WriteFile(theirs, conformance.File(t, "reference.sqlite3"), 0o600))
	const profileFile = "../../testdata/testapp.yaml"
	profile, err := morango.LoadProfile(profileFile)
	must(t, err)
	server, err := morango.Open(t.Context(), theirs, profile, morango.Config{})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	handler, err := server.Handler(morango.ServerOptions{Users: oneUser{}})
	must(t, err)
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)

	password := filepath.Join(folder, "password")
	must(t, os.WriteFile(password, []byte(demoPassword+"\n"), 0o600))
	command(t, exitDone, "init", "--database", ours, "--profile", profileFile)
	out := command(t, exitDone, "sync", srv.URL, "--pull", "--json", "--database", ours, "--profile", profileFile,
		"--user", demoUser, "--password-file", password)
	var summary morango.Summary
	must(t, json.Unmarshal([]byte(out), &summary))
	if !summary.Pull.Done || summary.Push.Done || summary.Pull.Applied == 0 {
		t.Errorf("the summary says %s", out)
	}

	var recorded struct {
		Root   string `json:"root_certificate_id"`
		Tables map[string]struct {
			Columns []string
			Rows    [][]any
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(conformance.File(t, "reference.json")))
	decoder.UseNumber()
	must(t, decoder.Decode(&recorded))
	for _, m := range profile.Models {
		table := recorded.Tables[m.Table]
		var want []string
		for _, row := range table.Rows {
			if inScope(table.Columns, row, recorded.Root) {
				want = append(want, comparable(table.Columns, row))
			}
		}
		slices.Sort(want)
		got := rowsOf(t, ours, m.Table, table.Columns)
		if !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("table %s:\ngot  %s\nwant %s", m.Table, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
}

// inScope reports whether the certificate's filter covers a recorded row.
func inScope(columns []string, row []any, root string) bool {
	partition, _ := row[slices.Index(columns, "_morango_partition")].(string)
	return strings.HasPrefix(partition, root)
}

// comparable writes a row as text. Datetimes travel with milliseconds, whoever sends
// them; the dirty bit is each side's own.
func comparable(columns []string, row []any) string {
	var parts []string
	for i, column := range columns {
		value := fmt.Sprint(row[i])
		switch column {
		case "_morango_dirty_bit":
			continue
		case "now_date", "last_login":
			value = strings.TrimRight(value[:min(len(value), len("2006-01-02 15:04:05.000"))], "0")
		}
		parts = append(parts, column+"="+value)
	}
	return strings.Join(parts, " ")
}

func rowsOf(t *testing.T, file, table string, columns []string) (rows []string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	must(t, err)
	defer db.Close()
	texts := make([]string, len(columns))
	for i, column := range columns {
		texts[i] = fmt.Sprintf("CAST(%q AS TEXT)", column)
	}
	found, err := db.Query("SELECT " + strings.Join(texts, ", ") + " FROM " + table)
	must(t, err)
	defer found.Close()
	for found.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		must(t, found.Scan(into...))
		row := make([]any, len(columns))
		for i, v := range values {
			if v.Valid {
				row[i] = v.String
			}
		}
		rows = append(rows, comparable(columns, row))
	}
	must(t, found.Err())
	slices.Sort(rows)
	return rows
}

// command runs the command line in this process and returns what it prints.
func command(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, err bytes.Buffer
	if got := run(t.Context(), args, console{in: strings.NewReader(""), out: &out, err: &err}); got != want {
		t.Fatalf("morango %s: exit code %d instead of %d\n%s%s", strings.Join(args, " "), got, want, out.String(), err.String())
	}
	return out.String()
}
