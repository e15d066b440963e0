package simtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/morango-go/morango/ident"
)

// row is a row of an application's table. Tags have a name, the others may have a
// parent and, but folders, an owner.
type row struct {
	table, id, source, partition string
	owner, parent                any
	name, text                   string
}

// children are the tables whose parent_id leads to a table.
var children = map[string][]string{"folder": {"folder", "item"}, "item": {"note"}}

// act is the application's work: one transaction with a few changes.
func (p *peer) act(r *rand.Rand) error {
	tx, err := p.app.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var noted []func()
	for range 1 + r.IntN(6) {
		changes, err := p.change(tx, r)
		if err != nil {
			return err
		}
		noted = append(noted, changes...)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("the application's commit: %w", err)
	}
	for _, f := range noted {
		f()
	}
	return nil
}

// change makes one change, and returns what to do when it is committed.
func (p *peer) change(tx *sql.Tx, r *rand.Rand) ([]func(), error) {
	switch n := r.IntN(100); {
	case n < 40:
		return p.insert(tx, p.invent(tx, r))
	case n < 62:
		return p.retext(tx, r)
	case n < 75:
		return p.move(tx, r)
	case n < 88:
		return p.remove(tx, r, false)
	case n < 91:
		return p.remove(tx, r, true)
	default:
		return p.revive(tx, r)
	}
}

// invent makes up a row that the peer may write.
func (p *peer) invent(tx *sql.Tx, r *rand.Rand) row {
	w := row{table: []string{"folder", "folder", "item", "item", "note", "tag"}[r.IntN(6)]}
	if p.user != "" {
		w.table = []string{"item", "note"}[r.IntN(2)]
		w.owner = p.user
	} else if w.table == "item" && r.IntN(2) == 0 {
		w.owner = users[r.IntN(len(users))]
	}
	source := fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
	switch w.table {
	case "folder":
		w.parent = p.pick(tx, r, "folder", "TRUE")
	case "item":
		w.parent = p.pick(tx, r, "folder", "TRUE")
	case "note":
		// A note is read by whoever reads its item.
		w.parent = p.pick(tx, r, "item", p.own())
		if w.parent != nil {
			w.owner = p.ownerOf(tx, w.parent)
		}
	case "tag":
		w.name = []string{"red", "green", "blue"}[r.IntN(3)]
		source = w.name
	}
	p.identify(&w, source)
	return w
}

// own is the condition that a row with an owner is the peer's to write.
func (p *peer) own() string {
	if p.user == "" {
		return "TRUE"
	}
	return "owner = '" + p.user + "'"
}

// identify gives a row its ids.
func (p *peer) identify(w *row, source string) {
	world := p.w.lab.root.ID
	w.source, w.partition = source, world+":all"
	if w.owner != nil {
		w.partition = world + ":user:" + w.owner.(string)
	}
	w.id = ident.Record(w.partition, w.source, w.table)
}

// pick returns the id of some row, nil when there is none or, one time in six, anyway.
func (p *peer) pick(tx *sql.Tx, r *rand.Rand, table, condition string) any {
	skip := r.IntN(1 << 30)
	if r.IntN(6) == 0 && table == "folder" {
		return nil
	}
	var n int
	var id string
	if err := tx.QueryRow(`SELECT COUNT(*) FROM ` + table + ` WHERE ` + condition).Scan(&n); err != nil || n == 0 {
		return nil
	}
	err := tx.QueryRow(`SELECT id FROM `+table+` WHERE `+condition+` ORDER BY id LIMIT 1 OFFSET ?`, skip%n).Scan(&id)
	if err != nil {
		return nil
	}
	return id
}

func (p *peer) ownerOf(tx *sql.Tx, id any) any {
	var owner *string
	if tx.QueryRow(`SELECT owner FROM item WHERE id = ?`, id).Scan(&owner) != nil || owner == nil {
		return nil
	}
	return *owner
}

func (p *peer) exists(tx *sql.Tx, table string, id any) bool {
	var n int
	return tx.QueryRow(`SELECT COUNT(*) FROM `+table+` WHERE id = ?`, id).Scan(&n) == nil && n > 0
}

