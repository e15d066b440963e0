// Package simtest proves by simulation that nothing is lost and everything converges:
// many peers, each with a real database file, on a network, a clock and a source of
// chance that all follow from one number, the seed.
//
// A history is a list of steps: the applications edit, delete and move rows, peers sync
// in parts that overlap, requests and answers get lost, cut, repeated and late, peers
// crash at a chosen commit. While it runs, a ledger of every version that was ever
// saved is held against what each database claims. Afterwards the faults stop, every
// pair syncs, and all peers must hold the same. A history that fails is made shorter
// while it still fails, and printed; its seed runs it again:
//
//	go test ./internal/simtest -run TestSeed -seed 17
//	make simulate SEEDS=2000
//
// It belongs to the project's frame: nothing imports it, and all of it is tests. It
// imports the facade, and of the layers below what it needs to lay out certificates.
package simtest
