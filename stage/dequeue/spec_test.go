package dequeue_test

import (
	"maps"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/stage/dequeue"
)

// stored is a record in the store, with what only a store row has.
type stored struct {
	record.Record
	Dirty   bool
	Error   string
	Session string // "" for null
}

// spec is dequeue by its definition, record by record. buffer is that of the session;
// loose are buffered counters without a buffered record. It changes store and returns
// the report and what became of each buffered record.
func spec(store map[string]stored, buffer []record.Record, loose map[string]counter.Counters, session string,
	next counter.Version, rule record.Rule,
) (report dequeue.Report, outcome map[string]string) {
	outcome = map[string]string{}
	for _, theirs := range buffer {
		mine, known := store[theirs.ID]
		taken := stored{Record: theirs, Dirty: true, Session: session}
		switch {
		case !known:
			report.New++
			outcome[theirs.ID] = "new"
		case seen(mine.Record, theirs.Version):
			report.Stale++
			outcome[theirs.ID] = "stale"
			continue
		case seen(theirs, mine.Version):
			report.FastForwards++
			outcome[theirs.ID] = "fast-forward"
			taken.History = mine.History.Max(theirs.History)
		default:
			merged := rule.Merge(mine.Record, theirs, next)
			report.Conflicts++
			outcome[theirs.ID] = "merged"
			if merged.Version != next {
				report.Conflicts--
				report.Joined++
				outcome[theirs.ID] = "joined"
			}
			taken = mine
			if merged.Version == next || !record.SameContent(merged, mine.Record) {
				taken.Session = session
				// What is no change for the application is not deserialized, but by the reference.
				if merged.Serialized != mine.Serialized || merged.Deleted != mine.Deleted ||
					merged.HardDeleted != mine.HardDeleted || rule.IsReference() {
					taken.Dirty, taken.Error = true, ""
				}
			}
			taken.Record = merged
		}
		store[theirs.ID] = taken
	}
	for id, counters := range loose {
		mine, known := store[id]
		if !known {
			report.Orphans += int64(len(counters))
			continue
		}
		mine.History = mine.History.Max(counters)
		store[id] = mine
	}
	return report, outcome
}

// seen looks at the history alone, as rows of old databases may lack their own
// version there.
func seen(r record.Record, v counter.Version) bool {
	n, ok := r.History[v.Instance]
	return ok && n >= v.Counter
}

// clone copies a store, so that the spec can change it.
func clone(store map[string]stored) map[string]stored {
	all := maps.Clone(store)
	for id, s := range all {
		s.History = maps.Clone(s.History)
		all[id] = s
	}
	return all
}
