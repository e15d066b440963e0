package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/session"
)

const certificatesAtOnce = 200

// certificates checks every certificate with its parent, the keys that are here, and
// the columns by which Django finds ancestors and descendants.
func (c *check) certificates(ctx context.Context) error {
	defs, err := session.Definitions(ctx, c.tx)
	if err != nil {
		return err
	}
	for after := ""; ; {
		page, err := session.CertificatePage(ctx, c.tx, after, certificatesAtOnce)
		if err != nil {
			return err
		}
		for _, one := range page {
			c.report.Checked.Certificates++
			if err := c.certificate(ctx, one, defs); err != nil {
				return err
			}
		}
		if len(page) < certificatesAtOnce {
			break
		}
		after = page[len(page)-1].ID
	}
	return c.tree(ctx)
}

func (c *check) certificate(ctx context.Context, one *cert.Certificate, defs cert.Definitions) error {
	var parent *cert.Certificate
	if one.ParentID != "" {
		var err error
		parent, err = session.Certificate(ctx, c.tx, one.ParentID)
		if errors.Is(err, session.ErrNotFound) {
			c.find(Certificate, one.ID, "", "its parent %s is not here", one.ParentID)
			return nil
		}
		if err != nil {
			return err
		}
	}
	if err := one.Check(parent, defs); err != nil {
		var wrong *cert.Error
		if !errors.As(err, &wrong) {
			wrong = &cert.Error{Message: err.Error()}
		}
		c.find(Certificate, one.ID, "", "%s", wrong.Message)
	}
	if !one.Owned() {
		return nil
	}
	key, err := cert.ParsePrivate(one.PrivateKey)
	if err != nil {
		c.find(CertificateKey, one.ID, "", "its private key cannot be read")
	} else if public, err := cert.ParsePublic(one.PublicKey); err != nil || public.String() != key.Public().String() {
		c.find(CertificateKey, one.ID, "", "its private key belongs to another public key")
	}
	return nil
}

// node is a certificate's place in Django's nested sets.
type node struct {
	id, parent         string
	left, right, level int64
	tree               int64
}

const treePlaces = `SELECT id, parent_id, lft, rght, tree_id, level FROM morango_certificate ORDER BY tree_id, lft, id`

// tree walks over the nested sets in their own order, in which a certificate comes
// right after its parent or after what lies below an elder sibling.
func (c *check) tree(ctx context.Context) error {
	var above []node // the certificates within whose bounds the walk is
	var last node
	return c.each(ctx, "the tree of certificates", treePlaces, nil, func(row scanner) error {
		var n node
		if err := row.Scan((*db.ID)(&n.id), (*db.ID)(&n.parent), &n.left, &n.right, &n.tree, &n.level); err != nil {
			return err
		}
		for len(above) > 0 && (above[len(above)-1].tree != n.tree || above[len(above)-1].right < n.left) {
			above = above[:len(above)-1]
		}
		if problem := n.problem(last, above); problem != "" {
			c.find(CertificateTree, n.id, "", "%s", problem)
		}
		above, last = append(above, n), n
		return nil
	})
}

// problem says what is wrong with a place, "" when nothing is.
func (n node) problem(last node, above []node) string {
	switch {
	case n.right <= n.left:
		return fmt.Sprintf("its bounds are %d and %d", n.left, n.right)
	case last.tree == n.tree && last.left == n.left:
		return fmt.Sprintf("it begins at %d, as %s does", n.left, last.id)
	case n.level != int64(len(above)):
		return fmt.Sprintf("its level is %d, and %d certificates are above it", n.level, len(above))
	case len(above) == 0 && n.parent == "":
		return ""
	case len(above) == 0 || above[len(above)-1].id != n.parent:
		return "it does not lie within its parent's bounds"
	case above[len(above)-1].right <= n.right:
		return "it reaches out of its parent's bounds"
	}
	return ""
}
