package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
)

// The floor is what nobody can go below who ends with the same rows in the same tables:
// they are finished, in the order of their ids, and go in by the fastest insert of the
// engine, in few transactions.
const (
	floorPage        = 5_000
	floorTransaction = 100_000
)

// target is one of the tables of the floor.
type target struct {
	into  db.Insert
	query string // a page of its rows between two ids
}

const (
	storeColumns = "id, profile, model_name, partition, source_id, last_saved_instance, last_saved_counter, deleted, hard_deleted, " +
		"dirty_bit, _self_ref_fk, last_transfer_session_id, deserialization_error, serialized, conflicting_serialized_data"
	counterColumns = "store_model_id, instance_id, counter"
)

func targets() []target {
	return []target{
		{db.Insert{Table: "morango_store", Columns: strings.Split(storeColumns, ", ")},
			"SELECT " + storeColumns + " FROM morango_store WHERE id >= $1 AND id <= $2 ORDER BY id"},
		{db.Insert{Table: "morango_recordmaxcounter", Columns: strings.Split(counterColumns, ", ")},
			"SELECT " + counterColumns + " FROM morango_recordmaxcounter WHERE store_model_id >= $1 AND store_model_id <= $2 ORDER BY store_model_id"},
	}
}

// measureFloor copies the store and the record max counters of a full hub into another
// database and counts only the time of the inserts and commits.
func (b *bench) measureFloor(ctx context.Context) (best result, err error) {
	full, err := b.template(ctx, hubFull)
	if err != nil {
		return best, err
	}
	for run := range max(b.runs, 2) {
		r, err := b.floorOnce(ctx, full)
		if err != nil {
			return best, err
		}
		if run == 0 || r.Seconds < best.Seconds {
			best = r
		}
	}
	return best, nil
}

func (b *bench) floorOnce(ctx context.Context, full string) (r result, err error) {
	empty, err := b.get(ctx, hubEmpty)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.drop(ctx, empty)) }()
	from, err := db.Open(ctx, full, db.Options{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := db.Open(ctx, empty, db.Options{})
	if err != nil {
		return r, err
	}
	if err := clearStore(ctx, to); err != nil {
		return r, errors.Join(err, to.Close())
	}
	r = result{Job: "floor", Sides: 1}
	before := b.cpu()
	for after := ident.Lowest; after != "" && err == nil; {
		after, err = b.floorPart(ctx, from, to, after, &r)
	}
	r.DatabaseCPU = b.cpu() - before
	if err = errors.Join(err, to.Close()); err != nil {
		return r, err
	}
	r.DatabaseBytes, err = b.size(ctx, empty)
	return r, err
}

// clearStore makes room for the rows that a hub has even without learners.
func clearStore(ctx context.Context, d *db.DB) error {
	return d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM morango_recordmaxcounter")
		if err == nil {
			_, err = tx.Exec(ctx, "DELETE FROM morango_store")
		}
		return err
	})
}

// floorPart is one transaction: it copies rows from an id on and returns the id to go
// on with, "" at the end.
func (b *bench) floorPart(ctx context.Context, from, to *db.DB, after string, r *result) (next string, err error) {
	var spent, cpu time.Duration
	var commit time.Time
	var commitCPU time.Duration
	err = to.Write(ctx, func(into *db.Tx) error {
		next, spent, cpu = after, 0, 0
		for rows := 0; rows < floorTransaction && next != ""; {
			pages, last, err := readPages(ctx, from, next)
			if err != nil {
				return err
			}
			next = last
			rows += len(pages[0])
			r.Records += int64(len(pages[0]))
			began, beganCPU := time.Now(), cpuTime()
			for i, t := range targets() {
				if err := into.InsertAll(ctx, t.into, pages[i]); err != nil {
					return fmt.Errorf("insert into %s: %w", t.into.Table, err)
				}
			}
			spent, cpu = spent+time.Since(began), cpu+cpuTime()-beganCPU
		}
		commit, commitCPU = time.Now(), cpuTime()
		return nil
	})
	r.Seconds += (spent + time.Since(commit)).Seconds()
	r.Client.CPU += (cpu + cpuTime() - commitCPU).Seconds()
	return next, err
}

// readPages reads a page of rows of each table from an id on, and where the next begins.
func readPages(ctx context.Context, from *db.DB, first string) (pages [][][]any, next string, err error) {
	err = from.Read(ctx, func(tx *db.Tx) error {
		ids, err := readAll(ctx, tx, fmt.Sprintf("SELECT id FROM morango_store WHERE id >= $1 ORDER BY id LIMIT %d", floorPage+1), first)
		if err != nil {
			return err
		}
		last := len(ids) - 1
		if len(ids) > floorPage {
			next, last = ids[floorPage][0].(string), floorPage-1
		}
		for _, t := range targets() {
			page, err := readAll(ctx, tx, t.query, first, ids[last][0])
			if err != nil {
				return err
			}
			pages = append(pages, page)
		}
		return nil
	})
	return pages, next, err
}

func readAll(ctx context.Context, tx *db.Tx, query string, args ...any) ([][]any, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]any
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
