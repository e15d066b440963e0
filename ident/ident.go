// Package ident computes and checks the identifiers of the system: record ids,
// certificate ids, database and instance ids, and their spoken form (proquint).
//
// It belongs to the words layer: pure values, no I/O. It imports only the
// standard library. On a row's path it is used wherever an id is made or checked.
package ident

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Placeholder stands in a partition for the record's own id while that id is
// being computed, because the id depends on the partition.
const Placeholder = "${id}"

// Hash returns the first 32 hex digits of SHA-256 over the parts joined by "::".
// Every id of the system that is not random has this form.
func Hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "::")))
	return hex.EncodeToString(sum[:16])
}

// Record returns the id of a record. partition still holds Placeholder where the
// record's own id belongs.
func Record(partition, sourceID, modelName string) string {
	return Hash(partition, sourceID, modelName)
}
