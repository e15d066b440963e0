package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/partition"
)

// Lacking names the records that a receiver lacks: those of a profile that lie in the
// filter and that the receiver does not claim. Receiver is its claim, expanded to the prefixes
// of the filter; empty means that it has nothing. The zero Filter stands for everything.
type Lacking struct {
	Profile  string
	Filter   partition.Filter
	Receiver counter.ByPartition
}

// Wants says whether a record of this partition and version is lacking. Counters begin at
// 1: nobody claims 0, and no engine saves a row with it.
func (l Lacking) Wants(part string, v counter.Version) bool {
	return v.Counter > 0 && (l.Filter.IsZero() || l.Filter.Contains(part)) && !l.Receiver.Covers(part, v)
}

// Above how many instances with something new they are not looked up one by one.
const mostChanged = 200

// Find lists the ids of the records, in their order, where they are found without reading the
// whole store. What the receiver claims throughout the filter says, for each instance,
// above which counter there can be anything for it: if at most changed records are above,
// the index by instance and counter finds them. If the filter holds fewer, or very few, or
// at most under, the index by partition does. Limits below 0 rule a way out. ok says
// whether there is a list; without one the whole store has to be read.
func (l Lacking) Find(ctx context.Context, tx *db.Tx, changed, under int64) (ids []string, ok bool, err error) {
	found, ok, err := l.find(ctx, tx, changed, under, false)
	for _, p := range found {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	return ids, ok, err
}

// FindSparse is Find for whoever can read the store as a whole, which is faster where much of
// it is lacking: then there is no list either. The records come in no order.
func (l Lacking) FindSparse(ctx context.Context, tx *db.Tx, changed, under int64) (found []Found, ok bool, err error) {
	return l.find(ctx, tx, changed, under, true)
}

// Group is the hash of a record's partition in SQL, on PostgreSQL only: a number of 64 bits, which has its place
// where a partition may be too long. The index morango_store_group has the same text.
const Group = "hashtextextended(partition, 0)"

// Found is a record of a list. Row is its number in the store on SQLite, and on PostgreSQL its
// partition's Group; Model is its model on PostgreSQL, else "".
type Found struct {
	ID, Model string
	Row       int64
}

func (l Lacking) find(ctx context.Context, tx *db.Tx, changed, under int64, sparse bool) (found []Found, ok bool, err error) {
	found, ok, err = l.look(ctx, tx, changed, under, sparse)
	if err != nil {
		return nil, false, fmt.Errorf("look for what the receiver lacks: %w", err)
	}
	return found, ok, nil
}

func (l Lacking) look(ctx context.Context, tx *db.Tx, changed, under int64, sparse bool) (found []Found, ok bool, err error) {
	above, n, err := l.newer(ctx, tx, changed)
	if err != nil || n == 0 {
		return nil, err == nil, err
	}
	narrow := under >= 0 && l.narrow()
	if narrow {
		if found, ok, err = l.under(ctx, tx, min(under, few)); err != nil || ok {
			return found, ok, err
		}
	}
	if n, err = l.changed(ctx, tx, above, changed); err != nil {
		return nil, false, err
	}
	if sparse && n > many {
		if much, err := l.much(ctx, tx, n); much || err != nil {
			return nil, false, err
		}
	}
	if narrow && under > few {
		if n > 0 {
			under = min(under, n)
		}
		found, ok, err = l.under(ctx, tx, under)
	}
	if err == nil && !ok && n >= 0 {
		found, err = l.above(ctx, tx, above)
		ok = true
	}
	return found, ok, err
}

// AlmostAll is how many records the filter holds, where at most a hundredth of them are claimed throughout the filter, which
// the indexes alone tell on SQLite: of 1,000,000 in a twentieth of the time in which they are read. ok is false where it is not so.
func (l Lacking) AlmostAll(ctx context.Context, tx *db.Tx) (n int64, ok bool, err error) {
	if ok, err = FindsSaved(ctx, tx); err != nil || !ok || tx.Kind() != db.SQLite {
		return 0, false, err // PostgreSQL's indexes do not say which of their entries count
	}
	floor := l.Receiver.Throughout(orAll(l.Filter))
	if len(floor) > mostChanged {
		return 0, false, nil
	}
	if n, err = CountUnder(ctx, tx, l.Filter, math.MaxInt64-1); err != nil {
		return 0, false, err
	}
	left := n / 100
	for instance, upTo := range floor {
		var claimed int64
		if err := tx.QueryRow(ctx, countClaimed, instance, upTo, left+1).Scan(&claimed); err != nil {
			return 0, false, fmt.Errorf("count the records that the receiver claims: %w", err)
		}
		if left -= claimed; left < 0 {
			return 0, false, nil
		}
	}
	return n, true, nil
}

// narrow says whether the filter leaves any partition out.
func (l Lacking) narrow() bool { return !slices.Contains(orAll(l.Filter).Prefixes(), "") }

// many is how many records can be much of the store. Fewer are always worth a list.
const many = 1000

// FewTimes is how many times as many records as some the store must have for these to be looked up faster than
// it is read as a whole.
const FewTimes = 4

// much says whether much of the store seems to be lacking, of which n records are above the
// counters that the receiver claims throughout the filter. It looks at counts alone, and so
// not at claims that differ within the filter.
func (l Lacking) much(ctx context.Context, tx *db.Tx, n int64) (bool, error) {
	if l.narrow() {
		under, err := CountUnder(ctx, tx, l.Filter, n)
		if n = min(n, under); n <= many || err != nil {
			return false, err
		}
	}
	enough, err := l.holds(ctx, tx, FewTimes*n)
	return !enough, err
}

// Any reports whether there are such records, where that is found among few: of each
// instance that has saved something for the receiver, its latest.
func (l Lacking) Any(ctx context.Context, tx *db.Tx, few int) (bool, error) {
	above, _, err := l.newer(ctx, tx, int64(few))
	for _, instance := range sortedKeys(above) {
		var found []Found
		if err == nil {
			found, err = l.collect(ctx, tx, nil, fmt.Sprintf(latestSaved, few), instance, above[instance])
		}
		if err != nil || len(found) > 0 {
			return err == nil, err
		}
	}
	if err != nil {
		return false, fmt.Errorf("look for what the receiver lacks: %w", err)
	}
	return false, nil
}

// The statements that look for records.
const (
	countSaved = `SELECT COUNT(*) FROM (SELECT 1 FROM morango_store
		WHERE last_saved_instance = $1 AND last_saved_counter > $2 LIMIT $3) found`
	countClaimed = `SELECT COUNT(*) FROM (SELECT 1 FROM morango_store
		WHERE last_saved_instance = $1 AND last_saved_counter <= $2 LIMIT $3) found`
	latestSaved = listSaved + ` ORDER BY last_saved_counter DESC LIMIT %d`
	listSaved   = `SELECT id, (PLACE), profile, partition, last_saved_instance, last_saved_counter FROM morango_store
		WHERE last_saved_instance = $1 AND last_saved_counter > $2`
	countUnder = `SELECT COUNT(*) FROM (SELECT 1 FROM morango_store s WHERE (FILTER)(ORDER) LIMIT (LIMIT)) found`
	listUnder  = `SELECT s.id, (PLACE), s.profile, s.partition, s.last_saved_instance, s.last_saved_counter
		FROM morango_store s WHERE (FILTER)`
)

// newer returns the counters above which instances have saved anything for the receiver,
// and of how many instances that is; less than 0 for too many, or where it is not known.
func (l Lacking) newer(ctx context.Context, tx *db.Tx, most int64) (above counter.Counters, instances int64, err error) {
	if most < 0 {
		return nil, -1, nil
	}
	floor := l.Receiver.Throughout(orAll(l.Filter))
	highest, known, err := lastSaved(ctx, tx, sortedKeys(floor))
	if err != nil || !known {
		return nil, -1, err
	}
	above = counter.Counters{}
	for instance, saved := range highest {
		if saved > floor[instance] {
			above[instance] = floor[instance]
		}
	}
	if len(above) > mostChanged {
		return nil, -1, nil
	}
	return above, int64(len(above)), nil
}

// changed returns how many records instances have saved above some counters; less than 0 for
// more than most, or where the instances are not known.
func (l Lacking) changed(ctx context.Context, tx *db.Tx, above counter.Counters, most int64) (n int64, err error) {
	if above == nil {
		return -1, nil
	}
	for instance, from := range above {
		var found int64
		if err := tx.QueryRow(ctx, countSaved, instance, from, most-n+1).Scan(&found); err != nil {
			return -1, err
		}
		if n += found; n > most {
			return -1, nil
		}
	}
	return n, nil
}

// above finds the records by who saved them last and when.
func (l Lacking) above(ctx context.Context, tx *db.Tx, above counter.Counters) (found []Found, err error) {
	for instance, from := range above {
		if found, err = l.collect(ctx, tx, found, listSaved, instance, from); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// under finds the records by their partitions, where the filter holds at most so many.
func (l Lacking) under(ctx context.Context, tx *db.Tx, most int64) (found []Found, ok bool, err error) {
	n, err := CountUnder(ctx, tx, l.Filter, most)
	if err != nil || n > most {
		return nil, false, err
	}
	condition, args := tx.PrefixCond("s.partition", l.Filter, 1)
	found, err = l.collect(ctx, tx, nil, strings.Replace(listUnder, "(FILTER)", condition, 1), args...)
	return found, err == nil, err
}

// CountUnder counts the records under a filter, up to one more than most. The zero filter
// stands for everything.
func CountUnder(ctx context.Context, tx *db.Tx, filter partition.Filter, most int64) (n int64, err error) {
	most = max(most, 0)
	if known, err := keptRecords(ctx, tx, filter); err != nil || known > most {
		return most + 1, err
	}
	byIndex, err := findsUnder(ctx, tx)
	if err != nil {
		return 0, err
	}
	for _, prefix := range widest(orAll(filter).Prefixes()) {
		query, args := countUnderQuery(tx, prefix, byIndex, most-n+1)
		var found int64
		if err := tx.QueryRowAnew(ctx, query, args...).Scan(&found); err != nil {
			return 0, fmt.Errorf("count the records under a filter: %w", err)
		}
		if n += found; n > most {
			break
		}
	}
	return n, nil
}

// countUnderQuery counts the records under a prefix, up to a limit. In order, so that
// PostgreSQL, which knows of prefixes only how many records they have on average, does not
// read the table from its beginning until it meets as many.
func countUnderQuery(tx *db.Tx, prefix string, byIndex bool, limit int64) (query string, args []any) {
	condition, args := tx.PrefixCond("s.partition", partition.Of(prefix), 1)
	order := ""
	if byIndex && prefix != "" {
		order = ` ORDER BY ` + tx.CodePoints("s.partition")
	}
	return strings.NewReplacer("(FILTER)", condition, "(ORDER)", order, "(LIMIT)", fmt.Sprint(limit)).Replace(countUnder), args
}

// listing is a query that lists records with what the engine says of their place.
func listing(tx *db.Tx, query string) string {
	place := "rowid, ''"
	if tx.Kind() != db.SQLite {
		place = Group + ", model_name"
	}
	return strings.Replace(query, "(PLACE)", place, 1)
}

// collect adds those records that are lacking among those that a query finds.
func (l Lacking) collect(ctx context.Context, tx *db.Tx, found []Found, query string, args ...any) ([]Found, error) {
	err := l.each(ctx, tx, func(one Found, lacking bool) {
		if lacking {
			found = append(found, one)
		}
	}, query, args...)
	return found, err
}

// each goes through the records that a query finds, and says of each whether it is lacking.
func (l Lacking) each(ctx context.Context, tx *db.Tx, see func(one Found, lacking bool), query string, args ...any) error {
	rows, err := tx.Query(ctx, listing(tx, query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, instance db.ID
		var one Found
		var profile, part string
		var n int64
		if err := rows.Scan(&id, &one.Row, &one.Model, &profile, &part, &instance, &n); err != nil {
			return err
		}
		one.ID = string(id)
		see(one, profile == l.Profile && l.Wants(part, counter.Version{Instance: string(instance), Counter: n}))
	}
	return rows.Err()
}

// savedIndex finds records by who saved them last and when, in the lean layout only.
const savedIndex = "morango_store_last_saved"

// FindsSaved reports whether what an instance saved last is found by an index, in the order of
// its counters.
func FindsSaved(ctx context.Context, tx *db.Tx) (bool, error) {
	return tx.HasIndex(ctx, savedIndex)
}

// saved asks of each instance for the highest counter with which it is the last to have
// saved a record, and for the next instance that is the last to have saved one. ORDER BY
// keeps PostgreSQL from reading the table until it meets one, which may never be.
const saved = `SELECT i.value,
		(SELECT s.last_saved_counter FROM morango_store s WHERE s.last_saved_instance = i.value
			ORDER BY s.last_saved_counter DESC LIMIT 1),
		(SELECT s.last_saved_instance FROM morango_store s WHERE s.last_saved_instance > i.value
			ORDER BY s.last_saved_instance LIMIT 1)
	FROM `

// lastSaved returns, for every instance that was the last to save some record, the highest
// counter at which it did. It finds them from one to the next, all that are among likely at
// once; when too many are not, or there is no index, known is false.
func lastSaved(ctx context.Context, tx *db.Tx, likely []string) (highest counter.Counters, known bool, err error) {
	if known, err = tx.HasIndex(ctx, savedIndex); err != nil || !known {
		return nil, false, err
	}
	highest = counter.Counters{}
	asked := map[string]bool{ident.Lowest: true}
	for ask := append([]string{ident.Lowest}, likely...); len(ask) > 0; {
		if len(asked) > len(likely)+mostChanged {
			return nil, false, nil
		}
		for _, instance := range ask {
			asked[instance] = true
		}
		if ask, err = nextSaved(ctx, tx, ask, asked, highest); err != nil {
			return nil, false, fmt.Errorf("read which instances saved the rows: %w", err)
		}
	}
	return highest, true, nil
}

// nextSaved notes the highest counters of some instances, and returns which of those that
// follow them were not asked after yet.
func nextSaved(ctx context.Context, tx *db.Tx, ask []string, asked map[string]bool, highest counter.Counters) (next []string, err error) {
	rows, err := tx.Query(ctx, saved+tx.IDs(1)+` i`, db.JSONList(ask))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var instance db.ID
		var n sql.NullInt64
		var following sql.Null[db.ID]
		if err := rows.Scan(&instance, &n, &following); err != nil {
			return nil, err
		}
		if n.Valid {
			highest[string(instance)] = n.Int64
		}
		if one := string(following.V); following.Valid && !asked[one] {
			asked[one] = true
			next = append(next, one)
		}
	}
	return next, rows.Err()
}
