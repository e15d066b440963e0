package morango_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/verify"
)

// BenchmarkNothingToDo syncs both ways where nothing is new among 20,000 records in 420
// partitions, with BENCH_LARGE=1 among 1,000,000 in 20,900, within one process. cpu-ms/op is
// what both peers take, without PostgreSQL's server.
func BenchmarkNothingToDo(b *testing.B) {
	n := 20_000
	if os.Getenv("BENCH_LARGE") == "1" {
		n = 1_000_000
	}
	for engine, target := range map[string]func(name string) string{
		"sqlite":   func(name string) string { return filepath.Join(b.TempDir(), name) },
		"postgres": func(string) string { return dbtest.PostgresEmptyURL(b) },
	} {
		b.Run(engine, func(b *testing.B) {
			hub, tablet := twins(b, target("hub.db"), target("tablet.db"), n)
			handler, err := hub.Handler(morango.ServerOptions{Users: anyone{}})
			noErr(b, err)
			server := httptest.NewServer(handler)
			defer server.Close()
			for i := range 3 { // the claims settle
				s, err := tablet.Sync(b.Context(), server.URL, morango.SyncOptions{})
				noErr(b, err)
				if i == 2 && (s.Pull.Records+s.Push.Records > 0 || s.Compared.Questions != 1 || !s.Compared.Clean()) {
					b.Fatalf("there is something to do: %+v, %+v", s, s.Compared)
				}
			}
			used := cpuTicks()
			for b.Loop() {
				_, err := tablet.Sync(b.Context(), server.URL, morango.SyncOptions{})
				noErr(b, err)
			}
			b.ReportMetric(float64(cpuTicks()-used)*10/float64(b.N), "cpu-ms/op")
		})
	}
}

// twins are two peers that have synced, and then got the same n records.
func twins(b *testing.B, hubs, tablets string, n int) (hub, tablet *morango.Node) {
	b.Helper()
	profile, err := model.FromStructs("things", []model.ScopeDefinition{
		{ID: "world", Version: 1, PrimaryScopeParam: "world", ReadWriteTemplate: "${world}"},
	}, Folder{}, Item{})
	noErr(b, err)
	open := func(target string, create bool) *morango.Node {
		node, err := morango.Open(b.Context(), target, profile, morango.Config{Create: create, Logger: slog.New(slog.DiscardHandler)})
		noErr(b, err)
		return node
	}
	hub, tablet = open(hubs, true), open(tablets, true)
	root, err := hub.CreateRoot(b.Context(), "world", nil)
	noErr(b, err)
	handler, err := hub.Handler(morango.ServerOptions{Users: anyone{}})
	noErr(b, err)
	server := httptest.NewServer(handler)
	_, err = tablet.Join(b.Context(), server.URL, morango.JoinOptions{User: "teacher", Password: "secret", ScopeDefinition: "world"})
	noErr(b, err)
	server.Close()
	for node, target := range map[*morango.Node]string{hub: hubs, tablet: tablets} {
		noErr(b, node.Close())
		noErr(b, fillStore(b.Context(), target, root.ID, n))
	}
	hub, tablet = open(hubs, false), open(tablets, false)
	b.Cleanup(func() { noErr(b, hub.Close()); noErr(b, tablet.Close()) })
	return hub, tablet
}

const (
	perOwner = 48    // records of a partition
	perSave  = 5_000 // records with one counter
)

// fillStore writes records of an instance that is neither peer's, with its claim, and has
// their digests summed up.
func fillStore(ctx context.Context, target, world string, n int) error {
	d, err := db.Open(ctx, target, db.Options{})
	if err != nil {
		return err
	}
	defer d.Close()
	saver := digestOf("saver")
	records := db.Insert{Table: "morango_store", Columns: []string{"id", "profile", "model_name", "partition", "source_id", "serialized",
		"conflicting_serialized_data", "_self_ref_fk", "last_saved_instance", "last_saved_counter", "deleted", "hard_deleted", "dirty_bit", "deserialization_error"}}
	histories := db.Insert{Table: "morango_recordmaxcounter", Columns: []string{"store_model_id", "instance_id", "counter"}}
	text := fmt.Sprintf(`{"world": %q, "text": "%0300d"}`, world, 0)
	for i := 0; i < n && err == nil; {
		var rows, saved [][]any
		for end := min(i+4*perSave, n); i < end; i++ {
			place, source, counter := fmt.Sprintf("%s:user:%s", world, digestOf(i/perOwner)), digestOf(i), int64(1+i/perSave)
			id := digestOf(place, source)
			rows = append(rows, []any{id, "things", "item", place, source, text, "", "", saver, counter, false, false, false, ""})
			saved = append(saved, []any{id, saver, counter})
		}
		err = d.Write(ctx, func(tx *db.Tx) error {
			if err := tx.InsertAll(ctx, records, rows); err != nil {
				return err
			}
			return tx.InsertAll(ctx, histories, saved)
		})
	}
	if err == nil {
		err = d.Write(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(ctx, `INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, $2, $3)`,
				saver, world, 1+n/perSave); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO morango_digest (partition) SELECT DISTINCT partition FROM morango_store`)
			return err
		})
	}
	for fresh := []verify.Part{{}}; len(fresh) > 0 && err == nil; {
		fresh, err = verify.Keep(ctx, d, partition.Of(world), nil, time.Now)
	}
	if err == nil && d.Kind() == db.Postgres {
		err = d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `ANALYZE`)
			return err
		})
	}
	return err
}

// digestOf is an id made of parts.
func digestOf(parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts...)))
	return hex.EncodeToString(sum[:16])
}

// cpuTicks is what this process has used, in hundredths of a second, where Linux tells.
func cpuTicks() (ticks int) {
	text, _ := os.ReadFile("/proc/self/stat")
	_, rest, _ := bytes.Cut(text, []byte(") "))
	if fields := bytes.Fields(rest); len(fields) > 12 {
		for _, field := range fields[11:13] {
			n, _ := strconv.Atoi(string(field))
			ticks += n
		}
	}
	return ticks
}

func noErr(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
