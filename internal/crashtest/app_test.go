//go:build linux

package crashtest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// Folder, Item and Tag are what the peers sync: a tree, things in it, and tags that two
// peers can both invent.
type Folder struct {
	model.Row `morango:"folder; source=random; partition=${world}:tree"`
	World     string  `morango:"world; type=uuid"`
	Parent    *string `morango:"parent_id; references=folder"`
	Text      string  `morango:"text"`
}

type Item struct {
	model.Row `morango:"item; source=random; partition=${world}:items"`
	World     string  `morango:"world; type=uuid"`
	Parent    *string `morango:"parent_id; references=folder"`
	Text      string  `morango:"text"`
}

type Tag struct {
	model.Row `morango:"tag; source=column:name; partition=${world}:tree"`
	World     string `morango:"world; type=uuid"`
	Name      string `morango:"name"`
	Text      string `morango:"text"`
}

// profile is that of the three.
func profile() (*model.Profile, error) {
	return model.FromStructs("crash", []model.ScopeDefinition{
		{ID: "world", Version: 1, PrimaryScopeParam: "world", ReadWriteTemplate: "${world}"},
	}, Folder{}, Item{}, Tag{})
}

// app is a peer's application: it writes its tables with plain SQL over a connection of
// its own.
type app struct {
	db    *sql.DB
	world string
	side  string
	// told hears what a transaction is about to change, and that it is committed.
	told func(word, id, text string)
}

// Texts that are not of a round: of a row that is deleted, and of those that were there
// before the first round.
const (
	gone  = "-"
	began = "as it began"
)

// sources are the kinds of rows with what their partitions end in.
var sources = map[string]string{"folder": ":tree", "item": ":items", "tag": ":tree"}

// id is that of a row with a name that both sides know.
func (a *app) id(table, name string) string {
	return ident.Record(a.world+sources[table], source(name), table)
}

func source(name string) string { return strings.ReplaceAll(name, " ", "-") }

// work is one transaction of the application.
type work struct {
	*app
	tx      *sql.Tx
	changed [][2]string // id and text
	err     error
}

// within runs one transaction and tells of it.
func (a *app) within(ctx context.Context, do func(*work)) error {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := &work{app: a, tx: tx}
	do(w)
	if w.err != nil {
		return w.err
	}
	for _, c := range w.changed {
		a.told("try", c[0], c[1])
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	for _, c := range w.changed {
		a.told("ack", c[0], c[1])
	}
	return nil
}

func (w *work) exec(table, name, text, query string, args ...any) {
	if w.err != nil {
		return
	}
	if _, err := w.tx.Exec(query, args...); err != nil {
		w.err = fmt.Errorf("the application writes %s %q: %w", table, name, err)
	}
	w.changed = append(w.changed, [2]string{w.id(table, name), text})
}

// filler makes texts long enough that a transaction takes more than a page or two.
var filler = strings.Repeat(" and so on", 60)

func (w *work) insert(table, name, parent, text string) {
	id, partition := w.id(table, name), w.world+sources[table]
	const columns = `(id, _morango_source_id, _morango_partition, world, text, `
	if table == "tag" {
		w.exec(table, name, text, `INSERT INTO tag `+columns+`name) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET text = excluded.text`,
			id, source(name), partition, w.world, text+filler, name)
		return
	}
	var above any
	if parent != "" {
		above = w.id("folder", parent)
	}
	w.exec(table, name, text, `INSERT INTO `+table+` `+columns+`parent_id) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, source(name), partition, w.world, text+filler, above)
}

func (w *work) update(table, name, text string) {
	w.exec(table, name, text, `UPDATE `+table+` SET text = $1 WHERE id = $2`, text+filler, w.id(table, name))
}

func (w *work) move(name, parent, text string) {
	w.exec("folder", name, text, `UPDATE folder SET text = $1, parent_id = $2 WHERE id = $3`, text+filler, w.id("folder", parent), w.id("folder", name))
}

func (w *work) remove(table, name string) {
	w.exec(table, name, gone, `DELETE FROM `+table+` WHERE id = $1`, w.id(table, name))
}

func (w *work) erase(name string) {
	w.remove("item", name)
	if w.err == nil {
		_, w.err = w.tx.Exec(`INSERT INTO morango_harddeletedmodels (id, profile) VALUES ($1, 'crash') ON CONFLICT (id) DO NOTHING`, w.id("item", name))
	}
}

// begin writes what both sides begin with.
func (a *app) begin(ctx context.Context) error {
	return a.within(ctx, func(w *work) {
		for i := range 4 {
			parent := ""
			if i > 0 {
				parent = fmt.Sprint("base ", i-1)
			}
			w.insert("folder", fmt.Sprint("base ", i), parent, began)
		}
		for _, side := range []string{hub, tablet} {
			for n := range rounds {
				for _, use := range []string{"update", "delete", "erase"} {
					w.insert("item", fmt.Sprint(use, " ", side, " ", n), fmt.Sprint("base ", n%4), began)
				}
			}
		}
		for n := range rounds {
			w.insert("item", fmt.Sprint("both ", n), "base 0", began)
		}
	})
}

// rounds is how many rounds of edits there can be; the last is for after the crash.
const rounds = 5

// edit is a round of edits: rows of this side only, and rows that the other side edits
// in the same round.
func (a *app) edit(ctx context.Context, n int) error {
	mine := fmt.Sprint(a.side, " ", n)
	for _, do := range []func(*work){
		func(w *work) {
			w.insert("folder", mine, fmt.Sprint("base ", n%4), mine)
			for i := range 6 {
				w.insert("item", fmt.Sprint(mine, " ", i), mine, mine)
			}
		},
		func(w *work) {
			w.update("item", fmt.Sprint("update ", mine), mine)
			w.update("item", fmt.Sprint("both ", n), mine)
			w.insert("tag", fmt.Sprint("tag ", n), "", mine)
		},
		func(w *work) {
			w.remove("item", fmt.Sprint("delete ", mine))
			w.remove("item", fmt.Sprint(mine, " ", 5))
			w.erase(fmt.Sprint("erase ", mine))
		},
		func(w *work) { // what was made in the round before moves and comes back
			w.update("item", fmt.Sprint(mine, " ", 4), mine+" again")
			if n > 0 && n < rounds-1 {
				earlier := fmt.Sprint(a.side, " ", n-1)
				w.move(earlier, mine, mine)
				w.insert("item", fmt.Sprint("delete ", earlier), earlier, mine)
			}
		},
	} {
		if err := a.within(ctx, do); err != nil {
			return err
		}
	}
	return nil
}
