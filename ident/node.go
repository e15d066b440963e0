package ident

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MAC is a hardware address of 48 bits.
type MAC uint64

// NoMAC stands for a machine without a hardware address. Like every address that
// was made up it has the multicast bit, so it never becomes part of an id.
const NoMAC MAC = 1 << 40

// String returns the address as six pairs of lower-case hex digits joined by
// colons.
func (m MAC) String() string {
	digits := fmt.Sprintf("%012x", uint64(m))
	pairs := make([]string, 0, 6)
	for pair := range slices.Chunk([]byte(digits), 2) {
		pairs = append(pairs, string(pair))
	}
	return strings.Join(pairs, ":")
}

// Multicast says whether the address is of a group, or made up.
func (m MAC) Multicast() bool { return m>>40&1 == 1 }

// Local says whether the address was given by somebody other than the maker of the
// hardware: those of virtual machines and containers, which do not last.
func (m MAC) Local() bool { return m>>41&1 == 1 }

// Flags returns the same two facts of an address in text form, of which the first
// two characters count: hex digits. ok is false when they are none.
func Flags(ether string) (multicast, local, ok bool) {
	if len(ether) < 2 {
		return false, false, false
	}
	octet, err := strconv.ParseUint(ether[:2], 16, 8)
	return octet&1 == 1, octet>>1&1 == 1, err == nil
}

// Interface is a network interface of this machine. Either field may be empty.
type Interface struct {
	Device string // name, as eth0
	Ether  string // hardware address in text form
}

// Node returns the hashed node id of a machine: of what MORANGO_NODE_ID says when
// that is long enough, else of the address of the interface that is least likely to
// go away, else of fallback. It is "" when none of these is of use. interfaces come
// in the order in which the system lists them.
func Node(override string, interfaces []Interface, fallback MAC) string {
	if usable(override) {
		return Salted(override)
	}
	sorted := slices.Clone(interfaces)
	slices.SortStableFunc(sorted, func(a, b Interface) int {
		return cmp.Compare(stability(a.Device), stability(b.Device))
	})
	for _, i := range sorted {
		if _, local, ok := Flags(i.Ether); ok && !local {
			return Salted(i.Ether)
		}
	}
	if fallback.Multicast() {
		return ""
	}
	return Salted(fallback.String())
}

// usable says whether an override names something: a word of three characters. The
// reference asks for as much, and hashes the text with its white space.
func usable(override string) bool {
	return utf8.RuneCountInString(strings.TrimSpace(override)) >= 3
}

// stability is the key by which interfaces are tried: wired ones, wireless ones,
// others that sound like either, each by name. All others come by their bare name,
// so after these when it begins with a letter.
func stability(device string) string {
	name := strings.ToLower(device)
	switch {
	case strings.HasPrefix(name, "eth"), strings.HasPrefix(name, "en"):
		return "0" + name
	case strings.HasPrefix(name, "wl"):
		return "1" + name
	case strings.HasPrefix(name, "e"), strings.HasPrefix(name, "w"):
		return "2" + name
	default:
		return name
	}
}
