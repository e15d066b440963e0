// Package client drives a sync from the side that asks: it obtains a certificate
// from a peer, opens a sync session with it, and pulls and pushes, resuming what
// was interrupted.
//
// It belongs to the network layer and may import engine, wire and all layers below.
// On a row's path it carries transfer sessions through their stages on both sides.
package client
