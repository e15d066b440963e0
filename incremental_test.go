package morango_test

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/wire"
)

// The rows with which a sync is measured: some that syncs made, and many times as many
// copies of them, the same on both sides.
const (
	originals = 400
	copies    = 99
)

// multiply makes copies of all rows of one kind, in five partitions for each. A copy's id is
// that of no content, which matters as long as it does not travel.
var multiply = []string{
	`SELECT set_config('morango.applying', 'on', TRUE)`,
	`ALTER TABLE morango_store SET (autovacuum_enabled = FALSE)`,
	`ALTER TABLE morango_recordmaxcounter SET (autovacuum_enabled = FALSE)`,
	`ALTER TABLE item SET (autovacuum_enabled = FALSE)`,
	`INSERT INTO item (id, _morango_source_id, _morango_partition, _morango_dirty_bit, world, folder_id, owner, text)
		SELECT md5(id::text || n)::uuid, _morango_source_id, _morango_partition || ':' || n * 5 + get_byte(uuid_send(id), 0) % 5, FALSE, world, folder_id, owner, text
		FROM item CROSS JOIN generate_series(1, $1) n`,
	`INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter)
		SELECT md5(r.store_model_id::text || n)::uuid, r.instance_id, r.counter
		FROM morango_recordmaxcounter r JOIN morango_store s ON s.id = r.store_model_id CROSS JOIN generate_series(1, $1) n
		WHERE s.model_name = 'item'`,
	`INSERT INTO morango_store (id, profile, model_name, partition, source_id, last_saved_instance, last_saved_counter,
			deleted, hard_deleted, dirty_bit, _self_ref_fk, deserialization_error, serialized, conflicting_serialized_data)
		SELECT md5(id::text || n)::uuid, profile, model_name, partition || ':' || n * 5 + get_byte(uuid_send(id), 0) % 5, source_id, last_saved_instance, last_saved_counter,
			FALSE, FALSE, FALSE, _self_ref_fk, '', serialized, ''
		FROM morango_store CROSS JOIN generate_series(1, $1) n WHERE model_name = 'item'`,
	`INSERT INTO morango_digest (partition) SELECT DISTINCT partition FROM morango_store ON CONFLICT DO NOTHING`,
}

// measured is a peer on PostgreSQL whose work is counted by the server.
type measured struct {
	*peer
	target string
}

func (m *measured) open(create bool) {
	m.t.Helper()
	var err error
	m.Node, err = morango.Open(m.t.Context(), m.target, m.profile, morango.Config{Create: create, Logger: slog.New(slog.DiscardHandler)})
	must(m.t, err)
}

// work is what was read of and written to tables that grow with the records.
type work struct{ read, written int64 }

