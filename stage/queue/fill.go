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
	"github.com/morango-go/morango/session"
)

// put copies what is to travel of the records after an id and up to another, with their histories, and takes out what no
// receiver would take. It returns how many records it put in, and what it took out.
func (f *filling) put(ctx context.Context, tx *db.Tx, from, to string) (added int64, left []session.Omitted, err error) {
	if f.listed {
		added, err = f.fillListed(ctx, tx, from, to)
	} else {
		added, err = f.fillUnclaimed(ctx, tx, from, to)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("copy records into the buffer: %w", err)
	}
	if added == 0 {
		return 0, nil, nil
	}
	if _, err := tx.Exec(ctx, strings.Replace(fillHistories, "(AFTER)", after("b.model_uuid", 2, from), 1), f.job.TransferSession, fromID(from), to); err != nil {
		return 0, nil, fmt.Errorf("copy record max counters into the buffer: %w", err)
	}
	if f.job.Unsound != nil {
		left, err = f.sift(ctx, tx, from)
	}
	return added - int64(len(left)), left, err
}

// fillListed copies records of the list.
func (f *filling) fillListed(ctx context.Context, tx *db.Tx, from, to string) (added int64, err error) {
	part := f.ids[f.upTo(from):f.upTo(to)]
	return tx.Exec(ctx, fillRecords+`s.id IN `+tx.IDs(2), f.job.TransferSession, db.JSONList(part))
}

// fillUnclaimed compares each record with the filter and the receiver's claims.
func (f *filling) fillUnclaimed(ctx context.Context, tx *db.Tx, from, to string) (added int64, err error) {
	if err := loadClaims(ctx, tx, f.job.Receiver); err != nil {
		return 0, fmt.Errorf("lay out the receiver's claims: %w", err)
	}
	query, args := fillRange(tx, f.job.Filter, from)
	args = append([]any{f.job.TransferSession, f.env.Profile.Name, fromID(from), to}, args...)
	if added, err = tx.Exec(ctx, query, args...); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `DROP TABLE morango_queue_claim`); err != nil {
		return 0, fmt.Errorf("clear the receiver's claims away: %w", err)
	}
	return added, nil
}

// siftRows is how many records of a buffer are looked at in one go.
const siftRows = 500

// sift takes what no receiver would take out of what the buffer has after an id.
func (f *filling) sift(ctx context.Context, tx *db.Tx, from string) (all []session.Omitted, err error) {
	for more := true; more; {
		page, err := buffer.Page(ctx, tx, f.job.TransferSession, from, siftRows)
		if err != nil {
			return nil, err
		}
		if more = len(page) > 0; !more {
			break
		}
		from = page[len(page)-1].ID
		left := f.job.Unsound(page)
		if len(left) == 0 {
			continue
		}
		ids := make([]string, len(left))
		for i, r := range left {
			ids[i] = r.ID
		}
		if err := buffer.Remove(ctx, tx, f.job.TransferSession, ids); err != nil {
			return nil, err
		}
		all = append(all, left...)
	}
	return all, nil
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

// fillBuffer copies what the receiver does not claim of a range of ids. Counters begin at 1: nobody
// claims 0, and no engine saves a row with it. Joining "" to the columns keeps the engines from going through
// another of their indexes for each range.
const fillBuffer = fillRecords + `(AFTER) AND s.id <= $4 AND s.profile || '' = $2 AND s.last_saved_counter > 0 AND (FILTER) AND NOT EXISTS (
		SELECT 1 FROM morango_queue_claim c
		WHERE c.instance_id = s.last_saved_instance AND c.counter >= s.last_saved_counter
			AND substr(s.partition, 1, c.length) = c.prefix)`

// fillRange is fillBuffer for a range after an id, and the filter's parameters, which follow the session, the profile and
// the two ends.
func fillRange(tx *db.Tx, filter partition.Filter, from string) (query string, args []any) {
	condition, args := tx.PrefixCond("s.partition || ''", filter, 5)
	return strings.NewReplacer("(AFTER)", after("s.id", 3, from), "(FILTER)", condition).Replace(fillBuffer), args
}

const fillHistories = `INSERT INTO morango_recordmaxcounterbuffer (transfer_session_id, model_uuid, instance_id, counter)
	SELECT $1, r.store_model_id, r.instance_id, r.counter
	FROM morango_buffer b CROSS JOIN morango_recordmaxcounter r
	WHERE b.transfer_session_id = $1 AND (AFTER) AND b.model_uuid <= $3 AND r.store_model_id = b.model_uuid`
