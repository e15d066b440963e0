package lacking

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// PagesBy is Pages with lists of at most so many ids; less than 0 allows none. Pages end
// when their texts have so many bytes.
func PagesBy(ctx context.Context, d *db.DB, job Job, rows, bytes int, changed, under int64, yield func(Page) error) error {
	return pages(ctx, d, job, reading{short{changed: changed, under: under}, rows, bytes}, yield)
}

// PagesByKeys is PagesBy without lists, and, where the filter is narrow, with so many keys in one go, however much of the
// store it holds.
func PagesByKeys(ctx context.Context, d *db.DB, job Job, rows, bytes int, keys int64, yield func(Page) error) error {
	return pages(ctx, d, job, reading{short{-1, -1, keys, 0}, rows, bytes}, yield)
}

// WholeQuery is a page of the whole store, or on PostgreSQL of one model, which must be after a
// good cursor.
func WholeQuery(tx *db.Tx, d *db.DB, job Job, rank int64, rows int) (string, []any) {
	o, err := orderOf(d, job.Profile).look(context.Background(), tx)
	if err != nil {
		panic(err)
	}
	w := walk{order: o, job: job, rows: rows, plan: plan{all: []int64{rank}}}
	w.at, _ = w.place(job.After)
	return w.pageQuery(tx)
}

// KeyQueries are one that lists the keys of such a job, and a page of the records at those given.
func KeyQueries(tx *db.Tx, d *db.DB, job Job, rank int64, rows int, some []int64) (list, page string, listArgs, pageArgs []any) {
	o, err := orderOf(d, job.Profile).look(context.Background(), tx)
	if err != nil {
		panic(err)
	}
	w := walk{order: o, job: job, rows: rows, plan: plan{all: []int64{rank}, keys: keys{most: 1000, list: some, take: len(some)}}}
	w.at, _ = w.place(job.After)
	list, listArgs = w.keysQuery(tx)
	page, pageArgs = w.pageQuery(tx)
	return list, page, listArgs, pageArgs
}

// Cursor is the cursor of a place.
func Cursor(d *db.DB, p *model.Profile, row int64, id string) string {
	return orderOf(d, p).cursor(place{row: row, id: id})
}

// FollowBy is Follow with pages that end when their texts have so many bytes.
func FollowBy(ctx context.Context, d *db.DB, job Job, t Tail, rows, bytes int, yield func(Page) error) error {
	return follow(ctx, d, following{order: orderOf(d, job.Profile), job: job, tail: t, rows: rows, bytes: bytes}, yield)
}

// TailQuery is a page of what was saved at a counter, after a row.
func TailQuery(job Job, t Tail, counter int64) (string, []any) {
	return following{order: order{byRow: true}, job: job, tail: t}.query(trail{counter, place{row: 1, id: "x"}}, 10)
}

// NextModel is a query, for the test of its plan.
const NextModel = nextModel

// NextCounter is a query, for the test of its plan.
const NextCounter = nextCounter
