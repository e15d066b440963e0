package stream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
)

// How the records are found. What the receiver claims throughout the filter says, for each
// instance, above which counter there can be anything for it; so where little has changed
// the index by instance and counter finds it, where the filter is narrow the index by
// partition. Both give a list of ids, which has to be short. Else the whole store is read
// in the order of ids.
const (
	maxChanged  = 20_000
	maxUnder    = 100_000
	savedIndex  = "morango_store_last_saved" // of the lean layout only
	mostChanged = 200                        // instances that are looked up one by one
)

// found is the ids of the records that are to travel, in order; whole says that there is
// no such list, and that the store has to be read.
type found struct {
	ids   []string
	whole bool
}

// short says how long a list may be.
type short struct{ changed, under int64 }

// find lists the records that are to travel, after the job's id.
func find(ctx context.Context, tx *db.Tx, job Job, s short) (found, error) {
	ids, ok, err := changed(ctx, tx, job, s.changed)
	if err == nil && !ok {
		ids, ok, err = under(ctx, tx, job, s.under)
	}
	if err != nil {
		return found{}, fmt.Errorf("look for what the receiver lacks: %w", err)
	}
	slices.Sort(ids)
	return found{ids: ids, whole: !ok}, nil
}

const (
	countSaved = `SELECT COUNT(*) FROM (SELECT 1 FROM morango_store
		WHERE last_saved_instance = $1 AND last_saved_counter > $2 LIMIT $3) found`
	listSaved = `SELECT id, profile, partition, last_saved_instance, last_saved_counter FROM morango_store
		WHERE last_saved_instance = $1 AND last_saved_counter > $2`
	countUnder = `SELECT COUNT(*) FROM (SELECT 1 FROM morango_store s WHERE (FILTER) LIMIT (LIMIT)) found`
	listUnder  = `SELECT s.id, s.profile, s.partition, s.last_saved_instance, s.last_saved_counter
		FROM morango_store s WHERE (FILTER)`
)

// changed finds the records by who saved them last and when, where these are few.
func changed(ctx context.Context, tx *db.Tx, job Job, left int64) (ids []string, ok bool, err error) {
	if ok, err = tx.HasIndex(ctx, savedIndex); err != nil || !ok {
		return nil, false, err
	}
	instances, err := lastSavers(ctx, tx)
	if err != nil || len(instances) > mostChanged {
		return nil, false, err
	}
	floor := job.Receiver.Throughout(job.filter())
	for _, instance := range instances {
		var n int64
		if err := tx.QueryRow(ctx, countSaved, instance, floor[instance], left+1).Scan(&n); err != nil {
			return nil, false, err
		}
		if left -= n; left < 0 {
			return nil, false, nil
		}
	}
	for _, instance := range instances {
		if ids, err = collect(ctx, tx, job, ids, listSaved, instance, floor[instance]); err != nil {
			return nil, false, err
		}
	}
	return ids, true, nil
}

// lastSavers lists the instances that saved some record last, without reading through the
// index.
func lastSavers(ctx context.Context, tx *db.Tx) (instances []string, err error) {
	query, args := `SELECT last_saved_instance FROM morango_store ORDER BY last_saved_instance LIMIT 1`, []any(nil)
	for len(instances) <= mostChanged {
		var next db.ID
		err := tx.QueryRow(ctx, query, args...).Scan(&next)
		if errors.Is(err, sql.ErrNoRows) {
			return instances, nil
		}
		if err != nil {
			return nil, err
		}
		instances = append(instances, string(next))
		query = `SELECT last_saved_instance FROM morango_store WHERE last_saved_instance > $1
			ORDER BY last_saved_instance LIMIT 1`
		args = []any{string(next)}
	}
	return instances, nil
}

// under finds the records by their partitions, where a narrow filter holds few.
func under(ctx context.Context, tx *db.Tx, job Job, most int64) (ids []string, ok bool, err error) {
	if slices.Contains(job.filter().Prefixes(), "") {
		return nil, false, nil
	}
	condition, args := tx.PrefixCond("s.partition", job.Filter, 1)
	count := strings.Replace(countUnder, "(LIMIT)", fmt.Sprint(most+1), 1)
	var n int64
	if err := tx.QueryRow(ctx, strings.Replace(count, "(FILTER)", condition, 1), args...).Scan(&n); err != nil || n > most {
		return nil, false, err
	}
	ids, err = collect(ctx, tx, job, nil, strings.Replace(listUnder, "(FILTER)", condition, 1), args...)
	return ids, true, err
}

// collect adds the ids of the records that are to travel among those that a query finds.
func collect(ctx context.Context, tx *db.Tx, job Job, ids []string, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, instance db.ID
		var profile, part string
		var n int64
		if err := rows.Scan(&id, &profile, &part, &instance, &n); err != nil {
			return nil, err
		}
		if profile == job.Profile && string(id) > job.After && job.wants(part, counter.Version{Instance: string(instance), Counter: n}) {
			ids = append(ids, string(id))
		}
	}
	return ids, rows.Err()
}

// above is a condition that leaves out what the receiver claims throughout the filter. Its
// parameters start at $first. It lets pass what only Job.wants can decide.
func (j Job) above(first int) (condition string, args []any) {
	floor := j.Receiver.Throughout(j.filter())
	instances := make([]string, 0, len(floor))
	for instance := range floor {
		instances = append(instances, instance)
	}
	slices.Sort(instances)
	if len(instances) == 0 {
		return "s.last_saved_counter > 0", nil
	}
	var b strings.Builder
	b.WriteString("s.last_saved_counter > CASE s.last_saved_instance")
	for _, instance := range instances[:min(len(instances), mostChanged)] {
		// A bound number alone has no type yet for PostgreSQL.
		fmt.Fprintf(&b, " WHEN $%d THEN CAST($%d AS integer)", first+len(args), first+len(args)+1)
		args = append(args, instance, floor[instance])
	}
	b.WriteString(" ELSE 0 END")
	return b.String(), args
}
