package record

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
)

// What the tables hold of a record's texts, in characters.
const (
	profileLength  = 40
	modelLength    = 40
	sourceIDLength = 96
)

// Check reports whether a record that came from a peer may be buffered: all ids
// are well formed, the id is the one that partition, source id and model name
// give, the partition lies in the filter, texts are valid UTF-8 without NUL and
// fit the tables, counters are in range. m is the model of the record's name, or
// nil when this build does not know it: its id must then be the hash that models
// have by default. The JSON texts are opaque. The error names the record.
func Check(r Record, m *model.Model, filter partition.Filter) error {
	if !ident.Valid(r.ID) {
		return fmt.Errorf("a record's id %s is not 32 lower-case hex digits", quoteShort(r.ID))
	}
	for _, check := range []func(Record) error{checkTexts, checkVersions} {
		if err := check(r); err != nil {
			return fmt.Errorf("record %s: %w", r.ID, err)
		}
	}
	if m == nil {
		m = &model.Model{Name: r.Model}
	}
	if m.Name != r.Model {
		return fmt.Errorf("record %s: it is of model %s, not %s", r.ID, quoteShort(r.Model), m.Name)
	}
	if err := m.CheckID(r.ID, r.Partition, r.SourceID); err != nil {
		return err
	}
	if !filter.Contains(r.Partition) {
		return fmt.Errorf("record %s: its partition %s lies outside the filter of the transfer", r.ID, quoteShort(r.Partition))
	}
	return nil
}

// checkTexts looks at everything that is text.
func checkTexts(r Record) error {
	for _, part := range []struct {
		name, text string
		length     int
	}{
		{"profile", r.Profile, profileLength},
		{"model name", r.Model, modelLength},
		{"source id", r.SourceID, sourceIDLength},
		{"partition", r.Partition, 0},
		{"serialized text", r.Serialized, 0},
		{"conflicting text", r.Conflicting, 0},
	} {
		if !utf8.ValidString(part.text) || strings.IndexByte(part.text, 0) >= 0 {
			return fmt.Errorf("its %s is not valid UTF-8 without NUL", part.name)
		}
		if part.length > 0 && utf8.RuneCountInString(part.text) > part.length {
			return fmt.Errorf("its %s is longer than %d characters", part.name, part.length)
		}
	}
	if r.SelfRef != "" && !ident.Valid(r.SelfRef) {
		return fmt.Errorf("its self-reference %s is not an id", quoteShort(r.SelfRef))
	}
	return nil
}

// checkVersions looks at the version and the history.
func checkVersions(r Record) error {
	if err := checkVersion(r.Version.Instance, r.Version.Counter); err != nil {
		return err
	}
	for instance, n := range r.History {
		if err := checkVersion(instance, n); err != nil {
			return err
		}
	}
	return nil
}

func checkVersion(instance string, n int64) error {
	if !ident.Valid(instance) {
		return fmt.Errorf("the instance %s is not 32 lower-case hex digits", quoteShort(instance))
	}
	if n < 0 || n > math.MaxInt32 {
		return fmt.Errorf("counter %d of instance %s is out of range", n, instance)
	}
	return nil
}
