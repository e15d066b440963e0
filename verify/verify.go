// Package verify checks what a database holds: the store against the application's
// rows, versions against histories and claims, certificates, sessions, the file
// itself; compares it with another peer's by digests; and mends what can be mended
// without guessing.
//
// It belongs to the stages layer, beside the stages, and imports the words and tables
// layers only. A row does not pass through it: it looks at all the places where a row
// rests.
package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// DefaultExamples is how many findings of a kind are listed when nothing else is said.
const DefaultExamples = 10

// Options say how a check is told. The zero value is the usual.
type Options struct {
	Examples int // findings listed of each kind; 0 is DefaultExamples
}

// Report is what a check found. Its JSON form is stable.
type Report struct {
	Checked Checked `json:"checked"`
	Waiting Waiting `json:"waiting"`
	Found   []Found `json:"found"` // one for each kind that was found, in a fixed order
}

// Checked counts what was looked at.
type Checked struct {
	Records      int64 `json:"records"` // in the store
	Rows         int64 `json:"rows"`    // in the application's tables
	Histories    int64 `json:"record_max_counters"`
	Claims       int64 `json:"database_max_counters"`
	Certificates int64 `json:"certificates"`
}

// Waiting counts what is on its way: nothing is wrong with it.
type Waiting struct {
	Changed   int64 `json:"changed_rows"`       // changed by the application, not serialized yet
	Deletions int64 `json:"deletions"`          // recorded, not serialized yet
	Records   int64 `json:"records"`            // came from peers, not applied yet
	Failing   int64 `json:"failing_records"`    // of these, tried without success
	Transfers int64 `json:"open_transfers"`     // transfer sessions that are not closed
	Buffered  int64 `json:"buffered_transfers"` // of these, with records in a buffer
}

// Found is one kind of findings.
type Found struct {
	Kind     Kind      `json:"kind"`
	Count    int64     `json:"count"`
	Harmless bool      `json:"harmless"` // nothing is lost or wrong because of it
	Remedy   string    `json:"remedy"`
	Examples []Example `json:"examples"` // the first of them
}

// Example is one finding.
type Example struct {
	Object  string `json:"object"`          // what it is about: the id of a record, certificate or session, or a place
	Model   string `json:"model,omitempty"` // of a record, where known
	Problem string `json:"problem"`
	// Partition is that of a claim.
	Partition string `json:"partition,omitempty"`
}

// Clean reports whether nothing is wrong; harmless findings do not count.
func (r Report) Clean() bool {
	return !slices.ContainsFunc(r.Found, func(f Found) bool { return !f.Harmless })
}

// Of returns what was found of a kind; its Count is 0 when nothing was.
func (r Report) Of(k Kind) Found {
	for _, f := range r.Found {
		if f.Kind == k {
			return f
		}
	}
	return Found{Kind: k}
}

// Run checks a database by itself, on one snapshot and without writing, in memory that
// does not grow with it. p is the profile whose rows are compared; records of other
// profiles are only checked for what needs no profile. The error is that of a check
// that could not be made; what is wrong with the database is in the report.
func Run(ctx context.Context, d *db.DB, p *model.Profile, o Options) (Report, error) {
	if o.Examples <= 0 {
		o.Examples = DefaultExamples
	}
	c := &check{profile: p, options: o}
	err := d.Read(ctx, func(tx *db.Tx) error {
		c.begin(tx)
		return c.all(ctx)
	})
	if err != nil {
		return Report{}, fmt.Errorf("verify %s: %w", d.Path(), err)
	}
	return c.finish(), nil
}

// check is one run of all checks.
type check struct {
	tx      *db.Tx
	profile *model.Profile
	options Options
	report  Report
	found   map[Kind]*Found
	own     map[string]int64 // living instances of this database, with their counters
}

func (c *check) begin(tx *db.Tx) {
	c.tx, c.report, c.found = tx, Report{}, map[Kind]*Found{}
}

// all runs the checks, the file's own first: when it is broken, the others may not
// see everything.
func (c *check) all(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		c.file, c.identity, c.records, c.histories, c.claims, c.kept, c.rows, c.certificates, c.sessions, c.waiting,
	} {
		if err := part(ctx); err != nil && (c.found[File] == nil || ctx.Err() != nil) {
			return err // in a damaged file that some checks fail is no news
		}
	}
	return nil
}

// find notes a finding.
func (c *check) find(k Kind, object, of, format string, args ...any) {
	f := c.found[k]
	if f == nil {
		about := kinds()[k]
		f = &Found{Kind: k, Harmless: about.harmless, Remedy: about.remedy}
		c.found[k] = f
	}
	f.Count++
	if len(f.Examples) < c.options.Examples {
		f.Examples = append(f.Examples, Example{Object: object, Model: of, Problem: fmt.Sprintf(format, args...)})
	}
}

// finish puts the findings in order.
func (c *check) finish() Report {
	c.report.Found = []Found{}
	for _, k := range Kinds() {
		if f := c.found[k]; f != nil {
			c.report.Found = append(c.report.Found, *f)
		}
	}
	return c.report
}

// each runs a query and calls scan for each of its rows. Rows are read as they come,
// so that there may be any number of them; scan must not use the transaction.
func (c *check) each(ctx context.Context, what, query string, args []any, scan func(row scanner) error) error {
	return each(ctx, c.tx, what, query, args, scan)
}

// scanner is a row.
type scanner interface{ Scan(into ...any) error }

func each(ctx context.Context, tx *db.Tx, what, query string, args []any, scan func(row scanner) error) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("check %s: %w", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("check %s: %w", what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("check %s: %w", what, err)
	}
	return nil
}
