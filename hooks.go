package morango

import (
	"context"
	"iter"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/store"
)

// Hook is called before and after each stage of a transfer session on this node, be it
// client or server in it. An error aborts the stage: the session is errored and its
// reason shows in Status, until the session is resumed or closed. A stage that is run
// again calls the hook again.
type Hook = stage.Hook

// HookEvent is what a hook is told.
type HookEvent = stage.HookEvent

// Touched is a record that a transfer changed in the store.
type Touched = store.Touched

// Touched returns the records of a model that a transfer session brought or changed
// here, in the order of their ids, as far as nothing has changed them since. A hook after
// stage deserializing finds all of them. It reads a page at a time.
func (n *Node) Touched(ctx context.Context, transferSession, model string) iter.Seq2[Touched, error] {
	return func(yield func(Touched, error) bool) {
		const pageRows = 500
		for after := ""; ; {
			var page []Touched
			err := n.db.Read(ctx, func(tx *db.Tx) (err error) {
				page, err = store.TouchedPage(ctx, tx, n.Profile().Name, model, transferSession, after, pageRows)
				return err
			})
			if err != nil {
				yield(Touched{}, err)
				return
			}
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
			if len(page) < pageRows {
				return
			}
			after = page[len(page)-1].ID
		}
	}
}
