package deserialize

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// A tree's rows arrive in any order, and each has to come after its parent. So
// from a page of dirty rows the stage climbs to their dirty ancestors, asking for
// all parents at once, and writes what it has found from the top down. Each row is
// climbed over once, because it is clean or known to be stuck afterwards.

// window is a piece of a tree: dirty rows together with their dirty ancestors.
type window struct {
	parents map[string]string // of each row, "" when it need not wait for a parent
	blocked map[string]string // rows that cannot be tried, and why
	top     string            // when the window is full: a row above which climbing stopped
}

// writeTree writes rows of a model that refers to itself.
func (r *run) writeTree(ctx context.Context, m *model.Model, ids []string) error {
	for page := range slices.Chunk(ids, r.limits.page) {
		for {
			w, err := r.climb(ctx, m, page)
			if err != nil {
				return err
			}
			if w.top == "" {
				if err := r.writeWindow(ctx, m, w); err != nil {
					return err
				}
				break
			}
			if err := r.writeChain(ctx, m, w.top); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeChain writes a row and its ancestors, however many there are. It keeps
// only where each window ended, and comes back down over these.
func (r *run) writeChain(ctx context.Context, m *model.Model, id string) error {
	ends := []string{id}
	mark, markAt := id, 1 // the end that was reached at the latest power of two: a cycle comes back to it
	for len(ends) > 0 {
		w, err := r.climb(ctx, m, ends[len(ends)-1:])
		if err != nil {
			return err
		}
		_, again := w.parents[mark]
		switch {
		case w.top == "":
			if err := r.writeWindow(ctx, m, w); err != nil {
				return err
			}
			ends = ends[:len(ends)-1]
			continue
		case again && len(ends) > markAt:
			w = window{parents: map[string]string{w.top: ""}, blocked: map[string]string{w.top: inCircle}}
			if err := r.writeWindow(ctx, m, w); err != nil {
				return err
			}
			continue
		}
		ends = append(ends, w.top)
		if len(ends) >= 2*markAt {
			mark, markAt = w.top, len(ends)
		}
	}
	return nil
}

// writeWindow writes the rows of a window, from the top down.
func (r *run) writeWindow(ctx context.Context, m *model.Model, w window) error {
	items := w.order()
	for len(items) > 0 {
		n := min(len(items), r.limits.batch)
		if err := r.batch(ctx, m, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// order sorts a window by depth. The rows of a circle have none: they are blocked.
func (w window) order() []item {
	const walking = -1
	depth := make(map[string]int, len(w.parents)) // 0: not known yet
	var path []string
	for at := range w.parents {
		path = path[:0]
		for depth[at] == 0 {
			depth[at] = walking
			path = append(path, at)
			parent := w.parents[at]
			if _, inside := w.parents[parent]; !inside {
				at = ""
				break
			}
			at = parent
		}
		if depth[at] == walking {
			for _, id := range path[slices.Index(path, at):] {
				w.blocked[id] = inCircle
			}
		}
		below := max(depth[at], 0)
		for _, id := range slices.Backward(path) {
			below++
			depth[id] = below
		}
	}
	items := make([]item, 0, len(w.parents))
	for id, parent := range w.parents {
		items = append(items, item{id: id, parent: parent, reason: w.blocked[id], depth: depth[id]})
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.id, b.id))
	})
	return items
}

// climb collects those of the rows that are still to be tried, and their
// ancestors up to the first that is clean or has been tried.
func (r *run) climb(ctx context.Context, m *model.Model, ids []string) (window, error) {
	w := window{parents: map[string]string{}, blocked: map[string]string{}}
	models := sharing(r.env.Profile, m)
	err := r.env.DB.Read(ctx, func(tx *db.Tx) error {
		first, err := r.nodes(ctx, tx, ids, []string{m.Name})
		if err != nil {
			return err
		}
		maps.DeleteFunc(first, func(id string, n node) bool {
			_, tried := r.settled[keyOf(id)]
			return !n.mine || !n.dirty || tried
		})
		for added := first; len(added) > 0; {
			for id, n := range added {
				w.parents[id] = n.parent
				w.top = id
			}
			if len(w.parents) >= r.limits.window {
				return nil
			}
			if added, err = r.above(ctx, tx, m, models, &w, added); err != nil {
				return err
			}
		}
		w.top = ""
		return nil
	})
	if err != nil {
		return window{}, fmt.Errorf("look up parents: %w", err)
	}
	return w, nil
}

// above asks after the parents of the rows that were added last, and returns those
// that have to be written as well.
func (r *run) above(ctx context.Context, tx *db.Tx, m *model.Model, models []string, w *window, added map[string]node) (map[string]node, error) {
	wanted := map[string]bool{}
	for _, n := range added {
		if _, known := w.parents[n.parent]; n.parent != "" && !known {
			wanted[n.parent] = true
		}
	}
	found := map[string]node{}
	for page := range slices.Chunk(slices.Sorted(maps.Keys(wanted)), r.limits.page) {
		nodes, err := r.nodes(ctx, tx, page, models)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, nodes)
	}
	next := map[string]node{}
	for id, n := range added {
		p, stored := found[n.parent]
		v, tried := r.settled[keyOf(n.parent)]
		switch {
		case !wanted[n.parent]: // none, or in the window already
		case !stored:
			w.blocked[id] = missingText(n.parent, theParent)
		case !p.mine && (p.dirty || p.deleted):
			w.blocked[id] = waitingText(n.parent, theParent)
		case !p.dirty, tried && (v == waiting || v == released):
			w.parents[id] = ""
		case tried, p.model != m.Name:
			w.blocked[id] = r.waitsFor(n.parent, theParent)
		default:
			next[n.parent] = p
		}
	}
	return next, nil
}

// node is a store row's place in a tree.
type node struct {
	parent, model  string
	dirty, deleted bool
	mine           bool // the run's business; parents of its rows need not be
}

// nodes returns those of the ids that are store rows of the models.
func (r *run) nodes(ctx context.Context, tx *db.Tx, ids, models []string) (map[string]node, error) {
	scope, args := r.scope(tx, 3)
	query := fmt.Sprintf("SELECT id, _self_ref_fk, model_name, dirty_bit, deleted, %s FROM morango_store WHERE id IN %s AND model_name IN %s AND profile = $3",
		scope, tx.IDs(1), tx.Texts(2))
	rows, err := tx.Query(ctx, query, append([]any{db.JSONList(ids), db.JSONList(models)}, args...)...)
	if err != nil {
		return nil, err
	}
	found := map[string]node{}
	_, err = scan(rows, func(rows *sql.Rows) (id string, err error) {
		var n node
		err = rows.Scan((*db.ID)(&id), &n.parent, &n.model, &n.dirty, &n.deleted, &n.mine)
		found[id] = n
		return id, err
	})
	return found, err
}

// sharing returns the names of the models that share a model's table, its own
// among them: the parent of a classroom is a facility.
func sharing(p *model.Profile, m *model.Model) []string {
	var names []string
	for _, other := range p.Models {
		if other.Table == m.Table {
			names = append(names, other.Name)
		}
	}
	return names
}
