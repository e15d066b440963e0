package simtest

import (
	"fmt"
	"net/url"
	"strings"
	"sync"

	"modernc.org/sqlite"

	"github.com/morango-go/morango"
)

// logging has the database itself note every change that matters, in the transaction
// that makes it.
func logging() []string {
	queries := []string{`CREATE TABLE sim_log (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, id TEXT, instance TEXT,
		counter INTEGER, serialized TEXT, conflicting TEXT, flags INTEGER, partition TEXT)`,
		// While the disk is to get full, every change takes some pages.
		`CREATE TABLE sim_full (x)`, `CREATE TABLE sim_filler (x)`,
		`CREATE TRIGGER sim_fill AFTER INSERT ON sim_log WHEN EXISTS (SELECT 1 FROM sim_full) BEGIN
			INSERT INTO sim_filler VALUES (zeroblob(7000)); END`}
	add := func(event, table, when string, columns, values string) {
		queries = append(queries, fmt.Sprintf(`CREATE TRIGGER sim_%d AFTER %s ON %s WHEN %s BEGIN
			INSERT INTO sim_log (kind, %s) VALUES (%s); END`, len(queries), event, table, when, columns, values))
	}
	both := func(of, table, columns, values string) {
		add("INSERT", table, "TRUE", columns, values)
		add("UPDATE"+of, table, "TRUE", columns, values)
	}
	both(` OF serialized, conflicting_serialized_data, deleted, hard_deleted, last_saved_instance, last_saved_counter`,
		"morango_store", "id, instance, counter, serialized, conflicting, flags, partition",
		`'row', NEW.id, NEW.last_saved_instance, NEW.last_saved_counter, NEW.serialized, NEW.conflicting_serialized_data,
			NEW.deleted + 2 * NEW.hard_deleted, NEW.partition`)
	both(" OF dirty_bit", "morango_store", "id, flags", `'dirty', NEW.id, NEW.dirty_bit`)
	both("", "morango_recordmaxcounter", "id, instance, counter", `'seen', NEW.store_model_id, NEW.instance_id, NEW.counter`)
	add("DELETE", "morango_recordmaxcounter", "TRUE", "id, instance, counter", `'seen', OLD.store_model_id, OLD.instance_id, 0`)
	both("", "morango_databasemaxcounter", "instance, counter, partition", `'claim', NEW.instance_id, NEW.counter, NEW.partition`)
	add("DELETE", "morango_databasemaxcounter", "TRUE", "instance, counter, partition", `'claim', OLD.instance_id, 0, OLD.partition`)
	add("UPDATE OF counter", "morango_instanceidmodel", "TRUE", "instance, counter", `'stamp', NEW.id, NEW.counter`)
	add("UPDATE OF current", "morango_databaseidmodel", "NOT NEW.current", "id",
		`'retired', (SELECT id FROM morango_instanceidmodel WHERE database_id = NEW.id)`)
	both(" OF client_fsic, server_fsic", "morango_transfersession", "id, serialized, conflicting, flags, partition",
		`'session', NEW.id, NEW.client_fsic, NEW.server_fsic, NEW.push, NEW.filter`)
	add("UPDATE OF extra_fields", "morango_syncsession", "json_valid(NEW.extra_fields)", "id, serialized",
		`'cursor', NEW.id, json_extract(NEW.extra_fields, '$.morango_streams')`)
	add("UPDATE OF active", "morango_transfersession", "NOT NEW.active", "id", `'closed', NEW.id`)
	add("INSERT", "morango_buffer", "TRUE", "id, instance, conflicting, counter",
		`'buffer', NEW.model_uuid, NEW.transfer_session_id, NEW.last_saved_instance, NEW.last_saved_counter`)
	add("INSERT", "morango_recordmaxcounterbuffer", "TRUE", "id, partition, instance, counter",
		`'past', NEW.model_uuid, NEW.transfer_session_id, NEW.instance_id, NEW.counter`)
	add("DELETE", "morango_buffer", "TRUE", "id, instance", `'unbuffer', OLD.model_uuid, OLD.transfer_session_id`)
	for kind, table := range map[string]string{"gone": "morango_deletedmodels", "hard": "morango_harddeletedmodels"} {
		add("INSERT", table, "TRUE", "id", `'`+kind+`', NEW.id`)
		add("DELETE", table, "TRUE", "id", `'un`+kind+`', OLD.id`)
	}
	for table, columns := range columnsOf {
		values := `'app', NEW.id, EXISTS (SELECT 1 FROM morango_applying), NEW._morango_partition, json_object(`
		for i, c := range columns {
			values += strings.Repeat(", ", min(i, 1)) + `'` + c + `', NEW.` + c
		}
		both(" OF "+strings.Join(columns, ", "), table, "id, flags, partition, serialized", values+`)`)
		add("DELETE", table, "TRUE", "id, flags", `'unapp', OLD.id, EXISTS (SELECT 1 FROM morango_applying)`)
	}
	return queries
}

