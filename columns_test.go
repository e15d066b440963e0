package morango_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
)

// RankedItem is an item in a later version of the application.
type RankedItem struct {
	Item
	Rank int32   `morango:"rank; default=3"`
	Note *string `morango:"note"`
	See  *string `morango:"see_id; references=folder"`
}

func laterProfile(t *testing.T) *morango.Profile {
	t.Helper()
	p, err := model.FromStructs("things", testProfile(t).Scopes, Folder{}, RankedItem{})
	must(t, err)
	return p
}

// older is a peer of the earlier version, on either database, that holds what the hub,
// of the later version, has sent.
type older struct {
	*peer
	target string
}

// reopen closes the node and opens it with a profile.
func (o *older) reopen(profile *morango.Profile, c morango.Config) error {
	o.t.Helper()
	if o.Node != nil {
		must(o.t, o.Close())
	}
	c.Logger = slog.New(slog.DiscardHandler)
	o.profile = profile
	var err error
	o.Node, err = morango.Open(o.t.Context(), o.target, profile, c)
	return err
}

// eachOlder runs f on both databases, also on ones that the first version of the
// lean layout made, which did not remember columns.
func eachOlder(t *testing.T, f func(t *testing.T, o *older, firstVersion bool)) {
	for name, first := range map[string]bool{"": false, ", first layout": true} {
		for _, driver := range []string{"sqlite", "pgx"} {
			t.Run(driver+name, func(t *testing.T) {
				t.Parallel()
				o := &older{peer: &peer{t: t}, target: filepath.Join(t.TempDir(), "older.db")}
				source := o.target + "?_pragma=busy_timeout(10000)"
				if driver == "pgx" {
					o.target = dbtest.PostgresEmptyURL(t)
					source = o.target
				}
				must(t, o.reopen(testProfile(t), morango.Config{Create: true}))
				t.Cleanup(func() {
					if o.Node != nil {
						must(t, o.Close())
					}
				})
				var err error
				o.app, err = sql.Open(driver, source)
				must(t, err)
				t.Cleanup(func() { must(t, o.app.Close()) })
				f(t, o, first)
			})
		}
	}
}

// backToFirst takes out of the database what its layout gained since the first version.
func (o *older) backToFirst() {
	for _, query := range []string{
		`DROP TABLE morango_column`, `DROP TABLE morango_digest`, `DROP TABLE morango_digest_total`, `DROP TABLE morango_compared`,
		`DROP INDEX morango_store_fresh`, `DROP INDEX morango_store_refused`, `DROP INDEX morango_store_missed`, `DROP INDEX IF EXISTS morango_store_group`,
		`CREATE INDEX morango_store_dirty ON morango_store (profile, model_name, id) WHERE dirty_bit`,
		`UPDATE morango_schema SET version = 1`,
	} {
		o.do(query)
	}
}

// show returns a peer's items: text, rank, note and the folder that it refers to.
func (p *peer) show() string {
	p.t.Helper()
	rows, err := p.app.QueryContext(p.t.Context(), `SELECT i.text, i.rank, COALESCE(i.note, '-'), COALESCE(f.name, '-')
		FROM item i LEFT JOIN folder f ON f.id = i.see_id ORDER BY i.text`)
	must(p.t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text, rank, note, see string
		must(p.t, rows.Scan(&text, &rank, &note, &see))
		all = append(all, strings.Join([]string{text, rank, note, see}, " "))
	}
	must(p.t, rows.Err())
	return strings.Join(all, ", ")
}

