package record

import (
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
)

// Check reports whether a record that came from a peer may be buffered: all ids
// are well formed, the id is the one that partition, source id and model name
// give, the partition lies in the filter, texts are valid UTF-8 without NUL and
// fit the tables, counters are in range, the history holds the version. m is the
// model of the record's name, or nil when this build does not know it: its id is
// then only checked for form. The error names the record.
func Check(r Record, m *model.Model, filter partition.Filter) error { panic("not written") }
