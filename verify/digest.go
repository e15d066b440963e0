package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/morango-go/morango/counter"
)

// Digest sums up a set of records: how many they are, and the sum of their hashes,
// which is the same in whatever order they are added. The zero value is that of no
// record. It guards against loss and damage, not against a forger: who makes records
// for it can make two sets of one sum.
type Digest struct {
	Records int64
	hi, lo  uint64 // of the sum
}

// Sum is the sum of the hashes in 32 hex digits.
func (d Digest) Sum() string { return number{d.hi, d.lo}.id() }

// NewDigest is a digest as another peer tells it; sum must be 32 hex digits.
func NewDigest(records int64, sum string) Digest {
	n := numberOf(sum)
	return Digest{Records: records, hi: n.hi, lo: n.lo}
}

// add adds one record.
func (d *Digest) add(e Entry) {
	var room [hashed]byte
	text := appendTexts(room[:0], e.ID, e.Version.Instance, e.Content)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(text, uint64(e.Version.Counter)))
	total := number{d.hi, d.lo}.plus(number{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])})
	d.Records, d.hi, d.lo = d.Records+1, total.hi, total.lo
}

// Entry is one record as it is compared.
type Entry struct {
	ID        string
	Partition string
	Version   counter.Version
	Content   string // hash of all that is the same wherever this version is
}

// content hashes what two peers must have alike of one version of a record.
func content(texts []string, flags ...bool) string {
	var room [hashed]byte
	text := appendTexts(room[:0], texts...)
	for _, flag := range flags {
		if flag {
			text = append(text, 1)
		} else {
			text = append(text, 0)
		}
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// hashed is how many bytes of most records are hashed: room for them is on the stack.
const hashed = 2 << 10

// appendTexts appends texts so that none runs into the next.
func appendTexts(to []byte, texts ...string) []byte {
	for _, text := range texts {
		to = binary.BigEndian.AppendUint64(to, uint64(len(text)))
		to = append(to, text...)
	}
	return to
}
