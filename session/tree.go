package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
)

// place is where a certificate stands in Django's nested sets: its descendants
// have bounds within its own, in the same tree.
type place struct{ left, right, tree, level int64 }

const insertCertificate = `INSERT INTO morango_certificate (` + certificateColumns + `, lft, rght, tree_id, level)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`

// SaveCertificate stores a certificate that has been checked, after its parent.
// A certificate that is here already is left as it is, but gets its private key
// when it had none; ErrExists when the one here is another. The tree columns that
// Django reads are kept right.
func SaveCertificate(ctx context.Context, tx *db.Tx, c *cert.Certificate) error {
	switch stored, err := Certificate(ctx, tx, c.ID); {
	case err == nil:
		return complete(ctx, tx, stored, c)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	at, err := newPlace(ctx, tx, c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, insertCertificate, c.ID, null(c.ParentID), c.Profile, c.ScopeDefinition, c.ScopeVersion,
		c.ScopeParams, c.PublicKey, c.Serialized, c.Signature, c.Salt, null(c.PrivateKey),
		at.left, at.right, at.tree, at.level)
	if err != nil {
		return fmt.Errorf("storing certificate %s: %w", c.ID, err)
	}
	return nil
}

// complete adds the private key to a certificate that is here without it.
func complete(ctx context.Context, tx *db.Tx, stored, c *cert.Certificate) error {
	if stored.Serialized != c.Serialized {
		return fmt.Errorf("certificate %s with other content: %w", c.ID, ErrExists)
	}
	if stored.Owned() || !c.Owned() {
		return nil
	}
	n, err := tx.Exec(ctx, `UPDATE morango_certificate SET private_key = $2 WHERE id = $1`, c.ID, c.PrivateKey)
	return affected(n, err, ErrNotFound, "certificate", c.ID)
}

// newPlace makes room for a new root, or for a last child of its parent.
func newPlace(ctx context.Context, tx *db.Tx, c *cert.Certificate) (place, error) {
	if c.ParentID == "" {
		var last int64
		row := tx.QueryRow(ctx, `SELECT COALESCE(MAX(tree_id), 0) FROM morango_certificate`)
		if err := row.Scan(&last); err != nil {
			return place{}, fmt.Errorf("storing certificate %s: its tree: %w", c.ID, err)
		}
		return place{left: 1, right: 2, tree: last + 1}, nil
	}
	parent, err := one(tx.QueryRow(ctx, `SELECT lft, rght, tree_id, level FROM morango_certificate WHERE id = $1`,
		c.ParentID), "parent certificate", c.ParentID, scanPlace)
	if err != nil {
		return place{}, err
	}
	for _, shift := range []string{
		`UPDATE morango_certificate SET rght = rght + 2 WHERE tree_id = $1 AND rght >= $2`,
		`UPDATE morango_certificate SET lft = lft + 2 WHERE tree_id = $1 AND lft > $2`,
	} {
		if _, err := tx.Exec(ctx, shift, parent.tree, parent.right); err != nil {
			return place{}, fmt.Errorf("storing certificate %s: making room below %s: %w", c.ID, c.ParentID, err)
		}
	}
	return place{parent.right, parent.right + 1, parent.tree, parent.level + 1}, nil
}

func scanPlace(row scanner) (place, error) {
	var p place
	err := row.Scan(&p.left, &p.right, &p.tree, &p.level)
	return p, err
}

// RebuildTrees gives every certificate its place in Django's nested sets anew, from the
// parents that they name, and returns how many changed it. A certificate whose parent
// is not here begins a tree of its own.
func RebuildTrees(ctx context.Context, tx *db.Tx) (changed int64, err error) {
	rows, err := tx.Query(ctx, `SELECT id, parent_id, lft, rght, tree_id, level FROM morango_certificate ORDER BY tree_id, lft, id`)
	list, err := all(rows, err, "the tree of certificates", func(row scanner) (w planted, err error) {
		err = row.Scan((*db.ID)(&w.id), (*db.ID)(&w.parent), &w.old.left, &w.old.right, &w.old.tree, &w.old.level)
		return w, err
	})
	if err != nil {
		return 0, err
	}
	known, children := map[string]bool{}, map[string][]int{}
	for _, w := range list {
		known[w.id] = true
	}
	for i, w := range list {
		if !known[w.parent] {
			w.parent = ""
		}
		children[w.parent] = append(children[w.parent], i)
	}
	trees := int64(0)
	for _, root := range children[""] {
		trees++
		plant(list, children, root, place{left: 1, tree: trees})
	}
	for _, w := range list {
		if w.fresh == w.old || w.fresh.tree == 0 { // in a circle: nothing is right for it
			continue
		}
		if _, err := tx.Exec(ctx, `UPDATE morango_certificate SET lft = $2, rght = $3, tree_id = $4, level = $5 WHERE id = $1`,
			w.id, w.fresh.left, w.fresh.right, w.fresh.tree, w.fresh.level); err != nil {
			return 0, fmt.Errorf("place certificate %s: %w", w.id, err)
		}
		changed++
	}
	return changed, nil
}

// planted is a certificate with its place as it stands, and as it should be.
type planted struct {
	id, parent string
	old, fresh place
}

// plant gives the certificate at an index, and all below it, their places, and returns
// the first number that is free after them.
func plant(list []planted, children map[string][]int, at int, p place) (next int64) {
	next = p.left + 1
	for _, child := range children[list[at].id] {
		next = plant(list, children, child, place{left: next, tree: p.tree, level: p.level + 1})
	}
	p.right = next
	list[at].fresh = p
	return next + 1
}
