package morango_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
)

// A sync with nothing to do, pull and push, commits no more than this on either side, and each commit
// waits for the disk. The client's are: the sync session; a pull opened with its claim,
// what the peer tells and queuing, the claim of what came, the end; a push opened, what the peer tells, the claim,
// queuing, the end with what the peer took; and the end of the sync session. The hub has one more: a nonce.
const mostCommits = 12

// TestNothingToDoCommitsLittle counts the commits of a sync with nothing to do on each side.
func TestNothingToDoCommitsLittle(t *testing.T) {
	hub, tablet := newPeer(t, "hub"), newPeer(t, "tablet")
	root, err := hub.CreateRoot(t.Context(), "world", nil)
	must(t, err)
	url := hub.serve()
	tablet.join(url, "world", nil, root.ID)
	top := tablet.folder("top", nil)
	for i := range 10 {
		tablet.item(fmt.Sprintf("item %d", i), top, "owner")
	}
	for range 3 {
		tablet.sync(url)
	}
	peers := map[string]*peer{"hub": hub, "tablet": tablet}
	for _, p := range peers {
		p.do(`PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	if s := tablet.sync(url); s.Pull.Records+s.Push.Records != 0 {
		t.Fatalf("there was something to do: %+v", s)
	}
	for who, p := range peers {
		if n := p.commits(); n == 0 || n > mostCommits {
			t.Errorf("the %s committed %d times, not up to %d", who, n, mostCommits)
		}
	}
}

// commits counts the transactions in a SQLite database's write-ahead log: the frames that end one say
// how large the database is then.
func (p *peer) commits() (n int) {
	p.t.Helper()
	wal, err := os.ReadFile(p.column(`SELECT file FROM pragma_database_list WHERE name = 'main'`)[0] + "-wal")
	must(p.t, err)
	const header, frame = 32, 24
	if len(wal) < header {
		return 0
	}
	page := int(binary.BigEndian.Uint32(wal[8:]))
	for at := header; at+frame+page <= len(wal); at += frame + page {
		if binary.BigEndian.Uint32(wal[at+4:]) != 0 {
			n++
		}
	}
	return n
}
