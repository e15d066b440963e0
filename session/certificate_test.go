package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/session"
)

var key = sync.OnceValue(func() cert.Key {
	key, err := cert.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

var profile = &model.Profile{Name: "facilitydata", Scopes: []model.ScopeDefinition{
	{ID: "full", Version: 1, PrimaryScopeParam: "dataset_id", ReadWriteTemplate: "${dataset_id}"},
}}

func scopes(ctx context.Context, tx *db.Tx) error { return session.SaveScopes(ctx, tx, profile) }

func root(t interface{ Fatal(...any) }, salt string) *cert.Certificate {
	def := profile.Scopes[0]
	def.Profile = profile.Name
	c, err := cert.NewRoot(def, key(), salt, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// child signs a certificate of the same key below parent. Only its salt sets it
// apart, so none of these tests has to wait for keys.
func child(t interface{ Fatal(...any) }, parent *cert.Certificate, salt string) *cert.Certificate {
	def := profile.Scopes[0]
	def.Profile = profile.Name
	c, err := parent.Issue(cert.Request{
		ParentID: parent.ID, Profile: profile.Name, ScopeDefinition: def.ID, ScopeVersion: 1,
		ScopeParams: parent.ScopeParams, PublicKey: key().Public().String(),
	}, salt, func(id string) (model.ScopeDefinition, bool) { return def, id == def.ID })
	if err != nil {
		t.Fatal(err)
	}
	c.PrivateKey = key().PEM()
	return c
}

func ids(list []*cert.Certificate) []string {
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestSaveChain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		top := root(t, "")
		middle := child(t, top, "1")
		last := child(t, middle, "2")
		public := func(c *cert.Certificate) *cert.Certificate { p := *c; p.PrivateKey = ""; return &p }
		chain := []*cert.Certificate{public(top), public(middle), last}
		save := func(chain []*cert.Certificate, want string) error {
			return d.Write(t.Context(), func(tx *db.Tx) error {
				_, _, err := session.SaveChain(t.Context(), tx, chain, want)
				return err
			})
		}
		if err := save(chain, last.ID); !errors.Is(err, cert.ErrUnknownScope) {
			t.Errorf("without scope definitions: %v", err)
		}
		write(t, d, scopes)
		for range 2 {
			if err := save(chain, last.ID); err != nil {
				t.Fatal(err)
			}
		}
		got := read(t, d, func(ctx context.Context, tx *db.Tx) ([]*cert.Certificate, error) {
			return session.Ancestors(ctx, tx, last.ID)
		})
		equal(t, "chain", got, chain)
		changed := *public(middle)
		changed.Serialized += " "
		if err := save([]*cert.Certificate{top, &changed}, ""); !errors.Is(err, cert.ErrChain) {
			t.Errorf("a kept certificate with other text: %v", err)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return session.SaveCertificate(ctx, tx, middle) })
		for name, list := range map[string]func(context.Context, *db.Tx) ([]*cert.Certificate, error){
			"owned": func(ctx context.Context, tx *db.Tx) ([]*cert.Certificate, error) { return session.Owned(ctx, tx, "") },
			"descendants": func(ctx context.Context, tx *db.Tx) ([]*cert.Certificate, error) {
				return session.DescendantsOwned(ctx, tx, top.ID, profile.Name)
			},
		} {
			equal(t, name, ids(read(t, d, list)), []string{middle.ID, last.ID})
		}
		none := read(t, d, func(ctx context.Context, tx *db.Tx) ([]*cert.Certificate, error) {
			return session.DescendantsOwned(ctx, tx, top.ID, "otherprofile")
		})
		equal(t, "of another profile", len(none), 0)
	})
}

func TestOrphanIsNotSaved(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, scopes)
		orphan := child(t, root(t, ""), "1")
		err := d.Write(t.Context(), func(tx *db.Tx) error { return session.SaveCertificate(t.Context(), tx, orphan) })
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("saved before its parent: %v", err)
		}
	})
}

// node is what Django knows of a certificate's place.
type node struct {
	id, parent               string
	left, right, tree, level int
}

