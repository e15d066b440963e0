// Package host is what SQLite has its files and its memory from, where its own ways cost too much: see Files and Pages.
//
// It is part of package db, below package sqlite, and imports only the standard library and the pure Go engine. On a row's path it
// is where the transaction of each step meets the file.
package host

import (
	"unsafe"

	"modernc.org/libc"
)

// allocate takes memory for a T, empty, which stays.
func allocate[T any](tls *libc.TLS) uintptr {
	var t T
	return libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(t)))
}

// at is what lies at an address of SQLite's memory, which is not Go's.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// address is where SQLite calls a Go function, which must be one of the package and no closure: nothing else keeps it.
func address[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// function is the Go function at such an address.
func function[F any](address uintptr) F {
	value := &struct{ uintptr }{address}
	return *(*F)(unsafe.Pointer(value))
}
