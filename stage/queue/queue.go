// Package queue fills the buffer of a transfer session on the sending side with
// every record of the filter that the receiver does not yet have.
//
// It belongs to the stages layer. It imports the words and tables layers and
// package stage. On a row's path it leads from the store into the buffer.
package queue

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// Job says what to queue. Receiver is the receiver's claim, expanded to the prefixes
// of the filter; empty means that it has nothing. The zero Filter stands for
// everything.
type Job struct {
	TransferSession string
	Profile         string
	Filter          partition.Filter
	Receiver        counter.ByPartition
}

// Run fills the session's buffer and returns the number of records in it. It is one
// transaction; run again, it starts from an empty buffer.
//
// What our own FSIC says plays no part: a version that we hold without claiming it
// has to travel too, or it hides an older one that the receiver then claims.
func Run(ctx context.Context, env stage.Env, job Job) (records int64, err error) {
	env.Emit(event(job, stage.Started, 0))
	err = env.DB.Write(ctx, func(tx *db.Tx) error {
		records, err = Join(ctx, tx, job)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("queue transfer session %s: %w", job.TransferSession, err)
	}
	env.Emit(event(job, stage.Completed, records))
	return records, nil
}

// Join is Run inside the caller's transaction, of which it must be the first step.
func Join(ctx context.Context, tx *db.Tx, job Job) (records int64, err error) {
	return join(ctx, tx, job, maxListed)
}

// maxListed is up to how many records a list of their ids is made.
const maxListed = 20_000

func join(ctx context.Context, tx *db.Tx, job Job, listed int64) (records int64, err error) {
	if err := tx.Lock(ctx, job.Filter, true); err != nil {
		return 0, err
	}
	if err := buffer.Drop(ctx, tx, job.TransferSession); err != nil {
		return 0, err
	}
	lacking := store.Lacking{Profile: job.Profile, Filter: job.Filter, Receiver: job.Receiver}
	ids, found, err := lacking.Find(ctx, tx, listed, listed)
	if err != nil || found && len(ids) == 0 {
		return 0, err
	}
	if found {
		records, err = tx.Exec(ctx, fillRecords+`s.id IN `+tx.IDs(2), job.TransferSession, db.JSONList(ids))
	} else {
		records, err = fillUnclaimed(ctx, tx, job)
	}
	if err != nil {
		return 0, fmt.Errorf("copy records into the buffer: %w", err)
	}
	if _, err := tx.Exec(ctx, fillHistories, job.TransferSession); err != nil {
		return 0, fmt.Errorf("copy record max counters into the buffer: %w", err)
	}
	return records, nil
}

// fillUnclaimed compares each record of the filter with the receiver's claims.
func fillUnclaimed(ctx context.Context, tx *db.Tx, job Job) (records int64, err error) {
	if err := loadClaims(ctx, tx, job.Receiver); err != nil {
		return 0, fmt.Errorf("lay out the receiver's claims: %w", err)
	}
	condition, args := tx.PrefixCond("s.partition", job.Filter, 3)
	args = append([]any{job.TransferSession, job.Profile}, args...)
	if records, err = tx.Exec(ctx, strings.Replace(fillBuffer, "(FILTER)", condition, 1), args...); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `DROP TABLE morango_queue_claim`); err != nil {
		return 0, fmt.Errorf("clear the receiver's claims away: %w", err)
	}
	return records, nil
}

func event(job Job, status stage.Status, records int64) stage.Event {
	return stage.Event{
		TransferSession: job.TransferSession, Stage: stage.Queuing, Status: status,
		Done: records, Total: records,
	}
}

// makeClaims takes the columns' types from the tables, whatever they are there.
const makeClaims = `CREATE TEMPORARY TABLE morango_queue_claim AS
	SELECT last_saved_instance AS instance_id, last_saved_counter AS counter,
		partition AS prefix, last_saved_counter AS length
	FROM morango_store WHERE FALSE`

// loadClaims puts the receiver's claims where a statement can look them up by
// instance, however many there are.
func loadClaims(ctx context.Context, tx *db.Tx, claims counter.ByPartition) error {
	for _, query := range []string{
		makeClaims,
		`CREATE INDEX morango_queue_claim_instance ON morango_queue_claim (instance_id, counter)`,
	} {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	claim, err := tx.Prepare(ctx, `INSERT INTO morango_queue_claim (instance_id, counter, prefix, length)
		VALUES ($1, $2, $3, $4)`)
	if err != nil {
		return err
	}
	defer claim.Close()
	for prefix, counters := range claims {
		length := utf8.RuneCountInString(prefix)
		for instance, n := range counters {
			if _, err := claim.ExecContext(ctx, instance, n, prefix, length); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillRecords copies records.
const fillRecords = `INSERT INTO morango_buffer (transfer_session_id, model_uuid, profile, model_name, partition,
		source_id, serialized, conflicting_serialized_data, _self_ref_fk, deleted, hard_deleted,
		last_saved_instance, last_saved_counter)
	SELECT $1, s.id, s.profile, s.model_name, s.partition, s.source_id, s.serialized,
		s.conflicting_serialized_data, s._self_ref_fk, s.deleted, s.hard_deleted,
		s.last_saved_instance, s.last_saved_counter
	FROM morango_store s
	WHERE `

// fillBuffer copies what the receiver does not claim. Counters begin at 1: nobody
// claims 0, and no engine saves a row with it.
const fillBuffer = fillRecords + `s.profile = $2 AND s.last_saved_counter > 0 AND (FILTER) AND NOT EXISTS (
		SELECT 1 FROM morango_queue_claim c
		WHERE c.instance_id = s.last_saved_instance AND c.counter >= s.last_saved_counter
			AND substr(s.partition, 1, c.length) = c.prefix)`

const fillHistories = `INSERT INTO morango_recordmaxcounterbuffer (transfer_session_id, model_uuid, instance_id, counter)
	SELECT $1, r.store_model_id, r.instance_id, r.counter
	FROM morango_buffer b CROSS JOIN morango_recordmaxcounter r
	WHERE b.transfer_session_id = $1 AND r.store_model_id = b.model_uuid`
