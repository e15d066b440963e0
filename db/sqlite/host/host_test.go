package host

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"modernc.org/libc"
	_ "modernc.org/sqlite" // registers itself under the name "sqlite"
)

// open opens a database by its usual way to files and by ours, with a cache of few pages, so that a transaction writes into the log before
// it ends.
func open(t *testing.T) (ours, others *sql.Conn) {
	t.Helper()
	if err := Pages(); err != nil {
		t.Fatal(err)
	}
	name, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.db")
	for i, more := range []string{"&vfs=" + name, ""} {
		d, err := sql.Open("sqlite", "file:"+path+"?_pragma=page_size(8192)&_journal_mode=wal&_synchronous=full&_pragma=cache_size(20)&_pragma=wal_autocheckpoint(500)"+more)
		if err != nil {
			t.Fatal(err)
		}
		c, err := d.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		if ours, others = others, c; i == 0 {
			run(t, c, "CREATE TABLE a (id PRIMARY KEY, text)")
		}
	}
	return ours, others
}

func run(t *testing.T, c *sql.Conn, text string) {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), text); err != nil {
		t.Fatal(text, err)
	}
}

// insert inserts a thousand rows in random order, whose pages leave the cache and come back.
const insert = `INSERT INTO a SELECT hex(randomblob(16)), hex(randomblob(500)) FROM
	(WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n)`

func wantRows(t *testing.T, c *sql.Conn, want int) {
	t.Helper()
	var rows int
	var check string
	if err := c.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if err := c.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&check); err != nil {
		t.Fatal(err)
	}
	if rows != want || check != "ok" {
		t.Errorf("%d rows, want %d: %s", rows, want, check)
	}
}

// Others see what a transaction has written when it is committed, not before, and not when it is rolled back; and what they write then
// stays. A statement that is taken back leaves what was before.
func TestTransactions(t *testing.T) {
	ours, others := open(t)
	rows := 0
	for range 5 {
		run(t, ours, "BEGIN IMMEDIATE")
		run(t, ours, insert)
		wantRows(t, ours, rows+1000)
		wantRows(t, others, rows)
		run(t, ours, "SAVEPOINT s")
		run(t, ours, insert)
		run(t, ours, "UPDATE a SET text = hex(randomblob(600))")
		run(t, ours, "ROLLBACK TO s")
		run(t, ours, insert)
		run(t, ours, "COMMIT")
		rows += 2000
		wantRows(t, others, rows)

		run(t, ours, "BEGIN IMMEDIATE")
		run(t, ours, insert)
		run(t, ours, "DELETE FROM a")
		run(t, ours, "ROLLBACK")
		run(t, others, insert) // into the same places of the log
		rows += 1000
		wantRows(t, others, rows)
		wantRows(t, ours, rows)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := ours.ExecContext(ctx, insert); err == nil {
		t.Error("a statement goes on after its context has ended")
	}
	wantRows(t, ours, rows)
	run(t, ours, "PRAGMA wal_checkpoint(TRUNCATE)")
	wantRows(t, others, rows)
}

// A transaction whose log cannot be written fails, and the next does not.
func TestTransactionOnAFullDisk(t *testing.T) {
	ours, others := open(t)
	run(t, ours, insert)
	between.RLock()
	var g *log
	for _, o := range between.files {
		if o.log != nil {
			g = o.log
		}
	}
	between.RUnlock()
	usual, full := g.below, (&memory{full: true}).file()
	for _, last := range []string{insert, "COMMIT"} {
		run(t, ours, "BEGIN IMMEDIATE")
		if last == "COMMIT" {
			run(t, ours, "DELETE FROM a WHERE id = (SELECT min(id) FROM a)")
		}
		g.below.write = full.write
		if _, err := ours.ExecContext(t.Context(), last); err == nil {
			t.Errorf("%s on a full disk", last)
		}
		_, _ = ours.ExecContext(t.Context(), "ROLLBACK") // SQLite has done that, mostly
		g.below.write = usual.write
		wantRows(t, ours, 1000)
		wantRows(t, others, 1000)
	}
	run(t, ours, insert)
	wantRows(t, others, 2000)
}

// Pages of caches lie in slots, and those of a cache that is closed are taken again.
func TestPages(t *testing.T) {
	used := func() (n int) {
		pages.Lock()
		defer pages.Unlock()
		n = int(pages.fresh-pages.begin) / slotBytes
		for p := pages.free; p != 0; p = *at[uintptr](p) {
			n--
		}
		return n
	}
	before := used()
	t.Run("open", func(t *testing.T) {
		ours, _ := open(t)
		run(t, ours, "PRAGMA cache_size=300")
		run(t, ours, insert)
		run(t, ours, insert)
		if n := used() - before; n < 250 || n > 350 {
			t.Errorf("%d pages of a cache of 300", n)
		}
	})
	if n := used(); n != before {
		t.Errorf("%d pages are in use, %d were before", n, before)
	}
}

// When there is no slot left there is other memory.
func TestNoSlots(t *testing.T) {
	if err := Pages(); err != nil {
		t.Fatal(err)
	}
	tls := libc.NewTLS()
	defer tls.Close()
	s := slots{begin: pages.begin, fresh: pages.end, end: pages.end}
	if p := s.take(); p != 0 {
		t.Errorf("slot %x of none", p)
	}
	sizes := []int32{1, leastSlot, leastSlot + 1, slotBytes, slotBytes + 1}
	var all []uintptr
	for range mostSlots {
		for _, n := range sizes {
			p := take(tls, n)
			if p == 0 || sizeOf(tls, p) < n {
				t.Fatalf("%d bytes at %x, which has %d", n, p, sizeOf(tls, p))
			}
			*at[byte](p) = byte(n)
			all = append(all, p)
		}
	}
	for i, p := range all {
		if i%7 == 0 {
			p = resize(tls, p, 20_000)
		}
		if *at[byte](p) != byte(sizes[i%len(sizes)]) {
			t.Fatalf("what was written to piece %d is not there any more", i)
		}
		give(tls, p)
	}
}
