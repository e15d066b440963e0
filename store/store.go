// Package store keeps the store: one row per record with its version and flags,
// the record max counters that are its history, the database max counters that
// say what this database holds in full, and the instance and database ids.
//
// It belongs to the tables layer. It imports the words layer and db. On a row's
// path it is where the row rests between the application's table and a buffer.
package store
