package db

import (
	"context"
	"errors"
)

// Layout names the physical form of Morango's tables.
type Layout string

// The layouts.
const (
	LayoutLean   Layout = "lean"   // MoranGo's own: composite primary keys, no redundant indexes
	LayoutDjango Layout = "django" // as Django makes them for the reference
)

// What Attach finds wrong.
var (
	ErrNotInitialized = errors.New("the database has no Morango tables yet: run `morango init` first")
	ErrNotOurs        = errors.New("the database has tables with Morango's names that are not Morango's")
	ErrNewerSchema    = errors.New("the database was made by a newer version of MoranGo: update this program")
)

// Attach finds out in which layout Morango's tables are, and brings the lean
// layout up to date. Errors wrap ErrNotInitialized, ErrNotOurs or ErrNewerSchema.
func (d *DB) Attach(ctx context.Context) (Layout, error) { panic("not written") }

// Create makes Morango's tables in the given layout where there are none. On a
// database that already has them it does what Attach does.
func (d *DB) Create(ctx context.Context, layout Layout) error { panic("not written") }