// worked says what has been done since the database was made. Nobody may have it open.
func (m *measured) worked(ctx context.Context) (w work) {
	m.t.Helper()
	for others := 1; others > 0; {
		must(m.t, m.app.QueryRowContext(ctx, `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&others))
	}
	must(m.t, m.app.QueryRowContext(ctx, `SELECT
			COALESCE(SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)), 0), COALESCE(SUM(n_tup_ins + n_tup_upd + n_tup_del), 0)
		FROM pg_stat_user_tables WHERE relname IN ('morango_store', 'morango_recordmaxcounter', 'morango_buffer',
			'morango_recordmaxcounterbuffer', 'morango_databasemaxcounter', 'morango_digest', 'morango_digest_total',
			'morango_compared', 'morango_instanceidmodel', 'item', 'folder')`).Scan(&w.read, &w.written))
	return w
}

// unsummed is of how many partitions the digests have to be computed.
func (m *measured) unsummed() (n int) {
	m.t.Helper()
	must(m.t, m.app.QueryRowContext(m.t.Context(), `SELECT COUNT(*) FROM morango_digest WHERE records IS NULL`).Scan(&n))
	return n
}

// syncMeasured syncs two peers that nobody has open, and returns what each of them did.
func syncMeasured(t *testing.T, hub, tablet *measured, hide ...wire.Capability) (s morango.Summary, did [2]work) {
	t.Helper()
	before := [2]work{hub.worked(t.Context()), tablet.worked(t.Context())}
	for _, m := range []*measured{hub, tablet} {
		m.open(false)
	}
	handler, err := hub.Handler(morango.ServerOptions{Users: anyone{}, Hide: hide})
	must(t, err)
	server := httptest.NewServer(handler)
	s, err = tablet.Sync(t.Context(), server.URL, morango.SyncOptions{})
	server.Close()
	must(t, err)
	for i, m := range []*measured{hub, tablet} {
		must(t, m.Close())
		after := m.worked(t.Context())
		did[i] = work{after.read - before[i].read, after.written - before[i].written}
	}
	return s, did
}

// TestIncremental holds that a sync reads about as much as has changed, and the little
// that is compared each time, and that without changes it writes nothing. A peer of two
// that hold 40,000 records each counts what its database does.
func TestIncremental(t *testing.T) {
	hub, tablet := newMeasured(t), newMeasured(t)
	hub.open(true)
	tablet.open(true)
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	hub.world = root.ID
	handler, err := hub.Handler(morango.ServerOptions{Users: anyone{}})
	must(t, err)
	server := httptest.NewServer(handler)
	tablet.join(server.URL, "", nil, root.ID)
	folder := hub.id("folder", map[string]string{"world": root.ID})
	hub.do(`INSERT INTO folder (id, _morango_source_id, _morango_partition, world, name) VALUES ($1, $2, $3, $4, 'top')`,
		folder.ID, folder.SourceID, folder.Partition, root.ID)
	for range originals {
		item := hub.id("item", map[string]string{"world": root.ID})
		hub.do(`INSERT INTO item (id, _morango_source_id, _morango_partition, world, folder_id, text) VALUES ($1, $2, $3, $4, $5, 'text')`,
			item.ID, item.SourceID, item.Partition, root.ID, folder.ID)
	}
	tablet.sync(server.URL)
	server.Close()
	for _, m := range []*measured{hub, tablet} {
		must(t, m.Close())
		m.multiply()
	}
	// After each sync 200 records are compared, which are counted and whose ends are looked
	// for; and for each claim it is looked whether there are a thousand.
	const always = 4_000
	for left := 1; left > 0; { // the claims settle, and digests are summed up
		syncMeasured(t, hub, tablet)
		left = hub.unsummed() + tablet.unsummed()
	}
	for _, hide := range [][]wire.Capability{nil, {wire.MoranGo}} { // by a stream, by buffers
		s, did := syncMeasured(t, hub, tablet, hide...)
		if s.Pull.Records != 0 || s.Push.Records != 0 {
			t.Errorf("without %v something travelled: %+v", hide, s)
		}
		for i, w := range did {
			if w.read > always || w.written > 0 {
				t.Errorf("without %v peer %d read %d rows and wrote %d for nothing", hide, i, w.read, w.written)
			}
		}
	}
	tablet.do(`UPDATE item SET text = 'of the tablet' WHERE id IN (SELECT id FROM morango_store WHERE last_transfer_session_id IS NOT NULL)`)
	s, did := syncMeasured(t, hub, tablet)
	if s.Push.Records != originals {
		t.Errorf("pushed %+v", s.Push)
	}
	for i, w := range did {
		if w.read > always+originals*30 || w.written > originals*20 || w.written == 0 {
			t.Errorf("peer %d read %d rows and wrote %d for 1 %% of changes", i, w.read, w.written)
		}
	}
}

func newMeasured(t *testing.T) *measured {
	t.Helper()
	m := &measured{&peer{t: t, profile: testProfile(t)}, dbtest.PostgresURL(t)}
	var err error
	m.app, err = sql.Open("pgx", m.target)
	must(t, err)
	m.app.SetMaxIdleConns(-1) // a connection tells what it did at the latest when it ends
	t.Cleanup(func() { must(t, m.app.Close()) })
	return m
}

// multiply makes copies of the items.
func (m *measured) multiply() {
	m.t.Helper()
	tx, err := m.app.BeginTx(m.t.Context(), nil)
	must(m.t, err)
	for _, query := range multiply {
		var args []any
		if strings.Contains(query, "$1") {
			args = []any{copies}
		}
		_, err := tx.ExecContext(m.t.Context(), query, args...)
		must(m.t, err)
	}
	must(m.t, tx.Commit())
	// Of this device no record is left: whoever looks for one finds none anywhere.
	m.do(`INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, $2, 5)`, strings.Repeat("e", 32), m.world)
	m.do(`VACUUM ANALYZE`)
	var n int
	must(m.t, m.app.QueryRowContext(m.t.Context(), `SELECT COUNT(*) FROM morango_store`).Scan(&n))
	if want := originals*(copies+1) + 1; n != want {
		m.t.Fatalf("%d records, want %d", n, want)
	}
}
