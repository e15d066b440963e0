// Package crashtest kills peers for real and takes their disks' last writes away.
//
// A history of edits, deletions, trees, conflicts, syncs in both directions and
// certificates runs between a hub and a tablet; one of them, the victim, is a process of
// its own. It dies by SIGKILL at a chosen commit, of the engine or of the application:
// right before it, in the middle of it, or when it is on disk and nobody has heard of it
// yet. Or the power fails at a chosen operation on its files: what was written since the
// last sync is lost, torn at a sector, or kept in another order. Or its disk fails for a
// while, or a PostgreSQL server goes down under it, and it lives. Then the victim starts
// again: nothing may be half written, both sides must sync and be equal, nothing that an
// application was told is saved may be gone, and no version may stand for two contents.
//
//	go test ./internal/crashtest            # a sample, drawn by -seed
//	make crash                              # every point
//
// On SQLite the points are found by the victim itself, which puts a layer between SQLite
// and the files (see disk_test.go); on PostgreSQL by a proxy that sees commits go by (see
// proxy_test.go). The code under test knows nothing of either.
//
// It belongs to the project's frame: nothing imports it, and all of it is tests. It
// imports the facade, db for a look at the tables, and the words layer for ids.
package crashtest
