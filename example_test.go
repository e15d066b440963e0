package morango_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/server"
)

// Note is what the example syncs. Its profile comes from the tags.
type Note struct {
	model.Row `morango:"note; source=random; partition=${owner}"`
	Owner     string `morango:"owner; type=uuid"`
	Text      string `morango:"text; length=200"`
	Pinned    bool   `morango:"pinned; default=false"`
}

// anyone lets whoever knows the password have a certificate.
type anyone struct{}

func (anyone) Authenticate(_ context.Context, _ map[string]string, password string) (server.User, error) {
	if password != "secret" {
		return nil, server.ErrCredentials
	}
	return anyone{}, nil
}

func (anyone) MayCertify(string, map[string]any) bool { return true }

// A row written on one peer appears in the other peer's table.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example")
	check(err)
	defer os.RemoveAll(folder)
	profile, err := model.FromStructs("notes", []model.ScopeDefinition{
		{ID: "everything", Version: 1, PrimaryScopeParam: "owner", ReadWriteTemplate: "${owner}"},
	}, Note{})
	check(err)

	// One peer creates a root certificate, writes a row with plain SQL, and serves.
	hubFile := filepath.Join(folder, "hub.db")
	hub, err := morango.Open(ctx, hubFile, profile, morango.Config{Create: true})
	check(err)
	defer hub.Close()
	root, err := hub.CreateRoot(ctx, "everything", nil)
	check(err)
	write(hubFile, profile, root.ID, "Bring the tablets on Monday")
	handler, err := hub.Handler(morango.ServerOptions{Users: anyone{}})
	check(err)
	srv := httptest.NewServer(handler)
	defer srv.Close()

	// The other joins it and syncs.
	tabletFile := filepath.Join(folder, "tablet.db")
	tablet, err := morango.Open(ctx, tabletFile, profile, morango.Config{Create: true})
	check(err)
	defer tablet.Close()
	_, err = tablet.Join(ctx, srv.URL, morango.JoinOptions{User: "teacher", Password: "secret"})
	check(err)
	summary, err := tablet.Sync(ctx, srv.URL, morango.SyncOptions{})
	check(err)

	fmt.Println(summary.Pull.Records, "record pulled:", read(tabletFile))
	// Output: 1 record pulled: Bring the tablets on Monday
}

func write(file string, profile *morango.Profile, owner, text string) {
	note, _ := profile.Model("note")
	id, err := morango.NewRecordID(note, map[string]string{"owner": owner})
	check(err)
	db, err := sql.Open("sqlite", file)
	check(err)
	defer db.Close()
	_, err = db.Exec(`INSERT INTO note (id, _morango_source_id, _morango_partition, owner, text, pinned) VALUES (?, ?, ?, ?, ?, 0)`,
		id.ID, id.SourceID, id.Partition, owner, text)
	check(err)
}

func read(file string) (text string) {
	db, err := sql.Open("sqlite", file)
	check(err)
	defer db.Close()
	check(db.QueryRow(`SELECT text FROM note`).Scan(&text))
	return text
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
