// Package hostile plays attackers against a peer. A client with a valid certificate for
// one narrow scope talks to a real server over HTTP, on SQLite and on PostgreSQL, and
// tries everything but what it may; a server that nobody should trust answers our own
// client. After each attempt nothing outside the attacker's scope has been read or
// written, memory and disk are bounded, and an honest peer is still served.
//
// It belongs to the project's frame: tests only. docs/reliability.md has the counts.
package hostile
