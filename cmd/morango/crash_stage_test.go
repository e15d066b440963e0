package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/morango-go/morango/stage"
)

// doom is a moment at which a side is killed: in a stage of a transfer session, in the
// middle of the stage's writing to a table or, where there is none, in the transaction that
// notes that the stage, or one after it, is complete.
type doom struct {
	victim string
	push   bool
	stage  stage.Stage
	table  string // "" is none
	stream bool   // records travel as a stream; else by way of buffers
}

func (d doom) String() string {
	text := "pull " + string(d.stage) + " " + d.victim
	if d.push {
		text = "push " + string(d.stage) + " " + d.victim
	}
	if d.table != "" {
		text += " writing " + d.table
	}
	if d.stream {
		text += ", streaming"
	}
	return text
}

// dooms are all stages on both sides in both directions, and all tables that they
// write many rows to.
func dooms() (all []doom) {
	for _, push := range []bool{false, true} {
		for _, victim := range []string{"client", "server"} {
			for _, s := range stage.All() {
				all = append(all, doom{victim, push, s, "", false})
			}
		}
		producer, receiver := "server", "client"
		if push {
			producer, receiver = receiver, producer
		}
		all = append(all,
			doom{producer, push, stage.Serializing, "morango_store", false},
			doom{producer, push, stage.Queuing, "morango_buffer", false},
			doom{receiver, push, stage.Transferring, "morango_buffer", false},
			doom{receiver, push, stage.Dequeuing, "morango_store", false},
			doom{receiver, push, stage.Dequeuing, "morango_databasemaxcounter", false},
			doom{receiver, push, stage.Deserializing, "attempt", false},
			doom{producer, push, stage.Cleanup, "morango_buffer", false},
			doom{receiver, push, stage.Transferring, "morango_store", true},
			doom{receiver, push, stage.Transferring, "morango_recordmaxcounter", true},
			doom{receiver, push, stage.Dequeuing, "morango_databasemaxcounter", true},
			doom{receiver, push, stage.Transferring, "attempt", true}, // what is new is applied at once
		)
		if push { // the hub has changes of its own; a pull leaves the tablet's to the push
			all = append(all, doom{receiver, push, stage.Deserializing, "attempt", true})
		}
	}
	return all
}

// noted are the stages that the session's row can name while the victim is in the stage: that one is
// noted with its end, and a stage without work with the next that has some.
func (d doom) noted() string {
	names := map[stage.Stage]string{
		stage.Initializing: `'initializing'`, stage.Serializing: `'initializing', 'serializing'`, stage.Queuing: `'serializing', 'queuing'`,
		stage.Transferring: `'queuing', 'transferring'`, stage.Dequeuing: `'queuing', 'transferring', 'dequeuing'`,
		stage.Deserializing: `'dequeuing', 'deserializing'`, stage.Cleanup: `'queuing', 'transferring', 'dequeuing', 'deserializing', 'cleanup'`,
	}
	if produces := d.push == (d.victim == "client"); produces && d.stage == stage.Deserializing {
		return names[stage.Cleanup]
	}
	return names[d.stage]
}

// left are the stages of which a row names one when it is noted that the stage is complete.
func (d doom) left() string {
	var names []string
	for _, s := range stage.All() {
		if !s.Before(d.stage) {
			names = append(names, "'"+string(s)+"'")
		}
	}
	return strings.Join(names, ", ")
}

// TestKilledInEveryStage kills one side with SIGKILL while it is in a stage, starts it
// again, and syncs once more: both sides must then be equal, with nothing lost and
// nothing twice.
func TestKilledInEveryStage(t *testing.T) {
	program := build(t)
	prepared := prepareSchool(t)
	for _, d := range dooms() {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			c := newCrash(t, program, prepared)
			c.victim = d.victim
			c.buffers.Store(!d.stream)
			release := c.hold(t, d)
			watching, stop := context.WithCancel(t.Context())
			killed := make(chan error, 1)
			go func() { killed <- c.killIn(watching, d) }()
			direction := "--pull"
			if d.push {
				direction = "--push" // a pull before it would have serialized already
			}
			code := c.sync(t, direction)
			stop()
			must(t, <-killed)
			if code == exitDone {
				t.Fatal("the sync came to its end although one side was killed")
			}
			release()
			c.restart(t)
			if code := c.sync(t); code != exitDone {
				t.Fatalf("the sync after the restart ended with %d:\n%s", code, c.said.String())
			}
			c.equal(t)
		})
	}
}

// database is the victim's file, opened beside it.
func (c *crash) database(d doom, options string) (*sql.DB, error) {
	name := "hub.db"
	if d.victim == "client" {
		name = "tablet.db"
	}
	return sql.Open("sqlite", filepath.Join(c.folder, name)+options)
}

// hold makes the moment last until the victim is killed: a trigger counts to a great
// number. The returned function takes it away.
func (c *crash) hold(t *testing.T, d doom) (release func()) {
	t.Helper()
	const count = `(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT count(*) FROM n)`
	push := 0
	if d.push {
		push = 1
	}
	stages := fmt.Sprintf(`push = %d AND transfer_stage IN (%s)`, push, d.noted())
	var triggers []string
	if d.table == "" {
		triggers = append(triggers, fmt.Sprintf(`CREATE TRIGGER hold0 BEFORE UPDATE ON morango_transfersession
			WHEN new.push = %d AND new.transfer_stage IN (%s) BEGIN SELECT %s; END`, push, d.left(), count))
	} else {
		for i, event := range []string{"INSERT", "UPDATE", "DELETE"} {
			triggers = append(triggers, fmt.Sprintf(`CREATE TRIGGER hold%d AFTER %s ON %s
				WHEN EXISTS (SELECT 1 FROM morango_transfersession WHERE active AND %s) BEGIN SELECT %s; END`, i, event, d.table, stages, count))
		}
	}
	run := func(statements ...string) {
		db, err := c.database(d, "?_pragma=busy_timeout(10000)")
		must(t, err)
		defer db.Close()
		for _, statement := range statements {
			_, err := db.Exec(statement)
			must(t, err)
		}
	}
	run(triggers...)
	return func() {
		run("DROP TRIGGER IF EXISTS hold0", "DROP TRIGGER IF EXISTS hold1", "DROP TRIGGER IF EXISTS hold2")
	}
}

// killIn waits until the victim is in the stage, and inside the transaction that hold stops, and
// kills it.
func (c *crash) killIn(ctx context.Context, d doom) error {
	db, err := c.database(d, "?_pragma=busy_timeout(0)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	const held = 5 // looks in a row; other transactions than the one that hold stops are shorter
	for busy := 0; ; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the %s was never seen in stage %s", d.victim, d.stage)
		case <-look.C:
		}
		var there int
		err := db.QueryRow(`SELECT count(*) FROM morango_transfersession WHERE push = $1 AND transfer_stage IN (`+d.noted()+`)`, d.push).Scan(&there)
		if err != nil || there == 0 {
			continue // also when the database is busy
		}
		if writing(db) {
			busy++
		} else {
			busy = 0
		}
		if busy == held {
			c.kill()
			return nil
		}
	}
}

// writing reports whether somebody is inside a transaction that writes.
func writing(db *sql.DB) bool {
	tx, err := db.Begin()
	if err != nil {
		return true
	}
	_ = tx.Rollback() // it did nothing
	return false
}
