package morango_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/verify"
)

// hubs are peers on empty databases of each engine and layout. The application's tables
// of one in Django's layout are written by syncs only.
func hubs(t *testing.T) map[string]*peer {
	t.Helper()
	all := map[string]*peer{"sqlite-lean": newPeer(t, "lean"), "sqlite-django": newPeer(t, "django", inDjangos)}
	for name, change := range map[string]func(*morango.Profile, *morango.Config){
		"postgres-lean": func(*morango.Profile, *morango.Config) {}, "postgres-django": inDjangos,
	} {
		p := &peer{t: t, profile: testProfile(t)}
		config := morango.Config{Create: true, Logger: slog.New(slog.DiscardHandler)}
		change(p.profile, &config)
		target := dbtest.PostgresEmptyURL(t)
		var err error
		p.Node, err = morango.Open(t.Context(), target, p.profile, config)
		must(t, err)
		t.Cleanup(func() { must(t, p.Close()) })
		p.app, err = sql.Open("pgx", target)
		must(t, err)
		t.Cleanup(func() { must(t, p.app.Close()) })
		all[name] = p
	}
	return all
}

func inDjangos(p *morango.Profile, c *morango.Config) {
	p.Capture, c.Layout = model.CaptureApplication, db.LayoutDjango
}

// A record that is lost or changed by hand on a hub is found by what is compared after the
// syncs that follow, by its name: by the digests that are kept of partitions in the first
// of them; where none are kept, when its turn comes. Syncs before find nothing.
func TestSyncFindsWhatTheHubLost(t *testing.T) {
	for name, hub := range hubs(t) {
		t.Run(name, func(t *testing.T) {
			root, err := hub.CreateRoot(t.Context(), "world", nil)
			must(t, err)
			url := hub.serve()
			tablet := newPeer(t, "tablet")
			tablet.join(url, "world", nil, root.ID)
			top := tablet.folder("top", nil)
			tablet.do(`BEGIN`)
			for i := range 900 {
				tablet.item(fmt.Sprintf("item %03d", i), top, fmt.Sprintf("owner%d", i%20))
			}
			tablet.do(`COMMIT`)
			for range 3 {
				if s := tablet.syncWhole(url); s.Doubtful() || s.Compared == nil || s.Compared.Questions != 1 {
					t.Fatalf("nothing is wrong: %+v", s.Compared)
				}
			}
			if report, err := hub.Verify(t.Context(), morango.VerifyOptions{}); err != nil || report.Of(verify.PartitionDigest).Count > 0 {
				t.Errorf("%+v, %v", report, err)
			}
			lean := strings.HasSuffix(name, "lean")
			lost, changed := tablet.itemOf("item 123"), tablet.itemOf("item 777")
			hub.doAll(`DELETE FROM morango_recordmaxcounter WHERE store_model_id = '`+lost+`'`, `DELETE FROM morango_store WHERE id = '`+lost+`'`,
				`UPDATE morango_store SET serialized = replace(serialized, 'item 777', 'item') WHERE id = '`+changed+`'`)
			if lean { // two partitions' digests are not those of the records any more
				report, err := hub.Verify(t.Context(), morango.VerifyOptions{})
				if err != nil || report.Of(verify.PartitionDigest).Count != 2 {
					t.Errorf("%+v, %v", report, err)
				}
				mended, err := hub.Repair(t.Context(), morango.RepairOptions{})
				if err != nil || mended.Left.Of(verify.PartitionDigest).Count > 0 {
					t.Errorf("%+v, %v", mended, err)
				}
			}
			found := map[string]verify.Verdict{}
			for i := 0; i < 100 && (found[lost] == "" || found[changed] == ""); i++ {
				s := tablet.syncWhole(url)
				for _, d := range s.Compared.Differences {
					found[d.ID] = d.Verdict
				}
				if lean && i == 0 && (s.Compared.Lost != 1 || s.Compared.Damaged != 1) {
					t.Errorf("the first sync finds %+v", s.Compared)
				}
			}
			if len(found) != 2 || found[lost] != verify.LostThere || found[changed] != verify.Damage {
				t.Errorf("found %v, want %s and %s", found, lost, changed)
			}
		})
	}
}

// syncWhole syncs in chunks of the usual size.
func (p *peer) syncWhole(url string) morango.Summary {
	p.t.Helper()
	s, err := p.Sync(p.t.Context(), url, morango.SyncOptions{})
	must(p.t, err)
	return s
}

func (p *peer) itemOf(text string) (id string) {
	p.t.Helper()
	must(p.t, p.app.QueryRowContext(p.t.Context(), `SELECT id FROM item WHERE text = $1`, text).Scan(&id))
	return id
}

// doAll runs statements of one who does damage by hand in one transaction.
func (p *peer) doAll(queries ...string) {
	p.t.Helper()
	tx, err := p.app.BeginTx(p.t.Context(), nil)
	must(p.t, err)
	for _, query := range queries {
		_, err = tx.ExecContext(p.t.Context(), query)
		must(p.t, err)
	}
	must(p.t, tx.Commit())
}
