package lacking

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/store"
)

// keys say where the records under a narrow filter lie in the order of the store: the numbers of their rows on SQLite, their
// groups on PostgreSQL. The index of partitions gives them, and the rest of the store is passed over. They only say where
// to look: a group can be that of other partitions too, and a row another record's by now.
type keys struct {
	most  int64   // in one go; 0 where the whole store is read
	list  []int64 // those that are to be read, in their order
	from  int64   // the first that may not have been listed
	over  bool    // there is none left to be listed
	take  int     // how many are likely to make the next page; 0 before the first
	rank  int64   // of the model that is read
	all   []int64 // those of every model, where they were listed in one go
	state uint32  // of the order when they were listed
}

// drop leaves out what lies before a key.
func (k *keys) drop(key int64) {
	at, _ := slices.BinarySearch(k.list, key)
	k.list = k.list[at:]
}

// next is what the next page looks at.
func (k *keys) next() []int64 { return k.list[:min(k.take, len(k.list))] }

// keyed says whether what is to be read next is found by keys.
func (w *walk) keyed() bool { return w.keys.most > 0 && (w.byRow || w.groups(w.all[0])) }

// key is a row's key in SQL, and keyOf that of a place.
func (w *walk) key() string {
	if w.byRow {
		return "s.rowid"
	}
	return store.Group
}

func (w *walk) keyOf(p place) int64 {
	if w.byRow {
		return p.row
	}
	return p.group
}

// findKeys sees to it that there are keys for the next page, unless none is left. They are found again, from the place on,
// for another model, and where rows can have other numbers.
func (w *walk) findKeys(ctx context.Context, tx *db.Tx) error {
	state, err := w.state(ctx, tx)
	if err != nil {
		return err
	}
	k := &w.keys
	if k.take == 0 || k.state != state || k.rank != w.all[0] {
		again := keys{most: k.most, from: math.MinInt64, take: max(w.rows/8, 1), rank: w.all[0], state: state}
		if w.at.id != "" && (w.byRow || w.at.row == again.rank) {
			again.from = w.keyOf(w.at)
		}
		if k.all != nil && k.state == state {
			again.all, again.list, again.over = k.all, k.all, true
			again.drop(again.from)
		}
		*k = again
	}
	if len(k.list) > 0 || k.over {
		return nil
	}
	return w.listKeys(ctx, tx)
}

// keysUnder lists keys in their order. What is joined to the number of a row keeps SQLite from going through all rows.
const keysUnder = `SELECT (KEY) FROM morango_store s WHERE (FILTER) AND (KEY) >= $1 GROUP BY 1 ORDER BY 1 LIMIT (LIMIT)`

func (w *walk) keysQuery(tx *db.Tx) (string, []any) {
	condition, args := tx.PrefixCond("s.partition", w.job.filter(), 2)
	key := w.key()
	if w.byRow {
		key = "+" + key
	}
	query := strings.NewReplacer("(KEY)", key, "(FILTER)", condition, "(LIMIT)", fmt.Sprint(w.keys.most)).Replace(keysUnder)
	return query, append([]any{w.keys.from}, args...)
}

// listKeys lists the next keys. Rows that are replaced come last: there are no more only when none is found.
func (w *walk) listKeys(ctx context.Context, tx *db.Tx) error {
	list, err := w.nextKeys(ctx, tx)
	if err != nil {
		return fmt.Errorf("list where records under a filter lie: %w", err)
	}
	k := &w.keys
	n := len(list)
	k.over = n == 0 || list[n-1] == math.MaxInt64 || !w.byRow && int64(n) < k.most
	if k.over && k.from == math.MinInt64 {
		k.all = list
	}
	if k.list = list; !k.over {
		k.from = list[n-1] + 1
	}
	return nil
}

func (w *walk) nextKeys(ctx context.Context, tx *db.Tx) (list []int64, err error) {
	query, args := w.keysQuery(tx)
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key int64
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		list = append(list, key)
	}
	return list, rows.Err()
}

// amongKeys is a condition that a row is one of those at which the next page looks.
func (w *walk) amongKeys(tx *db.Tx, args []any) (string, []any) {
	args = append(args, strings.ReplaceAll(fmt.Sprint(w.keys.next()), " ", ","))
	return " AND " + tx.AmongNumbers(w.key(), len(args)), args
}

// longest is how many times the records of a page may be looked at for one.
const longest = 16

// passed notes that a page has been read, of so many records: all that there was at its keys, or the records up to the place.
func (w *walk) passed(records int, all bool) {
	k := &w.keys
	looked, before := len(k.next()), len(k.list)
	if all {
		k.list = k.list[looked:]
	} else {
		k.drop(w.keyOf(w.at))
		looked = before - len(k.list) + 1
	}
	k.take = min(max(looked*w.limit()/max(records, 1), 1), 2*looked, longest*w.rows)
}
