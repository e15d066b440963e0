package wire

import (
	"slices"
	"strings"
)

// Capability is the name of something that both peers must know to use it.
type Capability string

// The capabilities of the reference.
const (
	GzipBufferPost          Capability = "GZIP_BUFFER_POST"
	AllowCertificatePushing Capability = "ALLOW_CERTIFICATE_PUSHING"
	AsyncOperations         Capability = "ASYNC_OPERATIONS"
	FSICv2Format            Capability = "FSIC_V2_FORMAT"
)

// MoranGo is announced by peers that are MoranGo. It names no feature of its own:
// it says that the rules in which MoranGo differs from the reference hold there.
const MoranGo Capability = "MORANGO_GO"

// Stream1 says that records may travel as a stream of version 1, without buffers: see the
// description in frame.go and PathStreams.
const Stream1 Capability = "MORANGO_STREAM_1"

// PartitionDigests is announced by peers that answer questions about digests, by which
// two peers find out whether they hold the same.
const PartitionDigests Capability = "PARTITION_DIGESTS"

// Set is a set of capabilities. The zero value is the empty set. A Set is not
// changed after it is made.
type Set struct{ names []Capability } // sorted, no repeats, known ones only

func known() []Capability {
	return []Capability{AllowCertificatePushing, AsyncOperations, FSICv2Format, GzipBufferPost, MoranGo, Stream1, PartitionDigests}
}

// All is every capability that this build knows.
func All() Set { return Set{names: known()} }

// SetOf is the set of the given names; unknown ones are left out.
func SetOf(names ...Capability) Set {
	var s Set
	for _, name := range known() {
		if slices.Contains(names, name) {
			s.names = append(s.names, name)
		}
	}
	return s
}

// ParseHeader reads the value of the capabilities header: names with spaces in
// between. Unknown names are left out.
func ParseHeader(value string) Set {
	var names []Capability
	for name := range strings.FieldsSeq(value) {
		names = append(names, Capability(name))
	}
	return SetOf(names...)
}

// Header is the set as the value of the capabilities header.
func (s Set) Header() string {
	texts := make([]string, len(s.names))
	for i, name := range s.names {
		texts[i] = string(name)
	}
	return strings.Join(texts, " ")
}

// List is the set in order of names, never nil: it stands in morangoinfo.
func (s Set) List() []Capability { return append([]Capability{}, s.names...) }

// Has reports whether the capability is in the set.
func (s Set) Has(c Capability) bool { return slices.Contains(s.names, c) }

// Intersect is what both sets hold: what two peers may use between them.
func (s Set) Intersect(t Set) Set {
	var both Set
	for _, name := range s.names {
		if t.Has(name) {
			both.names = append(both.names, name)
		}
	}
	return both
}

// Without is the set less the given capability.
func (s Set) Without(c Capability) Set {
	var rest Set
	for _, name := range s.names {
		if name != c {
			rest.names = append(rest.names, name)
		}
	}
	return rest
}
