package ident

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
)

// salt keeps the serial numbers and addresses of a machine from being looked up
// by their hash.
const salt = "::b88281f3-302c-4def-bb87-043f681e4183"

// hashedLength is the number of hex digits of a hashed system or node id.
const hashedLength = 20

// Instance returns the instance id of a database on a machine. systemID and nodeID
// are the hashed ones (see Local), or empty when the machine has none.
func Instance(databaseID, systemID, nodeID string) string {
	return Hash(databaseID, systemID, nodeID)
}

// Salted returns the hashed form of a serial number or an address of a machine: 20
// hex digits, whatever the case of its ASCII letters; "" for "".
func Salted(raw string) string {
	if raw == "" {
		return ""
	}
	text := []byte(raw + salt)
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			text[i] = c + ('a' - 'A') // other letters keep their case: peers lower the bytes
		}
	}
	return sha1Hex(text)
}

// LegacyInstance returns the instance id as Morango 0.4 computed it. Databases of
// that age still carry such ids as their current instance.
func LegacyInstance(platform, hostname, sysVersion, nodeID, databaseID, dbPath string) string {
	id, _ := Fields(platform, hostname, sysVersion, nodeID, databaseID, dbPath)
	return id
}

// LegacyNode returns the node id as Morango 0.4 computed it from the machine's
// hardware address; "" when the address is a made-up one.
func LegacyNode(databaseID string, address MAC) string {
	if address.Multicast() {
		return ""
	}
	return sha1Hex(fmt.Appendf(nil, "%s:%d", databaseID, uint64(address)))
}

func sha1Hex(text []byte) string {
	sum := sha1.Sum(text)
	return hex.EncodeToString(sum[:])[:hashedLength]
}