// columnsOf are the columns that an application changes.
var columnsOf = map[string][]string{
	"folder": {"parent_id", "text"}, "item": {"owner", "parent_id", "text"},
	"note": {"owner", "parent_id", "text"}, "tag": {"name", "text"},
}

// trace is what happens on a peer beside the changes of its tables, and between which
// of them: commits, and the stages of transfers.
type trace struct {
	mu        sync.Mutex
	last      int64 // line of the log that was written last
	committed int64
	marks     []mark
}

// mark is a commit, or the beginning or the end of a stage.
type mark struct {
	seq   int64 // of the log's last line before it
	stage *morango.HookEvent
}

func (t *trace) line(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = seq
}

func (t *trace) commit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last > t.committed {
		t.committed = t.last
		t.marks = append(t.marks, mark{seq: t.last})
	}
}

func (t *trace) rollback() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = t.committed
}

func (t *trace) stage(e morango.HookEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marks = append(t.marks, mark{seq: t.committed, stage: &e})
}

// restart is for a database that was set back.
func (t *trace) restart() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.committed, t.marks = 0, 0, nil
}

func (t *trace) take() []mark {
	t.mu.Lock()
	defer t.mu.Unlock()
	marks := t.marks
	t.marks = nil
	return marks
}

// files finds the peer of a database file. The driver's hook is the process's, so this
// has to be too.
var files sync.Map

// hookConnections has every connection that writes tell its peer.
var hookConnections = sync.OnceFunc(func() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, dsn string) error {
		u, err := url.Parse(dsn)
		if err != nil {
			return nil
		}
		found, ok := files.Load(u.Path)
		hooks, able := conn.(sqlite.HookRegisterer)
		if !ok || !able {
			return nil
		}
		p := found.(*peer)
		if strings.Contains(u.RawQuery, "_query_only") { // readers end by rolling back
			hooks.RegisterRollbackHook(p.hasRead)
			return nil
		}
		fuse := p.fuse
		switch {
		case strings.Contains(u.RawQuery, appMark):
			fuse = nil // the application is another process
		case !strings.Contains(u.RawQuery, "_txlock=immediate"):
			return nil // that of checkpoints has no transactions
		}
		if fuse != nil {
			p.writer = conn
		}
		hooks.RegisterPreUpdateHook(func(d sqlite.SQLitePreUpdateData) {
			if d.TableName == "sim_log" {
				p.trace.line(d.NewRowID)
			}
		})
		hooks.RegisterRollbackHook(p.trace.rollback)
		hooks.RegisterCommitHook(func() int32 {
			if fuse != nil && !fuse.commit() {
				return 1
			}
			p.trace.commit()
			return 0
		})
		return nil
	})
})

// appMark is in the address of the application's own connection.
const appMark = "simulated=application"
