package simtest

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/session"
)

// Folder, Item, Note and Tag are what the peers sync: a tree, things in it and notes on
// them, of which some are private to a user, and tags that two peers can both invent.
type Folder struct {
	model.Row `morango:"folder; source=random; partition=${world}:all"`
	World     string  `morango:"world; type=uuid"`
	Parent    *string `morango:"parent_id; references=folder"`
	Text      string  `morango:"text"`
}

type Item struct {
	model.Row `morango:"item; source=random; partition=${world}:user:${owner}; partition-when-null=owner:${world}:all"`
	World     string  `morango:"world; type=uuid"`
	Owner     *string `morango:"owner"`
	Parent    *string `morango:"parent_id; references=folder"`
	Text      string  `morango:"text"`
	Changed   int64   `morango:"changed; type=bigint"`
}

type Note struct {
	model.Row `morango:"note; source=random; partition=${world}:user:${owner}; partition-when-null=owner:${world}:all"`
	World     string  `morango:"world; type=uuid"`
	Owner     *string `morango:"owner"`
	Parent    *string `morango:"parent_id; references=item"`
	Text      string  `morango:"text"`
	Changed   int64   `morango:"changed; type=bigint"`
}

type Tag struct {
	model.Row `morango:"tag; source=column:name; partition=${world}:all"`
	World     string `morango:"world; type=uuid"`
	Name      string `morango:"name"`
	Text      string `morango:"text"`
}

// keyFiles holds a key for each peer, made once, because making one is slow.
//
//go:embed testdata/keys
var keyFiles embed.FS

// lab makes the databases with which histories begin. Each kind of peer is made once
// and then copied.
type lab struct {
	dir     string   // in memory where the machine has such a place
	planted []string // see planted
	profile *morango.Profile
	ruled   *morango.Profile // the same with merge rules
	root    *cert.Certificate

	mu   sync.Mutex
	made map[string]*template
}

type template struct {
	once sync.Once
	file string
	err  error
}

func newLab(t testing.TB, planted ...string) *lab {
	t.Helper()
	place := "/dev/shm"
	if info, err := os.Stat(place); err != nil || !info.IsDir() {
		place = ""
	}
	dir, err := os.MkdirTemp(place, "simtest") //nolint:usetesting // in memory, where there is some
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &lab{dir: dir, planted: planted, made: map[string]*template{}}
	for _, p := range []**morango.Profile{&l.profile, &l.ruled} {
		*p, err = model.FromStructs("things", []model.ScopeDefinition{
			{ID: "world", Version: 1, PrimaryScopeParam: "world", ReadWriteTemplate: "${world}"},
			{ID: "user", Version: 1, ReadTemplate: "${world}:all", ReadWriteTemplate: "${world}:user:${user}"},
		}, Folder{}, Item{}, Note{}, Tag{})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, rule := range map[string]model.MergeRule{"item": {Kind: model.MergeFields, By: "changed"},
		"note": {Kind: model.MergeNewest, By: "changed"}, "tag": {Kind: model.MergeCustom}} {
		m, _ := l.ruled.Model(name)
		m.Merge = rule
	}
	scope, _ := l.profile.Scope("world")
	key, err := keyOf(0)
	if err == nil {
		l.root, err = cert.NewRoot(scope, key, "", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func keyOf(index int) (cert.Key, error) {
	text, err := keyFiles.ReadFile(fmt.Sprintf("testdata/keys/peer%d.pem", index))
	if err != nil {
		return cert.Key{}, err
	}
	return cert.ParsePrivate(string(text))
}

// certificate is that of a peer: the root, a copy of its scope, or one user's.
func (l *lab) certificate(index int, user string) (*cert.Certificate, error) {
	if index == 0 {
		return l.root, nil
	}
	key, err := keyOf(index)
	if err != nil {
		return nil, err
	}
	r := cert.Request{ParentID: l.root.ID, Profile: l.profile.Name, ScopeDefinition: "world", ScopeVersion: 1,
		ScopeParams: cert.Params(map[string]string{"world": l.root.ID}), PublicKey: key.Public().String()}
	if user != "" {
		r.ScopeDefinition = "user"
		r.ScopeParams = cert.Params(map[string]string{"world": l.root.ID, "user": user})
	}
	c, err := l.root.Issue(r, fmt.Sprintf("%032x", index), l.profile.Scope)
	if err == nil {
		c.PrivateKey = key.PEM()
	}
	return c, err
}

// place puts a fresh database for a peer at file.
func (l *lab) place(file string, index int, user string) error {
	kind := fmt.Sprintf("%d%s", index, user)
	l.mu.Lock()
	made := l.made[kind]
	if made == nil {
		made = &template{file: filepath.Join(l.dir, kind+".db")}
		l.made[kind] = made
	}
	l.mu.Unlock()
	made.once.Do(func() { made.err = l.make(made.file, index, user) })
	if made.err != nil {
		return made.err
	}
	content, err := os.ReadFile(made.file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

func (l *lab) make(file string, index int, user string) error {
	ctx := context.Background()
	quiet := slog.New(slog.DiscardHandler)
	if err := smallPages(file); err != nil {
		return err
	}
	node, err := morango.Open(ctx, file, l.profile, morango.Config{Create: true, Logger: quiet})
	if err != nil {
		return err
	}
	if err := node.Close(); err != nil {
		return err
	}
	own, err := l.certificate(index, user)
	if err != nil {
		return err
	}
	d, err := db.Open(ctx, file, db.Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Write(ctx, func(tx *db.Tx) error {
		if index > 0 {
			root := *l.root
			root.PrivateKey = ""
			if err := session.SaveCertificate(ctx, tx, &root); err != nil {
				return err
			}
		}
		for _, query := range slices.Concat(logging(), triggers(l.planted)) {
			if _, err := tx.Exec(ctx, query); err != nil {
				return err
			}
		}
		return session.SaveCertificate(ctx, tx, own)
	})
}

// smallPages begins a database with pages that suit a few small rows.
func smallPages(file string) error {
	empty, err := sql.Open("sqlite", "file://"+filepath.ToSlash(file)+"?_pragma=page_size(2048)")
	if err == nil {
		_, err = empty.Exec(`VACUUM`)
	}
	return errors.Join(err, empty.Close())
}

// longer is a merge rule of an application's own: the longer text stays, of two of the
// same length the greater. The other is kept as a copy.
func longer(a, b string) (merged string, lost bool, err error) {
	if len(a) > len(b) || len(a) == len(b) && a > b {
		return a, true, nil
	}
	return b, true, nil
}