func nodes(ctx context.Context, tx *db.Tx) ([]node, error) {
	rows, err := tx.Query(ctx, `SELECT id, parent_id, lft, rght, tree_id, level FROM morango_certificate`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []node
	for rows.Next() {
		var n node
		if err := rows.Scan((*db.ID)(&n.id), (*db.ID)(&n.parent), &n.left, &n.right, &n.tree, &n.level); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

// However certificates arrive, the nested sets say the same as the parents do.
func TestTreeColumns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, scopes)
		rapid.Check(t, func(rt *rapid.T) {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				if _, err := tx.Exec(t.Context(), `DELETE FROM morango_certificate`); err != nil {
					return err
				}
				n := rapid.IntRange(1, 12).Draw(rt, "certificates")
				for i := range n {
					// What is stored has been checked before, so these need no signatures.
					c := &cert.Certificate{ID: id(i + 1), Profile: profile.Name, ScopeDefinition: "full", Serialized: "{}"}
					if parent := rapid.IntRange(0, i).Draw(rt, "parent"); parent > 0 {
						c.ParentID = id(parent)
					}
					if err := session.SaveCertificate(t.Context(), tx, c); err != nil {
						return err
					}
				}
				list, err := nodes(t.Context(), tx)
				checkTree(rt, list, n)
				return err
			})
			if err != nil {
				rt.Fatal(err)
			}
		})
	})
}

func checkTree(t *rapid.T, list []node, want int) {
	if len(list) != want {
		t.Fatalf("%d certificates, want %d", len(list), want)
	}
	byID := map[string]node{}
	size := map[int]int{} // certificates in each tree
	for _, n := range list {
		byID[n.id] = n
		size[n.tree]++
	}
	bounds := map[[2]int]bool{}
	for _, n := range list {
		ancestors := map[string]bool{}
		for up := n.parent; up != ""; up = byID[up].parent {
			ancestors[up] = true
		}
		if n.level != len(ancestors) || (n.level == 0) != (n.left == 1 && n.right == 2*size[n.tree]) {
			t.Fatalf("%+v with %d ancestors in a tree of %d", n, len(ancestors), size[n.tree])
		}
		for _, m := range list {
			above := m.tree == n.tree && m.left < n.left && m.right > n.right
			if above != ancestors[m.id] {
				t.Fatalf("%+v above %+v: %v by bounds, %v by parents", m, n, above, ancestors[m.id])
			}
		}
		for _, at := range []int{n.left, n.right} {
			if bounds[[2]int{n.tree, at}] {
				t.Fatalf("bound %d of tree %d is used twice", at, n.tree)
			}
			bounds[[2]int{n.tree, at}] = true
		}
	}
}

func TestScopes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		p := &model.Profile{Name: "facilitydata", Scopes: []model.ScopeDefinition{
			{ID: "full", Profile: "facilitydata", Version: 1, PrimaryScopeParam: "dataset_id", Description: "all", ReadWriteTemplate: "${dataset_id}"},
			{ID: "some", Profile: "facilitydata", Version: 1, ReadTemplate: "r", WriteTemplate: "w"},
		}}
		save := func(ctx context.Context, tx *db.Tx) error { return session.SaveScopes(ctx, tx, p) }
		write(t, d, save)
		equal(t, "as saved", read(t, d, session.Scopes), p.Scopes)
		p.Scopes[0].Version, p.Scopes[0].ReadWriteTemplate = 2, "${dataset_id}:x"
		write(t, d, save)
		equal(t, "newer", read(t, d, session.Scopes), p.Scopes)
		newer := p.Scopes[0]
		p.Scopes[0].Version = 1
		write(t, d, save)
		equal(t, "an older version changes nothing", read(t, d, session.Scopes)[0], newer)
		p.Name = "otherprofile"
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return save(t.Context(), tx) }); err == nil {
			t.Error("a definition of another profile was overwritten")
		}
	})
}

func TestSharedKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		made := 0
		get := func() (text string) {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				shared, err := session.SharedKey(ctx, tx, func() (cert.Key, error) { made++; return key(), nil })
				text = shared.PEM()
				return err
			})
			return text
		}
		equal(t, "first", get(), key().PEM())
		equal(t, "second", get(), key().PEM())
		equal(t, "times made", made, 1)
		for public, want := range map[string]error{key().Public().String(): nil, "another": session.ErrNotFound} {
			_, err := try(t, d, func(ctx context.Context, tx *db.Tx) (cert.Key, error) {
				return session.FindSharedKey(ctx, tx, public)
			})
			if !errors.Is(err, want) {
				t.Errorf("key of %.10s: %v, want %v", public, err, want)
			}
		}
	})
}