// insert adds a row, or changes the tag that is there.
func (p *peer) insert(tx *sql.Tx, w row) ([]func(), error) {
	if w.table == "note" && w.parent == nil {
		return nil, nil
	}
	w.text = p.w.marker()
	if p.exists(tx, w.table, w.id) {
		return p.update(tx, w, `text = ?`, w.text)
	}
	world := p.w.lab.root.ID
	columns := `INSERT INTO ` + w.table + ` (id, _morango_source_id, _morango_partition, world, text`
	switch w.table {
	case "tag":
		return p.write(tx, w, columns+`, name) VALUES (?, ?, ?, ?, ?, ?)`, w.id, w.source, w.partition, world, w.text, w.name)
	case "folder":
		return p.write(tx, w, columns+`, parent_id) VALUES (?, ?, ?, ?, ?, ?)`, w.id, w.source, w.partition, world, w.text, w.parent)
	default:
		return p.write(tx, w, columns+`, parent_id, owner, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			w.id, w.source, w.partition, world, w.text, w.parent, w.owner, p.moment())
	}
}

func (p *peer) write(tx *sql.Tx, w row, query string, args ...any) ([]func(), error) {
	if _, err := tx.Exec(query, args...); err != nil {
		return nil, fmt.Errorf("the application writes %s %s: %w", w.table, w.id, err)
	}
	return []func(){func() {
		p.w.note("    %s %.8s = %s, under %.8v", w.table, w.id, w.text, w.parent)
		p.mirror.expect(w.id, w.text)
	}}, nil
}

// update changes columns of a row, and when that was.
func (p *peer) update(tx *sql.Tx, w row, set string, args ...any) ([]func(), error) {
	if w.table == "item" || w.table == "note" {
		set, args = set+`, changed = ?`, append(args, p.moment())
	}
	return p.write(tx, w, `UPDATE `+w.table+` SET `+set+` WHERE id = ?`, append(args, w.id)...)
}

// moment is what the peer's clock says. It may say the same for a while.
func (p *peer) moment() int64 { return p.w.now.Add(p.ahead).Unix() / 1000 }

// some returns a row that is there and that the peer may write.
func (p *peer) some(tx *sql.Tx, r *rand.Rand, tables ...string) (w row, ok bool) {
	w.table = tables[r.IntN(len(tables))]
	condition := "TRUE"
	if p.user != "" {
		if w.table != "item" && w.table != "note" {
			return w, false
		}
		condition = p.own()
	}
	id := p.pick(tx, r, w.table, condition)
	if id == nil {
		return w, false
	}
	w.id = id.(string)
	return w, true
}

// retext gives some row a new text.
func (p *peer) retext(tx *sql.Tx, r *rand.Rand) ([]func(), error) {
	w, ok := p.some(tx, r, "folder", "item", "note", "tag")
	if !ok {
		return nil, nil
	}
	w.text = p.w.marker()
	return p.update(tx, w, `text = ?`, w.text)
}

// move puts some folder or item elsewhere in the tree, but not below itself.
func (p *peer) move(tx *sql.Tx, r *rand.Rand) ([]func(), error) {
	w, ok := p.some(tx, r, "folder", "item")
	if !ok {
		return nil, nil
	}
	w.parent = p.pick(tx, r, "folder", "TRUE")
	for at, depth := w.parent, 0; w.table == "folder" && at != nil; depth++ {
		if at == w.id || depth > 100 {
			return nil, nil
		}
		var above *string
		if err := tx.QueryRow(`SELECT parent_id FROM folder WHERE id = ?`, at).Scan(&above); err != nil {
			return nil, err
		}
		if at = nil; above != nil {
			at = *above
		}
	}
	w.text = p.w.marker()
	return p.update(tx, w, `parent_id = ?, text = ?`, w.parent, w.text)
}

// remove deletes some row with all below it.
func (p *peer) remove(tx *sql.Tx, r *rand.Rand, hard bool) ([]func(), error) {
	w, ok := p.some(tx, r, "folder", "item", "note", "tag", "item", "note")
	if !ok {
		return nil, nil
	}
	var gone []row
	if err := p.removeAll(tx, w.table, w.id, map[string]bool{}, &gone); err != nil {
		return nil, err
	}
	for _, g := range gone {
		if hard {
			if _, err := tx.Exec(`INSERT OR REPLACE INTO morango_harddeletedmodels (id, profile) VALUES (?, 'things')`, g.id); err != nil {
				return nil, err
			}
		}
	}
	return []func(){func() {
		for _, g := range gone {
			p.w.note("    %s %.8s deleted, hard %v", g.table, g.id, hard)
			p.mirror.expect(g.id, "")
		}
		p.grave = append(p.grave, gone...)
	}}, nil
}

func (p *peer) removeAll(tx *sql.Tx, table, id string, path map[string]bool, gone *[]row) error {
	if path[id] {
		return nil // a circle, made by two who moved at once
	}
	path[id] = true
	for _, child := range children[table] {
		below, err := texts(tx, `SELECT id FROM `+child+` WHERE parent_id = ? ORDER BY id`, id)
		if err != nil {
			return err
		}
		for _, one := range below {
			if err := p.removeAll(tx, child, one, path, gone); err != nil {
				return err
			}
		}
	}
	w, err := load(tx, table, id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = tx.Exec(`DELETE FROM `+table+` WHERE id = ?`, id)
	}
	*gone = append(*gone, w)
	return err
}

func load(tx *sql.Tx, table, id string) (row, error) {
	w := row{table: table, id: id}
	var owner, parent *string
	query := `SELECT _morango_source_id, _morango_partition, text, ` + map[string]string{
		"folder": "NULL, parent_id, ''", "item": "owner, parent_id, ''", "note": "owner, parent_id, ''", "tag": "NULL, NULL, name",
	}[table] + ` FROM ` + table + ` WHERE id = ?`
	err := tx.QueryRow(query, id).Scan(&w.source, &w.partition, &w.text, &owner, &parent, &w.name)
	if owner != nil {
		w.owner = *owner
	}
	if parent != nil {
		w.parent = *parent
	}
	return w, err
}

// revive brings a deleted row back, where what it refers to is still there.
func (p *peer) revive(tx *sql.Tx, r *rand.Rand) ([]func(), error) {
	if len(p.grave) == 0 {
		return nil, nil
	}
	w := p.grave[r.IntN(len(p.grave))]
	above := map[string]string{"folder": "folder", "item": "folder", "note": "item"}[w.table]
	if p.exists(tx, w.table, w.id) || w.parent != nil && !p.exists(tx, above, w.parent) {
		return nil, nil
	}
	return p.insert(tx, w)
}

func texts(tx *sql.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.QueryContext(context.Background(), query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// unquoted is a text that a history can show on one line.
func unquoted(text string) string { return strings.ReplaceAll(text, "\n", "|") }