// A peer receives records with columns that its version does not know. After its
// upgrade it has them in its tables, and what it changes keeps them.
func TestProfileGainsColumns(t *testing.T) {
	eachOlder(t, func(t *testing.T, o *older, firstVersion bool) {
		hub := &peer{t: t, profile: laterProfile(t)}
		hub.open(filepath.Join(t.TempDir(), "hub.db"), morango.Config{Create: true})
		root, err := hub.CreateRoot(t.Context(), "world", nil)
		must(t, err)
		hub.world = root.ID
		url := hub.serve()
		o.join(url, "", nil, root.ID)
		top := hub.folder("top", nil)
		for _, text := range []string{"a", "b", "c", "d"} {
			hub.item(text, top, "")
		}
		hub.do(`UPDATE item SET rank = 9, note = 'from the hub', see_id = ? WHERE text <> 'd'`, top)
		o.sync(url)
		o.do(`UPDATE item SET text = 'a, edited before' WHERE text = 'a'`)
		hub.do(`UPDATE item SET rank = 10 WHERE text = 'b'`)
		o.sync(url)
		o.do(`UPDATE item SET text = 'b, edited before' WHERE text = 'b'`) // and not serialized
		if firstVersion {
			o.backToFirst()
			must(t, o.reopen(testProfile(t), morango.Config{}))
		}

		err = o.reopen(laterProfile(t), morango.Config{})
		if err == nil || !strings.Contains(err.Error(), "of model item: rank, note, see_id") || !strings.Contains(err.Error(), "morango init") {
			t.Fatalf("without init: %v", err)
		}
		o.interrupt()
		if err := o.reopen(laterProfile(t), morango.Config{}); err == nil || !strings.Contains(err.Error(), "morango init") {
			t.Fatalf("after an interrupted init: %v", err)
		}
		must(t, o.reopen(laterProfile(t), morango.Config{Create: true}))
		want := "a, edited before 9 from the hub top, b, edited before 10 from the hub top, c 9 from the hub top, d 3 - -"
		if got := o.show(); got != want {
			t.Errorf("after the upgrade there is\n%s\nwant\n%s", got, want)
		}

		must(t, o.reopen(laterProfile(t), morango.Config{}))
		o.do(`UPDATE item SET text = 'c, edited after' WHERE text = 'c'`)
		o.do(`UPDATE item SET rank = 4 WHERE text = 'd'`) // captured, like any column
		if s := o.sync(url); s.Push.Records != 3 || s.Push.Conflicts != 0 || s.Failing() != 0 {
			t.Errorf("synced %+v", s)
		}
		want = "a, edited before 9 from the hub top, b, edited before 10 from the hub top, c, edited after 9 from the hub top, d 4 - -"
		for _, p := range []*peer{hub, o.peer} {
			if got := p.show(); got != want {
				t.Errorf("after the next sync there is\n%s\nwant\n%s", got, want)
			}
		}
		var conflicting int
		must(t, o.app.QueryRow(`SELECT COUNT(*) FROM morango_store WHERE conflicting_serialized_data <> '' OR dirty_bit`).Scan(&conflicting))
		if conflicting != 0 {
			t.Errorf("%d records look like conflicts, or wait", conflicting)
		}
	})
}

// interrupt begins the upgrade, and breaks it off when the first row is decoded.
func (o *older) interrupt() {
	o.t.Helper()
	ctx, cancel := context.WithCancel(o.t.Context())
	defer cancel()
	_, err := morango.Open(ctx, o.target, laterProfile(o.t), morango.Config{Create: true, Now: func() time.Time {
		cancel()
		return time.Now()
	}})
	if !errors.Is(err, context.Canceled) {
		o.t.Fatalf("the interrupted init gave %v", err)
	}
}

// A database that an earlier version has worked on meanwhile has missed what came for
// the new columns: it wants init again.
func TestEarlierVersionInBetween(t *testing.T) {
	o := &older{peer: &peer{t: t}, target: filepath.Join(t.TempDir(), "older.db")}
	t.Cleanup(func() { must(t, o.Close()) })
	must(t, o.reopen(laterProfile(t), morango.Config{Create: true}))
	must(t, o.reopen(laterProfile(t), morango.Config{}))
	must(t, o.reopen(testProfile(t), morango.Config{}))
	must(t, o.Close())
	var err error
	if o.Node, err = morango.Open(t.Context(), o.target, laterProfile(t), morango.Config{}); err == nil || !strings.Contains(err.Error(), "rank, note, see_id") {
		t.Errorf("opened without init: %v", err)
	}
	must(t, func() (err error) {
		o.Node, err = morango.Open(t.Context(), o.target, laterProfile(t), morango.Config{Create: true})
		return err
	}())
}
