package main

import (
	"context"
	"errors"
	"fmt"
)

// mostMemory is how many bytes one process may have resident at its highest, whatever the number
// of rows.
const mostMemory = 64_000_000

// memoryPush pushes as many notes as there would be rows: where only their number matters,
// small ones do, in a tenth of the time.
func (b *bench) memoryPush(ctx context.Context) ([]result, error) {
	return b.notes(ctx, setting{job: "memory-push", hub: hubEmpty, client: clientFull, order: order{Push: true}, push: b.n})
}

// memoryPull pulls as many notes as there would be rows.
func (b *bench) memoryPull(ctx context.Context) ([]result, error) {
	return b.notes(ctx, setting{job: "memory-pull", hub: hubFull, client: clientEmpty, order: order{Pull: true}, pull: b.n})
}

// notes measures a sync of notes.
func (b *bench) notes(ctx context.Context, s setting) (all []result, err error) {
	of := *b
	if of.world, err = newWorld(b.places, b.project, true, b.n); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, of.forget(ctx)) }()
	all, err = of.sync(ctx, s)
	for i := range all {
		all[i].Sides = 0 // there is no floor of notes
		all[i].Note = fmt.Sprintf("of %d MB that it may have", mostMemory>>20)
	}
	return all, err
}

// forget drops the databases that were made to start from.
func (w *world) forget(ctx context.Context) error {
	var err error
	for _, target := range w.ready {
		err = errors.Join(err, w.drop(ctx, target))
	}
	w.ready = nil
	return err
}
