package sqlite

import (
	"database/sql"
	"sync"
	"time"
)

// presence remembers what was found out about others that have the file open.
type presence struct {
	mu     sync.Mutex
	locks  int       // descriptor of the file that SQLite locks in; 0: not found
	inside bool      // other connections of this process
	looked time.Time // when that was found out
}

// lookAgain is how often the files that this process has open are looked through.
const lookAgain = time.Second

// Shared reports whether others may have the file open: another process, or this one by
// other connections than the engine's. Where nobody can tell it is true.
func (e *Engine) Shared() bool {
	if e.writer == nil {
		return true
	}
	p := &e.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) >= lookAgain || p.locks == 0 {
		p.looked = time.Now()
		database, locks, err := opened(e.path)
		own := 0
		for _, pool := range []*sql.DB{e.readers, e.writer, e.checkpoints.pool} {
			own += pool.Stats().OpenConnections
		}
		p.locks, p.inside = locks, err != nil || database > own
	}
	return p.inside || p.locks == 0 || lockedByOthers(p.locks)
}
